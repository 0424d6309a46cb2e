r"""LaTeX in Markdown, left as it was written: underscores, asterisks and backslashes in it mean nothing else.

Two rules for the parser: ``\(…\)``, ``\[…\]``, ``$$…$$`` and ``$…$`` in a paragraph, and displays on lines of their
own. Knows markdown-it; knows no widget. Nothing is typeset: a terminal can't, and the source can be copied.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

REACH = 2_000  # characters; a bracket that is not closed within them is no formula
LONGEST = 64  # source lines of a display
CLOSING = {"$$": "$$", r"\[": r"\]"}

# A dollar is a bracket as in Pandoc's tex_math_dollars: no space inside, no digit behind, all on one line.
_FORMULA = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]|\$\$.+?\$\$|\$(?![\s$])[^$\n]*?(?<![\s\\])\$(?![\d$])", re.DOTALL)
_BRACKETS = (r"\(", r"\)", r"\[", r"\]")


def enable(parser: MarkdownIt) -> MarkdownIt:
    """``parser`` with the two rules."""
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.block.ruler.before("fence", "display", _display, {"alt": ["paragraph", "blockquote", "list"]})
    return parser


def _formula(state: StateInline, silent: bool) -> bool:
    """Inline rule: a formula, or else a bracket that keeps its backslash, which CommonMark would eat."""
    if state.src[state.pos] not in "$\\":
        return False
    if found := _FORMULA.match(state.src, state.pos, min(state.pos + REACH, state.posMax)):
        end = found.end()
    elif state.src.startswith(_BRACKETS, state.pos):
        end = state.pos + 2
    else:
        return False
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _display(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Block rule: from a line that is only ``$$`` or ``\\[`` to one that ends with its partner, or to an empty one,
    which LaTeX forbids there."""
    closing = CLOSING.get(_line(state, start))
    if closing is None or state.is_code_block(start):
        return False
    if silent:
        return True
    line = start + 1
    while line < min(end, start + LONGEST) and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        line += 1
        if _line(state, line - 1).endswith(closing):
            break
    token = state.push("display", "", 0)
    token.content = state.getLines(start, line, state.blkIndent, False)
    token.map = [start, line]
    state.line = line
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()
