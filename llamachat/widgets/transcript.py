"""Transcript: what is said in a dialog, message below message. Knows which message keys and clicks mean; knows no turn
and no App."""

from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseDown
from textual.message import Message

from llamachat.errors import LlamaChatError
from llamachat.messages import StopReason, ToolCall, ToolResult
from llamachat.widgets.column import Column
from llamachat.widgets.message import Notice, Page, ReplyView, UserView
from llamachat.widgets.toolcard import ToolCard
from llamachat.widgets.view import View

WELCOME = """**llamachat** – a private chat with a Llama on your own machine.
Try: *What is 173 \\* 29 + 4?*
`/` lists the commands, `F1` the keys; `esc` stops a reply."""


class Transcript(Column, inherit_bindings=False):
    """The dialog on the screen. A ``key`` names a message for its caller."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "Message above", id="transcript.up"),
        Binding("down,j", "step(1)", "Message below", id="transcript.down"),
        Binding("c", "copy", "Copy", id="view.copy"),
        Binding("y", "copy_code", "Copy code", id="view.copy_code"),
        Binding("enter,space", "unfold", "Open or fold", id="view.unfold"),
        Binding("e", "ask_for('edit')", "Change it, on a branch of its own", id="view.edit"),
        Binding("r", "ask_for('retry')", "Answer it once more", id="view.retry"),
        Binding("o", "open_file", "Open the picture or file", id="view.open_file"),
    ]

    class Copy(Message):
        """The user wants ``text`` on the clipboard."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text = text
            self.what = what

    class Wanted(Message):
        """The user wants to "edit" or "retry" the message ``key``."""

        def __init__(self, what: str, key: Hashable) -> None:
            super().__init__()
            self.what = what
            self.key = key

    class OpenFile(Message):
        """The user wants to see the file at ``path`` with the system's viewer."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._reply: ReplyView | None = None
        self._card: ToolCard | None = None

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, text: str, mark: str = "", key: Hashable = None) -> UserView:
        """A message of the user, and what becomes of it first."""
        view = UserView(text, key)
        view.mark = mark
        self.put(view)
        self.follow()
        return view

    def write(self, text: str) -> None:
        """More of the reply; a reply begins with its first visible character."""
        if self._reply:
            self._reply.write(text)
        elif text.strip():
            self._reply = ReplyView(text)
            self.put(self._reply)

    def end_reply(self, stop: StopReason | None) -> ReplyView | None:
        """The reply is complete. Returns it, so that it can be given a key, if it said anything."""
        reply, self._reply = self._reply, None
        if reply:
            reply.end(stop)
        return reply

    def write_call(self, text: str) -> None:
        """More of a call that is being written."""
        self._open_card().write(text)

    def start_call(self, call: ToolCall, title: str) -> None:
        """A tool begins to run; ``title`` is the name that the user knows it by."""
        self._open_card().start(call, title)

    def end_call(self, result: ToolResult, seconds: float) -> ToolCard:
        """A tool has answered. Returns its card."""
        card, self._card = self._open_card(), None
        card.end(result, seconds)
        return card

    def close(self) -> None:
        """The turn is over: nothing more comes for what is still open."""
        self.end_reply(None)
        if self._card:
            self._card.abandon()
            self._card = None

    def say(self, error: LlamaChatError) -> None:
        """What went wrong, and what to do."""
        self.put(Notice(error.message, error.hint, kind="error"))

    def note(self, text: str) -> None:
        """A word of ours."""
        self.put(Notice(text))

    def page(self, markdown: str) -> None:
        """A longer text of ours."""
        self.put(Page(markdown))

    def welcome(self) -> None:
        """What a newcomer should know."""
        self.page(WELCOME)

    def _open_card(self) -> ToolCard:
        if self._card is None:
            self._card = ToolCard()
            self.put(self._card)
        return self._card

    # ── whole dialogs and branches ───────────────────────────────────────────────────────────────────────────────────

    def clear(self) -> None:
        """No messages."""
        self._reply = self._card = None
        self.cut(0)
        self.follow()

    def load(self, views: Iterable[View]) -> None:
        """Show these messages in place of all, from their end; only what is in sight is drawn."""
        self.clear()
        self.put(*views)

    def prepend(self, views: Iterable[View]) -> None:
        """Earlier messages; what is in sight stays where it is."""
        self.put_before(views)

    def truncate(self, key: Hashable, *, inclusive: bool = False) -> None:
        """Remove all that is below the message ``key``; ``inclusive``: the message, too. KeyError if there is none."""
        self.close()
        self.cut(self.index(self._keys[key]) + (not inclusive))

    def drop(self, view: View) -> None:
        """Take one message out."""
        index = self.index(view)
        self.cut(index, index + 1)

    def give_key(self, view: View, key: Hashable) -> None:
        """Give ``view`` a key, or another one."""
        self._keys.pop(view.key, None)
        view.key = key
        self._keys[key] = view

    # ── what was said ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def views(self) -> list[View]:
        """All messages that can be chosen, from the first to the last."""
        return [view for view in self._views if view.focusable]

    @property
    def all_views(self) -> Sequence[View]:
        """Those that can't be chosen included."""
        return tuple(self._views)

    @property
    def last_reply(self) -> str:
        """The Markdown of the last reply, or nothing."""
        return next((view.source for view in reversed(self._views) if isinstance(view, ReplyView)), "")

    @property
    def last_code(self) -> str:
        """The last code block or code that ran, or nothing."""
        return next((view.code for view in reversed(self.views) if view.code), "")

    # ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def allow_focus(self) -> bool:
        """There must be a message that can be chosen."""
        return any(view.focusable for view in reversed(self._views))

    def choose(self, view: View) -> None:
        """From now on keys mean ``view``."""
        self.chosen = view
        self._strips.clear()
        self.refresh()

    def on_focus(self) -> None:
        """The keys mean the message that they meant last, if it is in sight, or the last in sight."""
        seen = [self._views[i] for i in self._in_sight(round(self.scroll_y), self.scrollable_content_region.height - 1)]
        seen = [view for view in seen if view.focusable] or self.views[-1:]
        if seen:
            self.choose(self.chosen if self.chosen in seen else seen[-1])

    def on_blur(self) -> None:
        """The bar goes."""
        self._strips.clear()
        self.refresh()

    def action_step(self, step: int) -> None:
        """Choose the next message in a direction; below the last one, whatever comes next."""
        index = self.index(self.chosen) + step if self.chosen else len(self._views) - 1
        while 0 <= index < len(self._views) and not self._views[index].focusable:
            index += step
        if index >= len(self._views):
            self.screen.focus_next()
        elif index >= 0:
            self.choose(self._views[index])
            self.reveal(self._views[index])

    def on_mouse_down(self, event: MouseDown) -> None:
        """What is clicked is chosen."""
        if (spot := self._spot(event)) and spot[0].focusable:
            self.choose(spot[0])

    def on_click(self, event: Click) -> None:
        """A click on a handle opens or folds, one on a picture or its caption opens the file."""
        if event.chain == 1 and (spot := self._spot(event)):
            view, line = spot
            if view.is_handle(line):
                view.opened = not view.opened
            elif path := view.file_at(line):
                self.post_message(self.OpenFile(path))

    def _spot(self, event: MouseDown | Click) -> tuple[View, int] | None:
        offset = event.get_content_offset(self)
        return self.at(offset.y) if offset is not None else None

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def do(self, what: str) -> None:
        """ "page_up", "page_down", "home", "end" or "unfold", asked for from elsewhere."""
        ways = {"page_up": self.scroll_page_up, "page_down": self.scroll_page_down, "home": self.scroll_home}
        if what in ways:
            ways[what](animate=False)
        elif what == "end":
            self.follow()
        elif card := next((view for view in reversed(self._views) if isinstance(view, ToolCard)), None):
            card.opened = not card.opened

    def action_copy(self) -> None:
        """Offer the whole source for copying."""
        if self.chosen:
            self.post_message(self.Copy(self.chosen.source, "message"))

    def action_copy_code(self) -> None:
        """Offer the last code block for copying."""
        if self.chosen:
            self.post_message(self.Copy(self.chosen.code, "code"))

    def action_unfold(self) -> None:
        """Show long content whole, or fold it."""
        if self.chosen:
            self.chosen.opened = not self.chosen.opened

    def action_open_file(self) -> None:
        """Open the first file that the message shows."""
        if self.chosen and self.chosen.files:
            self.post_message(self.OpenFile(self.chosen.files[0]))

    def action_ask_for(self, what: str) -> None:
        """The chosen message shall be edited or retried."""
        if self.chosen and self.chosen.key is not None:
            self.post_message(self.Wanted(what, self.chosen.key))
