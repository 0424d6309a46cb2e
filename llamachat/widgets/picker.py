"""Picker: a list to choose from, with a line to filter it. It knows neither sessions, prompts, themes nor branches."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from llamachat.chat.front import Choice
from llamachat.visible import visible
from llamachat.widgets.look import plain_title

FRAME = 3  # rows of a picker that are no choices: its border, and the filter
SETTLE = 0.1  # seconds without a key before a preview is made: a theme restyles everything


class Picker(ModalScreen[str | None]):
    """Choose one of ``choices``; gives its key, or None. ``preview`` is told of the row that the cursor rests on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", id="picker.close"),
        Binding("down,ctrl+n", "move(1)", "Next", id="picker.next", priority=True),
        Binding("up,ctrl+p", "move(-1)", "Previous", id="picker.previous", priority=True),
        Binding("pagedown", "move(10)", "Ten on", id="picker.page_down", priority=True),
        Binding("pageup", "move(-10)", "Ten back", id="picker.page_up", priority=True),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        chosen: str = "",
        preview: Callable[[str], None] | None = None,
        written: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._shown: Sequence[Choice] = choices
        self._first = chosen
        self._preview = preview
        self._written = written
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        """A filter above a list."""
        with Vertical(id="picker") as box:
            box.border_title = plain_title(self._title)
            yield Input(self._written, placeholder="type to filter", id="filter")
            yield OptionList(id="choices", markup=False)

    def on_mount(self) -> None:
        """Show all, the present one marked."""
        self.query_one(Input).focus()
        self._filter(self._written)

    def on_resize(self) -> None:
        """Rows may fold otherwise."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Take no more room than all rows need; a filter changes nothing, so that nothing moves while one types."""
        if not self.query_one(Input).value:
            self.query_one("#picker").styles.max_height = self.query_one(OptionList).virtual_size.height + FRAME

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        self._shown = [choice for choice in self._choices if choice.matches(words)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_row(choice)) for choice in self._shown])
        places = [i for i, choice in enumerate(self._shown) if choice.key == self._first]
        options.highlighted = (places or [0])[0] if self._shown else None

    def action_move(self, step: int) -> None:
        """Move the cursor of the list while the filter keeps the focus."""
        options = self.query_one(OptionList)
        if self._shown:
            options.highlighted = max(0, min((options.highlighted or 0) + step, len(self._shown) - 1))

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self._settling:
            self._settling.stop()
        if self._preview and event.option_index < len(self._shown):
            key, preview = self._shown[event.option_index].key, self._preview
            self._settling = self.set_timer(SETTLE, lambda: preview(key))

    @on(Input.Submitted)
    def _enter(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[highlighted].key if highlighted is not None and self._shown else None)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[event.option_index].key)


def _row(choice: Choice) -> Text:
    text, note = (visible(part).replace("\n", " ") for part in (choice.text, choice.note))
    row = Text(text, end="")
    if note:
        row.append(f"  {note}", "dim")
    return row
