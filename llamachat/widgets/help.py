"""HelpScreen: commands and keys, made from the command table and the bindings so that it can't be out of date."""

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from llamachat.chat.commands import COMMANDS
from llamachat.widgets.lines import LineView
from llamachat.widgets.look import Look
from llamachat.widgets.wrap import prefixed, wrap

COLUMN = 24  # cells for the keys, where there is room
SPOKEN = {"escape": "esc", "pageup": "page up", "pagedown": "page down"}

Rows = Iterable[tuple[str, str]]


class HelpView(LineView, can_focus=False):
    """Titles, and rows of a key and what it does."""

    def __init__(self, sections: Iterable[tuple[str, Rows]]) -> None:
        super().__init__()
        self._sections = [(title, list(rows)) for title, rows in sections]

    @property
    def source(self) -> str:
        """The rows as plain text."""
        return "\n".join(f"{key}  {help_}" for _, rows in self._sections for key, help_ in rows)

    def draw(self, width: int, look: Look) -> list[Text]:
        """All sections."""
        column = min(COLUMN, width // 2)
        lines: list[Text] = []
        for title, rows in self._sections:
            lines += [Text(end=""), Text(title, look.heading, end="")]
            for key, help_ in rows:
                head = Text(key.ljust(column - 1) + " ", look.accent)
                lines += prefixed(wrap(Text(help_, end=""), width - len(head)), head, Text(" " * len(head)))
        return lines[1:]


class HelpScreen(ModalScreen[None]):
    """Commands and keys, until a key closes it."""

    AUTO_FOCUS = "#help"  # so that the keys scroll it

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "Close", id="help.close")]

    def __init__(self, keys: Iterable[tuple[str, Iterable[BindingType]]]) -> None:
        super().__init__()
        commands = ((f"/{c.name} {c.usage}".strip(), c.help) for c in COMMANDS)
        self._sections = [("Commands", commands), *((title, _rows(bindings)) for title, bindings in keys)]

    def compose(self) -> ComposeResult:
        """One scrolling column."""
        with VerticalScroll(id="help"):
            yield HelpView(self._sections)


def _rows(bindings: Iterable[BindingType]) -> Rows:
    for binding in bindings:
        if isinstance(binding, Binding) and binding.description:
            keys = (SPOKEN.get(key, key) for key in binding.key.split(","))
            yield ", ".join(keys), binding.description.lower()
