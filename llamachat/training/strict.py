"""A seeded chooser that never gives a name or a phrasing of the other split, and remembers what it gave. Knows no task.

Draw gives one of the other split where its own has none; for evaluation that would be a leak.
"""

from collections.abc import Sequence
from functools import cache

from llamachat.training import phrases
from llamachat.training.draw import Draw, expand
from llamachat.training.words import CLOSED, Split, held_out, split_of

_TRIES = 60  # expansions of a phrasing, to find one of the split


class StrictDraw(Draw):
    """A Draw of names and phrasings that are surely of their splits.

    ``spoiled`` is set where there was none to give: then what was made is to be thrown away.
    """

    def __init__(self, seed: str, names: Split, templates: Split) -> None:
        super().__init__(seed, templates, names)
        self.spoiled = False
        self.named: set[str] = set()
        """Names of open classes, and made-up words."""
        self.phrasings: set[str] = set()
        """Templates, alternatives chosen, slots not filled."""
        self.orders: list[tuple[str, str]] = []
        """Injected orders, and the word that gives one who obeys away."""

    def rough(self, probability: float) -> bool:
        """Never."""
        return False

    def word(self, kind: str) -> str:
        """As in Draw."""
        return self.words(kind, 1)[0]

    def words(self, kind: str, count: int) -> list[str]:
        """As in Draw."""
        sure = names_of(kind, self.names)
        self.spoiled |= len(sure) < count
        found = self.random.sample(sure if len(sure) >= count else split_of(kind, self.names), count)
        self.named.update(() if kind in CLOSED else found)
        return found

    def pseudo(self, low: int = 1, high: int = 3) -> str:
        """As in Draw."""
        return self._unknown(super().pseudo(low, high))

    def proper(self) -> str:
        """As in Draw."""
        return self._unknown(super().proper())

    def _unknown(self, word: str) -> str:
        self.spoiled |= self.names == "val" and word.lower() in spoken()
        self.named.add(word)
        return word

    def phrase(self, phrasings: Sequence[str], **slots: object) -> str:
        """As in Draw, but never of the other split. What training has no other words for, training says."""
        held = seen = ""
        for _ in range(_TRIES):
            text = expand(self.random, self.random.choice(phrasings))
            held, seen = (held or text, seen) if held_out(text) else (held, seen or text)
            if seen and (held or self.split == "train"):
                break
        text = held if self.split == "val" else seen
        self.spoiled |= not (seen and text)
        text = text or held or seen
        self.phrasings.add(text)
        said = text.format(**slots) if slots else text
        if phrasings is phrases.lines("orders"):
            self.orders.append((said, str(slots["w"])))
        return said


@cache
def names_of(kind: str, split: Split) -> tuple[str, ...]:
    """The words of list ``kind`` that belong to the split; those of val are none that dialogs are written in."""
    words = split_of(kind, split)
    if split == "train" or kind in CLOSED:
        return words
    return tuple(word for word in words if word.lower() not in spoken())


# Words of the wire format, and of phrasings that no table holds.
_IN_CODE = (
    "brave_search Echo recent default stdout simply know compute called looked searched function way else returns"
)


@cache
def spoken() -> frozenset[str]:
    """The words, in lower case, that training dialogs are written in, whatever is drawn."""
    tables = (file for file in phrases.FOLDER.glob("*.txt") if file.stem not in ("words", "pieces", "english"))
    plain = (file.read_text(encoding="utf-8") for file in tables)
    closed = (phrases.mapping("words")[kind] for kind in CLOSED)
    plurals = (f"{noun}s" for noun in phrases.mapping("words")["noun"].split())
    text = " ".join((*plain, *closed, *plurals, _IN_CODE)).lower()
    return frozenset("".join(char if char.isalpha() else " " for char in text).split())
