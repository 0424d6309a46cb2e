"""Writes a turn down as it happens: every event of ``run_turn`` goes in, nothing comes out. Knows no disk."""

from dataclasses import replace

from llamachat.messages import (
    CallDelta,
    Event,
    Message,
    MessageEnd,
    StopReason,
    TextDelta,
    ToolEnd,
    ToolStart,
    TurnEnd,
    Usage,
)
from llamachat.sessions.records import Conditions, Kind, Node, Outcome
from llamachat.sessions.repair import interrupted
from llamachat.sessions.session import Session


class Recorder:
    """One turn below the session's head. Feed it all events, then ``close`` it, whatever happened.

    The first reply below a question that has one already is a "retry" of it. ``continuing`` is the partial reply that
    the model goes on with, at first shown as ``begun``: then the head must be its parent.
    """

    def __init__(
        self, session: Session, conditions: Conditions, *, continuing: Node | None = None, begun: str = ""
    ) -> None:
        self._session, self._conditions = session, conditions
        self._at = session.head  # the user may look elsewhere meanwhile
        self._draft: Node | None = None
        self._said: list[str] = []
        self._tool: Node | None = None
        self._over = False
        replies = [node.id for node in session.tree.children(self._at) if node.message.role == "assistant"]
        self._kind: Kind = "continue" if continuing else "retry" if replies else "said"
        self._origin = continuing.id if continuing else replies[-1] if replies else None
        if begun:
            self._write(begun)

    def feed(self, event: Event) -> Node | None:
        """Take ``event``; the node that it completed, if it did."""
        match event:
            case TextDelta(text=text) | CallDelta(text=text):
                self._write(text)
            case MessageEnd(message=message):
                return self._end(message)
            case ToolStart(call=call):
                self._tool = interrupted(call, self._at, self._session.now())
                self._session.draft(self._tool)
            case ToolEnd(result=result, seconds=seconds):
                if self._tool:
                    outcome = Outcome(result.call, result.ok, seconds)
                    self._tool = replace(self._tool, outcome=outcome, artifacts=result.artifacts, kind="said")
            case TurnEnd():
                self._finish(event)
        return None

    def close(self) -> None:
        """The turn is over, also where an error or the end of the task kept TurnEnd from coming. A reply that streams
        is kept as cancelled, a running tool as interrupted."""
        if self._draft:
            self._end(Message("assistant", "".join(self._said), stop=StopReason.cancelled))
        if self._tool:
            self._add(self._tool)
            self._tool = None
        self._finish(TurnEnd(StopReason.cancelled, Usage()))

    def _finish(self, end: TurnEnd) -> None:
        if not self._over and self._at is not None:
            self._session.end_turn(self._at, end)
        self._over = True

    def _write(self, text: str) -> None:
        """More of the reply, its calls included: were it cut now, all that was seen should be there."""
        if self._draft is None:
            self._draft = self._node(Message("assistant", stop=StopReason.cancelled))
            self._said = []
            self._session.draft(self._draft)
        self._said.append(text)
        self._session.draft_text(self._draft, text)

    def _end(self, message: Message) -> Node:
        """``message`` is complete: it takes the place of its draft."""
        if message.role == "ipython" and self._tool:
            node, self._tool = replace(self._tool, message=message), None
        else:
            node, self._draft = replace(self._draft or self._node(message), message=message), None
        self._kind, self._origin = "said", None
        return self._add(node)

    def _add(self, node: Node) -> Node:
        visit = self._session.head == self._at
        self._at = node.id
        return self._session.add(node, visit=visit)

    def _node(self, message: Message) -> Node:
        conditions = self._conditions if message.role == "assistant" else None
        return self._session.make(message, self._kind, below=self._at, origin=self._origin, conditions=conditions)
