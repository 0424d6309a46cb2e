"""Everyday functions with the ways people ask for them, read from phrases/intents.txt.

A block: ``name | description | reply kind``, then parameters ``- name:kind[?][=default] description``, then requests.
``{slot}`` is the value of a parameter; a request that lacks a required slot must not occur.
"""

from dataclasses import dataclass
from functools import cache

from llamachat.training.phrases import FOLDER


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter: ``kind`` names how values are drawn (see schema.py)."""

    name: str
    kind: str
    about: str
    required: bool = True
    default: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """A function and its requests, each a phrasing with slots."""

    name: str
    about: str
    reply: str
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]


def read(text: str) -> tuple[Intent, ...]:
    """The intents of ``text``, blocks separated by empty lines."""
    return tuple(_block(block.strip().splitlines()) for block in text.strip().split("\n\n"))


def _block(lines: list[str]) -> Intent:
    name, about, reply = (part.strip() for part in lines[0].split(" | "))
    slots = tuple(read_slot(line[2:]) for line in lines[1:] if line.startswith("- "))
    return Intent(name, about, reply, slots, tuple(line for line in lines[1:] if not line.startswith("- ")))


def read_slot(line: str) -> Slot:
    """A parameter from ``name:kind[?][=default] description``."""
    head, about = line.split(" ", 1)
    name, kind = head.split(":", 1)
    kind, _, default = kind.partition("=")
    return Slot(name, kind.rstrip("?"), about, not kind.endswith("?") and not default, default)


@cache
def intents() -> tuple[Intent, ...]:
    """All listed functions."""
    return read((FOLDER / "intents.txt").read_text(encoding="utf-8"))
