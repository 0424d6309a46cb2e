"""Entry: something to fill in, with a word on what it is for. Knows nothing of what it fills."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from llamachat.visible import visible
from llamachat.widgets.history import History
from llamachat.widgets.look import plain_title
from llamachat.widgets.prompt import Prompt


class Entry(ModalScreen[str | None]):
    """Gives the text, or None if the user leaves. ``lines``: it may have several, as the prompt does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close", id="entry.close")]

    def __init__(self, title: str, value: str = "", help_: str = "", *, lines: bool = False) -> None:
        super().__init__()
        self._title, self._value, self._help, self._lines = title, value, help_, lines

    def compose(self) -> ComposeResult:
        """The help above the line."""
        with Vertical(id="entry") as box:
            box.border_title = plain_title(self._title)
            if self._help:
                yield Static(visible(self._help), markup=False)
            yield (
                Prompt(History(), lambda text: (), id="entry-text")
                if self._lines
                else Input(self._value, select_on_focus=False)
            )

    def on_mount(self) -> None:
        """The cursor behind what is there."""
        field = self.query_one(Prompt if self._lines else Input)
        field.focus()
        if isinstance(field, Prompt):
            field.put(self._value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done."""
        event.stop()
        self.dismiss(event.value)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """Done."""
        event.stop()
        self.dismiss(event.text)
