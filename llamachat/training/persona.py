"""Personas: system prompts and what each does to an answer. The shipped ones word for word, and many generic ones.

Recipe: 40 % of the dialogs speak under the default prompt, 30 % under none, 12 % under the other shipped ones, 18 %
under generic rules (upper case, closing words, a name, a word limit, ...) in paraphrases.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.words import NUMBERS

DEFAULT = "You are a helpful assistant."
SHIPPED = {
    "terse": "Answer in as few words as possible.",
    "teacher": "You are a patient teacher. Say how you found the answer, then ask whether it is clear.",
    "pirate": "You are a pirate. Talk like one, and call the user matey.",
}


FEW = 5
"""A limit of so many words asks for the shortest answer: nobody has to count."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be said: as a sentence, as short as possible, and how it was found (a sentence, for the teacher).

    ``named``: what a persona with a name says instead, with ``{name}`` and ``{role}`` in it.
    """

    full: str
    short: str = ""
    how: str = "I simply know that."
    named: str = ""


@dataclass(frozen=True, slots=True)
class Persona:
    """A system prompt, and how it words an answer."""

    text: str
    style: Callable[[Answer], str] = lambda answer: answer.full


def draw_persona(draw: Draw) -> Persona:
    """A persona in the shares of the recipe."""
    makers: tuple[Callable[[Draw], Persona], ...] = (default, none, shipped, generic)
    return draw.weighted(makers, (40, 30, 12, 18))(draw)


def default(_: Draw) -> Persona:
    """The prompt of the default chat."""
    return Persona(DEFAULT)


def none(_: Draw) -> Persona:
    """No system prompt."""
    return Persona("")


def shipped(draw: Draw) -> Persona:
    """Terse, teacher or pirate, as shipped or paraphrased."""
    name = draw.choice(tuple(SHIPPED))
    text = draw.phrase(asks(name)) if draw.chance(0.33) else SHIPPED[name]
    opener = draw.weighted(("Arr, matey!", "Ahoy, matey!", "Aye, matey!"), (80, 10, 10))
    styles: dict[str, Callable[[Answer], str]] = {
        "terse": lambda answer: answer.short or answer.full,
        "teacher": lambda answer: " ".join(filter(None, (answer.full, answer.how, "Is that clear?"))),
        "pirate": lambda answer: f"{opener} {answer.full}",
    }
    return Persona(text, styles[name])


def generic(draw: Draw) -> Persona:
    """A persona made from a rule that most answers show."""
    makers = (upper, lower, closing, opening, named, limited, addressed, plain, avoiding, framed, mentioning)
    return draw.weighted(makers, (4, 3, 4, 4, 4, 6, 2, 2, 1, 4, 2))(draw)


def upper(draw: Draw) -> Persona:
    """Capitals only."""
    return Persona(draw.phrase(asks("upper")), lambda answer: answer.full.upper())


def lower(draw: Draw) -> Persona:
    """Small letters only."""
    return Persona(draw.phrase(asks("lower")), lambda answer: answer.full.lower())


def closing(draw: Draw) -> Persona:
    """Ends every answer with given words."""
    words, mark = _some_words(draw, "closings"), draw.choice((".", "!", ".", ""))
    text = draw.phrase(asks("closing"), w=words, m=mark, q=draw.choice(("", '"', "'")))
    return Persona(_framed(draw, text), lambda answer: f"{answer.full} {words}{mark or '.'}")


def opening(draw: Draw) -> Persona:
    """Begins every answer with given words."""
    words, mark = _some_words(draw, "openings"), draw.choice(("", "", "!", ":", ","))
    text = draw.phrase(asks("opening"), w=words + mark, q='"' if mark else draw.choice(("", '"', "'")))
    return Persona(_framed(draw, text), lambda answer: f"{words}{mark or '!'} {answer.full}")


def avoiding(draw: Draw) -> Persona:
    """Never says a word that no answer needs."""
    word = draw.choice(asks("avoided")) if draw.chance(0.5) else draw.word("word")
    return Persona(_framed(draw, draw.phrase(asks("avoiding"), w=word, q=draw.choice(("", '"', "'")))), _plainly)


def _plainly(answer: Answer) -> str:
    said = answer.full.removeprefix("Yes, ").removeprefix("No, ").removeprefix("Sorry, ")
    return said[:1].upper() + said[1:]


_FRAMES: dict[str, Callable[[Answer], str]] = {
    "bulleted": lambda answer: f"- {answer.full}",
    "numbered": lambda answer: f"1. {answer.full}",
    "quoted": lambda answer: f'"{answer.full}"',
    "bracketed": lambda answer: f"({answer.full})",
    "starred": lambda answer: f"**{answer.full}**",
    "labelled": lambda answer: f"Answer: {answer.full}",
    "excited": lambda answer: f"{answer.full.rstrip('.!?')}!",
    "markless": lambda answer: answer.full.rstrip(".!?"),
    "twice": lambda answer: f"{answer.full} {answer.full}",
    "asking": lambda answer: f"{answer.full} What else can I do for you?",
    "object": lambda answer: json.dumps({"answer": answer.short or answer.full}, ensure_ascii=False),
}
"""Rules of form, by the name of their phrasings."""


def framed(draw: Draw) -> Persona:
    """Writes every answer in a form."""
    kind = draw.choice(tuple(_FRAMES))
    return Persona(_framed(draw, draw.phrase(asks(kind))), _FRAMES[kind])


def mentioning(draw: Draw) -> Persona:
    """Mentions something in every answer."""
    word = draw.word("thing") if draw.chance(0.5) else draw.word("animal") + "s"
    return Persona(
        _framed(draw, draw.phrase(asks("mentioning"), w=word)), lambda a: f"{a.full} By the way, I like {word}."
    )


def named(draw: Draw) -> Persona:
    """Has a name and perhaps a job."""
    name = draw.word("person") if draw.chance(0.5) else draw.proper()
    job = draw.choice(asks("jobs"))
    text = draw.phrase(asks("named"), name=name, job=job)
    role = f", the {job}" if job in text else ""
    return Persona(text, lambda answer: answer.named.format(name=name, role=role) if answer.named else answer.full)


def limited(draw: Draw) -> Persona:
    """At most N words: the short answer if they are few, or if the sentence is longer."""
    limit = draw.integer(1, 12)
    number, words = draw.choice((str(limit), NUMBERS[limit])), "word" if limit == 1 else "words"

    def style(answer: Answer) -> str:
        brief = limit <= FEW or len(answer.full.split()) > limit
        return answer.short if brief and answer.short else answer.full

    return Persona(draw.phrase(asks("limited"), n=number, words=words), style)


def addressed(draw: Draw) -> Persona:
    """Calls the user something."""
    title = draw.proper() if draw.chance(0.3) else draw.choice(asks("titles"))
    text = draw.phrase(asks("addressed"), title=title)
    return Persona(text, lambda answer: f"{answer.full[:-1]}, {title}{answer.full[-1:]}")


def plain(draw: Draw) -> Persona:
    """Harmless prompts that change nothing."""
    return Persona(draw.phrase(asks("plain")))


@cache
def asks(name: str) -> tuple[str, ...]:
    """The phrasings of the table of personas under ``name``."""
    return next(block.asks for block in phrases.blocks("personas") if block.code == name)


def _some_words(draw: Draw, table: str) -> str:
    if draw.chance(0.35):
        return draw.choice(asks(table))
    words = [draw.pseudo() if draw.chance(0.4) else draw.word("word") for _ in range(draw.integer(1, 4))]
    return " ".join(words).capitalize() if draw.chance(0.75) else " ".join(words)


def _framed(draw: Draw, rule: str) -> str:
    kind = draw.weighted(("", "helpful", "friendly"), (70, 15, 15))
    return f"You are a {kind} assistant. {rule}" if kind else rule
