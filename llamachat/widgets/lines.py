"""LineView: a small widget that is a column of lines, drawn one by one as the terminal asks for them.

For what stands beside the transcript, such as help and completions. Knows selection; knows no Markdown and no App.
"""

from abc import abstractmethod
from typing import ClassVar

from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from llamachat.widgets.look import COMPONENTS, Look, look_of

MEASURE = 110  # cells; longer lines are hard to read, so a wide terminal keeps its rest empty

Span = tuple[int, int]
"""First character, and the one after the last; -1 is the line's end."""


class LineView(Widget):
    """Lines that fit the width; a subclass draws them all in ``draw``."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._lines: list[Text] = []
        self._drawn_for: tuple[int, Look] | None = None
        self._look: Look | None = None

    @abstractmethod
    def draw(self, width: int, look: Look) -> list[Text]:
        """All lines, each at most ``width`` cells long."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The whole as plain text."""

    def redraw(self) -> None:
        """The content has changed."""
        self._drawn_for = None
        self.refresh(layout=True)

    def _fit(self, width: int) -> None:
        """Draw anew if the width or the colours are not those that the lines were drawn for."""
        if self._look is None:
            self._look = look_of(self)
        fit = (min(width, MEASURE), self._look)
        if width > 0 and fit != self._drawn_for:
            self._lines = self.draw(*fit)
            self._drawn_for = fit

    def notify_style_update(self) -> None:
        """Colours may have changed."""
        super().notify_style_update()
        self._look = None

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as lines."""
        self._fit(width)
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Row ``y``."""
        width = self.size.width
        self._fit(width)
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        span = self.text_selection.get_span(y) if self.text_selection else None
        line = selected(self._lines[y], span, self.selection_style)
        strip = strip_of(line, self.rich_style, self.app.console)
        return strip.crop_extend(0, width, self.rich_style).apply_offsets(0, y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected part of what is shown, without the filling at line ends."""
        rows = []
        for y, line in enumerate(self._lines):
            if (span := selection.get_span(y)) is not None:
                start, end = span
                rows.append(line.plain[start : None if end == -1 else end].rstrip())
        return ("\n".join(rows), "\n") if rows else None

    def selection_updated(self, selection: Selection | None) -> None:
        """Show it."""
        self.refresh()


def selected(line: Text, span: Span | None, style: Style) -> Text:
    """``line`` with the characters of ``span`` highlighted."""
    if span is None:
        return line
    line = line.copy()
    style = Style(bgcolor=style.bgcolor)  # Textual's "auto" for the letters would be the colour behind them
    line.stylize(style, span[0], None if span[1] == -1 else span[1])
    return line


def strip_of(line: Text, base: Style, console: Console) -> Strip:
    """``line`` as cells on ``base``."""
    base = base + line.style if isinstance(line.style, Style) else base  # render() leaves out line.style
    return Strip(line.render(console), line.cell_len).apply_style(base)
