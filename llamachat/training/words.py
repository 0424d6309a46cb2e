"""Words of the generators, split into train and val by a stable hash, so that val names are never trained on."""

import hashlib
import re
from functools import cache
from typing import Literal

from llamachat.training import phrases

Split = Literal["train", "val"]
HELD_OUT = 15
"""Per cent of names and of phrasings that only val has."""
CLOSED = frozenset({"weekday", "month", "verb", "food", "animal", "room", "filename"})
"""Classes whose members the model should simply know; they are in both splits."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ONSETS = "b br c ch cl d dr f fl g gr h j k kl l m n p pl pr qu r s sh sk st t th tr v w z".split()
VOWELS = "a e i o u ai ea ee ia o oo ou y".split()
CODAS = "b ck d f g l ll m n nd ng nt p r rd rn s sk ss st t x".split() + [""] * 12


def held_out(text: str) -> bool:
    """Whether ``text`` belongs to val: by the SHA-1 of it in lower case, the same on every machine and in every run."""
    digest = hashlib.sha1(text.lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT


@cache
def split_of(kind: str, split: Split) -> tuple[str, ...]:
    """The words of list ``kind`` that ``split`` may use."""
    words = tuple(word.replace(".", ". ") for word in phrases.mapping("words")[kind].split())
    if kind in CLOSED:
        return words
    return tuple(word for word in words if held_out(word) == (split == "val"))


@cache
def pieces(case: str) -> tuple[str, ...]:
    """The ``lower`` or ``capital`` alphabetic tokens of the embedded model's vocabulary, or those of them that a space
    comes before (``spaced``, ``spaced_capital``), without it."""
    return tuple(phrases.mapping("pieces")[case].split())


@cache
def lexicon() -> tuple[str, ...]:
    """Every word of three to twelve letters that any table holds, whatever it is there for; none that is held out."""
    texts = (file.read_text(encoding="utf-8").lower() for file in sorted(phrases.FOLDER.glob("*.txt")))
    return tuple(sorted({word for text in texts for word in re.findall(r"[a-z]{3,12}", text) if not held_out(word)}))


def kinds() -> tuple[str, ...]:
    """The names of the lists."""
    return tuple(phrases.mapping("words"))


_EMPTY = frozenset(
    "a an and any are at be by can could did do does for from get give have how i in is it like me my need of on one "
    "or our please pls show somebody someone tell thanks that the there this to today tomorrow up us want was what "
    "what's when where which who will with would you your now i'd".split()
)


@cache
def stems(text: str) -> frozenset[str]:
    """The beginnings of the words of ``text`` that mean something."""
    return frozenset(word[:5] for word in re.findall(r"[a-z']+", text.lower()) if word not in _EMPTY)
