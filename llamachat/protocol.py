"""How it is said: dialogs to ids and a learn-mask, ids to a reply with its calls. Knows no model, tool or UI.

Special ids come only from this framing code, text only through ``Tokenizer.encode``, so no text can forge a turn; and
control tokens are recognised by id, never by text.
Reference: llama_models/llama3/chat_format.py (0.3.0), tool_utils.py; Llama 3 Herd of Models §4.1.1.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llamachat.calls import CODE_INTERPRETER, Ended, Judge, Offered, Part, Prose, explain, read_tagged
from llamachat.messages import CallDelta, Message, StopReason, TextDelta, ToolCall
from llamachat.tokenizer import StreamDecoder, Tokenizer

__all__ = [
    "BUILTIN_TOOLS", "CODE_INTERPRETER", "Dialect", "Encoded", "Offered", "Part", "Reply", "ReplyParser",
    "encode_dialog", "encode_header", "encode_message", "explain", "frame_failure", "frame_output", "parse",
    "write_call",
]  # fmt: skip

BUILTIN_TOOLS = ("brave_search", "wolfram_alpha", "photogen")
MAX_HEADER = 16  # ids of a role, also if each is a byte; a longer header is none


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between Llama generations that can't be read off the tokenizer.

    ``calls``: how function calls are written. ``python_tag``: "code_only" as in Meta's code since 2025-02-20,
    "all_calls" as before and as the published models speak. ``dates``: whether the system message starts with the
    knowledge date and today's. ``compact``: function definitions on one line each, for small contexts.
    ``purpose_first``: there what a function is for stands before its name, so that what a small model has read when it
    comes to the name is enough to choose by. ``constrained``: calls are held to what is offered, unless the user says
    otherwise. ``quotes``: and their strings to words of the dialog, for a model that has learned only to copy; and what
    it says to an end, if it goes in circles.
    """

    calls: Literal["json", "function_tag", "python_list"] = "json"
    python_tag: Literal["code_only", "all_calls"] = "code_only"
    dates: bool = True
    compact: bool = False
    purpose_first: bool = False
    constrained: bool = False
    quotes: bool = False


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
    """Body of an ipython message after code ran: status (completed, error, timeout), then the streams if not empty.

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


@dataclass(frozen=True, slots=True)
class Reply:
    """One generation, read. ``message`` is what the dialog keeps; ``parts`` are text, calls and broken calls in order.

    ``deltas`` were held back while it streamed and are still to be shown. ``issues`` say, sorted, what was unusual.
    """

    message: Message
    parts: tuple[Part, ...]
    issues: tuple[str, ...] = ()
    deltas: tuple[TextDelta, ...] = ()


class ReplyParser:
    """Reads the ids of one generation as they come. Total: any ids give a reply, nothing raises.

    Text that is certain to be for the user is passed on at once, also in a reply that may end in a call. All text
    deltas together are ``message.content``, but for space before the first word if there is a call.
    """

    def __init__(self, tokenizer: Tokenizer, offered: Offered = Offered()) -> None:
        self.done = False
        """A terminator came, or a header that the model had no business to write: stop generating."""
        self._tokenizer = tokenizer
        self._offered = offered
        self._ids: list[int] = []
        self._ended: Ended = "length"
        self._issues: set[str] = set()
        self._decoder = StreamDecoder(tokenizer)
        self._prose = Prose(offered)
        self._tagged: list[list[str]] = []
        self._begun = False
        self._header: list[int] | None = None
        self._newlines = 0  # still to be skipped after the header
        self._reply: Reply | None = None

    def feed(self, token_id: int) -> list[TextDelta | CallDelta]:
        """Read one more id; returns what can be shown of it. Ids after the end are ignored."""
        if self.done:
            self._issues |= {"hallucinated_turns"} if self._ended != "length" else set()
            return []
        self._ids.append(token_id)
        if self._header is not None:
            self._read_header(token_id)
        elif not self._tokenizer.is_special(token_id):
            self._begun = True
            return self._say(self._decoder.feed(token_id))
        elif token_id == self._tokenizer.start_header_id:
            if self._begun:
                return self._end("length", "unexpected_header")
            self._header = []
        elif token_id in self._tokenizer.stop_ids:
            return self._end(self._terminator(token_id))
        elif token_id == self._tokenizer.python_tag_id:
            self._begun = True
            rest = self._say(self._decoder.flush())
            self._tagged.append([])
            return rest
        else:
            self._issues.add("unexpected_special")
        return []

    def finish(self, stop: StopReason | None = None) -> Reply:
        """The reply. ``stop`` says why the generation ended without a terminator (default: out of tokens)."""
        if self._reply is None:
            late = self._say(self._decoder.flush())
            judge = Judge(self._offered, self._ended)
            parts = self._prose.finish(judge, alone=not self._tagged)
            for pieces in self._tagged:
                parts += read_tagged(judge, "".join(pieces))
            self._reply = self._compose(tuple(parts), stop, [d for d in late if isinstance(d, TextDelta)])
        return self._reply

    def _compose(self, parts: tuple[Part, ...], stop: StopReason | None, late: list[TextDelta]) -> Reply:
        calls = [part for part in parts if part.to == "ipython"]
        content = "\n".join(part.text or "" for part in parts if part.kind == "text")
        shown = self._prose.text[: self._prose.shown]
        rest = content[len(shown.lstrip() if calls else shown) :]
        deltas = (*late, TextDelta(rest)) if rest else tuple(late)
        issues = self._issues.union(*(part.issues for part in parts))
        issues |= {"multiple_calls"} if len(calls) > 1 else set()
        issues |= set() if calls or content else {"empty"}
        reasons = {
            "eot": StopReason.end_of_turn,
            "eos": StopReason.end_of_turn,
            "eom": StopReason.end_of_message,
            "length": stop or StopReason.out_of_tokens,
        }
        tool_calls = tuple(call for part in calls if (call := _tool_call(part)))
        message = Message("assistant", content, tool_calls, reasons[self._ended], tuple(self._ids))
        return Reply(message, parts, tuple(sorted(issues)), deltas)

    def _say(self, text: str) -> list[TextDelta | CallDelta]:
        if self._newlines and text:
            body = text[: self._newlines].lstrip("\n") + text[self._newlines :]
            self._newlines = 0 if body else self._newlines - len(text)
            text = body
        if self._tagged:
            self._tagged[-1].append(text)
            return [CallDelta(text)] if text else []
        shown = self._prose.feed(text)
        return [TextDelta(shown)] if shown else []

    def _read_header(self, token_id: int) -> None:
        """A leading assistant header is skipped, any other ends the message."""
        header = self._header or []
        if not self._tokenizer.is_special(token_id) and len(header) < MAX_HEADER:
            self._header = [*header, token_id]
            return
        self._header = None
        if token_id == self._tokenizer.end_header_id and self._tokenizer.decode(header).strip() == "assistant":
            self._begun, self._newlines = True, 2
        else:
            self._end("length", "unexpected_header")

    def _end(self, ended: Ended, *issues: str) -> list[TextDelta | CallDelta]:
        self.done = True
        self._ended = ended
        self._issues.update(issues)
        return self._say(self._decoder.flush())

    def _terminator(self, token_id: int) -> Ended:
        if token_id == self._tokenizer.eot_id:
            return "eot"
        return "eom" if token_id == self._tokenizer.eom_id else "eos"


def parse(tokenizer: Tokenizer, ids: Iterable[int], offered: Offered = Offered()) -> Reply:
    """The reply that ``ids`` make. Never raises."""
    parser = ReplyParser(tokenizer, offered)
    shown = [delta for token_id in ids for delta in parser.feed(token_id)]
    reply = parser.finish()
    return replace(reply, deltas=(*(delta for delta in shown if isinstance(delta, TextDelta)), *reply.deltas))


def _tool_call(part: Part) -> ToolCall | None:
    """The call that may run: none for what is broken, and for code that may have been cut off."""
    if part.kind == "code":
        return None if part.cut else ToolCall(CODE_INTERPRETER, {"code": part.text})
    return None if part.kind == "error" else ToolCall(part.name or "", part.arguments or {})
