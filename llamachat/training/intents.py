"""Everyday functions with the ways people ask for them, read from the tables phrases/intents*.txt and taught.txt.

A block: ``name | description | reply``, then parameters ``- name[/other/...]:kind[?][=default] description``, then
requests. A line ``# area`` before a block starts an area: functions that are easily taken for each other.
``{slot}`` is the value of a parameter; a request that lacks a required slot must not occur. Names and descriptions may
have alternatives, ``[start|set]_timer``: `worded` chooses.
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from llamachat.training.draw import Draw, expand
from llamachat.training.phrases import FOLDER

_SLOT = re.compile(r"([^:]+):((?:\([^)]*\)|[^ (])+) (.*)")


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter: ``kind`` names how values are drawn (see values.py), ``shown`` is its name in the schema."""

    name: str
    kind: str
    about: str
    required: bool = True
    default: str = ""
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """A function and its requests, each a phrasing with slots. ``key`` tells it from others whatever it is called."""

    name: str
    about: str
    reply: str
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]
    area: str = ""
    key: str = ""


def read(text: str) -> tuple[Intent, ...]:
    """The intents of ``text``, blocks separated by empty lines."""
    found, area = [], ""
    for block in text.strip().split("\n\n"):
        lines = block.strip().splitlines()
        if lines[0].startswith("# "):
            area = lines.pop(0)[2:]
        found.append(_block(lines, area))
    return tuple(found)


def _block(lines: list[str], area: str) -> Intent:
    name, about, reply = (part.strip() for part in lines[0].split(" | "))
    slots = tuple(read_slot(line[2:]) for line in lines[1:] if line.startswith("- "))
    requests = tuple(line for line in lines[1:] if not line.startswith("- "))
    return Intent(name, about, reply, slots, requests, area, name)


def read_slot(line: str) -> Slot:
    """A parameter from ``name[/other/...]:kind[?][=default] description``."""
    names, kind, about = _SLOT.fullmatch(line).groups()  # type: ignore[union-attr]
    cut = kind.find("=", kind.rfind(")") + 1)
    kind, default = (kind[:cut], kind[cut + 1 :]) if cut >= 0 else (kind, "")
    required = not kind.endswith("?") and not default
    return Slot(names.split("/")[0], kind.rstrip("?"), about, required, default, names)


def worded(draw: Draw, intent: Intent) -> Intent:
    """``intent`` with one of its names and one of its descriptions, for the parameters too."""
    slots = (
        replace(slot, about=expand(draw.random, slot.about), shown=draw.choice(slot.shown.split("/")))
        for slot in intent.slots
    )
    name, about = expand(draw.random, intent.name), expand(draw.random, intent.about)
    return replace(intent, name=name, about=about, slots=tuple(slots))


@cache
def intents() -> tuple[Intent, ...]:
    """The functions of intents*.txt, which generated tasks are about."""
    tables = sorted(FOLDER.glob("intents*.txt"))
    return tuple(intent for path in tables for intent in read(path.read_text(encoding="utf-8")))


@cache
def taught() -> tuple[Intent, ...]:
    """The functions of taught.txt, for training alone: no task of held-out phrasings is about them."""
    return read((FOLDER / "taught.txt").read_text(encoding="utf-8"))


@cache
def areas() -> dict[str, tuple[Intent, ...]]:
    """The listed functions by area."""
    return {
        area: tuple(intent for intent in intents() if intent.area == area)
        for area in sorted({intent.area for intent in intents()} - {""})
    }
