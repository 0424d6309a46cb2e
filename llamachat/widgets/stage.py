"""Stage: plays the events of a turn on the transcript, and tells how it goes. The one ``match`` over Event.

Knows the conversation and the transcript; starts no turn.
"""

import time

from llamachat.chat.conversation import FULL, Conversation
from llamachat.messages import CallDelta, Event, MessageEnd, TextDelta, ToolEnd, ToolStart, TurnEnd
from llamachat.widgets.status import Pace, meter
from llamachat.widgets.story import label_of, views_of
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.view import View


class Stage:
    """What the screen shows of a conversation."""

    def __init__(self, conversation: Conversation, transcript: Transcript) -> None:
        self._conversation, self._transcript = conversation, transcript
        self._card: View | None = None  # of the call that ran last
        self._stale = False  # the head has moved while a reply streamed
        self._step, self._began = 0, 0.0
        self._pace = Pace()
        self.meter: tuple[str, ...] = ()
        """The cost of the last turn."""

    # ── a turn ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """A turn starts."""
        self._step, self._began = 1, time.monotonic()

    def ask(self) -> None:
        """Show the message at the head, which the user has just sent."""
        views = list(views_of(self._conversation.session, self._conversation.settings.toolbox))
        self._transcript.put(*views[-1:])
        self._transcript.follow()

    def show(self, event: Event) -> None:
        """Put ``event`` on the screen."""
        match event:
            case TextDelta(text=text):
                self._pace.tick()
                self._transcript.write(text)
            case CallDelta(text=text):
                self._pace.tick()
                self._transcript.write_call(text)
            case MessageEnd(message=message) if message.role == "assistant":
                self._step, self._pace = self._step + 1, Pace()
                self._name(self._transcript.end_reply(message.stop))
            case ToolStart(call=call):
                tool = self._conversation.settings.toolbox.find(call.name)
                self._transcript.start_call(call, tool.name if tool else call.name)
            case ToolEnd(result=result, seconds=seconds):
                self._card = self._transcript.end_call(result, seconds)
            case MessageEnd():
                self._name(self._card)
            case TurnEnd():
                self._end(event)

    def close(self) -> None:
        """The turn is over, however it ended."""
        self._transcript.close()
        if self._stale:
            self.show_dialog()

    @property
    def seconds(self) -> float:
        """Since the turn began."""
        return time.monotonic() - self._began

    def progress(self) -> tuple[str, tuple[str, ...]]:
        """How far the turn is, and how fast."""
        most = self._conversation.settings.max_steps
        shown = tuple(part for part in (*self.meter[:1], str(self._pace)) if part)
        return f"step {min(self._step, most)}/{most} · {self.seconds:.0f} s", shown

    def _name(self, view: View | None) -> None:
        """``view`` is the message that was added last."""
        session = self._conversation.session
        if view and session.head:
            self._transcript.give_key(view, session.head)
            view.label = label_of(session, session.tree.nodes[session.head])

    def _end(self, end: TurnEnd) -> None:
        runtime, dialog = self._conversation.runtime, self._conversation.session.dialog()
        ids = next((m.token_ids for m in reversed(dialog.messages) if m.role == "assistant"), None)
        self.meter = meter(end.usage, len(ids or ()), runtime.context if runtime else 0)
        if end.note:
            self._transcript.note(end.note)
        if (full := self._conversation.fullness()) >= FULL:
            self._transcript.note(f"The window is {full:.0%} full. /compact sums it up, /context shows its parts.")

    # ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    def show_dialog(self) -> None:
        """All messages up to the head, as they are now; once a reply has ended, if one streams."""
        self._stale = self._conversation.busy
        if self._stale:
            return
        views = list(views_of(self._conversation.session, self._conversation.settings.toolbox))
        self._transcript.load(views)
        if not views:
            self._transcript.welcome()
            self.meter = ()
