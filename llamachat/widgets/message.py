"""What is said in the transcript: messages of the dialog, and notices of ours beside it. Knows no App and no turn."""

from typing import Literal

from rich.text import Text

from llamachat.messages import StopReason
from llamachat.visible import visible
from llamachat.widgets.blocks import last_code
from llamachat.widgets.lines import LineView, folded
from llamachat.widgets.look import Look
from llamachat.widgets.markdown import MarkdownLines
from llamachat.widgets.wrap import wrap

FLUSH = 1 / 30  # seconds between two drawings of a reply that streams; a drawing per token would starve the keys
FOLD = 24  # lines that a long message of the user shows while it is folded


class UserView(LineView):
    """What the user said, as it was typed."""

    def __init__(self, text: str) -> None:
        super().__init__(classes="-user")
        self._text = text
        self._mark = ""

    @property
    def source(self) -> str:
        """The text as it was typed."""
        return self._text

    @property
    def mark(self) -> str:
        """What became of it, if it isn't simply said: "queued", "not answered"."""
        return self._mark

    @mark.setter
    def mark(self, mark: str) -> None:
        self._mark = mark
        self.set_class(bool(mark), "-waiting")
        self.redraw()

    def draw(self, width: int, look: Look) -> list[Text]:
        """The text, folded if it is long, and the mark."""
        text = Text(visible(self._text.replace("\r\n", "\n")), end="")
        lines = folded(wrap(text, width), FOLD, look, self.opened)
        return [*lines, Text(self._mark, look.muted, end="")] if self._mark else lines


class ReplyView(LineView):
    """What the model says, as Markdown that streams in."""

    def __init__(self, text: str = "") -> None:
        super().__init__(classes="-reply")
        self._text = text
        self._waiting = ""
        self._markdown: MarkdownLines | None = None
        self._mark = ""
        self._scheduled = False

    @property
    def source(self) -> str:
        """The Markdown."""
        return self._text + self._waiting

    @property
    def code(self) -> str:
        """The last code block in it, or nothing."""
        return last_code(self.source)

    def write(self, text: str) -> None:
        """More text; it is drawn within a thirtieth of a second."""
        self._waiting += text
        if not self._scheduled:
            self._scheduled = True
            self.set_timer(FLUSH, self.flush)

    def flush(self) -> None:
        """Draw what waits."""
        self._scheduled = False
        waiting, self._waiting = self._waiting, ""
        self._text += waiting
        if waiting and self._markdown:
            start = self._markdown.append(waiting)
            self.replace(start, self._markdown.lines[start:])

    def end(self, stop: StopReason | None = None) -> None:
        """No more text comes."""
        self.flush()
        if stop is StopReason.cancelled:
            self._mark = "interrupted"
            self.redraw()

    def draw(self, width: int, look: Look) -> list[Text]:
        """All of it anew."""
        self._markdown = MarkdownLines(width, look)
        self._markdown.append(self._text)
        mark = [Text(f"— {self._mark}", look.muted, end="")] if self._mark else []
        return [*self._markdown.lines, *mark]


class Notice(LineView):
    """A word of ours that is no part of the dialog: an error with its hint, the answer to a command."""

    def __init__(self, text: str, hint: str = "", *, kind: Literal["info", "error"] = "info") -> None:
        super().__init__(classes=f"-{kind}")
        self._text = text
        self._hint = hint

    @property
    def source(self) -> str:
        """The text and the hint."""
        return f"{self._text}\n{self._hint}".strip()

    def draw(self, width: int, look: Look) -> list[Text]:
        """The text, the hint below it in a quiet colour."""
        lines = wrap(Text(visible(self._text), end=""), width)
        return lines + wrap(Text(visible(self._hint), look.muted, end=""), width) if self._hint else lines


class Page(LineView, can_focus=False):
    """A text of ours in Markdown, such as the welcome."""

    def __init__(self, markdown: str) -> None:
        super().__init__(classes="-page")
        self._markdown = markdown

    @property
    def source(self) -> str:
        """The Markdown."""
        return self._markdown

    def draw(self, width: int, look: Look) -> list[Text]:
        """All of it."""
        lines = MarkdownLines(width, look)
        lines.append(self._markdown)
        return lines.lines
