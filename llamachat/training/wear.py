"""Requests in other words, and in which a word is missing or strange: the rest tells what is wanted. Knows templates.

Whatever is wanted in training is asked for in words that return, and a model learns that other words mean "none of my
functions": one that had read none of these declined 37 of 300 requests in unseen words for the one function offered.
"""

import re
from functools import cache

from llamachat.training import phrases
from llamachat.training.draw import Draw, with_articles

_WORD = re.compile(r"(?<![\w{'])[A-Za-z]{3,}(?![\w}'])")
_KEPT = frozenset(
    "and or not for from with into onto until till before after between off out than the each per named called".split()
)
"""They tell which value is which, or the contrary."""

_OTHERWISE = 0.5
"""How often a word that can be said otherwise is, in a request that may be."""


def otherwise(draw: Draw, said: str) -> str:
    """``said`` with some of its words in others that mean the same; slots stay whole."""

    def other(match: re.Match[str]) -> str:
        if not draw.chance(_OTHERWISE):
            return match[0]
        word = draw.choice(phrases.mapping("synonyms")[match[0].lower()].split("|"))
        return word[0].upper() + word[1:] if match[0][0].isupper() else word

    return with_articles(_sayable().sub(other, said))


@cache
def _sayable() -> re.Pattern[str]:
    known = sorted(phrases.mapping("synonyms"), key=len, reverse=True)
    return re.compile(rf"(?<![\w{{'-])(?:{'|'.join(map(re.escape, known))})(?![\w}}'-])", re.IGNORECASE)


def worn(draw: Draw, said: str) -> str:
    """``said`` with one of its words, now and then two, left out or replaced by any word; slots stay whole."""
    template = said
    for _ in range(draw.weighted((1, 2), (70, 30))):
        words = [match for match in _WORD.finditer(template) if match[0].lower() not in _KEPT]
        if not words:
            break
        start, end = draw.choice(words).span()
        other = draw.any_word() if draw.chance(0.7) else ""
        other = other.capitalize() if template[start].isupper() else other
        template = template[:start] + other + template[end:]
    text = re.sub(r" +(?=[ .,?!]|$)", "", template).strip()
    return text if len(text.split()) > 1 else said  # a value alone says nothing
