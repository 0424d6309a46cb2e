"""A dialog that was kept, as views for the transcript. Knows messages; knows no store and no widget."""

from collections.abc import Callable, Hashable, Iterable, Iterator

from llamachat.messages import Message, ToolCall, ToolResult
from llamachat.widgets.message import ReplyView, UserView
from llamachat.widgets.toolcard import ToolCard
from llamachat.widgets.view import View

FAILED = ("error", "failed", "timeout")  # first lines of the ipython messages of calls that went wrong

Kept = tuple[Hashable, Message | ToolResult]
"""A key, and what was said. A ToolResult stands for its ipython message, and knows more: its files."""


def views_of(kept: Iterable[Kept], title: Callable[[ToolCall], str] = lambda call: call.name) -> Iterator[View]:
    """The views of a dialog, in order; ``title`` names the tool of a call for the user.

    A call and its result are one card with the key of the result; calls without one are shown as interrupted.
    System messages are not shown.
    """
    waiting: list[ToolCard] = []
    for key, item in kept:
        result = _result(item)
        if result is None:
            yield from _abandoned(waiting)
            assert isinstance(item, Message)
            yield from _said(key, item)
            waiting = [_running(key, call, title(call)) for call in item.tool_calls]
        elif waiting:
            card = waiting.pop(0)
            card.key = key
            call = item.call if isinstance(item, ToolResult) else card.call
            card.end(ToolResult(call, result.output, result.ok, result.artifacts), None)
            yield card
    yield from _abandoned(waiting)


def _result(item: Message | ToolResult) -> ToolResult | None:
    if isinstance(item, ToolResult):
        return item
    if item.role != "ipython":
        return None
    return ToolResult(ToolCall(""), item.text, item.text.partition("\n")[0] not in FAILED)


def _said(key: Hashable, message: Message) -> Iterator[View]:
    if message.role == "user":
        yield UserView(message.text, key)
    elif message.role == "assistant" and message.text.strip():
        reply = ReplyView(message.text, key)
        reply.end(message.stop)
        yield reply


def _running(key: Hashable, call: ToolCall, title: str) -> ToolCard:
    card = ToolCard((key, call.name))
    card.start(call, title)
    return card


def _abandoned(cards: list[ToolCard]) -> Iterator[View]:
    for card in cards:
        card.abandon()
        yield card
