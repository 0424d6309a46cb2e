"""Folding text to a width, and putting marks before its lines. Knows rich's Text; knows no Markdown and no widget."""

import io
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

# rich wants a console for its justification, which we don't use: nothing is ever written to this one.
_CONSOLE = Console(file=io.StringIO(), width=80)


def wrap(text: Text, width: int) -> list[Text]:
    """``text`` in lines of at most ``width`` cells, broken at spaces where it can be. Never empty."""
    return list(text.wrap(_CONSOLE, max(width, 1), tab_size=4, overflow="fold")) or [Text(end="")]


def fold(line: Text, width: int) -> list[Text]:
    """One line of code in rows of ``width`` cells, broken anywhere, each filled up so that its background shows."""
    width = max(width, 1)
    offsets = list(range(width, len(line.plain), width)) if line.plain.isascii() else _cuts(line.plain, width)
    rows = list(line.divide(offsets)) if offsets else [line.copy()]
    for row in rows:
        row.pad_right(width - row.cell_len)
    return rows


def _cuts(plain: str, width: int) -> list[int]:
    """Where ``plain`` must be cut so that no part has more than ``width`` cells."""
    offsets = []
    cells = 0
    for i, character in enumerate(plain):
        size = Text(character).cell_len if ord(character) > 0x7E else 1
        if cells + size > width and i:
            offsets.append(i)
            cells = 0
        cells += size
    return offsets


def prefixed(lines: Iterable[Text], first: Text, rest: Text) -> list[Text]:
    """``lines`` behind a mark: ``first`` before the first, ``rest`` before the others."""
    return [Text.assemble(first if i == 0 else rest, line, end="") for i, line in enumerate(lines)]
