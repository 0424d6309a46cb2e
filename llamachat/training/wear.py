"""Requests in which a word is missing or strange: the rest must tell what is wanted. Knows templates, no values.

Whatever is wanted in training is asked for in words that return, and a model learns that other words mean "none of my
functions": one that had read none of these declined 37 of 300 requests in unseen words for the one function offered.
"""

import re

from llamachat.training.draw import Draw

_WORD = re.compile(r"(?<![\w{'])[A-Za-z]{3,}(?![\w}'])")
_KEPT = frozenset(
    "and or not for from with into onto until till before after between off out than the each per named called".split()
)
"""They tell which value is which, or the contrary."""


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
