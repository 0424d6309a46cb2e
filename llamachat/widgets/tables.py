"""Tables as lines that fit a width. Knows cells of text; knows no Markdown and no widget."""

from collections.abc import Sequence
from typing import Literal

from rich.text import Text

from llamachat.widgets.look import Look
from llamachat.widgets.wrap import wrap

SAMPLE = 16  # rows that decide the widths of the columns; later rows wrap in them, so a long table grows row by row
GAP = "  "
NARROWEST = 3  # cells

Align = Literal["left", "right", "center"]
Row = Sequence[Text]


def column_widths(rows: Sequence[Row], width: int) -> tuple[int, ...]:
    """Widths in cells for the columns of ``rows``, header included; () if ``width`` is too small for that many."""
    columns = max((len(row) for row in rows), default=0)
    room = width - len(GAP) * (columns - 1)
    if not columns or room < NARROWEST * columns:
        return ()
    wanted = [
        max([NARROWEST, *(_natural(row[c]) for row in rows[: SAMPLE + 1] if c < len(row))]) for c in range(columns)
    ]
    while sum(wanted) > room:  # the widest columns give way first, and share what they give
        widest = max(wanted)
        following = max((w for w in wanted if w < widest), default=NARROWEST)
        count = wanted.count(widest)
        cut = min(widest - following, -(-(sum(wanted) - room) // count)) or 1
        wanted = [w - cut if w == widest else w for w in wanted]
    return tuple(wanted)


def row_lines(row: Row, widths: Sequence[int], aligns: Sequence[Align]) -> list[Text]:
    """One row; a cell that is longer than its column goes on below."""
    cells = [wrap(cell, width) for cell, width in zip(row, widths, strict=False)]
    lines = []
    for i in range(max((len(cell) for cell in cells), default=0)):
        line = Text(end="")
        for c, (cell, width, align) in enumerate(zip(cells, widths, aligns, strict=False)):
            piece = cell[i].copy() if i < len(cell) else Text(end="")
            piece.rstrip()
            piece.align(align, width)
            line.append(GAP if c else "").append_text(piece)
        line.rstrip()
        lines.append(line)
    return lines


def rule(widths: Sequence[int], look: Look) -> Text:
    """The line below the header."""
    return Text(GAP.join("─" * width for width in widths), look.muted, end="")


def _natural(cell: Text) -> int:
    """Width in cells of the longest line."""
    return max((line.cell_len for line in cell.split("\n", allow_blank=True)), default=0)
