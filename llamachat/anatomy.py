"""What the model sees of a dialog, id by id: its text, its message and where it came from. Knows no screen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from llamachat.messages import Dialog, Message
from llamachat.protocol import Dialect, Encoded, encode_header, encode_message
from llamachat.tokenizer import Tokenizer

Source = Literal["template", "system", "user", "tool", "written", "generated"]
"""template: headers and ends that the protocol adds; generated: sampled by the model; written: an assistant's words
that somebody typed or edited."""

_BY_ROLE: dict[str, Source] = {"system": "system", "user": "user", "ipython": "tool", "assistant": "written"}


@dataclass(frozen=True, slots=True)
class TokenView:
    """One id. ``text`` is what it decodes to alone: bytes of a cut character are shown as ``\\xe2``."""

    id: int
    text: str
    role: str
    source: Source
    control: bool
    message: int
    """Index in the dialog on the wire; -1 before the first."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one message costs: ``tokens`` ids, headers and ends included."""

    message: int
    role: str
    tokens: int


def anatomy(tokenizer: Tokenizer, wire: Dialog, dialect: Dialect) -> list[TokenView]:
    """Every id of the prompt of ``wire`` (as ``open_dialog`` gives it), the header that asks for a reply left out."""
    views = [_view(tokenizer, tokenizer.bos_id, "", "template", -1)]
    for index, message in enumerate(wire):
        views += _message(tokenizer, message, dialect, index)
    return views


def shares(tokenizer: Tokenizer, wire: Dialog, dialect: Dialect) -> list[Share]:
    """The context map: what each message of the prompt takes of the window."""
    return [Share(i, m.role, len(_ids(tokenizer, m, dialect))) for i, m in enumerate(wire)]


def lookalikes(tokenizer: Tokenizer, text: str) -> list[str]:
    """Names of control tokens that stand in ``text`` as letters. They are harmless, and worth a badge."""
    return [name for name in re.findall(r"<\|[\w ]{1,40}\|>", text) if name in tokenizer.special]


def _ids(tokenizer: Tokenizer, message: Message, dialect: Dialect) -> list[int]:
    out = Encoded()
    encode_message(tokenizer, message, dialect, out)
    return out.ids


def _message(tokenizer: Tokenizer, message: Message, dialect: Dialect, index: int) -> Iterator[TokenView]:
    ids = _ids(tokenizer, message, dialect)
    head = len(encode_header(tokenizer, message.role))
    sampled = len(message.token_ids) if message.role == "assistant" and message.token_ids is not None else 0
    body = "generated" if sampled else _BY_ROLE[message.role]
    end = head + sampled if sampled else len(ids) - 1  # the end that we add; a sampled one is the model's own
    for place, token_id in enumerate(ids):
        source: Source = body if head <= place < end else "template"
        yield _view(tokenizer, token_id, message.role, source, index)


def _view(tokenizer: Tokenizer, token_id: int, role: str, source: Source, message: int) -> TokenView:
    text = tokenizer.token_bytes(token_id).decode("utf-8", "backslashreplace")
    return TokenView(token_id, text, role, source, tokenizer.is_special(token_id), message)
