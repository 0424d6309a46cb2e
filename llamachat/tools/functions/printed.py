"""A standard output that leads nowhere, and keeps what is printed for the result of a call. Knows no calls."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from llamachat.tools import ToolOutput
from llamachat.tools.shorten import printable

MAX_PRINTED = 2000  # characters that are kept of what one call prints


@dataclass(slots=True)
class Kept:
    """The beginning of what was printed, and how many characters there were in all."""

    text: str = ""
    length: int = 0

    def add(self, text: str) -> None:
        """Keep as much of ``text`` as fits."""
        self.text += text[: MAX_PRINTED - len(self.text)]
        self.length += len(text)

    def beside(self, output: ToolOutput) -> ToolOutput:
        """``output``, with what was printed if it says little by itself: a function that prints instead of returning
        has been understood, and one that fails has said why. Beside a value, print is the function's own affair."""
        if not self.text.strip() or (output.ok and output.text != "null"):
            return output
        cut = f"\n[the first of {self.length:,} characters]" if self.length > len(self.text) else ""
        return replace(output, text=f"{output.text}\n[stdout]\n{printable(self.text).strip()}\n[/stdout]{cut}")


_KEPT: ContextVar[Kept | None] = ContextVar("kept", default=None)


class Printed(io.TextIOWrapper):
    """To be ``sys.stdout``. Calls that run at the same time are kept apart."""

    def __init__(self) -> None:
        super().__init__(open(os.devnull, "wb"), encoding="utf-8")  # noqa: SIM115 open as long as the process

    def write(self, text: str) -> int:
        kept = _KEPT.get()
        if kept is not None:
            kept.add(text)
        return len(text)

    @contextmanager
    def kept(self) -> Iterator[Kept]:
        """What is printed within, by this thread or task."""
        kept = Kept()
        token = _KEPT.set(kept)
        try:
            yield kept
        finally:
            _KEPT.reset(token)
