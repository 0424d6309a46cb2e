"""Stage: plays the events of a turn on the transcript, and tells how it goes. The one ``match`` over Event.

Knows the conversation and the transcript; starts no turn.
"""

import time

from llamachat.chat.conversation import FULL, Conversation
from llamachat.errors import StorageError
from llamachat.messages import CallDelta, Event, MessageEnd, TextDelta, ToolEnd, ToolStart, TurnEnd
from llamachat.widgets.status import Pace, meter
from llamachat.widgets.story import label_of, opening_notes, views_of
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.view import View


class Stage:
    """What the screen shows of a conversation."""

    def __init__(self, conversation: Conversation, transcript: Transcript) -> None:
        self._conversation, self._transcript = conversation, transcript
        self._card: View | None = None  # of the call that ran last
        self._live = False  # something streams
        self._stale = False  # the head has moved meanwhile
        self._step, self._began = 0, 0.0
        self._trouble = ""  # that was told last
        self._opened = ""  # the session whose opening was told of
        self._pace = Pace()
        self.meter: tuple[str, ...] = ()
        """The cost of the last turn."""

    # ── a turn ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """A turn starts."""
        self._step, self._began = 1, time.monotonic()

    def ask(self) -> None:
        """Show the message at the head, which the user has just sent."""
        self._transcript.put(*self._views()[-1:])
        self._transcript.follow()

    def show(self, event: Event) -> None:
        """Put ``event`` on the screen."""
        self._live = not isinstance(event, TurnEnd)
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
        """The turn is over, however it ended. What came of it is shown as it is kept, if that isn't what was seen."""
        self._transcript.close()
        self._live = False
        kept = [view.key for view in self._views() if view.key]
        seen = [view.key for view in self._transcript.all_views if view.key]
        if self._stale or seen[: len(kept)] != kept:
            self.show_dialog()

    def unanswered(self, id: str | None) -> None:
        """Message ``id`` was taken back, as nothing was said to it."""
        if view := self._transcript.find(id):
            view.mark = "not answered"

    @property
    def seconds(self) -> float:
        """Since the turn began."""
        return time.monotonic() - self._began

    @property
    def progress(self) -> str:
        """How far the turn is."""
        most = self._conversation.settings.max_steps
        return f"step {min(self._step, most)}/{most} · {self.seconds:.0f} s"

    @property
    def pace(self) -> tuple[str, ...]:
        """How full the window was, and how fast the reply comes."""
        return tuple(part for part in (*self.meter[:1], str(self._pace)) if part)

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
        self._stale = self._live
        if self._live:
            return
        views = self._views()
        self._transcript.load(views)
        if not views:
            self._transcript.welcome()
            self.meter = ()
        session = self._conversation.session
        if session.id != self._opened:
            self._opened = session.id
            for note in opening_notes(session, self._conversation.settings.toolbox):
                self._transcript.note(note)

    def trouble(self, error: StorageError | None) -> None:
        """What keeps the store from writing, once, however often it tries; None when that is over."""
        told, self._trouble = self._trouble, error.message if error else ""
        if error and error.message != told:
            self._transcript.say(error)
        elif told and not error:
            self._transcript.note("Sessions can be written again; nothing of this one is lost.")

    def choose(self, id: str) -> None:
        """Let the keys mean message ``id``, or the first below it that is seen."""
        path = [node.id for node in self._conversation.session.path]
        below = path[path.index(id) :] if id in path else []
        if view := next((view for key in below if (view := self._transcript.find(key))), None):
            self._transcript.choose(view)
            self._transcript.reveal(view)

    def _views(self) -> list[View]:
        return list(views_of(self._conversation.session, self._conversation.settings.toolbox))
