"""One training dialog as the product would speak it. Knows the wire format through protocol and offer, no wording."""

import ast
import contextlib
import io
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from llamachat.messages import Dialog, Message, StopReason, ToolCall
from llamachat.offer import Offer, open_dialog
from llamachat.protocol import CODE_INTERPRETER, Dialect, Encoded, encode_dialog, frame_output
from llamachat.tokenizer import Tokenizer

NANO = Dialect(
    calls="json",
    python_tag="all_calls",
    dates=False,
    compact=True,
    purpose_first=True,
    constrained=True,
    quotes=True,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A dialog with the persona (system text, possibly empty) and the tools it was held under.

    ``slips`` are the ordinals of assistant messages that are mistakes: shown, so that the model sees how to go on, but
    not learned.
    """

    family: str
    persona: str
    offer: Offer
    messages: tuple[Message, ...]
    slips: frozenset[int] = frozenset()

    def opened(self) -> Dialog:
        """The dialog as the model sees it, offer in place."""
        system = (Message("system", self.persona),) if self.persona else ()
        return open_dialog(Dialog((*system, *self.messages)), self.offer, NANO)

    def encode(self, tokenizer: Tokenizer) -> Encoded:
        """Ids and learn-mask of the whole dialog."""
        encoded = encode_dialog(tokenizer, self.opened(), NANO, add_generation_prompt=False)
        runs = [list(run) for learned, run in groupby(range(len(encoded.ids)), encoded.learn.__getitem__) if learned]
        for ordinal in self.slips:
            for at in runs[ordinal]:
                encoded.learn[at] = False
        return encoded


def user(text: str, context: str | None = None) -> Message:
    """What the user says, and what is attached to it."""
    return Message("user", text, context=context)


def say(text: str) -> Message:
    """The assistant's words to the user; they end its turn."""
    return Message("assistant", text, stop=StopReason.end_of_turn)


def call(name: str, arguments: Mapping[str, Any]) -> Message:
    """The assistant calls one tool."""
    return Message("assistant", "", (ToolCall(name, dict(arguments)),), StopReason.end_of_message)


def result(value: Any) -> Message:
    """What a function or the search returned, as JSON."""
    return Message("ipython", json.dumps(value, ensure_ascii=False))


def python(code: str, run: "Run") -> tuple[Message, Message]:
    """The call of the python tool with ``code``, and what the tool said."""
    return call(CODE_INTERPRETER, {"code": code}), Message("ipython", frame_output(run.status, run.stdout, run.stderr))


@dataclass(frozen=True, slots=True)
class Run:
    """What executed code gave: ``stdout`` with the echo of a last expression, or the last line of the traceback."""

    status: str
    stdout: str = ""
    stderr: str = ""


def execute(code: str, names: dict[str, Any] | None = None) -> Run:
    """Run our own generated ``code`` as the python tool would: the last expression is echoed, errors are kept short."""
    names = {} if names is None else names
    out = io.StringIO()
    try:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(out):
            exec(compile(tree, "<code>", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<code>", "eval"), names)
                if value is not None:
                    print(repr(value))
    except Exception as error:  # noqa: BLE001 - whatever the generated code raises is the data
        return Run("error", out.getvalue().strip(), _shortened(error, code))
    return Run("completed", out.getvalue().strip())


def _shortened(error: Exception, code: str) -> str:
    """The traceback as the python tool shows it: only lines of ``code``."""
    lines = ["Traceback (most recent call last):"]
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == "<code>":
            where = "" if frame.name == "<module>" else f", in {frame.name}"
            lines += [f"  line {frame.lineno}{where}", f"    {code.splitlines()[(frame.lineno or 1) - 1].strip()}"]
    return "\n".join([*lines, *traceback.format_exception_only(error)]).strip()
