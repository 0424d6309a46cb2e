"""Source code as highlighted lines. Knows Pygments; knows no widget and no Markdown."""

import re
from collections.abc import Sequence

from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token, _TokenType
from pygments.util import ClassNotFound
from rich.style import Style
from rich.text import Span, Text

from llamachat.visible import visible
from llamachat.widgets.look import Look

PART = 16  # lines: about what a new character makes us highlight again; Pygments takes 0.1 ms for one
HIGHLIGHT_LIMIT = 16_000  # characters; beyond it a part stays plain, as lexers are slow on very long lines
TAB = 4


def cuts(lines: Sequence[str]) -> list[int]:
    """Where long code is cut into parts that are highlighted apart: [0, …], each the first line of a part.

    A cut comes at the first blank line ``PART`` lines after the last cut, at 2 × ``PART`` lines at the latest, but not
    inside triple quotes before 4 × ``PART``. It depends only on the lines up to it, so code that grows keeps its cuts.
    """
    found, inside = [0], False
    for i, line in enumerate(lines):
        length = i - found[-1]
        fresh = i > 0 and not lines[i - 1].strip() and bool(line.strip())
        if (length >= PART and fresh and not inside) or length >= PART * (4 if inside else 2):
            found.append(i)
            inside = False
        inside ^= (line.count('"""') + line.count("'''")) % 2 == 1
    return found


def highlight(code: str, language: str, look: Look) -> list[Text]:
    """``code`` line by line, coloured if Pygments knows ``language``. Nothing is dropped, no line is wrapped."""
    plain, spans, known = "", [], dict[_TokenType, Style | None]()
    for kind, value in _tokens(visible(code).expandtabs(TAB), language):
        if kind not in known:
            known[kind] = _style(kind, look)
        if (style := known[kind]) is not None:
            spans.append(Span(len(plain), len(plain) + len(value), style))
        plain += value
    text = Text(plain, style=look.code, end="", spans=spans)
    lines = list(text.split("\n", allow_blank=True))
    return lines[:-1] if code.endswith("\n") else lines or [text]


def _tokens(code: str, language: str) -> list[tuple[_TokenType, str]]:
    name = re.match(r"[\w+#-]*", language.strip())
    if len(code) > HIGHLIGHT_LIMIT or not name or not name[0]:
        return [(Token, code)]
    from pygments.lexers import get_lexer_by_name  # 15 ms that the first frame need not wait for

    try:
        lexer = get_lexer_by_name(name[0].lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [(Token, code)]
    return list(lexer.get_tokens(code))


def _style(kind: _TokenType, look: Look) -> Style | None:
    """The style of a Pygments token; the most special kind that we dress wins."""
    styles = {
        Comment: look.comment,
        Keyword: look.keyword,
        Operator.Word: look.keyword,
        String: look.string,
        Number: look.number,
        Keyword.Constant: look.number,
        Name.Function: look.function,
        Name.Class: look.function,
        Name.Builtin: look.function,
        Name.Decorator: look.function,
        Name.Tag: look.keyword,
    }
    return next((styles[k] for k in reversed(kind.split()) if k in styles), None)
