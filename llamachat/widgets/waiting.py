"""Messages that wait for their turn: the queue, and how it is shown above the prompt. Knows no dialog, answers none."""

from collections.abc import Iterator, Sequence
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


class Queue:
    """Messages in the order of their turns. While it is ``paused``, none has its turn."""

    def __init__(self) -> None:
        self._items: list[Waiting] = []
        self.paused = False

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._items)

    def add(self, message: Waiting) -> None:
        """Who sends a message wants an answer: a pause is over."""
        self._items.append(message)
        self.paused = False

    def next(self) -> Waiting | None:
        """Take out the message whose turn it is."""
        return self._items.pop(0) if self._items and not self.paused else None

    def last(self) -> Waiting | None:
        """Take out the message that was sent last."""
        return self._items.pop() if self._items else None

    def clear(self) -> list[Waiting]:
        """Take out all."""
        items, self._items = self._items, []
        return items


class WaitingList(LineView, can_focus=False):
    """A row for each message that waits; no room is taken while none does."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._items: tuple[Waiting, ...] = ()
        self._why = ""

    @property
    def source(self) -> str:
        """The messages, one to a line."""
        return "\n".join(item.text for item in self._items)

    def show(self, items: Sequence[Waiting], why: str) -> None:
        """Show ``items``, and ``why`` they wait."""
        if (tuple(items), why if items else "") != (self._items, self._why):
            self._items, self._why = tuple(items), why if items else ""
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
