"""The doors without a screen: one answer for scripts, and a line by line chat for pipes and screen readers.

Knows streams and the agent loop; knows no Textual and how no part is made.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, TextIO

from llamachat.agent import Runtime, run_turn
from llamachat.errors import LlamaChatError
from llamachat.messages import (
    Dialog,
    Event,
    Message,
    MessageEnd,
    StopReason,
    TextDelta,
    ToolEnd,
    ToolStart,
    TurnEnd,
    Usage,
    to_json,
)
from llamachat.sampling import SamplingParams
from llamachat.tools import Toolbox
from llamachat.visible import visible

Output = Literal["text", "json", "stream-json"]
HELP = """/new            start a new dialog
/system TEXT    set the instruction
/tools NAMES    switch on just these tools; /tools alone lists them
/help           this list
/quit           leave (also: end of input)"""


@dataclass(slots=True)
class Talk:
    """A dialog and what answers it."""

    runtime: Runtime
    toolbox: Toolbox
    dialog: Dialog
    sampling: SamplingParams
    max_steps: int
    end: TurnEnd = field(default_factory=lambda: TurnEnd(StopReason.end_of_turn, Usage()))

    async def turn(self, text: str, show: Callable[[Event], None]) -> TurnEnd:
        """Ask ``text``; ``show`` gets every event. SIGINT ends the turn and keeps what was said."""
        self.dialog += Message("user", text)
        halt = asyncio.Event()
        with _on_interrupt(halt.set):
            turn = run_turn(
                self.dialog,
                self.runtime,
                self.toolbox,
                sampling=self.sampling,
                max_steps=self.max_steps,
                stop=halt,
                today=date.today(),
            )
            async with aclosing(turn) as events:
                async for event in events:
                    if isinstance(event, MessageEnd):
                        self.dialog += event.message
                    elif isinstance(event, TurnEnd):
                        self.end = event
                    show(event)
        return self.end


@contextmanager
def _on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C does ``action`` inside the block, instead of raising somewhere in it."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, action)
    except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Ctrl-C raises as usual
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def one_shot(talk: Talk, text: str, output: Output) -> int:
    """Answer ``text`` on stdout and return the exit code: 0, or 130 after Ctrl-C. Runtime errors are raised;
    with ``json`` what was said until then is printed first. What the user's functions print goes to stderr."""
    out = sys.stdout

    def line(data: dict[str, Any]) -> None:
        print(json.dumps(data), file=out, flush=True)

    shows: dict[Output, Callable[[Event], None]] = {
        "text": printer(out),
        "json": lambda event: None,
        "stream-json": lambda event: line(to_json(event)),
    }
    try:
        with redirect_stdout(sys.stderr):
            end = await talk.turn(text, shows[output])
    except LlamaChatError as error:
        if output == "json":
            line(_object(talk, error))
        elif output == "stream-json":
            line({"kind": "error", "message": error.message, "hint": error.hint})
        raise
    finally:
        await talk.toolbox.close()
    if output == "json":
        line(_object(talk))
    return 130 if end.stop is StopReason.cancelled else 0


def repl(talk: Talk, source: TextIO) -> int:
    """Read a line, answer it, until the end of input. An error ends the turn, not the chat.

    Lines are read outside the event loop, so that Ctrl-C at the prompt ends the chat at once.
    """
    show = printer(sys.stdout)
    with asyncio.Runner() as runner:
        try:
            while (line := _read_line(source)) is not None:
                before = talk.dialog
                try:
                    if line.startswith("/") and not _command(talk, line):
                        break
                    if line.strip() and not line.startswith("/"):
                        runner.run(talk.turn(line, show))
                except LlamaChatError as error:
                    if len(talk.dialog) == len(before) + 1:  # no reply: a question that is too long would stay too long
                        talk.dialog = before
                    print(f"error: {error}", file=sys.stderr)
        finally:
            runner.run(talk.toolbox.close())
    return 0


def _read_line(source: TextIO) -> str | None:
    """The next line, or None at the end of input; asks with a prompt only at a terminal."""
    if source.isatty():
        print("you> ", end="", flush=True)
    line = source.readline()
    return line.rstrip("\r\n") if line else None


def _command(talk: Talk, line: str) -> bool:
    """Do a ``/`` command; False if it ends the chat."""
    name, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    match name:
        case "quit" | "exit" | "q":
            return False
        case "new":
            first = talk.dialog[:1] if len(talk.dialog) and talk.dialog[0].role == "system" else Dialog()
            talk.dialog = first
            print("A new dialog.")
        case "system":
            rest_of = talk.dialog[1:] if len(talk.dialog) and talk.dialog[0].role == "system" else talk.dialog
            talk.dialog = (Dialog((Message("system", rest),)) if rest else Dialog()) + rest_of
            print("The instruction is set." if rest else "The instruction is gone.")
        case "tools":
            if rest:
                talk.toolbox = talk.toolbox.only(() if rest in ("off", "none") else rest.replace(",", " ").split())
            print("tools on:", ", ".join(t.name for t in talk.toolbox.active) or "none")
        case _:
            print(HELP if name == "help" else f"There is no command /{name}. /help lists them.")
    return True


def printer(out: TextIO) -> Callable[[Event], None]:
    """Prints replies to ``out`` as they stream, and what the tools do to stderr."""

    def note(text: str) -> None:
        print(visible(text), file=sys.stderr, flush=True)

    def show(event: Event) -> None:
        match event:
            case TextDelta(text=text):
                print(visible(text) if out.isatty() else text, end="", file=out, flush=True)
            case ToolStart(call=call):
                code = call.arguments.get("code") if len(call.arguments) == 1 else None
                note(f"[{call.name}] {code if isinstance(code, str) else json.dumps(dict(call.arguments))}")
            case ToolEnd(result=result, seconds=seconds):
                note(f"{result.output}\n[{'done' if result.ok else 'failed'} in {seconds:.1f} s]")
            case MessageEnd(message=message) if message.role == "assistant" and message.text.strip():
                print(file=out, flush=True)
            case TurnEnd(stop=stop, note=text):
                if text or stop is StopReason.cancelled:
                    note(text or "Interrupted.")
            case _:
                pass

    return show


def _object(talk: Talk, error: LlamaChatError | None = None) -> dict[str, Any]:
    """The one object of ``--output json``."""
    usage = talk.end.usage
    result: dict[str, Any] = {
        "messages": [_message(m) for m in talk.dialog],
        "stop": None if error else talk.end.stop,
        "usage": {
            "prompt": usage.prompt_tokens,
            "cached": usage.cached_tokens,
            "generated": usage.generated_tokens,
            "seconds": round(usage.seconds, 3),
        },
    }
    if error:
        result["error"] = {"message": error.message, "hint": error.hint}
    return result


def _message(message: Message) -> dict[str, Any]:
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
    return {"role": message.role, "content": message.text, "tool_calls": calls, "stop": message.stop}
