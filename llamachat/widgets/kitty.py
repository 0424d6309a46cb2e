"""kitty's graphics protocol as text: the codes that hand a picture to the terminal, the cells that stand for it. Pure.

A picture is sent once under an id. From then on ordinary characters in the id's colour stand for its cells, so it
scrolls, is cropped and is covered as any text is. Only kitty and Ghostty know these characters (WezTerm and Konsole
have other parts of the protocol). https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

import base64
from collections.abc import Iterator, Mapping

from rich.color import Color
from rich.style import Style
from rich.text import Text

CHUNK = 4096  # base64 characters in a code, the most that the protocol allows
PLACEHOLDER = "\U0010eeee"
# The n-th stands for row or column n; the first 80 of kitty's rowcolumn-diacritics.txt, for no picture is wider.
MARKS = tuple(
    chr(int(code, 16))
    for code in """
    305 30d 30e 310 312 33d 33e 33f 346 34a 34b 34c 350 351 352 357 35b 363 364 365 366 367 368 369 36a 36b 36c 36d 36e
    36f 483 484 485 486 487 592 593 594 595 597 598 599 59c 59d 59e 59f 5a0 5a1 5a8 5a9 5ab 5ac 5af 5c4 610 611 612 613
    614 615 616 617 657 658 659 65a 65b 65d 65e 6d6 6d7 6d8 6d9 6da 6db 6dc 6df 6e0 6e1 6e2""".split()
)
_CELLS = {" ", PLACEHOLDER, *MARKS}


def speaks_kitty(facts: Mapping[str, str]) -> bool:
    """Whether the environment says that the terminal knows placeholders, and that nothing stands in between.

    TERM alone is to be trusted: KITTY_WINDOW_ID and TERM_PROGRAM are inherited by the terminals that run inside, such
    as an editor's, and all of these set TERM. Multiplexers drop the codes, or pass them on only when told to.
    """
    inside = {"TMUX", "STY", "ZELLIJ"} & facts.keys()
    return facts.get("TERM") in ("xterm-kitty", "xterm-ghostty") and not inside


def transmit(id: int, png: bytes, columns: int, rows: int) -> list[str]:
    """The codes that store ``png`` in the terminal and fit it into ``columns`` × ``rows`` cells; q=2: no answer, which
    would come in as keys."""
    data = base64.b64encode(png).decode("ascii")
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    heads = [f"a=t,t=d,f=100,i={id},q=2", *["q=2"] * (len(chunks) - 1)]
    more = [*[1] * (len(chunks) - 1), 0]
    sent = [_code(f"{head},m={m};{chunk}") for head, m, chunk in zip(heads, more, chunks, strict=True)]
    return [*sent, _code(f"a=p,U=1,i={id},c={columns},r={rows},q=2")]


def delete(id: int) -> str:
    """The code that frees the picture."""
    return _code(f"a=d,d=I,i={id},q=2")


def _code(text: str) -> str:
    return f"\x1b_G{text}\x1b\\"


def cells(id: int, columns: int, rows: int) -> list[Text]:
    """The lines that stand for the picture. Every cell names its row and column, so it may be drawn without the
    others."""
    style = Style(color=Color.from_ansi(id) if id < 256 else Color.from_rgb(*id.to_bytes(3, "big")))
    lines = ("".join(f"{PLACEHOLDER}{MARKS[y]}{MARKS[x]}" for x in range(columns)) for y in range(rows))
    return [Text.assemble((line, style), end="") for line in lines]


def is_cells(line: Text) -> bool:
    """Whether ``line`` is part of a picture, and has nothing to read or select."""
    return PLACEHOLDER in line.plain and _CELLS.issuperset(line.plain)


def ids(start: int, *, many: bool) -> Iterator[int]:
    """Ids again and again, from about ``start`` on. ``many``: 2²⁴ of them, told by true colours; else the 210 of a
    palette of 256 whose colours stay what they are on their way to the terminal."""
    pool = range(256, 1 << 24) if many else [n for n in range(16, 232) if not _is_grey(n - 16)]
    place = start
    while True:
        yield pool[place % len(pool)]
        place += 1


def _is_grey(cube: int) -> bool:
    """Rich sends a grey of the cube 6 × 6 × 6 as one of the palette's 24 greys."""
    return cube // 36 == cube // 6 % 6 == cube % 6
