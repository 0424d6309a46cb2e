"""What the model is offered: system-prompt pieces and function definitions. Knows the wording, no tools and no ids.

Facts of the format are Meta's (prompt_format.md of 3.1, 3.2 and 3.3); the sentences are ours.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from llamachat.messages import Dialog, Message
from llamachat.protocol import Dialect


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A zero-shot function: what the model sees of it. ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of a turn. ``code``: the model may write python; ``builtin``: names of Meta's built-in tools."""

    code: bool = False
    builtin: tuple[str, ...] = ()
    functions: tuple[FunctionSpec, ...] = ()

    def __bool__(self) -> bool:
        return self.code or bool(self.builtin or self.functions)


def open_dialog(dialog: Dialog, offer: Offer, dialect: Dialect, today: date | None = None) -> Dialog:
    """``dialog`` with the offer in place: system message, then (json, function tag) the definitions as a user message.

    The text of the dialog's own leading system message becomes the instruction. An offer of nothing adds nothing but
    the date lines, if the dialect has them. The same offer gives the same ids, so the KV cache stays valid.
    """
    own = dialog[0].text if len(dialog) and dialog[0].role == "system" else ""
    rest = dialog[1:] if len(dialog) and dialog[0].role == "system" else dialog
    in_system = dialect.calls == "python_list"
    text = system_text(own, offer, dialect, today)
    opening = Dialog((Message("system", text),)) if text else Dialog()
    if offer.functions and not in_system:
        opening += Message("user", function_text(offer, dialect))
    return opening + rest


def system_text(instruction: str, offer: Offer, dialect: Dialect, today: date | None) -> str:
    """The body of the system message: ``Environment: ipython`` switches tools on, ``Tools:`` names built-ins.

    With dates it has the bytes of Meta's reference, whose empty line after a lone ``Environment:`` and last newline are
    real, since 3.1 strips nothing; without, there are no empty lines but the one before the instruction.
    """
    tools = f"Tools: {', '.join(offer.builtin)}" if offer.builtin else ""
    functions = function_text(offer, dialect) if offer.functions and dialect.calls == "python_list" else ""
    if dialect.dates and today:
        environment = f"Environment: ipython\n{tools}\n" if offer else ""
        dates = f"Cutting Knowledge Date: December 2023\nToday Date: {today:%d %B %Y}"
        blocks = (dates + (f"\n{functions}" if functions else ""), instruction)
        return environment + "\n\n".join(block for block in blocks if block) + "\n"
    lines = ("Environment: ipython" if offer else "", tools, functions)
    head = "\n".join(line for line in lines if line)
    return f"{head}\n\n{instruction}\n" if head and instruction else head or instruction


def function_text(offer: Offer, dialect: Dialect) -> str:
    """The definitions, and how to call. Defaults that are 0, "" or false stay in the schema."""
    plain = [{"name": f.name, "description": f.description, "parameters": f.parameters} for f in offer.functions]
    if dialect.calls == "python_list":
        listing = json.dumps(plain, indent=None if dialect.compact else 4, ensure_ascii=False)
        return (
            "You can call functions. To call some, reply with nothing but a list of calls, "
            '[name(parameter=value, other="text")], with literal values. If none fits, or a required parameter '
            f"is missing, say so in words. The functions, in JSON:\n{listing}"
        )
    if dialect.calls == "function_tag":
        listing = "\n".join(
            f"{f.name}: {f.description}\n{json.dumps(f.parameters, ensure_ascii=False)}" for f in offer.functions
        )
        return (
            f"These functions are available:\n{listing}\n\nTo call one, reply with one line and nothing else: "
            "<function=NAME>{JSON object of arguments}</function>. Give every required parameter. "
            "If no function fits, just answer."
        )
    if dialect.compact:
        first = ("description", "name") if dialect.purpose_first else ("name", "description")
        plain = [{key: f[key] for key in (*first, "parameters")} for f in plain]
        listing = "\n".join(json.dumps(f, separators=(",", ":"), ensure_ascii=False) for f in plain)
        return f"Functions:\n{listing}"
    listing = "\n".join(json.dumps({"type": "function", "function": f}, indent=4, ensure_ascii=False) for f in plain)
    return (
        f"These functions are available. If none of them fits, just answer.\n{listing}\n\n"
        'To call one, reply with {"name": function name, "parameters": {parameter name: literal value}} '
        "and nothing else."
    )
