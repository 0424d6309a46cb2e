"""Column: a scrolling widget of views below one another that draws only what is in sight.

Heights of what was never seen are guessed, and put right when it comes into sight without moving what is being read. So
a token, a key, a resize cost what is on the screen, however long the dialog is. Knows views, scrolling and selection;
knows no turn and no App.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.events import Resize
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from llamachat.widgets.gallery import Gallery
from llamachat.widgets.heights import Heights
from llamachat.widgets.kitty import is_cells
from llamachat.widgets.lines import MEASURE, selected, strip_of
from llamachat.widgets.look import COMPONENTS, Look, look_of
from llamachat.widgets.view import View

FLUSH = 1 / 30  # seconds between two drawings of what streams; a drawing per token would starve the keys
GUTTER = 2  # cells before a line: the bar and a space
KEPT_ROWS = 4_000  # drawn lines that stay in memory when they are out of sight, some 10 MB
KEPT_STRIPS = 1_000
# Rows are named for the selection by the place of their view and their number in it, not by where they are: so what
# is selected stays selected while guessed heights above it are put right. 2²⁴ rows are more than any message has.
ROW_BITS = 24
KINDS = ("user", "waiting", "reply", "tool", "info", "error", "page")
BARS = ("bar-user", "bar-waiting", "bar-error", "bar-chosen")


class Column(ScrollView, can_focus=True):
    """Views below one another. Stays at its end while they grow, unless the user has scrolled up."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS | {f"column--{part}" for part in (*KINDS, *BARS)}

    class Below(Message, namespace="transcript"):
        """So many ``lines`` are below what is shown."""

        def __init__(self, lines: int) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._views: list[View] = []
        self._heights = Heights()
        self._keys: dict[Hashable, View] = {}
        self._first_place = 0
        self._follows = True
        self._settling = False
        self._width = 0  # until there is a window
        self._gap = 1
        self._look = Look()
        self._dress: dict[str, Style] = {}
        self._strips: dict[int, Strip] = {}
        self._drawn: OrderedDict[View, None] = OrderedDict()
        self._changed: dict[View, None] = {}
        self._below = 0
        self._wanted: View | None = None
        self.chosen: View | None = None
        """The view that keys act on."""
        self.gallery: Gallery | None = Gallery()
        """How pictures of views to come are shown; None: not at all."""

    # ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, *views: View) -> None:
        """Add ``views`` at the end."""
        for view in views:
            view.place = self._first_place + len(self._views)
            view.changed, view.gallery = self._note, self.gallery
            self._views.append(view)
            self._heights.append(self._height(view))
            if view.key is not None:
                self._keys[view.key] = view
        self._settle()

    def put_before(self, views: Iterable[View]) -> None:
        """Add ``views`` at the beginning; what is in sight stays where it is."""
        row = self._heights.total - round(self.scroll_y)
        new = list(views)
        old, self._views, self._heights = self._views, [], Heights()
        self._first_place -= len(new)
        self.put(*new, *old)
        self._go(self._heights.total - row)

    def cut(self, start: int, end: int | None = None) -> None:
        """Remove the views from index ``start`` on, up to ``end``."""
        rest = self._views[end:] if end is not None else []
        for view in self._views[start:]:
            view.changed = lambda view: None
            self._keys.pop(view.key, None)
            self._drawn.pop(view, None)
            self._changed.pop(view, None)
            view.forget()
        del self._views[start:]
        self._heights.truncate(start)
        self._strips.clear()
        if self.is_attached and self.text_selection:
            self.screen.clear_selection()
        if self.chosen and not self._has(self.chosen):
            self.chosen = None
        self.put(*rest)

    def find(self, key: Hashable) -> View | None:
        """The view with ``key``."""
        return self._keys.get(key)

    def index(self, view: View) -> int:
        """Where ``view`` is among all."""
        return view.place - self._first_place

    def _has(self, view: View) -> bool:
        index = self.index(view)
        return 0 <= index < len(self._views) and self._views[index] is view

    def _note(self, view: View) -> None:
        """``view`` must be drawn anew; soon, as more may come."""
        if not self._changed:
            self.set_timer(FLUSH, self.flush)
        self._changed[view] = None

    def flush(self) -> None:
        """Draw what has changed."""
        changed, self._changed = self._changed, {}
        for view in changed:
            self._update(view)
        self._settle()

    def _update(self, view: View) -> None:
        drawn = view.lines is not None
        start = view.update((self._width, self._look)) if drawn else 0
        first = 0 if view.restyled or not drawn else self._top_rows(view) + start
        view.restyled = False
        for key in [key for key in self._strips if self._key(view, first) <= key < self._key(view, 1 << ROW_BITS)]:
            del self._strips[key]
        if not self._measure(view):
            index = self.index(view)
            self._refresh_rows(self._heights.top(index) + first, self._heights.top(index + 1))

    def _refresh_rows(self, start: int, end: int) -> None:
        y = round(self.scroll_y)
        start, end = max(start - y, 0), min(end - y, self.size.height)
        if start < end:
            self.refresh(Region(0, start, self.size.width, end - start))

    # ── where everything is ──────────────────────────────────────────────────────────────────────────────────────────

    def _top_rows(self, view: View) -> int:
        """Rows above its lines: an empty one where there is room, or for the label."""
        return max(self._gap, bool(view.label))

    def _height(self, view: View) -> int:
        return self._top_rows(view) + view.height(self._width or MEASURE)

    def _measure(self, view: View) -> int:
        """Put the height of ``view`` right. Returns by how many rows; what is in sight below it moves along."""
        index = self.index(view)
        change = self._height(view) - self._heights[index]
        if change:
            above = self._heights.top(index + 1) <= round(self.scroll_y)
            self._heights[index] += change
            if above and not self._follows:
                self._go(round(self.scroll_y) + change)
        return change

    def _settle(self) -> None:
        """Draw what is in sight, put right the heights that were guessed, stay at the end or where we are."""
        if not self._width:
            return
        rows, y = self.scrollable_content_region.height, round(self.scroll_y)
        y = self._clamp(self._heights.total if self._follows else y, rows)
        while guessed := [i for i in self._in_sight(y, rows) if self._views[i].lines is None]:
            anchor = next((i for i in self._in_sight(y, rows) if self._views[i].lines is not None), -1)
            for i in guessed:
                self._views[i].render((self._width, self._look))
                before = self._heights[i]
                self._heights[i] = self._height(self._views[i])
                if i < anchor:
                    y += self._heights[i] - before
            y = self._clamp(self._heights.total if self._follows else y, rows)
        self._go(y)
        self._forget(self._in_sight(y, rows))

    def _clamp(self, y: int, rows: int) -> int:
        return max(0, min(y, self._heights.total - rows))

    def _in_sight(self, y: int, rows: int) -> range:
        """Indices of the views that the rows from ``y`` on show, and of the one just below."""
        first, last = self._heights.find(y)[0], self._heights.find(y + rows)[0]
        return range(first, min(last + 1, len(self._views)))

    def _go(self, y: int) -> None:
        """Show row ``y`` on top."""
        self._settling = True
        size = Size(self.scrollable_content_region.width, self._heights.total)
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh()
        self.scroll_target_y = self.scroll_y = y
        self._settling = False
        below = max(0, self._heights.total - y - self.scrollable_content_region.height)
        if below != self._below:
            self._below = below
            self.post_message(self.Below(below))

    def _forget(self, in_sight: range) -> None:
        """Free the lines of views that were not in sight for long, beyond KEPT_ROWS."""
        for i in in_sight:
            self._drawn[self._views[i]] = None
            self._drawn.move_to_end(self._views[i])
        rows = sum(view.weight for view in self._drawn)
        while rows > KEPT_ROWS and len(self._drawn) > len(in_sight):
            view = self._drawn.popitem(last=False)[0]
            rows -= view.weight
            view.forget()
            if view.files:
                self._strips.clear()  # its pictures may come back under other ids

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._follows = True
        self._settle()

    def reveal(self, view: View) -> None:
        """Scroll no further than needed to see ``view``, or its beginning if it is long."""
        if not self._width:
            self._wanted = view  # there is no window yet
            return
        index, y, rows = self.index(view), round(self.scroll_y), self.scrollable_content_region.height
        top, end = self._heights.top(index), self._heights.top(index + 1)
        if top < y or end > y + rows:
            self.scroll_to(y=top if top < y or end - top > rows else end - rows, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The user has scrolled."""
        super().watch_scroll_y(old_value, new_value)
        if not self._settling:
            self._follows = new_value >= self.max_scroll_y
            self._settle()

    def on_mount(self) -> None:
        """A terminal that was lent to another program has lost our pictures."""
        self.app.app_resume_signal.subscribe(self, lambda app: self.gallery.again() if self.gallery else None)

    # ── size and colours ─────────────────────────────────────────────────────────────────────────────────────────────

    def on_resize(self, event: Resize) -> None:
        """Lines are made for a width."""
        self._refit()

    def notify_style_update(self) -> None:
        """Colours may have changed."""
        super().notify_style_update()
        if self.is_attached and self._width:
            self._refit()

    def _refit(self) -> None:
        """Take on width, colours and spacing; if they have changed, all is drawn anew as it comes into sight."""
        look = look_of(self)
        dress = {part: self.get_component_rich_style(f"column--{part}") for part in (*KINDS, *BARS)}
        width = max(1, min(self.scrollable_content_region.width - GUTTER - 1, MEASURE))
        gap = 0 if self.screen.has_class("-short") else 1
        if (look, dress) != (self._look, self._dress):
            self._strips.clear()
            self.refresh()
        if (width, look, gap) != (self._width, self._look, self._gap):
            self._remake(width, look, gap)
        self._dress = dress
        self._settle()
        wanted, self._wanted = self._wanted, None
        if wanted and self._has(wanted):
            self.reveal(wanted)

    def _remake(self, width: int, look: Look, gap: int) -> None:
        index, row = self._heights.find(round(self.scroll_y))
        for view in self._drawn:
            view.forget()
        self._drawn.clear()
        self._strips.clear()
        self._width, self._look, self._gap = width, look, gap
        self._heights = Heights(self._height(view) for view in self._views)
        if index < len(self._views) and not self._follows:
            self._go(self._heights.top(index) + min(row, self._heights[index] - 1))
        self.refresh()

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _key(self, view: View, row: int) -> int:
        return (view.place << ROW_BITS) + row

    def at(self, y: int) -> tuple[View, int] | None:
        """The view on row ``y`` of the window, and which of its lines; -1 is above the first."""
        index, row = self._heights.find(round(self.scroll_y) + y)
        if index >= len(self._views):
            return None
        view = self._views[index]
        return view, max(row - self._top_rows(view), -1)

    def render_line(self, y: int) -> Strip:
        """Row ``y`` of the window."""
        width = self.size.width
        index, row = self._heights.find(round(self.scroll_y) + y)
        if index >= len(self._views) or not self._width:
            return Strip.blank(width, self.rich_style)
        view = self._views[index]
        key = self._key(view, row)
        span = self.text_selection.get_span(key) if self.text_selection else None
        if span is not None:
            return self._strip(view, row, key, span)
        if key not in self._strips:
            if len(self._strips) >= KEPT_STRIPS:
                self._strips.clear()
            self._strips[key] = self._strip(view, row, key)
        return self._strips[key]

    def _strip(self, view: View, row: int, key: int, span: tuple[int, int] | None = None) -> Strip:
        """Row ``row`` of ``view`` as cells that know their ``key``."""
        row, base, line = row - self._top_rows(view), self.rich_style, Text(end="")
        bar, edge = " ", base
        if row >= 0:
            base = self._dress.get(view.kind, base)
            bar, edge = self._bar(view, base)
            if view.lines is not None and row < len(view.lines):
                line = view.lines[row]
        elif view.label:
            line = Text(view.label[: self._width].rjust(self._width), self._look.muted, end="")
        if span is not None and not is_cells(line):
            line = selected(line, _inside(span), self.selection_style)
        gutter = Strip([Segment(bar, edge), Segment(" " * (GUTTER - 1), base)], GUTTER)
        strip = Strip.join([gutter, strip_of(line, base, self.app.console)])
        return strip.crop_extend(0, self.size.width, base).apply_offsets(0, key)

    def _bar(self, view: View, base: Style) -> tuple[str, Style]:
        if view is self.chosen and self.has_focus:
            return "█", self._dress["bar-chosen"]  # another shape, too: not everybody has colours
        style = self._dress.get(f"bar-{view.kind}")
        return ("▌", style) if style else (" ", base)

    # ── selection ────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected part of what is shown, without the filling at line ends."""
        first = self._first_place if selection.start is None else selection.start.y >> ROW_BITS
        last = self._first_place + len(self._views) - 1 if selection.end is None else selection.end.y >> ROW_BITS
        rows = []
        for view in self._views[max(first - self._first_place, 0) : last - self._first_place + 1]:
            top = self._top_rows(view)
            for row in range(self._heights[self.index(view)]):
                if (span := selection.get_span(self._key(view, row))) is not None:
                    start, end = _inside(span)
                    line = self._line(view, row - top)
                    if not is_cells(line):
                        rows.append(line.plain[start : None if end == -1 else end].rstrip())
        return ("\n".join(rows).strip("\n"), "\n") if rows else None

    def _line(self, view: View, row: int) -> Text:
        if view.lines is None:  # selected, and since then out of sight for long
            view.render((self._width, self._look))
            self._drawn[view] = None
        return view.lines[row] if view.lines and 0 <= row < len(view.lines) else Text()

    def text_select_all(self) -> None:
        """A double click selects a message, not all of them."""
        if view := self.chosen:
            ends = Offset(0, self._key(view, 0)), Offset(1 << ROW_BITS, self._key(view, (1 << ROW_BITS) - 1))
            self.screen.selections = {self: Selection(*ends)}

    def selection_updated(self, selection: Selection | None) -> None:
        """Show it."""
        self.refresh()


def _inside(span: tuple[int, int]) -> tuple[int, int]:
    """``span`` of a row, gutter included, as characters of its line."""
    return max(span[0] - GUTTER, 0), span[1] if span[1] == -1 else max(span[1] - GUTTER, 0)
