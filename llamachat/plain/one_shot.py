"""One answer for scripts, as text or JSON on stdout. Knows streams and the talk."""

import asyncio
import json
import sys
from contextlib import redirect_stdout
from typing import Any, Literal, TextIO

from llamachat.errors import LlamaChatError
from llamachat.messages import Event, Message, MessageEnd, StopReason, TurnEnd, Usage, to_json
from llamachat.plain.show import as_json, printer
from llamachat.plain.talk import Talk

Output = Literal["text", "json", "stream-json"]


async def one_shot(talk: Talk, text: str, output: Output) -> int:
    """Answer ``text`` on stdout and return the exit code: 0, or 130 after Ctrl-C. Runtime errors are raised;
    with ``json`` what was said until then is printed first. What anything else prints goes to stderr."""
    paper = _Paper(output, sys.stdout, [*talk.conversation.dialog, Message("user", text)])
    try:
        with redirect_stdout(sys.stderr):
            await talk.open()
            with talk.interruptible():
                await talk.answer(text, paper.show)
    except LlamaChatError as error:
        paper.finish(error)
        raise
    except asyncio.CancelledError:  # Ctrl-C before or after the turn
        return 130
    finally:
        await talk.close()
    paper.finish()
    return 130 if paper.end.stop is StopReason.cancelled else 0


class _Paper:
    """Writes a turn to ``out`` in one of the three forms. ``said`` grows from what was said before."""

    def __init__(self, form: Output, out: TextIO, said: list[Message]) -> None:
        self._form, self._out, self._said = form, out, said
        self._print = printer(out)
        self.end = TurnEnd(StopReason.end_of_turn, Usage())

    def show(self, event: Event) -> None:
        """While it happens."""
        if isinstance(event, MessageEnd):
            self._said.append(event.message)
        elif isinstance(event, TurnEnd):
            self.end = event
        if self._form == "text":
            self._print(event)
        elif self._form == "stream-json":
            self._line(to_json(event))

    def finish(self, error: LlamaChatError | None = None) -> None:
        """At the end."""
        if self._form == "json":
            self._line(as_json(self._said, None if error else self.end.stop, self.end.usage, error))
        elif self._form == "stream-json" and error:
            self._line({"kind": "error", "message": error.message, "hint": error.hint})

    def _line(self, data: dict[str, Any]) -> None:
        print(json.dumps(data), file=self._out, flush=True)
