"""LineView: a widget that is a column of lines, drawn one by one as the terminal asks for them.

A transcript of such widgets has one node per message, and a resize or a focus change costs what is on the screen. Knows
selection and copying; knows no Markdown and no App.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from llamachat.widgets.look import COMPONENTS, Look, look_of

MEASURE = 110  # cells; longer lines are hard to read, so a wide terminal keeps its rest empty
MORE = "… "


class LineView(Widget, can_focus=True):
    """Lines that fit the width. A subclass draws them all in ``draw``, or only the last ones with ``replace``."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", id="view.copy"),
        Binding("y", "copy_code", "Copy code", id="view.copy_code"),
        Binding("enter,space", "unfold", "Open or fold", id="view.unfold"),
    ]

    class Copy(Message):
        """The user wants ``text`` on the clipboard."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text = text
            self.what = what

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.opened = False
        """Long content is shown whole."""
        self._lines: list[Text] = []
        self._strips: dict[int, Strip] = {}
        self._drawn_for: tuple[int, Look] | None = None
        self._look: Look | None = None

    @abstractmethod
    def draw(self, width: int, look: Look) -> list[Text]:
        """All lines, each at most ``width`` cells long."""

    @property
    @abstractmethod
    def source(self) -> str:
        """What copying the whole gives."""

    @property
    def code(self) -> str:
        """The last code block in it, or nothing."""
        return ""

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def redraw(self) -> None:
        """The content has changed."""
        self._drawn_for = None
        self._changed_from(0)

    def replace(self, start: int, lines: Sequence[Text]) -> None:
        """Exchange the lines from ``start`` on."""
        before = len(self._lines)
        self._lines[start:] = lines
        self._changed_from(start, resized=len(self._lines) != before)

    def _changed_from(self, start: int, *, resized: bool = True) -> None:
        for y in [y for y in self._strips if y >= start]:
            del self._strips[y]
        if resized:
            self.refresh(layout=True)
        else:
            self.refresh(Region(0, start, self.size.width, max(len(self._lines) - start, 1)))

    def _fit(self, width: int) -> None:
        """Draw anew if the width or the colours are not those that the lines were drawn for."""
        if self._look is None:
            self._look = look_of(self)
        fit = (min(width, MEASURE), self._look)
        if width > 0 and fit != self._drawn_for:
            self._lines = self.draw(*fit)
            self._strips.clear()
            self._drawn_for = fit

    @property
    def fit(self) -> tuple[int, Look] | None:
        """Width and look that the lines were drawn for; None before the first drawing."""
        return self._drawn_for

    def notify_style_update(self) -> None:
        """Colours may have changed."""
        super().notify_style_update()
        self._look = None
        self._strips.clear()

    # ── what Textual asks ────────────────────────────────────────────────────────────────────────────────────────────

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
        selection = self.text_selection
        if selection and (span := selection.get_span(y)) is not None:
            return self._strip(y, width, span)
        if y not in self._strips:
            self._strips[y] = self._strip(y, width)
        return self._strips[y]

    def _strip(self, y: int, width: int, selected: tuple[int, int] | None = None) -> Strip:
        """Line ``y`` as cells; ``selected``: the first and the last character (-1: the line's end) to highlight."""
        line = self._lines[y]
        if selected:
            line = line.copy()
            line.stylize(self.selection_style, selected[0], None if selected[1] == -1 else selected[1])
        base = self.rich_style + line.style if isinstance(line.style, Style) else self.rich_style
        strip = Strip(line.render(self.app.console), line.cell_len).apply_style(base)  # render() leaves out line.style
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

    # ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_copy(self) -> None:
        """Offer the whole source for copying."""
        self.post_message(self.Copy(self.source, "message"))

    def action_copy_code(self) -> None:
        """Offer the last code block for copying."""
        self.post_message(self.Copy(self.code, "code"))

    def action_unfold(self) -> None:
        """Show long content whole, or fold it."""
        self.opened = not self.opened
        self.redraw()

    def on_click(self, event: Click) -> None:
        """A click on a handle opens or folds."""
        offset = event.get_content_offset(self)
        if offset is not None and event.chain == 1 and self.is_handle(offset.y):
            self.action_unfold()

    def is_handle(self, y: int) -> bool:
        """Whether row ``y`` opens or folds the rest when it is clicked."""
        return y < len(self._lines) and self._lines[y].plain.lstrip(" →").startswith(MORE)


def folded(lines: list[Text], limit: int, look: Look, opened: bool, *, tail: bool = False) -> list[Text]:
    """``lines``, or the first (``tail``: the last) ``limit`` of them and how many more there are. One line more is not
    worth it."""
    if opened or len(lines) <= limit + 1:
        return lines
    more = Text(f"{MORE}{len(lines) - limit:,} more lines · enter opens", look.muted, end="")
    return [more, *lines[-limit:]] if tail else [*lines[:limit], more]
