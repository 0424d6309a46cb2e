"""When two texts or two values count as the same in a judgement. Pure functions; knows no tasks.

Case never matters, curly quotes are straight. A needle that starts with a letter starts a word, one that starts or
ends with a digit cuts no number, and a number is compared by value.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "−": "-"})
_PLAIN_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?")
_NUMBER_IN_TEXT = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?")
_EQUAL = 1e-9


def straight(text: str) -> str:
    """``text`` in compatibility form (NFKC), with plain quotes and minus signs."""
    return unicodedata.normalize("NFKC", text).translate(_STRAIGHT)


def contains(reply: str, needle: str) -> bool:
    """Whether ``reply`` says ``needle``, which is not empty."""
    text, wanted = straight(reply).lower(), straight(needle).lower()
    at = text.find(wanted)
    while at >= 0:
        if _starts_well(text, at, wanted[0]) and _ends_well(text, at + len(wanted), wanted[-1]):
            return True
        at = text.find(wanted, at + 1)
    return _PLAIN_NUMBER.fullmatch(wanted) is not None and _says_number(text, wanted)


def _starts_well(text: str, at: int, first: str) -> bool:
    before = text[max(0, at - 2) : at]
    if first.isalpha():  # no letter before it; a digit or an underscore may be
        return not (before[-1:].isalnum() and not before[-1:].isdecimal())
    if not first.isdigit():
        return True
    inside = before[-1:].isdecimal() or (before[-1:] in (".", ",") and before[:1].isdecimal() and len(before) == 2)
    negative = before[-1:] == "-" and (len(before) == 1 or before[0] == "(" or before[0].isspace())
    return not (inside or negative)


def _ends_well(text: str, end: int, last: str) -> bool:
    after = text[end : end + 2]
    return not last.isdigit() or not (after[:1].isdecimal() or (after[:1] in (".", ",") and after[1:].isdecimal()))


def _says_number(text: str, wanted: str) -> bool:
    """A decimal is said by any longer one that rounds to it."""
    places = len(wanted.partition(".")[2])
    slack = (0.5 * 10**-places if places else 0.0) + _EQUAL
    return any(abs(_value(found) - _value(wanted)) <= slack for found in _NUMBER_IN_TEXT.findall(text))


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def same(one: Any, other: Any) -> bool:
    """Equality of JSON values in calls: numbers by value, strings but for case, space and final marks."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        try:
            return abs(one - other) < _EQUAL
        except OverflowError:  # an integer of 400 digits beside a float
            return False
    if isinstance(one, str) and isinstance(other, str):
        return _bare(one) == _bare(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def _bare(text: str) -> str:
    return " ".join(straight(text).split()).rstrip(".!?").casefold()


def words_only(text: str) -> str:
    """``text`` without case and marks, to see whether a reply merely repeats the question."""
    return re.sub(r"\W+", " ", straight(text)).strip().lower()
