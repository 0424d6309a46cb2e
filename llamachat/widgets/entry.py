"""Entry: one line to fill in, with a word on what it is for. Knows nothing of what it fills."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from llamachat.visible import visible


class Entry(ModalScreen[str | None]):
    """Gives the line, or None if the user leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close", id="entry.close")]

    def __init__(self, title: str, value: str = "", help_: str = "") -> None:
        super().__init__()
        self._title, self._value, self._help = title, value, help_

    def compose(self) -> ComposeResult:
        """The help above the line."""
        with Vertical(id="entry") as box:
            box.border_title = visible(self._title)
            if self._help:
                yield Static(visible(self._help), markup=False)
            yield Input(self._value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        event.stop()
        self.dismiss(event.value)
