"""Reads the tables of phrasings beside it: what users ask, which code answers, what is said. Knows no randomness.

A table is blocks separated by empty lines. In a block ``* n`` is a weight, ``= …`` the code (or another key) with
``\\n`` for a line break, ``> …`` the answer, ``< …`` the short answer, ``~ …`` the answer of a named persona, and each
other line a way to ask.
``[a|b|]`` are alternatives, ``{slot}`` is filled in.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "phrases"
_MARKS = {"* ": "weight", "= ": "code", "> ": "full", "< ": "short", "~ ": "named"}


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of a table."""

    asks: tuple[str, ...]
    code: str = ""
    full: str = ""
    short: str = ""
    named: str = ""
    weight: float = 1.0


@cache
def blocks(name: str) -> tuple[Block, ...]:
    """The table ``name``."""
    return tuple(_block(part.splitlines()) for part in _text(name).strip().split("\n\n"))


@cache
def lines(name: str) -> tuple[str, ...]:
    """A table without structure, line by line; a written ``\\n`` is a line break."""
    return tuple(line.replace("\\n", "\n") for line in _text(name).splitlines() if line)


@cache
def mapping(name: str) -> dict[str, str]:
    """A table of ``key: value`` lines."""
    return dict(line.split(": ", 1) for line in lines(name))


@cache
def split(text: str) -> tuple[str, ...]:
    """Alternatives of ``text`` at each ``|`` outside brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return tuple(parts)


def _text(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def _block(rows: list[str]) -> Block:
    fields: dict[str, list[str]] = {}
    for row in rows:
        mark = _MARKS.get(row[:2])
        fields.setdefault(mark or "asks", []).append(row[2:].replace("\\n", "\n") if mark else row)
    weight = float(fields.get("weight", ["1"])[0])
    texts = {name: "\n".join(fields.get(name, ())) for name in ("code", "full", "short", "named")}
    return Block(tuple(fields.get("asks", ())), **texts, weight=weight)
