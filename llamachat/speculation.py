"""Prompt lookup: what followed the same few ids earlier is a good guess at what follows now. Knows ids only.

Tool output, quoted text and code are copied; a guess that is verified in one pass costs less than it saves
(Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding).
"""

from collections.abc import Sequence

from llamachat.kv_tree import common_prefix

GRAM = 3  # ids that must agree: two find more, and are wrong more often than they pay
SHORT, LONG = 4, 24  # ids of a guess: of the first, and of the longest, after guesses that were wholly right
PATIENCE = 64  # ids between two guesses while all of them are wrong


class PromptLookup:
    """Guesses from the ids of one dialog. A guess that was wrong makes the next one shorter and later, one that was
    right longer: text that repeats nothing pays for about seven guesses in its first 128 ids, then for one in 64."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._behind: dict[tuple[int, ...], int] = {}
        """Where the ids go on after the latest occurrence of each gram."""
        self._found: int | None = None
        """Where they went on after the last gram, when it came before."""
        self.begin()

    def begin(self) -> None:
        """A new generation."""
        self.drafted = 0
        """Ids guessed since then."""
        self.accepted = 0
        """Those that came."""
        self._guess: list[int] = []
        self._right = self._wrong = self._wait = 0
        self._length = SHORT

    def follow(self, ids: Sequence[int]) -> None:
        """The generation goes on from ``ids``; what they share with those before is not looked at again."""
        del self._ids[common_prefix(self._ids, list(ids)) :]
        for token_id in ids[len(self._ids) :]:
            self.add(token_id)

    def add(self, token_id: int) -> None:
        """``token_id`` came."""
        if self._right < len(self._guess) and self._guess[self._right] == token_id:
            self._right += 1
            self.accepted += 1
        self._ids.append(token_id)
        self._wait -= 1
        gram = tuple(self._ids[-GRAM:])
        self._found = self._behind.get(gram)
        if len(gram) == GRAM:
            self._behind[gram] = len(self._ids)

    def draft(self, room: int) -> list[int]:
        """What may come next, at most ``room`` ids; nothing if there is no reason to guess."""
        self._learn()
        at, ids, guess = self._found, self._ids, list[int]()
        if at is None or self._wait > 0 or at >= len(ids) or ids[at - GRAM : at] != ids[-GRAM:]:
            return guess  # the last two: it came on a branch that has been left
        for i in range(at, at + min(self._length, room)):  # a loop repeats what it has just guessed
            guess.append(ids[i] if i < len(ids) else guess[i - len(ids)])
        self._guess = guess
        self.drafted += len(guess)
        return guess

    def _learn(self) -> None:
        drafted, right = len(self._guess), self._right
        self._guess, self._right = [], 0
        if right:
            self._wrong, self._length = 0, min(LONG, 2 * drafted if right == drafted else right + 1)
        elif drafted:
            self._wrong, self._length = self._wrong + 1, SHORT
            self._wait = min(PATIENCE, 2**self._wrong)
