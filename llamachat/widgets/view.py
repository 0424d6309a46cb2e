"""View: one message of the transcript as a plain object: its source, its lines, what is said about it.

Knows how to draw itself to a width and to say that it has changed; knows no widget, so a dialog of thousands of
messages costs thousands of small objects, and only what is in sight is ever drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import ClassVar

from rich.text import Text

from llamachat.widgets.gallery import Gallery
from llamachat.widgets.look import Look

MORE = "… "

Fit = tuple[int, Look]
"""Cells per line, and styles."""


class View(ABC):
    """One message. ``key`` is the caller's name for it; ``changed`` is called whenever it must be drawn anew."""

    focusable: ClassVar[bool] = True

    def __init__(self, key: Hashable = None) -> None:
        self.key = key
        self.place = 0
        """Grows from message to message; the transcript sets it."""
        self.gallery: Gallery | None = Gallery()
        """How its pictures are shown; None: not at all. The transcript sets it."""
        self.lines: list[Text] | None = None
        """None: not drawn."""
        self.fit: Fit | None = None
        """What the lines were drawn for."""
        self.changed: Callable[[View], None] = lambda view: None
        self.restyled = False
        """More than its lines has changed; whoever draws it puts it back."""
        self._opened = False
        self._mark = ""
        self._label = ""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Which dress it wears: "user", "reply", "tool", …"""

    @property
    @abstractmethod
    def source(self) -> str:
        """What copying the whole gives."""

    @property
    def code(self) -> str:
        """The last code block in it, or nothing."""
        return ""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that it shows."""
        return ()

    @abstractmethod
    def draw(self, width: int, look: Look) -> list[Text]:
        """All lines, each at most ``width`` cells long."""

    @abstractmethod
    def guess(self, width: int) -> int:
        """About how many lines it will be; must be cheap."""

    # ── what is said about it ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def opened(self) -> bool:
        """Long content is shown whole."""
        return self._opened

    @opened.setter
    def opened(self, opened: bool) -> None:
        self._opened = opened
        self.changed(self)

    @property
    def mark(self) -> str:
        """What became of it, below it: "queued", "— interrupted"."""
        return self._mark

    @mark.setter
    def mark(self, mark: str) -> None:
        self._mark = mark
        self.restyled = True
        self.changed(self)

    @property
    def label(self) -> str:
        """What is said above it, to the right: a badge, the counter of its siblings ``‹2/3›``."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = label
        self.restyled = True
        self.changed(self)

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def height(self, width: int) -> int:
        """Lines that are there, or that will be about there."""
        return len(self.lines) if self.lines is not None else self.guess(width) + bool(self._mark)

    @property
    def weight(self) -> int:
        """What its lines cost in memory, in lines of text."""
        return len(self.lines or ())

    def render(self, fit: Fit) -> int:
        """Draw anew. Returns the first line that is not what it was."""
        before = self.lines or []
        self.lines = [*self.draw(*fit), *self.below(fit[1])]
        self.fit = fit
        same = zip(before, self.lines, strict=False)
        return next((i for i, (old, new) in enumerate(same) if old != new), min(len(before), len(self.lines)))

    def update(self, fit: Fit) -> int:
        """Draw what has changed. Returns the first line that is not what it was."""
        return self.render(fit)

    def below(self, look: Look) -> list[Text]:
        """The mark."""
        return [Text(self._mark, look.muted, end="")] if self._mark else []

    def forget(self) -> None:
        """Free the lines; they can be drawn again."""
        self.lines = self.fit = None

    # ── clicks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_handle(self, y: int) -> bool:
        """Whether line ``y`` opens or folds the rest when it is clicked."""
        return self.lines is not None and 0 <= y < len(self.lines) and _is_more(self.lines[y])

    def file_at(self, y: int) -> str:
        """The path of the file that line ``y`` stands for, or nothing."""
        return ""


def _is_more(line: Text) -> bool:
    return line.plain.lstrip(" →").startswith(MORE)


def rows_of(text: str, width: int) -> int:
    """About how many rows ``text`` fills."""
    return text.count("\n") + 1 + len(text) // max(width, 1)


def clip(text: str, rows: int, width: int, *, tail: bool = False) -> tuple[str, int]:
    """The beginning (``tail``: the end) of ``text``, surely more than ``rows`` rows, and how many lines are cut off:
    what is folded need not be drawn whole."""
    room = 4 * (rows + 1) * max(width, 1)
    if len(text) <= room:
        return text, 0
    part = text[-room:] if tail else text[:room]
    return part, text.count("\n") - part.count("\n")


def folded(lines: list[Text], limit: int, look: Look, opened: bool, *, tail: bool = False, cut: int = 0) -> list[Text]:
    """``lines``, or the first (``tail``: the last) ``limit`` of them and how many more there are, ``cut`` that are not
    among ``lines`` included. One line more is not worth it."""
    if opened or len(lines) + cut <= limit + 1:
        return lines
    more = Text(f"{MORE}{len(lines) + cut - limit:,} more lines · enter opens", look.muted, end="")
    return [more, *lines[-limit:]] if tail else [*lines[:limit], more]
