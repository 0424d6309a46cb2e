"""A turn for those who read lines or JSON. Knows events and streams; knows no chat."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from llamachat.errors import LlamaChatError
from llamachat.messages import Event, Message, MessageEnd, StopReason, TextDelta, ToolEnd, ToolStart, TurnEnd, Usage
from llamachat.visible import visible

Show = Callable[[Event], None]


def printer(out: TextIO, *, files: bool = False) -> Show:
    """Prints replies to ``out`` as they stream, and what the tools do to stderr; ``files``: where they put files."""

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
                for artifact in result.artifacts if files else ():
                    note(f"[file] {artifact.name}: {artifact.path}")
            case MessageEnd(message=message) if message.role == "assistant" and message.text.strip():
                print(file=out, flush=True)
            case TurnEnd(stop=stop, note=text):
                if text or stop is StopReason.cancelled:
                    note(text or "Interrupted.")
            case _:
                pass

    return show


def as_json(
    messages: Iterable[Message], stop: StopReason | None, usage: Usage, error: LlamaChatError | None = None
) -> dict[str, Any]:
    """The one object of ``--output json``."""
    result: dict[str, Any] = {
        "messages": [_message(message) for message in messages],
        "stop": stop,
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
