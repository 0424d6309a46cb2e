"""Markdown that grows, as lines. Knows where a stream of text can no longer change; knows no widget.

What is drawn is a matter of the text alone, never of the chunks that it came in: cuts are made left to right, on whole
source lines, and only where CommonMark can't reach back. So a new character redraws the last open piece and no more: a
block, an item of a list, some rows of a table, some lines of code.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from llamachat.visible import visible
from llamachat.widgets.blocks import (
    aligns,
    block_lines,
    code_lines,
    item_lines,
    number,
    parse,
    parse_inline,
    table_lines,
    table_rows,
)
from llamachat.widgets.look import Look
from llamachat.widgets.tables import SAMPLE, column_widths

if TYPE_CHECKING:  # late, as blocks has it
    from markdown_it.tree import SyntaxTreeNode

LONG_LINE = 4_000  # characters; a longer source line goes on in a new paragraph, at the next space
SLICE = 4_000  # characters taken at once: what follows a cut in a long paragraph is parsed again
LONG_PARAGRAPH = 64  # source lines; a longer paragraph goes on in a new block


@dataclass(frozen=True, slots=True)
class Carry:
    """What the rest of the source goes on with after a cut."""

    block: str = ""
    """Type of the block that goes on; no empty line comes before it."""
    opening: str = ""
    """Source lines that open the block once more for the parser."""
    number: int | None = None
    """Of the next list item."""
    widths: tuple[int, ...] | None = None
    """Of the table's columns."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the source that is drawn apart."""

    draw: Callable[[], list[Text]]
    start: int
    """Its first line in the parsed source."""
    carry: Carry
    """What it goes on with itself."""
    reparse: bool = False
    """What follows must be parsed again, as it now starts a block."""


class MarkdownLines:
    """``lines`` of a Markdown text at one width and look; the first ``fixed`` of them never change again."""

    def __init__(self, width: int, look: Look) -> None:
        self.width = width
        self.look = look
        self.lines: list[Text] = []
        self.fixed = 0
        self._rest = ""
        self._carry = Carry()

    def append(self, text: str) -> int:
        """More source. Returns the index of the first line that may have changed."""
        changed = self.fixed
        del self.lines[changed:]
        text = visible(text)
        for start in range(0, len(text), SLICE):
            self._take(text[start : start + SLICE])
        self._draw(list(_pieces(self._rest, self._carry, self.width, self.look)))
        return changed

    def _take(self, text: str) -> None:
        """Add source, and draw for good what it completes."""
        before, self._rest = self._rest, _join(self._rest, text)
        if self._rest.count("\n") > before.count("\n"):
            while self._fix():
                pass

    def _fix(self) -> bool:
        """Draw for good all pieces but the last of the complete lines. True if the rest must be parsed again."""
        whole = self._rest[: self._rest.rfind("\n") + 1]
        pieces = list(_pieces(whole, self._carry, self.width, self.look))
        final = next((i + 1 for i, piece in enumerate(pieces) if piece.reparse), len(pieces) - 1)
        if final < 1:
            return False
        self._draw(pieces[:final])
        self.fixed = len(self.lines)
        starts = _line_starts(self._carry.opening + whole)
        self._rest = self._rest[starts[pieces[final].start] - len(self._carry.opening) :]
        self._carry = pieces[final].carry
        return pieces[final - 1].reparse

    def _draw(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if self.lines and not piece.carry.block:
                self.lines.append(Text(end=""))
            self.lines += piece.draw()


def _join(rest: str, more: str) -> str:
    """``rest`` + ``more`` with Windows line ends made plain and very long lines broken."""
    if rest.endswith("␍") and more.startswith("\n"):
        rest = rest[:-1]
    head = rest.rfind("\n") + 1
    lines = (rest[head:] + more.replace("␍\n", "\n")).split("\n")
    return rest[:head] + "\n".join(_broken(line) for line in lines)


def _broken(line: str) -> str:
    """``line`` with a paragraph break at the first space after every LONG_LINE characters."""
    parts = []
    while len(line) > LONG_LINE and (cut := line.find(" ", LONG_LINE)) >= 0:
        parts.append(line[:cut])
        line = line[cut + 1 :]
    return "\n\n".join([*parts, line])


def _line_starts(source: str) -> list[int]:
    starts = [0]
    while (end := source.find("\n", starts[-1])) >= 0:
        starts.append(end + 1)
    return starts


def _pieces(source: str, carry: Carry, width: int, look: Look) -> Iterator[Piece]:
    """``source`` cut as fine as it can be; ``carry`` is what it goes on with."""
    source = carry.opening + source
    lines = source.split("\n")
    for i, node in enumerate(parse(source)):
        own = carry if i == 0 and carry.block == node.type else Carry()
        match node.type:
            case "bullet_list" | "ordered_list":
                yield from _items(node, own, width, look)
            case "fence":
                yield from _code(node, lines, own, width, look)
            case "table":
                yield from _rows(node, lines, own, width, look)
            case "paragraph":
                yield from _paragraph(node, own, width, look)
            case _:
                yield Piece(partial(block_lines, node, width, look), _first(node), own)


def _first(node: "SyntaxTreeNode") -> int:
    """The source line that ``node`` starts on."""
    assert node.map is not None  # every block has one
    return node.map[0]


def _items(node: "SyntaxTreeNode", carry: Carry, width: int, look: Look) -> Iterator[Piece]:
    start = number(node) if carry.number is None else carry.number
    for i, item in enumerate(node.children):
        own = carry if i == 0 else Carry(node.type, number=start + i)
        yield Piece(partial(item_lines, node, i, start + i, width, look), _first(item), own)


def _code(node: "SyntaxTreeNode", lines: list[str], carry: Carry, width: int, look: Look) -> Iterator[Piece]:
    first = _first(node)
    code = node.content.split("\n")
    if code and not code[-1]:
        code.pop()
    from llamachat.widgets.code import cuts  # late: it brings Pygments

    starts = cuts(code)
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        part = "".join(line + "\n" for line in code[start:end])
        own = carry if start == 0 else Carry(node.type, opening=lines[first] + "\n")
        yield Piece(partial(code_lines, part, node.info, width, look), first + 1 + start if start else first, own)


def _rows(node: "SyntaxTreeNode", lines: list[str], carry: Carry, width: int, look: Look) -> Iterator[Piece]:
    first = _first(node)
    rows = table_rows(node, look)
    widths = column_widths(rows, width) if carry.widths is None else carry.widths
    draw = partial(table_lines, widths=widths, aligns=aligns(node), width=width, look=look)
    rest = 1
    if carry.widths is None:
        yield Piece(partial(draw, rows[: SAMPLE + 1], header=True), first, carry)
        rest = SAMPLE + 1
    opening = "\n".join(lines[first : first + 2]) + "\n"
    for i in range(rest, len(rows)):
        own = Carry(node.type, opening=opening, widths=widths)
        yield Piece(partial(draw, rows[i : i + 1], header=False), first + 1 + i, own)


def _paragraph(node: "SyntaxTreeNode", carry: Carry, width: int, look: Look) -> Iterator[Piece]:
    first, lines = _first(node), node.children[0].content.split("\n")
    if len(lines) <= LONG_PARAGRAPH:
        yield Piece(partial(block_lines, node, width, look), first, carry)
        return
    head, rest = ("\n".join(some) for some in (lines[:LONG_PARAGRAPH], lines[LONG_PARAGRAPH:]))
    yield Piece(partial(block_lines, parse_inline(head), width, look), first, carry, reparse=True)
    yield Piece(partial(block_lines, parse_inline(rest), width, look), first + LONG_PARAGRAPH, Carry(node.type))
