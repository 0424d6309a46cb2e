"""Zero-shot functions: one call, choice among several, a missing argument, none that fits, and what results say.

Recipe: three quarters everyday intents (intents.py), one quarter made of verb x noun x parameter fragments; 25 % with
masked names; 0-3 distractors, two thirds of them hard (same area, same verb or same noun).
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from llamachat.messages import Message
from llamachat.offer import FunctionSpec
from llamachat.training import phrases
from llamachat.training.composed import composed, fragments, rivals
from llamachat.training.draw import Draw, lower_first, with_articles
from llamachat.training.intents import Intent, intents, worded
from llamachat.training.naming import pointed
from llamachat.training.persona import Answer
from llamachat.training.replies import NO_FUNCTION, draw_result
from llamachat.training.sample import call, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import asked_value, atom, draw_value, join
from llamachat.training.words import Split


def draw_intent(draw: Draw) -> Intent:
    """An everyday intent or a composed one."""
    return draw_everyday(draw) if draw.chance(0.72) else composed(draw)


def draw_everyday(draw: Draw) -> Intent:
    """An everyday intent, in words. An eighth of them are for val only."""
    return worded(draw, draw.choice(everyday(draw.split)))


@cache
def everyday(split: Split, area: str = "") -> Sequence[Intent]:
    """The listed intents, or those of one area; val has all, train lacks every eighth."""
    return tuple(
        intent for i, intent in enumerate(intents()) if area in ("", intent.area) and (split == "val" or i % 8 != 5)
    )


def rival(draw: Draw, intent: Intent) -> Intent:
    """A hard distractor of ``intent``: of its area, or made of its words."""
    if intent.area and draw.chance(0.7):
        return worded(draw, draw.choice(everyday(draw.split, intent.area)))
    return rivals(draw, intent)


def offered_with(draw: Draw, intent: Intent, others: int) -> tuple[Offered, list[Offered]]:
    """``intent`` and the whole offer in random order: it and ``others`` distractors, half of them hard."""
    masked = draw.chance(0.25)
    target = offer_function(draw, intent, masked)
    offer = [target]
    while len(offer) <= others:
        other = offer_function(draw, rival(draw, intent) if draw.chance(0.65) else draw_intent(draw), masked)
        if all(new(other, old) for old in offer):
            offer.append(other)
    draw.random.shuffle(offer)
    return target, offer


def new(one: Offered, other: Offered) -> bool:
    """Whether two functions differ in kind, in name and in description."""
    pairs = zip(*((o.intent.key or o.intent.name, o.spec.name, o.intent.about) for o in (one, other)), strict=True)
    return all(mine != theirs for mine, theirs in pairs)


def request(draw: Draw, offered: Offered, text: str = "") -> tuple[str, dict[str, Any]]:
    """What the user says for ``offered``, as ``text`` if given, and the values of the slots that it names."""
    text = text or pointed(draw, draw.ask(offered.intent.requests), offered.intent.slots)
    values, shown = {}, {}
    for slot in offered.intent.slots:
        if "{" + slot.name + "}" in text:
            values[slot.name], shown[slot.name] = asked_value(draw, slot.kind, slot.about)
    return text.format(**shown), values


def answered(draw: Draw, offered: Offered, values: dict[str, Any], question: str) -> Turn:
    """The turn that calls ``offered`` with ``values`` and tells the result."""
    value, told = draw_result(draw, offered.intent.reply)
    steps = (call(offered.spec.name, offered.arguments(values)), result(value))
    return Turn(question, steps, Answer(told.full, told.short, f"I called {offered.spec.name} for that."))


def how_many(draw: Draw) -> int:
    """The number of distractors."""
    return draw.weighted((0, 1, 2, 3), (38, 30, 20, 12))


_NAMES = frozenset((
    "city", "place", "person", "code", "title", "pseudo", "topic", "room", "handle", "flight", "ticker", "thing",
    "country", "host", "domain", "filename", "language",
))  # fmt: skip
_AGAIN = (
    "[and|And|what about|And what about|how about|And|How about] [in|for|] {v}?",
    "[and|now|Then|Also] [the same |]for {v}[?|.|, please.]",
    "{v}?",
    "[And|Now|Ok, now|Then] {v}[?|.|, please.]",
    "[Do|Try|Check] [that|it|the same] for {v}[, too|, please|][.|]",
    "[No|Sorry|Oh|Wait], I [meant|mean|wanted] {v}[.|]",
    "[Sorry|Oops|No], {v}[, I mean|, not that one|][.|]",
)


_TAILS = (
    " and [tell me|say|let me know] [the result|what comes out|how it went|what you get|if it worked][.|]",
    ", [then|and] tell me [the result|what it says|what happened][.|, please.|]", ". [What does it say|Did it work]?",
)  # fmt: skip


def single(draw: Draw) -> Task:
    """One call; now and then a follow-up that changes one value."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    if draw.chance(0.1):
        question = question.rstrip("?.!") + draw.phrase(_TAILS)
    turns = [answered(draw, target, values, question)]
    slot = next((slot for slot in target.intent.slots if slot.name in values and slot.kind in _NAMES), None)
    if slot and draw.chance(0.2):
        value, shown = draw_value(draw, slot.kind)
        turns.append(answered(draw, target, {**values, slot.name: value}, draw.ask(_AGAIN, v=shown)))
    elif draw.chance(0.08):
        other = draw.choice(offer)
        question, values = request(draw, other)
        turns.append(answered(draw, other, values, question))
    return _task(turns, offer)


def several(draw: Draw) -> Task:
    """Two to four questions under one offer, each for any of its functions, or now and then for none.

    The offer is the longest part of a dialog and nothing of it is learned, so each further question is nearly free:
    choices are made twice as often per id that is read.
    """
    _, offer = offered_with(draw, draw_intent(draw), draw.integer(1, 3))
    turns: list[Turn] = []
    for _ in range(draw.weighted((2, 3, 4), (45, 35, 20))):
        asked = "" if not draw.chance(0.12) else _chore(draw, offer) if draw.chance(0.35) else _foreign(draw, offer)[0]
        if asked:
            turns.append(unmet(asked))
            continue
        wanted = draw.choice(offer)
        question, values = request(draw, wanted)
        turns.append(answered(draw, wanted, values, question))
    return _task(turns, offer, alone=any(not turn.steps for turn in turns))


_GIVEN = ("{v}[.|]", "[It is|It's|Take|Use|Make it] {v}[.|]", "[Oh, |Sorry, |]{v}[.|, please.|]")


def missing(draw: Draw) -> Task:
    """A required parameter that the user didn't give: ask for it, then maybe get it and call."""
    text, intent = draw.choice((_cut_short, _bare))(draw)
    target, offer = offered_with(draw, intent, how_many(draw))
    text = draw.ask((text.strip(),))
    named = [slot for slot in intent.slots if "{" + slot.name + "}" in text]
    drawn = {slot.name: asked_value(draw, slot.kind, slot.about) for slot in named}
    absent = [slot for slot in intent.slots if slot.required and slot not in named]
    if not absent:
        return missing(draw)
    wanted = join([_asked_for(slot.about) for slot in absent])
    question = text.format(**{name: shown for name, (_, shown) in drawn.items()})
    answer = Answer(f"Please tell me {wanted}.", f"{wanted[0].upper()}{wanted[1:]}?", "The function needs it.")
    turns = [Turn(question, (), answer)]
    if len(absent) == 1 and draw.chance(0.5):
        value, given = asked_value(draw, absent[0].kind, absent[0].about)
        values = {**{name: value for name, (value, _) in drawn.items()}, absent[0].name: value}
        turns.append(answered(draw, target, values, draw.ask(_GIVEN, v=given)))
    return _task(turns, offer)


def _asked_for(about: str) -> str:
    """``City`` as ``the city``; ``Who gets it`` as ``who gets it``."""
    plain = about.startswith(("Who", "How", "What", "Which", "Where", "When", "For", "The", "Whose"))
    return lower_first(about) if plain else f"the {lower_first(about)}"


def _cut_short(draw: Draw) -> tuple[str, Intent]:
    """A composed function, and its request without the words for one required parameter."""
    intent = composed(draw)
    text = intent.requests[0]
    gone = draw.choice([slot.name for slot in intent.slots if slot.required] or [""])
    for slot, fragment in fragments():
        if slot.name == gone:
            text = text.replace(fragment.replace("{v}", "{" + gone + "}"), "")
    for wrong, right in (("  ", " "), (" .", "."), (" ?", "?"), (" [.", "[.")):
        text = text.replace(wrong, right)
    return text, intent


_BARE = (
    "[I need|I want|I'd like|Please,|Can you do] a {n}[.|, please.]", "{V} [a|the|my|one] {n}[.|, please.| for me.]",
    "[Can|Could] you {v} [a|the|my] {n}[| for me]?", "[I want|I need|I'd like] to {v} [a|the|my|some] {n}.",
    "{n}[ please|?|, please|]",
)  # fmt: skip
_BY_PURPOSE = (
    "[I need|I want|Please do|Can you do|I'd like|Do] this: {a}[.|?|, please.]", "{A}[.|, please.| for me.| now.]",
    "[I need|I want|Can you do|How about] [one thing|something]: {a}[.|?]",
)  # fmt: skip


def _bare(draw: Draw) -> tuple[str, Intent]:
    """An everyday function, and a request that names nothing but its purpose."""
    needy = [intent for intent in everyday(draw.split) if any(slot.required for slot in intent.slots)]
    intent = worded(draw, draw.choice(needy))
    verb, _, noun = intent.name.partition("_")
    speaks = verb in phrases.mapping("verbs") and {*noun.split("_")} <= set(phrases.mapping("words")["noun"].split())
    text = draw.choice(_BARE if speaks else _BY_PURPOSE).replace("{V}", verb.capitalize()).replace("{v}", verb)
    text = text.replace("{n}", noun.replace("_", " ")).replace("{a}", lower_first(intent.about))
    return with_articles(text.replace("{A}", intent.about)), intent


_CHORES = (
    "[Can|Could|Will|Would] you [please |]{c}[ for me| today| now|]?",
    "[Please|I want you to|I'd like you to] {c}[.|, please.]", "{c}[ please|, please|.| for me.]",
    "I need [someone|somebody|you] to {c}.",
)  # fmt: skip


def irrelevant(draw: Draw) -> Task:
    """A request for which none of the offered functions is meant: another function's, or a chore for hands."""
    _, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    if draw.chance(0.35):  # nor could python or search do it
        return _task([unmet(_chore(draw, offer))], offer)
    asked, deed = _foreign(draw, offer)
    return _task([unmet(asked)], offer, alone=not deed) if asked else irrelevant(draw)


def unmet(asked: str) -> Turn:
    """A turn that says that no function is meant."""
    return Turn(asked, (), Answer(NO_FUNCTION, "I can't do that.", "I looked at my functions."))


def _chore(draw: Draw, offer: list[Offered]) -> str:
    """What no tool in ``offer`` can do, or know: a chore for hands, or a matter of the user's own."""
    words = {"n": draw.word("noun"), "z": draw.word("animal"), "p": draw.word("city"), "q": draw.word("person")}
    slots = {**words, "d": draw.word("weekday"), "t": atom(draw, "clock"), "m": draw.integer(2, 90)}
    if draw.chance(0.25):
        ask = draw.ask(phrases.lines("private"), **slots)
    else:
        ask = draw.ask(_CHORES, c=" ".join(draw.phrase(phrases.lines("chores"), **slots).split()))
    doing = _stems(ask)
    if any(doing & _stems(o.intent.name + " " + o.intent.about) or _like(doing, o.intent.requests) for o in offer):
        return _chore(draw, offer)
    return ask[0].upper() + ask[1:]


def _like(doing: frozenset[str], requests: tuple[str, ...]) -> bool:
    return any(len(doing & _stems(request)) > 1 for request in requests)


_EMPTY = frozenset(
    "a an and any are at be by can could did do does for from get give have how i in is it like me my need of on one or "
    "our please pls show somebody someone tell thanks that the there this to today tomorrow up us want was what what's "
    "when where which who will with would you your now i'd".split()
)


@cache
def _stems(text: str) -> frozenset[str]:
    """The beginnings of the words of ``text`` that mean something."""
    return frozenset(word[:5] for word in re.findall(r"[a-z']+", text.lower()) if word not in _EMPTY)


def _foreign(draw: Draw, offer: list[Offered]) -> tuple[str, bool]:
    """A request for a function that ``offer`` lacks, and whether it is for a deed, which neither python nor search can
    do; nothing if the one that was drawn is too near."""
    near = offer[0].intent.area and draw.chance(0.6)
    wanted = offer_function(draw, rival(draw, offer[0].intent) if near else draw_intent(draw), masked=False)
    words = set(wanted.intent.name.split("_")) - {"get", "set", "find"}
    if not all(new(wanted, o) and (near or not words & set(o.intent.name.split("_"))) for o in offer):
        return "", False
    return request(draw, wanted)[0], wanted.intent.reply in ("done", "id")


Runs = list[tuple[Offered, dict[str, Any]]]


def two_calls(draw: Draw) -> Task:
    """Independent requests in one sentence, two as a rule, called one after the other."""
    first, offer = offered_with(draw, draw_intent(draw), draw.integer(0, 1))
    maker = draw.weighted((_values, _twice, _elliptic, _two_functions), (33, 12, 22, 33))
    question, runs = maker(draw, first, offer)
    if not runs or any(runs.count(run) > 1 for run in runs):
        return two_calls(draw)
    steps: list[Message] = []
    tellings = []
    for offered, arguments in runs:
        value, told = draw_result(draw, offered.intent.reply)
        steps += [call(offered.spec.name, offered.arguments(arguments)), result(value)]
        tellings.append(told)
    full = " ".join(dict.fromkeys(told.full for told in tellings))
    short = "; ".join(dict.fromkeys(told.short for told in tellings))
    return _task([Turn(question, tuple(steps), Answer(full, short, "I called the functions for that."))], offer)


_PAIRS = ("{a} and {b}", "{a} and {b}", "both {a} and {b}", "{a} and also {b}", "{a} as well as {b}", "{a} & {b}")


def _values(draw: Draw, first: Offered, _: list[Offered]) -> tuple[str, Runs]:
    """``the weather in A and B``, or in three places."""
    question, values = request(draw, first)
    slot = next((slot for slot in first.intent.slots if slot.name in values and slot.kind in _NAMES), None)
    if slot is None:
        return "", []
    more = [draw_value(draw, slot.kind)[0] for _ in range(draw.weighted((1, 2), (75, 25)))]
    every = [values[slot.name], *more]
    body = question.rstrip("?.!")
    if len(every) > 2:
        said = join(every)
    elif draw.chance(0.3):
        said = f"{every[0]} and {'in ' if ' in ' in body else 'for '}{every[1]}"
    else:
        said = draw.choice(_PAIRS).format(a=every[0], b=every[1])
    start = body.find(every[0])
    text = body[:start] + said + body[start + len(every[0]) :] + question[len(body) :]
    return text, [(first, {**values, slot.name: value}) for value in every]


_JOINERS = (", and ", " and ", " and then ", ". Also, ", ". And ", ", then ", " and also ", ". After that, ", " plus ")


def _twice(draw: Draw, first: Offered, _: list[Offered]) -> tuple[str, Runs]:
    """Two requests for the same function."""
    (one, values), (two, others) = request(draw, first), request(draw, first)
    return one.rstrip("?.!") + draw.choice(_JOINERS) + lower_first(two), [(first, values), (first, others)]


_LEADS = frozenset("the a in for to of on my at from room with by".split())


def _elliptic(draw: Draw, first: Offered, _: list[Offered]) -> tuple[str, Runs]:
    """``wake room 12 at 7:00, room 14 at 8:00 and room 15 at 9:00``: the verb is said once."""
    text = draw.ask(first.intent.requests)
    if "{" not in text:
        return "", []
    before = text[: text.index("{")].split()
    lead = f"{before[-1]} " if before and before[-1].lower() in _LEADS else ""
    rest = lead + text[text.index("{") :].rstrip("?.!")
    if set(rest) & set(".?!"):  # two sentences
        return "", []
    asked = [request(draw, first, text), *(request(draw, first, rest) for _ in range(draw.weighted((1, 2), (75, 25))))]
    said = [part.rstrip("?.!") for part, _ in asked]
    last = draw.choice((" and ", " and ", " and also ", ", and "))
    mark = text[len(text.rstrip("?.!")) :]
    return ", ".join(said[:-1]) + last + said[-1] + mark, [(first, values) for _, values in asked]


def _two_functions(draw: Draw, first: Offered, offer: list[Offered]) -> tuple[str, Runs]:
    """Requests for two functions; the second joins ``offer``."""
    intent = rival(draw, first.intent) if draw.chance(0.4) else draw_intent(draw)
    second = offer_function(draw, intent, masked=draw.chance(0.2))
    if not all(new(second, o) for o in offer):
        return "", []
    offer.insert(draw.integer(0, len(offer)), second)
    (one, values), (two, others) = request(draw, first), request(draw, second)
    return one.rstrip("?.!") + draw.choice(_JOINERS) + lower_first(two), [(first, values), (second, others)]


_WHICH = (
    "Which function fits: {q}", "Name the function for this request: {q}", "{q} (name the function only)",
    "Only the name of the function: {q}", "Which one would you call? {q}",
)  # fmt: skip


def which_tool(draw: Draw) -> Task:
    """A drill: only the name of the function that fits, or none."""
    target, offer = offered_with(draw, draw_intent(draw), draw.integer(1, 4))
    question, _ = request(draw, target)
    ask = draw.phrase(_WHICH, q=question)
    if len(offer) > 2 and draw.chance(0.2):  # the one that fits is taken away
        offer.remove(target)
        return _task([Turn(ask, (), Answer("None.", "None.", ""))], offer)
    return _task([Turn(ask, (), Answer(target.spec.name, target.spec.name, ""))], offer)


def unrelated(draw: Draw) -> tuple[FunctionSpec, ...]:
    """Functions to be offered beside talk that needs none."""
    return tuple(offered.spec for offered in offered_with(draw, draw_intent(draw), how_many(draw))[1])


def _task(turns: list[Turn], offer: list[Offered], *, alone: bool = False) -> Task:
    """``alone``: with neither python nor search beside the functions."""
    bare = False if alone else None
    return Task(tuple(turns), tuple(offered.spec for offered in offer), code=bare, search=bare)


def functions(draw: Draw) -> Task:
    """One task of this file."""
    makers = (single, several, missing, irrelevant, two_calls, which_tool)
    return draw.weighted(makers, (29, 25, 5, 17, 22, 2))(draw)
