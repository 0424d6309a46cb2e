"""How it is said: dialogs to ids and a learn-mask, header and end tokens included. Knows no model, tool or UI.

Special ids come only from this framing code, text only through ``Tokenizer.encode``, so no text can forge a turn.
Reference: llama_models/llama3/chat_format.py (0.3.0), tool_utils.py; Llama 3 Herd of Models §4.1.1.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llamachat.messages import Dialog, Message, StopReason, ToolCall
from llamachat.tokenizer import Tokenizer

BUILTIN_TOOLS = ("brave_search", "wolfram_alpha", "photogen")
CODE_INTERPRETER = "code_interpreter"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between Llama generations that can't be read off the tokenizer.

    ``calls``: how function calls are written. ``python_tag``: "code_only" as in Meta's code since 2025-02-20,
    "all_calls" as before and as the published models speak. ``dates``: whether the system message starts with the
    knowledge date and today's. ``compact``: function definitions on one line each, for small contexts.
    """

    calls: Literal["json", "function_tag", "python_list"] = "json"
    python_tag: Literal["code_only", "all_calls"] = "code_only"
    dates: bool = True
    compact: bool = False


@dataclass(slots=True)
class Encoded:
    """Ids, and for each whether a model learns to say it (the assistant's ids, calls and end tokens)."""

    ids: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)

    def add(self, ids: Iterable[int], learn: bool = False) -> None:
        """Append ``ids``."""
        before = len(self.ids)
        self.ids.extend(ids)
        self.learn.extend([learn] * (len(self.ids) - before))


def encode_dialog(
    tokenizer: Tokenizer, dialog: Iterable[Message], dialect: Dialect = Dialect(), *, add_generation_prompt: bool = True
) -> Encoded:
    """BOS, the messages, and the assistant header that asks for a reply."""
    out = Encoded()
    out.add([tokenizer.bos_id])
    for message in dialog:
        encode_message(tokenizer, message, dialect, out)
    if add_generation_prompt:
        out.add(encode_header(tokenizer, "assistant"))
    return out


def encode_header(tokenizer: Tokenizer, role: str) -> list[int]:
    """``<|start_header_id|>role<|end_header_id|>\\n\\n``; the newlines never merge with the body."""
    name = "ipython" if role == "tool" else role
    return [
        tokenizer.start_header_id, *tokenizer.encode(name), tokenizer.end_header_id, *tokenizer.encode("\n\n")
    ]  # fmt: skip


def encode_message(tokenizer: Tokenizer, message: Message, dialect: Dialect, out: Encoded) -> None:
    """Append one message to ``out``: header, body, end token. Sampled ids are fed back verbatim."""
    speaks = message.role == "assistant"
    out.add(encode_header(tokenizer, message.role))
    if speaks and message.token_ids is not None:
        out.add(message.token_ids, learn=True)
        if not message.token_ids or message.token_ids[-1] not in tokenizer.stop_ids:
            out.add([tokenizer.eot_id])  # cut by the token limit or the user: the model didn't choose to stop
        return
    if tokenizer.variant == "3.0":
        out.add(tokenizer.encode(message.text.strip()), speaks)
        out.add([tokenizer.eot_id], speaks)
        return
    if speaks and _tagged(message.tool_calls, dialect):
        out.add([tokenizer.special["<|python_tag|>"]], speaks)
    for piece in (message.content,) if isinstance(message.content, str) else message.content:
        out.add(tokenizer.encode(piece), speaks)
    if message.role == "user" and message.context is not None:
        out.add(tokenizer.encode("\n\n"))
        out.add(tokenizer.encode(message.context))
    for call in message.tool_calls if speaks else ():
        out.add(tokenizer.encode(write_call(call, dialect)), speaks)
    eom = speaks and message.stop is StopReason.end_of_message
    out.add([tokenizer.special["<|eom_id|>"] if eom else tokenizer.eot_id], speaks)


def _tagged(calls: Sequence[ToolCall], dialect: Dialect) -> bool:
    return bool(calls) and (dialect.python_tag == "all_calls" or calls[0].name == CODE_INTERPRETER)


def write_call(call: ToolCall, dialect: Dialect = Dialect()) -> str:
    """The call as Meta's encoder writes it, quirks included (queries and python strings are not escaped)."""
    if call.name == CODE_INTERPRETER:
        return str(call.arguments["code"])
    if call.name in BUILTIN_TOOLS:
        return f'{call.name}.call(query="{call.arguments["query"]}")'
    if dialect.calls == "json":
        return json.dumps({"type": "function", "name": call.name, "parameters": dict(call.arguments)})
    if dialect.calls == "function_tag":
        return f"<function={call.name}>{json.dumps(dict(call.arguments))}</function>"
    return f"[{call.name}({', '.join(f'{k}={_python(v)}' for k, v in call.arguments.items())})]"


def _python(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}={_python(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_python(v) for v in value) + "]"
    return str(value)


def frame_output(status: str, stdout: str = "", stderr: str = "") -> str:
    """Body of an ipython message after code ran: status (completed, error, timeout), then each stream that is not empty.

    As in Meta's July 2024 agentic system; the output is not escaped, it is only ever body text.
    """
    lines = [status]
    for name, text in (("stdout", stdout.strip()), ("stderr", stderr.strip())):
        if text:
            lines += [f"[{name}]", text, f"[/{name}]"]
    return "\n".join(lines)


def frame_failure(reason: str) -> str:
    """Body of an ipython message for a call that could not run."""
    return f"failed\n[stderr]{reason}[/stderr]"
