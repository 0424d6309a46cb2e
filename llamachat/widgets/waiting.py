"""WaitingList: messages that wait for their turn, above the prompt. Knows no dialog and answers none."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from llamachat.tools.files import Attachment
from llamachat.visible import visible
from llamachat.widgets.lines import LineView
from llamachat.widgets.look import Look

ROWS = 4


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message with its files."""

    text: str
    attached: tuple[Attachment, ...] = ()


class WaitingList(LineView, can_focus=False):
    """A row for each message that waits; no room is taken while none does."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._items: Sequence[Waiting] = ()
        self._why = ""

    @property
    def source(self) -> str:
        """The messages, one to a line."""
        return "\n".join(item.text for item in self._items)

    def show(self, items: Sequence[Waiting], why: str) -> None:
        """Show ``items``, and ``why`` they wait."""
        self._items, self._why = tuple(items), why
        self.display = bool(items)
        self.redraw()

    def draw(self, width: int, look: Look) -> list[Text]:
        """The first rows, and how many more there are."""
        rows = [_row(item, width, look) for item in self._items[:ROWS]]
        more = f" · {len(self._items) - ROWS} more" if len(self._items) > ROWS else ""
        note = Text(f"  {self._why}{more} · ↑ in an empty prompt takes the last one back", look.muted, end="")
        note.truncate(width, overflow="ellipsis")
        return [*rows, note]


def _row(item: Waiting, width: int, look: Look) -> Text:
    files = f" [{', '.join(attachment.name for attachment in item.attached)}]" if item.attached else ""
    row = Text.assemble(("⧗ ", look.accent), visible(item.text).replace("\n", " ⏎ ") + visible(files), end="")
    row.truncate(width, overflow="ellipsis")
    return row
