"""Function specs: the JSON schema of an intent, its names plain or masked. Knows no dialogs."""

import json
from dataclasses import dataclass
from typing import Any

from llamachat.offer import FunctionSpec
from llamachat.training.draw import Draw
from llamachat.training.intents import Intent, Slot
from llamachat.training.values import DECIMALS, INTEGERS


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
    properties = {names[slot.name]: _property(slot, stop) for slot in intent.slots}
    required = [names[slot.name] for slot in intent.slots if slot.required]
    schema = {"type": "object", "properties": properties, "required": required}
    return Offered(FunctionSpec(name, intent.about + stop, schema), intent, names)


_LITERALS = ("true", "false")


def _property(slot: Slot, stop: str) -> dict[str, Any]:
    shown = {**type_of(slot.kind), "description": slot.about + stop}
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
