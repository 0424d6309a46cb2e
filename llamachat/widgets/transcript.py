"""Transcript: the column of messages. Knows how it is scrolled and focused; knows no turn and no App."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.message import Message

from llamachat.errors import LlamaChatError
from llamachat.messages import StopReason, ToolCall, ToolResult
from llamachat.widgets.lines import LineView
from llamachat.widgets.message import Notice, Page, ReplyView, UserView
from llamachat.widgets.toolcard import ToolCard

WELCOME = """**llamachat** – a private chat with a Llama on your own machine.
Try: *What is 173 \\* 29 + 4?*
`/` lists the commands, `F1` the keys; `esc` stops a reply."""


class Transcript(VerticalScroll, can_focus=False):
    """Messages below one another. Stays at its end while they grow, unless the user has scrolled up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "Message above", id="transcript.up"),
        Binding("down,j", "step(1)", "Message below", id="transcript.down"),
    ]

    class Below(Message):
        """So many ``lines`` are below what is shown."""

        def __init__(self, lines: int) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._reply: ReplyView | None = None
        self._card: ToolCard | None = None
        self._below = 0

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, text: str, mark: str) -> UserView:
        """A message of the user, and what becomes of it first."""
        view = UserView(text)
        view.mark = mark
        self.mount(view)
        self.follow()
        return view

    def write(self, text: str) -> None:
        """More of the reply; a reply begins with its first visible character."""
        if self._reply is None and text.strip():
            self._reply = ReplyView()
            self.mount(self._reply)
        if self._reply:
            self._reply.write(text)

    def end_reply(self, stop: StopReason | None) -> None:
        """The reply is complete."""
        if self._reply:
            self._reply.end(stop)
            self._reply = None

    def write_call(self, text: str) -> None:
        """More of a call that is being written."""
        self._open_card().write(text)

    def start_call(self, call: ToolCall, title: str) -> None:
        """A tool begins to run; ``title`` is the name that the user knows it by."""
        self._open_card().start(call, title)

    def end_call(self, result: ToolResult, seconds: float) -> None:
        """A tool has answered."""
        self._open_card().end(result, seconds)
        self._card = None

    def close(self) -> None:
        """The turn is over: nothing more comes for what is still open."""
        self.end_reply(None)
        if self._card:
            self._card.abandon()
            self._card = None

    def say(self, error: LlamaChatError) -> None:
        """What went wrong, and what to do."""
        self.mount(Notice(error.message, error.hint, kind="error"))

    def note(self, text: str) -> None:
        """A word of ours."""
        self.mount(Notice(text))

    def page(self, markdown: str) -> None:
        """A longer text of ours."""
        self.mount(Page(markdown))

    def welcome(self) -> None:
        """What a newcomer should know."""
        self.page(WELCOME)

    def clear(self) -> None:
        """No messages."""
        self.remove_children()
        self.follow()

    def _open_card(self) -> ToolCard:
        if self._card is None:
            self._card = ToolCard()
            self.mount(self._card)
        return self._card

    # ── what was said ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def views(self) -> list[LineView]:
        """All messages that can have the focus, from the first to the last."""
        return [child for child in self.children if isinstance(child, LineView) and child.can_focus]

    @property
    def last_reply(self) -> str:
        """The Markdown of the last reply, or nothing."""
        return next((view.source for view in reversed(self.views) if isinstance(view, ReplyView)), "")

    @property
    def last_code(self) -> str:
        """The last code block or code that ran, or nothing."""
        return next((view.code for view in reversed(self.views) if view.code), "")

    # ── scrolling and focus ──────────────────────────────────────────────────────────────────────────────────────────

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.scroll_end(animate=False)

    def do(self, what: str) -> None:
        """ "page_up", "page_down", "home", "end" or "unfold", asked for from elsewhere."""
        ways = {"page_up": self.scroll_page_up, "page_down": self.scroll_page_down, "home": self.scroll_home}
        if what in ways:
            ways[what](animate=False)
        elif what == "end":
            self.follow()
        elif cards := [view for view in self.views if isinstance(view, ToolCard)]:
            cards[-1].action_unfold()

    def action_step(self, step: int) -> None:
        """Focus the next message in a direction; below the last one, whatever comes next."""
        views, focused = self.views, self.screen.focused
        index = views.index(focused) + step if isinstance(focused, LineView) and focused in views else -1
        if index >= len(views):
            self.screen.focus_next()
        elif index >= 0:
            views[index].focus()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say how much is below."""
        super().watch_scroll_y(old_value, new_value)
        self._tell()

    def watch_virtual_size(self, size: Size) -> None:
        """The same when messages grow."""
        self._settle()

    def on_resize(self) -> None:
        """The same when the window changes."""
        self._settle()

    def _settle(self) -> None:
        """Hold on to the end as soon as there is more than fits; an anchored column that is short would hang below."""
        tall = self.virtual_size.height > self.size.height
        if tall != self.is_anchored:
            self.anchor(tall)
        if not tall:
            self.scroll_home(animate=False, immediate=True)
        self.call_after_refresh(self._tell)  # an anchor scrolls while the screen is laid out

    def _tell(self) -> None:
        below = max(0, round(self.max_scroll_y - self.scroll_y))
        if below != self._below:
            self._below = below
            self.post_message(self.Below(below))
