"""Markdown blocks as lines of styled text that fit a width. Knows the parser's tree; knows no stream and no widget.

What is foreign stays text: HTML, link definitions and rich's markup are shown as they were written.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from llamachat.visible import visible
from llamachat.widgets.look import Look
from llamachat.widgets.tables import Align, Row, column_widths, row_lines, rule
from llamachat.widgets.wrap import fold, prefixed, wrap

if TYPE_CHECKING:  # the parser and Pygments take 25 ms, which the first frame of an empty chat need not wait for
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

NUMBER = 2  # digits that a list number has room for; a fixed width, as a list that streams has no last number yet

BOLD, ITALIC, STRIKE = Style(bold=True), Style(italic=True), Style(strike=True)


@cache
def _parser() -> "MarkdownIt":
    """Link definitions act on blocks far away, underlined headings on all lines of a paragraph: with them, a stream
    could change what was already drawn. A chat's "---" below a line is meant as a rule, too."""
    from markdown_it import MarkdownIt

    from llamachat.widgets import latex

    wanted, unwanted = ["table", "strikethrough"], ["reference", "lheading"]
    return latex.enable(MarkdownIt("commonmark", {"html": False}).enable(wanted).disable(unwanted))


def _tree(source: str) -> "SyntaxTreeNode":
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(source))


def parse(source: str) -> "list[SyntaxTreeNode]":
    """The top-level blocks of ``source``."""
    return list(_tree(source).children)


def parse_inline(source: str) -> "SyntaxTreeNode":
    """``source`` as the text of one paragraph."""
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parseInline(source))


def last_code(source: str) -> str:
    """The last code block in ``source``, or nothing."""
    found = [n for n in _tree(source).walk() if n.type in ("fence", "code_block")]
    return found[-1].content if found else ""


def block_lines(node: "SyntaxTreeNode", width: int, look: Look) -> list[Text]:
    """``node`` in lines of at most ``width`` cells."""
    match node.type:
        case "heading":
            return wrap(inline_text(node, look, look.heading), width)
        case "fence" | "code_block":
            return code_lines(node.content, node.info, width, look)
        case "bullet_list" | "ordered_list":
            return [
                line for i in range(len(node.children)) for line in item_lines(node, i, number(node) + i, width, look)
            ]
        case "blockquote":
            bar = Text("▎ ", look.quote)
            return prefixed(stack(node.children, width - 2, look), bar, bar)
        case "table":
            rows = table_rows(node, look)
            return table_lines(rows, column_widths(rows, width), aligns(node), width, look, header=True)
        case "display":
            return wrap(Text(visible(node.content), end=""), width)
        case "hr":
            return [Text("─" * min(width, 40), look.muted, end="")]
        case _:
            return wrap(inline_text(node, look), width)


def stack(nodes: "Sequence[SyntaxTreeNode]", width: int, look: Look) -> list[Text]:
    """Blocks below one another, apart by an empty line; a list inside an item follows its text at once."""
    lines: list[Text] = []
    for i, node in enumerate(nodes):
        if i and not (node.type.endswith("_list") and nodes[i - 1].type == "paragraph"):
            lines.append(Text(end=""))
        lines += block_lines(node, width, look)
    return lines


def code_lines(code: str, language: str, width: int, look: Look) -> list[Text]:
    """Highlighted code on its own background."""
    from llamachat.widgets.code import highlight

    inner = max(width - 2, 1)
    rows = [row for line in highlight(code, language, look) for row in fold(line, inner)]
    edge = Text(" ", look.code)
    return [Text.assemble(edge, row, edge, end="") for row in rows]


def number(node: "SyntaxTreeNode") -> int:
    """Of the first item of a list; 0 if it has bullets."""
    return int(node.attrs.get("start", 1)) if node.type == "ordered_list" else 0


def item_lines(node: "SyntaxTreeNode", index: int, numbered: int, width: int, look: Look) -> list[Text]:
    """One item of the list ``node`` behind its bullet, or behind ``numbered``."""
    mark = f"{numbered:>{NUMBER}}. " if node.type == "ordered_list" else "• "
    body = stack(node.children[index].children, width - len(mark), look) or [Text(end="")]
    return prefixed(body, Text(mark, look.accent), Text(" " * len(mark)))


def table_rows(node: "SyntaxTreeNode", look: Look) -> list[Row]:
    """The cells of a table, header first."""
    return [
        [inline_text(cell, look, BOLD if cell.type == "th" else Style()) for cell in row.children]
        for part in node.children
        for row in part.children
    ]


def aligns(node: "SyntaxTreeNode") -> list[Align]:
    """How each column of a table is aligned."""
    found: dict[str, Align] = {"text-align:right": "right", "text-align:center": "center"}
    return [found.get(str(cell.attrs.get("style", "")), "left") for cell in node.children[0].children[0].children]


def table_lines(
    rows: Sequence[Row], widths: Sequence[int], aligns: Sequence[Align], width: int, look: Look, *, header: bool
) -> list[Text]:
    """Rows of a table. Where there is no room for columns, cell below cell."""
    if not widths:
        return [line for row in rows for cell in row for line in wrap(cell, width)]
    lines = []
    for i, row in enumerate(rows):
        lines += row_lines(row, widths, aligns)
        if header and i == 0:
            lines.append(rule(widths, look))
    return lines


def inline_text(node: "SyntaxTreeNode", look: Look, style: Style = Style()) -> Text:
    """The inline content below ``node``. Line breaks stay, as a chat's writers mean them."""
    text = Text(end="")
    for child in node.children:
        _append(text, child, style, look)
    return text


def _append(text: Text, node: "SyntaxTreeNode", style: Style, look: Look) -> None:
    match node.type:
        case "softbreak" | "hardbreak":
            text.append("\n")
        case "code_inline":
            text.append(visible(node.content), style + look.inline_code)
        case "image":
            text.append(visible(node.content or "image"), style + look.link)
            _append_target(text, str(node.attrs.get("src", "")), look)
        case "link":
            start = len(text)
            _append_all(text, node, style + look.link, look)
            target = str(node.attrs.get("href", ""))
            if node.info != "auto" and text.plain[start:] != target:
                _append_target(text, target, look)
        case "strong" | "em" | "s":
            added = {"strong": BOLD, "em": ITALIC, "s": STRIKE}[node.type]
            _append_all(text, node, style + added, look)
        case _ if node.children:
            _append_all(text, node, style, look)
        case _:
            text.append(visible(node.content), style)


def _append_all(text: Text, node: "SyntaxTreeNode", style: Style, look: Look) -> None:
    for child in node.children:
        _append(text, child, style, look)


def _append_target(text: Text, target: str, look: Look) -> None:
    """Where a link leads, in sight: a label may say something else."""
    if target:
        text.append(f" ({visible(target)})", look.muted)
