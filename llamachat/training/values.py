"""Values of a kind, drawn from the templates of phrases/values.txt. Knows no functions.

In a template ``<name>`` is a word of that list or another kind, ``<1..40>`` a number in that range, ``<AA>`` two
capitals.
"""

import datetime
import re
from typing import Any

from llamachat.training import phrases
from llamachat.training.draw import Draw, expand
from llamachat.training.words import kinds

INTEGERS = frozenset({"small", "integer", "percent", "degree", "size"})
NUMBERS = frozenset({"number", "decimal"})
_ATOM = re.compile(r"<([^<>]+)>")


def draw_value(draw: Draw, kind: str) -> tuple[Any, str]:
    """A JSON value of ``kind`` and how a user would write it."""
    if kind.startswith("enum("):
        value = draw.choice(kind[5:-1].split(","))
        return value, value
    if kind in ("list", "people"):
        count = draw.integer(2, 4)
        items = draw.words("person", count) if kind == "people" else [_item(draw) for _ in range(count)]
        return items, join(items, draw.choice(("and", "and", "or", ",")))
    if kind == "number":
        number = draw.decimal() if draw.chance(0.4) else draw.number(5)
        return number, str(number)
    text = atom(draw, kind)
    if kind == "boolean":
        return text == "true", "on" if text == "true" else "off"
    return (int(text) if kind in INTEGERS else float(text) if kind in NUMBERS else text), text


def fill(draw: Draw, template: str) -> str:
    """``template`` with its alternatives chosen and its atoms drawn."""
    return _ATOM.sub(lambda match: atom(draw, match[1]), expand(draw.random, template))


def atom(draw: Draw, name: str) -> str:
    """One value, as text."""
    if ".." in name:
        low, high = name.split("..")
        return str(draw.integer(int(low), int(high)))
    if name.isupper():
        return "".join(draw.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=len(name)))
    if name in _ATOMS:
        return str(_ATOMS[name](draw))
    templates = phrases.mapping("values")
    return fill(draw, templates[name]) if name in templates else draw.word(name)


def title(draw: Draw) -> str:
    """A proper title of one to three words, such as ``Silver Orchard``."""
    kinds_ = ("adjective", "word", "noun")
    words = (draw.pseudo() if draw.chance(0.4) else draw.word(draw.choice(kinds_)) for _ in range(draw.integer(1, 3)))
    return " ".join(word.capitalize() for word in words)


def phrase(draw: Draw) -> str:
    """A few words that make a message, a note or a task."""
    slots = {"a": "adjective", "n": "noun", "p": "person", "z": "animal", "w": "word"}
    return draw.phrase(
        phrases.lines("sentences"), v=draw.pseudo(), **{slot: draw.word(kind) for slot, kind in slots.items()}
    )


def _date(draw: Draw) -> str:
    return (datetime.date(2024, 1, 1) + datetime.timedelta(days=draw.integer(0, 1400))).isoformat()


def _item(draw: Draw) -> str:
    return draw.pseudo() if draw.chance(0.2) else draw.word(draw.choice(("noun", "thing", "animal", "word")))


_ATOMS: dict[str, Any] = {
    "pseudo": lambda draw: draw.pseudo(),
    "Word": lambda draw: draw.word("word").capitalize(),
    "Pseudo": Draw.proper,
    "place": Draw.place,
    "code": Draw.code,
    "title": title,
    "phrase": phrase,
    "date": _date,
    "integer": lambda draw: draw.number(5),
    "decimal": lambda draw: draw.decimal(2),
    "hour": lambda draw: f"{draw.integer(0, 23):02}",
    "minute": lambda draw: f"{draw.integer(0, 59):02}",
    "lowperson": lambda draw: draw.word("person").lower().replace(". ", ""),
}


def join(items: list[Any], word: str = "and") -> str:
    """``a, b and c``; with a comma as the word, ``a, b, c``."""
    texts = [str(item) for item in items]
    if len(texts) < 2 or word == ",":
        return ", ".join(texts)
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def known(kind: str) -> bool:
    """Whether ``draw_value`` can draw ``kind``."""
    names = {"list", "people", "number", *_ATOMS, *phrases.mapping("values"), *kinds()}
    return kind.startswith("enum(") or kind in names
