"""Function specs and values: how a kind of parameter is drawn, described, masked and shown. Knows no dialogs."""

import datetime
from dataclasses import dataclass
from typing import Any

from llamachat.offer import FunctionSpec
from llamachat.training.draw import Draw
from llamachat.training.intents import Intent, Slot

_LANGUAGES = "French German Spanish Italian Dutch Polish Swedish Danish Finnish Greek Turkish Japanese Korean Arabic Hindi".split()
_CURRENCIES = "USD EUR GBP JPY CHF SEK NOK DKK PLN CZK CAD AUD INR BRL MXN KRW TRY ZAR".split()
_INTEGERS = frozenset({"small", "integer", "percent", "degree", "size"})
_PHRASES = (
    "[buy|fetch|order|clean|repair|paint|sell|bring] the {a} {n}", "call {p}[ back|]", "[I'll|I will] be [late|there at noon|home soon]",
    "meet {p} [at the|near the] {n}", "[feed|wash|walk] the {z}", "the {n} is [broken|ready|too {a}|empty|here]", "[happy birthday|good luck|see you soon|thank you|well done]",
    "{a} {n} [for|from] {p}", "[do not|don't] forget the {n}", "[where|when] is the {n}", "{w} and {v}", "pick up {p} [from|at] the {n}",
)  # fmt: skip
_TOPICS = "football politics science music space climate economy health art sports technology chess films energy cycling".split()


def draw_value(draw: Draw, kind: str) -> tuple[Any, str]:
    """A JSON value of ``kind`` and how a user would write it."""
    if kind.startswith("enum("):
        value = draw.choice(kind[5:-1].split(","))
        return value, value
    if kind in ("list", "people"):
        count = draw.integer(2, 4)
        items = draw.words("person", count) if kind == "people" else [_item(draw) for _ in range(count)]
        return items, join(items, draw.choice(("and", "and", "or", ",")))
    value = _DRAWERS[kind](draw)
    if kind == "boolean":
        return value, "on" if value else "off"
    return value, str(value)


def _item(draw: Draw) -> str:
    return draw.choice((draw.word("noun"), draw.word("thing"), draw.pseudo(), draw.word("animal"), draw.word("word")))


def title(draw: Draw) -> str:
    """A proper title of one to three words, such as ``Silver Orchard``."""
    words = [draw.choice((draw.word("adjective"), draw.word("word"), draw.word("noun"), draw.pseudo())) for _ in range(draw.integer(1, 3))]
    return " ".join(word.capitalize() for word in words)


def phrase(draw: Draw) -> str:
    """A few words that make a message, a note or a task."""
    return draw.phrase(_PHRASES, a=draw.word("adjective"), n=draw.word("noun"), p=draw.word("person"), z=draw.word("animal"),
                       w=draw.word("word"), v=draw.pseudo())  # fmt: skip


def _day(draw: Draw) -> str:
    return (datetime.date(2024, 1, 1) + datetime.timedelta(days=draw.integer(0, 1400))).isoformat()


def _handle(draw: Draw) -> str:
    return draw.choice((draw.word("person").lower().replace(". ", ""), draw.pseudo(), f"{draw.pseudo()}{draw.integer(1, 99)}", f"{draw.word('noun')}_{draw.pseudo()}"))


_DRAWERS: dict[str, Any] = {
    "city": lambda d: d.place(), "place": lambda d: d.place(), "person": lambda d: d.word("person"),
    "fullname": lambda d: f"{d.word('person')} {d.pseudo(1, 3).capitalize()}", "clock": lambda d: f"{d.integer(0, 23):02}:{d.choice((0, 15, 30, 45, d.integer(0, 59))):02}",
    "date": _day, "title": title, "phrase": phrase, "small": lambda d: d.integer(1, 40), "integer": lambda d: d.number(5),
    "percent": lambda d: d.integer(0, 100), "degree": lambda d: d.integer(5, 30), "size": lambda d: d.integer(16, 4000),
    "number": lambda d: d.decimal() if d.chance(0.4) else d.number(5), "decimal": lambda d: d.decimal(2), "code": lambda d: d.code(),
    "room": lambda d: d.word("room"), "food": lambda d: d.word("food"), "thing": lambda d: d.word("thing"), "pseudo": lambda d: d.pseudo(),
    "word": lambda d: d.word("word"), "language": lambda d: d.choice(_LANGUAGES), "currency": lambda d: d.choice(_CURRENCIES),
    "topic": lambda d: d.choice((d.choice(_TOPICS), d.word("noun"))), "handle": _handle, "email": lambda d: f"{_handle(d)}@{d.pseudo()}.{d.choice(('com', 'org', 'net', 'example'))}",
    "host": lambda d: f"{d.choice(('web', 'db', 'mail', 'api', d.pseudo()))}{d.choice(('', '-', '.'))}{d.choice((str(d.integer(1, 40)), d.pseudo()))}",
    "filename": lambda d: f"{d.choice((d.word('noun'), d.word('filename'), d.pseudo()))}{d.choice(('', '', f'_{d.integer(1, 30)}'))}.{d.choice(('pdf', 'txt', 'csv', 'docx', 'md'))}",
    "image": lambda d: f"{d.choice((d.word('noun'), d.pseudo()))}.{d.choice(('png', 'jpg', 'gif'))}", "flight": lambda d: f"{''.join(d.random.choices('ABCDEFGHKLMNPQSTUVXZ', k=2))}{d.integer(10, 9999)}",
    "ticker": lambda d: "".join(d.random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=d.integer(3, 4))), "address": lambda d: f"{d.integer(1, 99)} {title(d)} Street",
    "boolean": lambda d: d.chance(0.5), "animal": lambda d: d.word("animal"), "month": lambda d: d.word("month"), "device": lambda d: d.choice(("phone", "laptop", "tablet", "watch", "keyboard", d.word("noun"))),
    "domain": lambda d: f"{d.choice((d.pseudo(), d.word('word')))}{d.choice(('', d.pseudo(1, 1)))}.{d.choice(('com', 'org', 'net', 'dev', 'io', 'shop'))}", "version": lambda d: f"{d.choice(('', 'v'))}{d.integer(0, 12)}.{d.integer(0, 30)}{d.choice(('', f'.{d.integer(0, 9)}'))}",
    "videofile": lambda d: f"{d.choice((d.word('noun'), d.pseudo()))}.{d.choice(('mp4', 'mov', 'avi'))}",
    "question": lambda d: d.phrase(("[Which|What] {n} do [we|you] [want|like|choose]?", "[Where|When] [do we meet|shall we go|is the {n}]?", "Who [brings|buys] the {n}?"), n=d.word("noun")),
}  # fmt: skip


def join(items: list[Any], word: str = "and") -> str:
    """``a, b and c``; with a comma as the word, ``a, b, c``."""
    texts = [str(item) for item in items]
    if len(texts) < 2 or word == ",":
        return ", ".join(texts)
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def type_of(kind: str) -> dict[str, Any]:
    """The JSON schema of ``kind``."""
    if kind.startswith("enum("):
        return {"type": "string", "enum": kind[5:-1].split(",")}
    if kind in ("list", "people"):
        return {"type": "array", "items": {"type": "string"}}
    if kind == "boolean":
        return {"type": "boolean"}
    return {"type": "integer" if kind in _INTEGERS else "number" if kind in ("number", "decimal") else "string"}


@dataclass(frozen=True, slots=True)
class Offered:
    """A function as this dialog offers it: names possibly masked. ``names`` maps the intent's parameters to the shown ones."""

    spec: FunctionSpec
    intent: Intent
    names: dict[str, str]

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """``values`` under the names that the model sees, in the order of the schema."""
        return {self.names[slot.name]: values[slot.name] for slot in self.intent.slots if slot.name in values}


def offer_function(draw: Draw, intent: Intent, masked: bool) -> Offered:
    """The spec of ``intent``. Masked: function and parameter names say nothing, only the descriptions do (Hammer, 2024)."""
    name = _mask(draw) if masked else _styled(draw, intent.name)
    names = {slot.name: draw.pseudo(1, 2) if masked and draw.chance(0.7) else slot.name for slot in intent.slots}
    properties = {names[slot.name]: _property(draw, slot) for slot in intent.slots}
    required = [names[slot.name] for slot in intent.slots if slot.required]
    schema = {"type": "object", "properties": properties, "required": required}
    return Offered(FunctionSpec(name, intent.about, schema), intent, names)


def _property(draw: Draw, slot: Slot) -> dict[str, Any]:
    shown = {**type_of(slot.kind), "description": slot.about}
    if slot.default:
        shown["default"] = int(slot.default) if slot.default.isdigit() else slot.default
    return shown


def _mask(draw: Draw) -> str:
    return draw.choice((draw.pseudo(2, 3), f"{draw.pseudo(1, 2)}_{draw.pseudo(1, 2)}", f"f{draw.integer(1, 99)}", f"{draw.pseudo()}{draw.integer(1, 9)}"))


_PREFIXES = ("get", "fetch", "find", "check", "do", "run", "make", "new", "my", "api")


def _styled(draw: Draw, name: str) -> str:
    words = name.split("_")
    if draw.chance(0.15):
        words = [draw.choice(_PREFIXES), *words]
    style = draw.random.random()
    if style < 0.12:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return f"{words[-1]}.{'_'.join(words[:-1])}" if style < 0.16 and len(words) > 1 else "_".join(words)
