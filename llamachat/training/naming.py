"""How a request points at a value: bare, in quotes, or beside the noun of its parameter. Knows templates, no values.

``Mute {channel} for 2 hours`` becomes ``Mute the {channel} channel for 2 hours``: where a value ends, only its words
tell, not its place.
"""

import re
from functools import cache

from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.intents import Slot

KINDS = frozenset("title code pseudo noun handle filename image thing topic word room device food host animal".split())
"""Kinds of values that a noun may stand beside."""
_NOUNS = frozenset(
    "user subject folder film picture class item dish newsletter host series database band word colleague customer app "
    "file department section wifi course shop company machine".split()
)
_OWNERS = frozenset("the my our your this that".split())
_AFTER = frozenset("in on at to for from with by and please now today is are was has of as into until".split())
_SHAPES = ("{o} {s} {n}", "{o} {n} {s}", "{o} {n} called {s}", "{o} {n} named {s}", '{o} {n} "{s}"', '{o} "{s}" {n}')
_SHARES = (62, 18, 6, 4, 3, 7)


def pointed(draw: Draw, text: str, slots: tuple[Slot, ...]) -> str:
    """``text`` with some of its slots beside their nouns or in quotes."""
    for slot in slots:
        if slot.kind in KINDS and draw.chance(0.5):
            text = _beside(draw, text, slot)
    return text


def _beside(draw: Draw, text: str, slot: Slot) -> str:
    """``text`` with ``slot`` beside its noun; if that is not possible, now and then in quotes."""
    mark = "{" + slot.name + "}"
    words, noun = _words(slot), noun_beside(slot)
    found = re.search(rf"(\w*)(^|\W)({re.escape(mark)})(?![\w'{{])(?: (\w+))?", text)
    if not found or text.count(mark) != 1:
        return text
    before, after = found[1], found[4] or ""
    said = any(re.search(rf"\b{word}s?\b", text.lower().replace(mark, "")) for word in words)
    if said or not noun or before in ("a", "an") or (after and after not in _AFTER):
        return text.replace(mark, f'"{mark}"') if draw.chance(0.2) and f'"{mark}"' not in text else text
    owned = before.lower() in _OWNERS
    owner = before if owned else "The" if text.startswith(mark) else "the"
    shape = draw.weighted(_SHAPES, _SHARES).replace("{o}", owner).replace("{s}", mark).replace("{n}", noun)
    return text.replace(f"{before} {mark}" if owned else mark, shape)


def noun_beside(slot: Slot) -> str:
    """What the values of ``slot`` are called: its name or the last word about it, if that is a noun."""
    return next((word for word in _words(slot) if word in _nouns()), "")


def _words(slot: Slot) -> tuple[str, str]:
    return slot.name, slot.about.lower().rstrip(".").split()[-1]


@cache
def _nouns() -> frozenset[str]:
    return _NOUNS | frozenset(phrases.mapping("words")["noun"].split())
