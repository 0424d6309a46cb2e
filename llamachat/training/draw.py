"""The seeded chooser that every generator draws from: words, numbers, phrasings. Knows the split, no task."""

import random
import re
from collections.abc import Sequence
from typing import TypeVar

from llamachat.training import phrases
from llamachat.training.phrases import Block
from llamachat.training.words import CODAS, ONSETS, VOWELS, Split, held_out, lexicon, pieces, split_of

T = TypeVar("T")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa]) (?=(?!one\b|eu)[aeio]|umbrella|uncle|under|hour|honest|heir)")
_WORD = re.compile(r"\b[a-z]{5,}\b")
_OPENERS = (
    "please ",
    "hey, ",
    "hi, ",
    "ok, ",
    "so, ",
    "quick question: ",
    "hello, ",
    "now ",
    "um, ",
    "hi! ",
    "right, ",
)
_CLOSERS = (" please", ", please", " thanks", ", thanks", " pls", " for me", " for me please", " now", " quickly")


class Draw:
    """Random choices of one split. A phrasing is text with alternatives, ``[What is|What's] {e}[?|]``."""

    def __init__(self, seed: int | str, split: Split, names: Split | None = None, roughness: float = 1.0) -> None:
        """``names``: the split of words and made-up words, if it is not that of phrasings. ``roughness``: how much of
        the noise that tasks of an evaluation have none of, 0 to 1."""
        self.random = random.Random(seed)
        self.roughness = roughness
        self.split: Split = split
        self.names: Split = names or split

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return self.random.random() < probability

    def rough(self, probability: float) -> bool:
        """As ``chance``, for noise that tasks of an evaluation have none of."""
        return self.chance(self.roughness * probability)

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return self.random.randint(low, high)

    def number(self, digits: int) -> int:
        """An integer of 1 to ``digits`` digits, every length equally likely."""
        length = self.random.randint(1, digits)
        return self.random.randint(1 if length == 1 else 10 ** (length - 1), 10**length - 1)

    def decimal(self, digits: int = 3, places: int = 2) -> float:
        """A number with 1 to ``places`` decimals."""
        places = self.random.randint(1, places)
        fraction = self.random.randint(1, 10**places - 1) / 10**places
        return float(round(self.number(digits) + fraction, places))

    def choice(self, items: Sequence[T]) -> T:
        """One of ``items``, held-out or not."""
        return self.random.choice(items)

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of ``items``."""
        return self.random.sample(list(items), count)

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """One of ``items``, with probabilities in the proportion of ``weights``."""
        return self.random.choices(items, weights)[0]

    def block(self, table: str) -> Block:
        """A block of a table of phrasings, by weight."""
        items = phrases.blocks(table)
        return self.weighted(items, [item.weight for item in items])

    def word(self, kind: str) -> str:
        """A word of list ``kind`` that belongs to the split."""
        return self.random.choice(split_of(kind, self.names))

    def words(self, kind: str, count: int) -> list[str]:
        """``count`` different words of list ``kind``."""
        return self.random.sample(split_of(kind, self.names), count)

    def pseudo(self, low: int = 1, high: int = 3) -> str:
        """A made-up word that belongs to the split: of syllables, or of pieces of the vocabulary.

        The pieces matter: an id that is never the right answer in training is never said, whatever the question.
        """
        while True:
            word = self._pieced() if self.chance(0.6) else self._syllables(self.random.randint(low, high))
            if 3 <= len(word) <= 12 and held_out(word) == (self.names == "val"):
                return word

    def any_word(self) -> str:
        """A word that none of the lists would give here: what a value is, only the question tells."""
        return self.random.choice(lexicon()) if self.names == "train" and self.chance(0.65) else self.pseudo()

    def _syllables(self, count: int) -> str:
        return "".join(map(self.random.choice, (ONSETS, VOWELS, CODAS) * count))

    def _pieced(self) -> str:
        """A word after a space begins with other ids than one after a quote; both are to be met."""
        count = self.random.choices((1, 2, 3), (45, 42, 13))[0]
        first = self.random.choice(pieces("spaced" if self.chance(0.5) else "lower"))
        return first + "".join(self.random.choice(pieces("lower")) for _ in range(count - 1))

    def proper(self) -> str:
        """A made-up name."""
        if self.chance(0.5):
            first = self.random.choice(pieces("spaced_capital" if self.chance(0.5) else "capital"))
            word = first + self.random.choice(("", self.random.choice(pieces("lower"))))
            if len(word) >= 3 and held_out(word) == (self.names == "val"):
                return word
        return self.pseudo().capitalize()

    def name(self) -> str:
        """A proper name: a person's, a town's or a made-up one."""
        return self.random.choice((self.word("person"), self.word("city"), self.proper()))

    def place(self) -> str:
        """A town, real or made up."""
        return self.word("city") if self.chance(0.5) else self.proper()

    def code(self) -> str:
        """An identifier such as ``B-4417``, ``kx92`` or ``88-0412``."""
        if self.chance(0.12):  # of digits, or with zeros before
            first, second = (str(self.random.randint(0, 9999)).zfill(self.random.randint(1, 4)) for _ in range(2))
            return f"{first}{self.random.choice('-/')}{second}"
        letters = "".join(self.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=self.random.randint(1, 3)))
        code = f"{letters}{self.random.choice(('-', '', '', '_'))}{self.random.randint(1, 99999)}"
        return code if self.chance(0.7) else code.lower()

    def phrase(self, phrasings: Sequence[str], **slots: object) -> str:
        """One phrasing of the split, alternatives chosen, slots filled."""
        for _ in range(60):
            text = expand(self.random, self.random.choice(phrasings))
            if held_out(text) == (self.split == "val"):
                break
        return text.format(**slots) if slots else text

    def ask(self, phrasings: Sequence[str], **slots: object) -> str:
        """A user's ``phrase`` with the noise of real ones: lower case, no final mark, fillers. Slots stay untouched."""
        text = self.phrase(phrasings)
        if self.chance(0.25):
            text = lower_first(text)
        if self.chance(0.12):
            text = self.random.choice(_OPENERS) + lower_first(text)
            text = text if self.chance(0.5) else text[0].upper() + text[1:]
        if self.chance(0.08) and text[-1] in "?.":
            text = text[:-1] + self.random.choice(_CLOSERS) + text[-1]
        if self.chance(0.2) and text[-1] in "?.":
            text = text[:-1]
        if self.chance(0.04):
            text = self._misspelt(text)
        if self.chance(0.04):
            text = expand(self.random, self.random.choice(phrases.lines("asides"))) + text[0].upper() + text[1:]
        elif self.chance(0.03) and text[-1] in "?.!":
            text += expand(self.random, self.random.choice(phrases.lines("afterwards")))
        return text.format(**slots) if slots else text

    def _misspelt(self, text: str) -> str:
        """``text`` with two letters of a word swapped, or one left out; slots stay whole."""
        words = [match for match in _WORD.finditer(text) if text[match.start() - 1 : match.start()] != "{"]
        if not words:
            return text
        at = self.random.choice(words).start() + self.random.randint(1, 3)
        kept = text[at + 1] + text[at] if self.chance(0.6) else text[at + 1]
        return text[:at] + kept + text[at + 2 :]


def lower_first(text: str) -> str:
    """``text`` with a small first letter, unless it starts with a slot or with I."""
    return text if text.startswith(("I ", "I'", "{")) else text[:1].lower() + text[1:]


def expand(rng: random.Random, text: str) -> str:
    """Replace every ``[a|b|c]`` by one of its alternatives, innermost first."""
    while "[" in text:
        text = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), text)
    return text


def plural(noun: str) -> str:
    """More than one ``noun``, for regular ones; verbs take their s by the same rule."""
    if noun.endswith("y") and noun[-2:-1] not in "aeou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def with_articles(text: str) -> str:
    """``text`` with *an* before vowels."""
    return _ARTICLE.sub(r"\1n ", text)
