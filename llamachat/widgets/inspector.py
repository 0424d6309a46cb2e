"""Inspector: what the model sees, id by id, as coloured text with a cursor. Knows tokens as values; knows no tokenizer.

Colour tells where an id came from; a control token stands out, and what was read from the cache is dim. On demand the
colour tells how surprising an id was, and another one can be taken in its place.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Region, Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from llamachat.anatomy import TokenView
from llamachat.chat.front import Inspection, Likely
from llamachat.chat.inspection import ALTERNATIVES, percent
from llamachat.errors import LlamaChatError
from llamachat.visible import visible

_COLOURS = {
    "template": "bright_black",
    "system": "magenta",
    "user": "yellow",
    "tool": "cyan",
    "written": "blue",
    "generated": "green",
}
_SURPRISE = ((0.5, "green"), (0.1, "yellow"), (0.01, "bright_red"), (0.0, "blue"))
"""The least share of a step, and its colour."""
_LEGEND = Text(" ").join(Text(f" {source} ", f"{colour} reverse") for source, colour in _COLOURS.items())
_LIKELY_LEGEND = Text(" ").join(
    Text(f" {name} ", f"{colour} reverse")
    for (_, colour), name in zip(_SURPRISE, ("likely: 50% and more", "10%", "1%", "a surprise"), strict=True)
)
_TAKE = "With p: go on from here with the first alternative; 2 to 5 with another"
_OFFER = "p: how likely each token was"


def token_face(text: str) -> str:
    """A token's ``text`` as shown: nothing invisible, a line's end as ⏎."""
    return visible(text).replace("\n", "⏎").replace("\t", "⇥") or "∅"


def odds(one: Likely) -> Text:
    """``12%`` of a token, and what is likelier: each with the key that takes it."""
    told = Text(f"{percent(one.share).strip()} likely", "bold")
    for key, other in enumerate(one.instead, 1):
        told.append(f" · {key} {percent(other.share).strip()} ", "not bold").append(token_face(other.text), "reverse")
    return told


class TokenFlow(ScrollView, can_focus=True):
    """The tokens as running text. ``cached`` of them, from the first, were not read again in the last turn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Back", id="tokens.left"),
        Binding("right,l", "move(1)", "On", id="tokens.right"),
        Binding("up,k", "row(-1)", "Row above", id="tokens.up"),
        Binding("down,j", "row(1)", "Row below", id="tokens.down"),
        Binding("pageup", "row(-10)", "Ten rows up", id="tokens.page_up"),
        Binding("pagedown", "row(10)", "Ten rows down", id="tokens.page_down"),
        Binding("home", "message(-1)", "Message before", id="tokens.previous"),
        Binding("end", "message(1)", "Message after", id="tokens.next"),
    ]

    class Moved(Message):
        """The cursor is on ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, tokens: Sequence[TokenView], cached: int, cursor: int) -> None:
        super().__init__(id="tokens")
        self._tokens, self._cached = tokens, cached
        self.cursor = cursor
        self._rows: list[tuple[int, int]] = []
        """First token of each row, and the one behind its last."""
        self._row_of: list[int] = []
        self.likely: dict[int, Likely] | None = None
        """How likely ids were, by place, as far as that is known; None colours by source."""

    def on_resize(self) -> None:
        """Break the text anew."""
        self._break(max(self.size.width, 4))
        self._show()

    def _break(self, width: int) -> None:
        self._rows, self._row_of = [], []
        start, used = 0, 0
        for index, token in enumerate(self._tokens):
            cells = min(cell_len(token_face(token.text)), width)
            starts_message = index > 0 and token.message != self._tokens[index - 1].message
            if index > start and (used + cells > width or starts_message):
                self._rows.append((start, index))
                start, used = index, 0
            self._row_of.append(len(self._rows))
            used += cells
        self._rows.append((start, len(self._tokens)))
        self.virtual_size = Size(width, len(self._rows))

    def render_line(self, y: int) -> Strip:
        """Row ``y`` of what is in view."""
        row = y + self.scroll_offset.y
        width = self.size.width
        if row >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        start, end = self._rows[row]
        cells = [Segment(token_face(self._tokens[i].text), self._style(i)) for i in range(start, end)]
        return Strip(cells).crop_extend(0, width, self.rich_style)

    def _style(self, index: int) -> Style:
        token = self._tokens[index]
        if self.likely is None:
            style = Style(color=_COLOURS[token.source], bold=token.control, dim=index < self._cached)
        elif one := self.likely.get(index):
            style = Style(color=next(colour for least, colour in _SURPRISE if one.share >= least), bold=token.control)
        else:
            style = Style(color=_COLOURS["template"])
        if index % 2:
            style += Style(underline=True)  # so that neighbours can be told apart
        return self.rich_style + style + (Style(reverse=True) if index == self.cursor else Style())

    def action_move(self, step: int) -> None:
        """To a neighbour."""
        self.to(self.cursor + step)

    def action_row(self, step: int) -> None:
        """To the same place in another row."""
        row = self._row_of[self.cursor]
        other = max(0, min(row + step, len(self._rows) - 1))
        self.to(min(self._rows[other][0] + self.cursor - self._rows[row][0], self._rows[other][1] - 1))

    def action_message(self, step: int) -> None:
        """To the first token of another message."""
        wanted = self._tokens[self.cursor].message + step
        self.to(next((i for i, token in enumerate(self._tokens) if token.message == wanted), self.cursor))

    def to(self, index: int) -> None:
        """Put the cursor on token ``index``."""
        self.cursor = max(0, min(index, len(self._tokens) - 1))
        self._show()

    def _show(self) -> None:
        self.scroll_to_region(Region(0, self._row_of[self.cursor], 1, 1), animate=False)
        self.refresh()
        self.post_message(self.Moved(self.cursor))


class InspectorScreen(ModalScreen[None]):
    """The tokens, a legend, and all about the one at the cursor. There may not be no tokens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,ctrl+t", "dismiss", "Close", id="inspector.close"),
        Binding("p", "likely", "How likely each token was", id="inspector.likely"),
        *(
            Binding(str(key), f"take({key})", "" if key > 1 else _TAKE, id=f"inspector.take{key}")
            for key in range(1, ALTERNATIVES + 1)
        ),
    ]

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self._inspection, self._tokens = inspection, inspection.tokens
        self._tried: set[int] = set()
        """Messages of whose tokens it is told, or being found, how likely they were."""

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        with Vertical(id="inspector") as box:
            box.border_title = f"What the model sees: {len(self._tokens):,} tokens"
            yield Static(_LEGEND, id="legend")
            yield TokenFlow(self._tokens, self._inspection.cached, self._inspection.cursor)
            yield Static("", id="token", markup=False)
            yield Static(_OFFER, id="odds", markup=False)
            if badges := self._inspection.badges:
                names = " ".join(dict.fromkeys(badges))
                yield Static(f"⚠ {len(badges)} control token names are text here: {names}", id="badge", markup=False)

    def on_mount(self) -> None:
        """The keys belong to the tokens."""
        self.query_one(TokenFlow).focus()

    def on_token_flow_moved(self, event: TokenFlow.Moved) -> None:
        """Tell about the token."""
        token = self._tokens[event.index]
        kind = "control token" if token.control else repr(token.text)
        read = "cached" if event.index < self._inspection.cached else "computed"
        told = f"{event.index + 1:,}: id {token.id} · {kind} · {token.role or 'begin'} · {token.source} · {read}"
        self.query_one("#token", Static).update(visible(told))
        self._look()

    # ── how likely ───────────────────────────────────────────────────────────────────────────────────────────────────

    def action_likely(self) -> None:
        """Colour by surprise, or by source again."""
        flow = self.query_one(TokenFlow)
        flow.likely = {} if flow.likely is None else None
        self._tried.clear()
        self.query_one("#legend", Static).update(_LEGEND if flow.likely is None else _LIKELY_LEGEND)
        self._look()
        flow.refresh()

    def _look(self) -> None:
        """Tell how likely the token at the cursor was; of a message that was not looked at yet, find it out."""
        flow = self.query_one(TokenFlow)
        if flow.likely is None:
            self._say(_OFFER)
        elif one := flow.likely.get(flow.cursor):
            self._say(odds(one))
        elif (message := self._tokens[flow.cursor].message) in self._tried:
            self._say("The model had no choice here.")
        else:
            self._tried.add(message)
            self._say("Asking the model …")
            self.run_worker(self._find(flow, flow.cursor))

    async def _find(self, flow: TokenFlow, at: int) -> None:
        found: Mapping[int, Likely] = {}
        try:
            found = await self._inspection.likely(at)
        except LlamaChatError as error:
            self._tried.discard(self._tokens[at].message)
            self._say(f"{error.message} {error.hint}")
            return
        if flow.likely is not None:
            flow.likely |= found
            self._look()
            flow.refresh()

    def action_take(self, key: int) -> None:
        """Go on from the cursor with the alternative ``key``, from 1."""
        flow = self.query_one(TokenFlow)
        one = (flow.likely or {}).get(flow.cursor)
        if one is None or key > len(one.instead):
            return
        try:
            self._inspection.branch(flow.cursor, one.instead[key - 1])
        except LlamaChatError as error:
            self._say(f"{error.message} {error.hint}")
        else:
            self.dismiss()

    def _say(self, text: str | Text) -> None:
        self.query_one("#odds", Static).update(text)
