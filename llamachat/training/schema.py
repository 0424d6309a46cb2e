"""Function specs: the JSON schema of an intent, its names plain or masked. Knows no dialogs."""

import json
from dataclasses import dataclass
from typing import Any

from llamachat.offer import FunctionSpec
from llamachat.training import phrases
from llamachat.training.draw import Draw, lower_first, plural
from llamachat.training.intents import Intent, Slot
from llamachat.training.values import DECIMALS, INTEGERS, draw_value


def type_of(kind: str) -> dict[str, Any]:
    """The JSON schema of ``kind``."""
    if kind.startswith("enum("):
        return {"type": "string", "enum": [option.partition("=")[0] for option in kind[5:-1].split(",")]}
    if kind in ("list", "people"):
        return {"type": "array", "items": {"type": "string"}}
    if kind == "numbers":
        return {"type": "array", "items": {"type": "integer"}}
    if kind == "boolean" or kind.startswith("bool("):
        return {"type": "boolean"}
    return {"type": "integer" if kind in INTEGERS else "number" if kind in DECIMALS else "string"}


@dataclass(frozen=True, slots=True)
class Offered:
    """A function as a dialog offers it: ``names`` maps the intent's parameters to the shown ones."""

    spec: FunctionSpec
    intent: Intent
    names: dict[str, str]

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """``values`` under the names that the model sees, in the order of the schema."""
        return {self.names[slot.name]: values[slot.name] for slot in self.intent.slots if slot.name in values}


def offer_function(draw: Draw, intent: Intent, masked: bool) -> Offered:
    """The spec of ``intent``. Masked: names say nothing, only the descriptions do (Hammer, 2024)."""
    name = _mask(draw) if masked else _styled(draw, intent.name)
    names = {
        slot.name: draw.pseudo(1, 2) if masked and draw.chance(0.7) else slot.shown or slot.name
        for slot in intent.slots
    }
    stop = "." if draw.chance(0.3) else ""  # as in docstrings
    properties = {names[slot.name]: _property(draw, slot, stop) for slot in intent.slots}
    required = [names[slot.name] for slot in intent.slots if slot.required]
    schema = {"type": "object", "properties": properties, "required": required}
    about = _described(draw, intent.about) if draw.chance(0.25) else intent.about
    return Offered(FunctionSpec(name, about + stop, schema), intent, names)


_TELLING = ("Get", "Returns", "Tells", "Look up", "Gets", "Return")
_FINDING = ("Tells", "Check", "Returns", "Find out")
_QUESTIONS = frozenset("Whether How What When Where Who Which Whom Whose From At On".split())


def _described(draw: Draw, about: str) -> str:
    """``about`` as programmers put it: ``Sets an alarm``, ``Get the price of a share``, ``Check whether it rains``."""
    first, _, rest = about.partition(" ")
    if first.lower() in phrases.mapping("verbs"):
        return f"{plural(first)} {rest}"
    if first in _QUESTIONS:
        return f"{draw.choice(_FINDING)} {lower_first(about)}"
    known = first.lower() in phrases.mapping("attributes") or first.lower() in phrases.mapping("words")["noun"].split()
    return f"{draw.choice(_TELLING)} the {lower_first(about)}" if known and rest.startswith("of ") else about


_LITERALS = ("true", "false")
_EXAMPLES = ("{a}, e.g. {v}", "{a} (e.g. {v})", "{a}, for example {v}", '{a}, such as "{v}"', "{a}, like {v}")


def _property(draw: Draw, slot: Slot, stop: str) -> dict[str, Any]:
    about = slot.about
    if draw.chance(0.1) and type_of(slot.kind) == {"type": "string"}:  # no value to take
        about = draw.choice(_EXAMPLES).format(a=about, v=draw_value(draw, slot.kind)[1])
    shown = {**type_of(slot.kind), "description": about + stop}
    if slot.default:
        shown["default"] = json.loads(slot.default) if slot.default in _LITERALS else slot.default
        shown["default"] = int(slot.default) if slot.default.isdigit() else shown["default"]
    return shown


def _mask(draw: Draw) -> str:
    return draw.choice(
        (
            draw.pseudo(2, 3),
            f"{draw.pseudo(1, 2)}_{draw.pseudo(1, 2)}",
            f"f{draw.integer(1, 99)}",
            f"{draw.pseudo()}{draw.integer(1, 9)}",
        )
    )


_PREFIXES = ("get", "fetch", "find", "check", "do", "run", "make", "new", "my", "api")


def _styled(draw: Draw, name: str) -> str:
    words = name.split("_")
    if draw.chance(0.08):
        words = [draw.choice(_PREFIXES), *words]
    style = draw.random.random()
    if style < 0.12:
        return words[0] + "".join(word.capitalize() for word in words[1:])
    return f"{words[-1]}.{'_'.join(words[:-1])}" if style < 0.16 and len(words) > 1 else "_".join(words)
