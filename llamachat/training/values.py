"""Values of a kind, drawn from the templates of phrases/values.txt. Knows no functions.

In a template ``<name>`` is a word of that list or another kind, ``<1..40>`` a number in that range, ``<AA>`` two
capitals.
"""

import datetime
import re
from typing import Any

from llamachat.training import phrases
from llamachat.training.draw import Draw, expand
from llamachat.training.words import NUMBERS, kinds

INTEGERS = frozenset({"small", "integer", "percent", "degree", "size", "stars", "warmth"})
DECIMALS = frozenset({"number", "decimal"})
ODD = frozenset("room topic handle device thing animal food job word noun pseudo".split())
"""Kinds whose values are any words in two of five: a channel may be called ``random``, and only copying tells it."""
_ATOM = re.compile(r"<([^<>]+)>")


def draw_value(draw: Draw, kind: str) -> tuple[Any, str]:
    """A JSON value of ``kind`` and how a user would write it."""
    if kind.startswith("enum("):
        value, _, ways = draw.choice(kind[5:-1].split(",")).partition("=")
        return value, draw.choice(ways.split("/")) if ways else value
    if kind.startswith("bool("):
        yes = draw.chance(0.5)
        return yes, draw.choice(kind[5:-1].split(",")[not yes].split("/"))
    if kind in ("list", "people"):
        count = draw.integer(2, 4)
        items = draw.words("person", count) if kind == "people" else [_item(draw) for _ in range(count)]
        return items, join(items, draw.choice(("and", "and", "or", ",")))
    if kind == "numbers":
        numbers = [draw.number(3) for _ in range(draw.integer(2, 5))]
        return numbers, join(numbers, draw.choice(("and", ",")))
    if kind == "number":
        number = draw.decimal() if draw.chance(0.4) else draw.number(5)
        return number, str(number)
    text = atom(draw, kind)
    if kind in ODD and draw.chance(0.1):
        text = f"{draw.any_word()} {draw.any_word()}"
    if kind == "boolean":
        return text == "true", "on" if text == "true" else "off"
    return (int(text) if kind in INTEGERS else float(text) if kind in DECIMALS else text), text


def asked_value(draw: Draw, kind: str, about: str) -> tuple[Any, str]:
    """As `draw_value`, but where ``about`` tells the form of a date or a time, users write it in other forms too."""
    value, shown = draw_value(draw, kind)
    if kind == "date" and "YYYY" in about and draw.chance(0.3):
        return value, spoken_date(draw, datetime.date.fromisoformat(value))
    if kind == "clock" and "HH:MM" in about and draw.chance(0.2):
        return value, spoken_clock(draw, value)
    if kind in ("number", "integer") and value >= 1000 and draw.chance(0.1):
        return value, f"{value:,}"
    if kind == "small" and 1 < value < len(NUMBERS) and draw.chance(0.2):
        return value, NUMBERS[value]
    return value, shown


_MONTHS = "January February March April May June July August September October November December".split()


def spoken_date(draw: Draw, day: datetime.date) -> str:
    """``day`` as people write it: not ISO."""
    month, d, y = _MONTHS[day.month - 1], day.day, day.year
    nth = ordinal(d)
    return draw.choice((
        f"{d} {month} {y}", f"{d} {month} {y}", f"{month} {d}, {y}", f"{month} {d} {y}", f"{nth} of {month} {y}",
        f"{nth} {month} {y}", f"the {nth} of {month} {y}", f"{month} {nth}, {y}", f"{d} {month[:3]} {y}",
    ))  # fmt: skip


def ordinal(n: int) -> str:
    """``1st``, ``22nd``, ``13th``."""
    return f"{n}{'th' if 10 < n % 100 < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def spoken_clock(draw: Draw, time: str) -> str:
    """``HH:MM`` with twelve hours, such as ``6:30 pm``."""
    hour, minute = map(int, time.split(":"))
    half = ("am", "pm")[hour >= 12]
    short = f"{(hour - 1) % 12 + 1}" + (f":{minute:02}" if minute else "")
    return short + draw.choice((f" {half}", half, f" {half[0]}.m."))


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
    if name in ODD and draw.chance(0.4):
        return draw.any_word()
    if name in _ATOMS:
        return str(_ATOMS[name](draw))
    templates = phrases.mapping("values")
    return fill(draw, templates[name]) if name in templates else draw.word(name)


def title(draw: Draw) -> str:
    """A proper title of one to three words, such as ``Silver Orchard``; one of five is just words."""
    if draw.chance(0.2):
        return " ".join(draw.any_word() for _ in range(draw.weighted((1, 2, 3), (60, 30, 10))))
    kinds_ = ("adjective", "word", "noun")
    count = draw.integer(1, 3)
    words = [draw.pseudo() if draw.chance(0.4) else draw.word(draw.choice(kinds_)) for _ in range(count)]
    shapes = ("The {}", "{} of the", "{} of", "{} &", "{}'s") if count > 1 else ("The {}", "Old {}", "{} 2")
    shape = draw.choice(shapes) if draw.chance(0.1) else "{}"
    return " ".join((shape.format(words[0].capitalize()), *(word.capitalize() for word in words[1:])))


def phrase(draw: Draw) -> str:
    """A few words that make a message, a note or a task."""
    slots = {"a": "adjective", "n": "noun", "p": "person", "z": "animal", "w": "word"}
    return draw.phrase(
        phrases.lines("sentences"), v=draw.pseudo(), **{slot: draw.word(kind) for slot, kind in slots.items()}
    )


def _date(draw: Draw) -> str:
    return (datetime.date(2024, 1, 1) + datetime.timedelta(days=draw.integer(0, 1400))).isoformat()


def _item(draw: Draw) -> str:
    if draw.chance(0.4):
        return draw.pseudo() if draw.chance(0.5) else draw.any_word()
    return draw.word(draw.choice(("noun", "thing", "animal", "word")))


_ATOMS: dict[str, Any] = {
    "pseudo": lambda draw: draw.pseudo(),
    "any": lambda draw: draw.any_word(),
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
    names = {"list", "people", "number", "numbers", *_ATOMS, *phrases.mapping("values"), *kinds()}
    return kind.startswith(("enum(", "bool(")) or kind in names
