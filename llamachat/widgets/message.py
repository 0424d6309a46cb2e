"""What is said in the transcript: messages of the dialog, and notices of ours beside it. Knows no widget, no turn."""

from collections.abc import Hashable
from typing import Literal

from rich.text import Text

from llamachat.messages import StopReason
from llamachat.visible import visible
from llamachat.widgets.blocks import last_code
from llamachat.widgets.look import Look
from llamachat.widgets.markdown import MarkdownLines
from llamachat.widgets.view import Fit, View, clip, folded, rows_of
from llamachat.widgets.wrap import wrap

FOLD = 24  # lines that a long message of the user shows while it is folded
AT_ONCE = 8_000  # characters of Markdown drawn in one go, some 10 to 60 ms; what is longer comes in as if it streamed


class UserView(View):
    """What the user said, as it was typed."""

    def __init__(self, text: str, key: Hashable = None) -> None:
        super().__init__(key)
        self._text = text

    @property
    def kind(self) -> str:
        """Quieter while it waits."""
        return "waiting" if self.mark else "user"

    @property
    def source(self) -> str:
        """The text as it was typed."""
        return self._text

    def draw(self, width: int, look: Look) -> list[Text]:
        """The text, folded if it is long."""
        text, cut = (self._text, 0) if self.opened else clip(self._text, FOLD, width)
        lines = wrap(Text(visible(text.replace("\r\n", "\n")), end=""), width)
        return folded(lines, FOLD, look, self.opened, cut=cut)

    def guess(self, width: int) -> int:
        """Folded, it is short."""
        rows = rows_of(self._text, width)
        return rows if self.opened else min(rows, FOLD + 1)


class ReplyView(View):
    """What the model says, as Markdown that streams in."""

    def __init__(self, text: str = "", key: Hashable = None) -> None:
        super().__init__(key)
        self._parts = [text]
        self._waiting: list[str] = []
        self._markdown: MarkdownLines | None = None

    @property
    def kind(self) -> str:
        """A reply."""
        return "reply"

    @property
    def source(self) -> str:
        """The Markdown."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    @property
    def code(self) -> str:
        """The last code block in it, or nothing."""
        return last_code(self.source)

    def write(self, text: str) -> None:
        """More text."""
        self._parts.append(text)
        if self._markdown:
            self._waiting.append(text)
        self.changed(self)

    def end(self, stop: StopReason | None = None) -> None:
        """No more text comes."""
        if stop is StopReason.cancelled:
            self.mark = "— interrupted"

    def draw(self, width: int, look: Look) -> list[Text]:
        """All of it anew; of a very long text, the beginning."""
        self._markdown = MarkdownLines(width, look)
        self._waiting = [self.source]
        self._take(self._markdown)
        return list(self._markdown.lines)

    def update(self, fit: Fit) -> int:
        """Draw what came since."""
        if self._markdown is None or self.lines is None or fit != self.fit:
            return self.render(fit)
        start = self._take(self._markdown)
        self.lines[start:] = [*self._markdown.lines[start:], *self.below(fit[1])]
        return start

    def _take(self, markdown: MarkdownLines) -> int:
        waiting = "".join(self._waiting)
        later = waiting[AT_ONCE:]
        self._waiting = [later] if later else []
        start = markdown.append(waiting[:AT_ONCE])
        if later:
            self.changed(self)
        return start

    def forget(self) -> None:
        """Free the parsed Markdown, too."""
        super().forget()
        self._markdown = None
        self._waiting = []

    def height(self, width: int) -> int:
        """With room for what waits to be drawn, so that the end of a long reply is where it will be."""
        waiting = self._waiting[0] if self.lines is not None and self._waiting else ""
        return super().height(width) + (rows_of(waiting, width) if len(waiting) > AT_ONCE else 0)

    def guess(self, width: int) -> int:
        """From the number of its characters."""
        return rows_of(self.source, width)


class Notice(View):
    """A word of ours that is no part of the dialog: an error with its hint, the answer to a command."""

    def __init__(self, text: str, hint: str = "", *, kind: Literal["info", "error"] = "info") -> None:
        super().__init__()
        self._text = text
        self._hint = hint
        self._kind = kind

    @property
    def kind(self) -> str:
        """Information or error."""
        return self._kind

    @property
    def source(self) -> str:
        """The text and the hint."""
        return f"{self._text}\n{self._hint}".strip()

    def draw(self, width: int, look: Look) -> list[Text]:
        """The text, the hint below it in a quiet colour."""
        lines = wrap(Text(visible(self._text), end=""), width)
        return lines + wrap(Text(visible(self._hint), look.muted, end=""), width) if self._hint else lines

    def guess(self, width: int) -> int:
        """From the number of its characters."""
        return rows_of(self.source, width)


class Page(View):
    """A text of ours in Markdown, such as the welcome."""

    focusable = False

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self._markdown = markdown

    @property
    def kind(self) -> str:
        """A page."""
        return "page"

    @property
    def source(self) -> str:
        """The Markdown."""
        return self._markdown

    def draw(self, width: int, look: Look) -> list[Text]:
        """All of it."""
        lines = MarkdownLines(width, look)
        lines.append(self._markdown)
        return lines.lines

    def guess(self, width: int) -> int:
        """From the number of its characters."""
        return rows_of(self._markdown, width)
