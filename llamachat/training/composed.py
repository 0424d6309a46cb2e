"""Functions that no list holds: verbs, nouns, attributes and parameter fragments, with requests in other words."""

import re
from functools import cache

from llamachat.training.draw import Draw, plural, with_articles
from llamachat.training.intents import Intent, Slot, read_slot
from llamachat.training.phrases import lines, mapping, split

_ABOUT = (
    "{V} [a|the|one] {n}",
    "{V} {ns}",
    "[Function to|Use this to] {v} the {n}",
    "{V} [an existing|the given|some] {n}",
)


@cache
def fragments() -> tuple[tuple[Slot, str], ...]:
    """Parameters, and how a request names their value."""
    pairs = (line.split(" = ", 1) for line in lines("fragments"))
    return tuple((read_slot(slot), fragment) for slot, fragment in pairs)


def noun_of(draw: Draw) -> str:
    """A thing that functions are about: a noun, two nouns, or a made-up one."""
    kind = draw.weighted((1, 2, 0), (60, 18, 22))
    return " ".join(draw.word("noun") for _ in range(kind)) if kind else draw.pseudo(2, 3)


def composed(draw: Draw, verb: str | None = None, noun: str | None = None) -> Intent:
    """A function of 0 to 3 parameters: do something with a noun, or tell an attribute of it."""
    noun = noun or noun_of(draw)
    if verb in mapping("attributes") or (verb is None and draw.chance(0.3)):
        return attribute(draw, noun, verb)
    verb = verb or draw.word("verb")
    slots, said = [], []
    for i, (slot, fragment) in enumerate(draw.some(fragments(), draw.weighted((0, 1, 2, 3), (6, 42, 38, 14)))):
        required = i == 0 or draw.chance(0.65)
        slots.append(Slot(slot.name, slot.kind, slot.about.replace("{n}", noun), required))
        if required or draw.chance(0.5):
            said.append(fragment.replace("{v}", "{" + slot.name + "}"))
    about = with_articles(draw.phrase(_ABOUT, V=verb.capitalize(), v=verb, n=noun, ns=plural(noun)))
    word = draw.phrase((mapping("verbs").get(verb, verb),)) if draw.chance(0.4) else verb
    request = draw.choice(lines("requests")).replace("{V}", word.capitalize()).replace("{v}", word).replace("{n}", noun)
    request = request.replace("{f}", " ".join(said)).replace(" .", ".").replace(" [.", "[.").replace(" ,", ",").rstrip()
    reply = draw.choice(("done", "done", "done", "id", "number(price)", "status", "record", "titles", "places"))
    return Intent(f"{verb}_{noun.replace(' ', '_')}", about, reply, tuple(slots), (with_articles(request),))


_SUBJECTS = (
    ("city", "city"), ("town", "place"), ("company", "title"), ("product", "title"), ("film", "title"),
    ("player", "fullname"), ("person", "person"), ("train", "code"), ("island", "place"), ("school", "title"),
    ("shop", "title"), ("dish", "thing"), ("animal", "animal"), ("car", "title"), ("show", "title"), ("team", "title"),
    ("hotel", "title"), ("course", "topic"), ("word", "word"), ("station", "place"), ("plant", "thing"),
)  # fmt: skip
"""What is spoken of by its name alone, and the kind of the name."""


def attribute(draw: Draw, noun: str, name: str | None = None) -> Intent:
    """A function that tells an attribute of a thing."""
    name = name or draw.choice(tuple(mapping("attributes")))
    subject, kind = draw.choice(_SUBJECTS)
    if draw.chance(0.35):
        return _attribute(draw, subject, name, draw.choice((subject, "name")), kind, "{v}")
    word = noun.replace(" ", "_")
    ways = (
        ("name", "title", "[the {n} {v}|{v}|the {n} called {v}|the {v} {n}]"),
        ("id", "code", "[the {n} {v}|{n} {v}|{v}|the {v} {n}]"),
        (word, "pseudo", "[{n} {v}|the {n} {v}|{v}|the {v} {n}]"), ("number", "integer", "[{n} {v}|{n} number {v}]"),
        ("city", "city", "the {n} [in|of] {v}"), ("owner", "person", "[{v}'s {n}|the {n} of {v}]"),
    )  # fmt: skip
    return _attribute(draw, noun, name, *draw.choice(ways))


_HOW = re.compile(r"how (\[[\w|]+\]|\w+) is \{o\}")


def _attribute(draw: Draw, noun: str, name: str, by: str, kind: str, naming: str) -> Intent:
    word = noun.replace(" ", "_")
    label = by.capitalize().replace("_", " ")
    slot = Slot(by, kind, draw.choice((label, f"{label} of the {noun}")))
    about = draw.choice(
        (f"{name.capitalize()} of a {noun}", f"Get the {name} of a {noun}", f"Tells the {name} of the {noun}")
    )
    asks = mapping("attributes")[name]
    if (how := _HOW.match(asks)) and draw.chance(0.3):
        about = f"How {draw.choice(how[1].strip('[]').split('|'))} a {noun} is"
    if draw.chance(0.5):
        asks += f"|[tell me|give me|show me|I need|what is] the {name} of {{o}}."
    thing = naming.replace("{n}", noun).replace("{v}", "{" + by + "}")
    requests = (part[0].upper() + part[1:] for part in split(asks))
    function = draw.choice((f"get_{name}", f"{word}_{name}", f"get_{word}_{name}", f"{name}_of_{word}"))
    reply = draw.weighted((f"number({name})", f"{name}=[<title>|<code>|<adjective>]", "record"), (50, 35, 15))
    asked = tuple(with_articles(part.replace("{o}", thing)) for part in requests)
    return Intent(function, with_articles(about), reply, (slot,), asked)


def rivals(draw: Draw, intent: Intent) -> Intent:
    """A hard distractor of ``intent``: the opposite, the same verb or the same noun."""
    verb, _, rest = intent.name.partition("_")
    if verb not in mapping("verbs") or not set(rest.split("_")) <= set(mapping("words")["noun"].split()):
        return composed(draw)
    noun = rest.replace("_", " ") or None
    for pair in map(str.split, lines("opposites")):
        if verb in pair and draw.chance(0.6):
            return composed(draw, pair[verb == pair[0]], noun)
    return composed(draw, verb=verb) if draw.chance(0.5) and verb in mapping("verbs") else composed(draw, noun=noun)
