"""Functions as a user writes them."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import sys
from dataclasses import dataclass
from os.path import join

from pydantic import BaseModel

from llamachat.messages import Artifact
from llamachat.tools import ToolOutput

_DATABASE = sqlite3.connect(":memory:")
_DATABASE.execute("create table notes (text)")


@dataclass
class Circle:
    radius: float


class Note(BaseModel):
    text: str
    tags: list[str] = []


def area(circle: Circle) -> float:
    """Area of a circle.

    Args:
        circle: The circle.
    """
    return _square(circle.radius) * math.pi


def _square(x: float) -> float:
    return x * x


def hello(name: str = "you") -> str:
    """Greet someone."""
    return f"Hello {name}"


def note(note: Note) -> int:
    """Keep a note in a connection that only the importing thread may use."""
    _DATABASE.execute("insert into notes values (?)", (note.text,))
    return _DATABASE.execute("select count(*) from notes").fetchone()[0]


async def meet(others: int) -> str:
    """Wait until so many calls are here at the same time."""
    _here.append(others)
    if len(_here) == others:
        _all.set()
    await _all.wait()
    return "met"


_here: list[int] = []
_all = asyncio.Event()


def where() -> dict[str, object]:
    """What the function finds around it."""
    return {"cwd": os.getcwd(), "home": os.environ.get("HOME"), "main": sys.argv, "joined": join("a", "b")}


def report(path: str) -> ToolOutput:
    """Give a file to the user."""
    return ToolOutput("It is done.", artifacts=(Artifact("report.txt", "text/plain", path),))
