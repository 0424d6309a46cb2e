"""Guesses at what comes next, verified in one pass: what followed the same ids earlier, or what a smaller model says.

Tool output, quoted text and code are copied; a guess that is verified in one pass costs less than it saves
(Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). Where nothing is copied, a small model of the same
vocabulary may know (Leviathan 2022, arXiv 2211.17192). Either guess changes when ids come, never which.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from llamachat.kv_tree import common_prefix
from llamachat.model import KVCache, Transformer

GRAM = 3  # ids that must agree: two find more, and are wrong more often than they pay
SHORT, LONG = 4, 24  # ids of a guess: of the first, and of the longest, after guesses that were wholly right
LONG_DRAFT = 8  # of a model's guess, each id of which costs one of its passes
PATIENCE = 64  # ids between two guesses while all of them are wrong
CHUNK = 512  # ids that the smaller model reads at once


class Drafter(Protocol):
    """What the runtime asks for guesses."""

    @property
    def drafted(self) -> int:
        """Ids guessed since then."""

    @property
    def accepted(self) -> int:
        """Those that came."""

    @property
    def hopeful(self) -> bool:
        """Whether ``draft`` may guess; asked when all that will come of the latest guess has come."""

    def begin(self) -> None:
        """A new generation."""

    def follow(self, ids: Sequence[int]) -> None:
        """It goes on from ``ids``."""

    def add(self, token_id: int) -> None:
        """``token_id`` came."""

    def draft(self, room: int) -> list[int]:
        """What may come next, at most ``room`` ids."""


class Pace:
    """How long the next guess is, and when. A guess that was wrong makes the next one shorter and later, one that was
    right longer, up to ``longest``: text that can't be guessed pays for about seven in its first 128 ids, then for one
    in 64."""

    def __init__(self, longest: int) -> None:
        self.drafted = 0
        """Ids guessed so far."""
        self.accepted = 0
        """Those that came."""
        self.length = SHORT
        self._longest = longest
        self._guess: list[int] = []
        self._right = self._wrong = self._wait = 0

    def came(self, token_id: int) -> None:
        """Compare with the latest guess."""
        if self._right < len(self._guess) and self._guess[self._right] == token_id:
            self._right += 1
            self.accepted += 1
        self._wait -= 1

    def due(self) -> bool:
        """Learn from the latest guess, of which all that will come has come; whether it is time for another."""
        drafted, right = len(self._guess), self._right
        self._guess, self._right = [], 0
        if right:
            self._wrong, self.length = 0, min(self._longest, 2 * drafted if right == drafted else right + 1)
        elif drafted:
            self._wrong, self.length = self._wrong + 1, SHORT
            self._wait = min(PATIENCE, 2**self._wrong)
        return self._wait <= 0

    def guessed(self, guess: list[int]) -> list[int]:
        """Note a guess that is made."""
        self._guess = guess
        self.drafted += len(guess)
        return guess


class PromptLookup:
    """Guesses from the ids of one dialog."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._behind: dict[tuple[int, ...], int] = {}
        """Where the ids go on after the latest occurrence of each gram."""
        self._found: int | None = None
        """Where they went on after the last gram, when it came before."""
        self.begin()

    def begin(self) -> None:
        """A new generation."""
        self._pace = Pace(LONG)

    @property
    def drafted(self) -> int:
        """Ids guessed since then."""
        return self._pace.drafted

    @property
    def accepted(self) -> int:
        """Those that came."""
        return self._pace.accepted

    def follow(self, ids: Sequence[int]) -> None:
        """The generation goes on from ``ids``; what they share with those before is not looked at again."""
        del self._ids[common_prefix(self._ids, list(ids)) :]
        for token_id in ids[len(self._ids) :]:
            self.add(token_id)

    def add(self, token_id: int) -> None:
        """``token_id`` came."""
        self._pace.came(token_id)
        self._ids.append(token_id)
        gram = tuple(self._ids[-GRAM:])
        self._found = self._behind.get(gram)
        if len(gram) == GRAM:
            self._behind[gram] = len(self._ids)

    @property
    def hopeful(self) -> bool:
        """Whether ``draft`` would guess."""
        at, ids = self._found, self._ids
        # the last two: it came on a branch that has been left
        return at is not None and self._pace.due() and at < len(ids) and ids[at - GRAM : at] == ids[-GRAM:]

    def draft(self, room: int) -> list[int]:
        """What may come next, at most ``room`` ids; nothing if there is no reason to guess."""
        due, at, ids, guess = self._pace.due(), self._found, self._ids, list[int]()
        if at is None or not due or not self.hopeful:
            return guess
        for i in range(at, at + min(self._pace.length, room)):  # a loop repeats what it has just guessed
            guess.append(ids[i] if i < len(ids) else guess[i - len(ids)])
        return self._pace.guessed(guess)


class DraftModel:
    """Guesses as ``PromptLookup`` does, and where that has none, as ``model`` says, a smaller one with the same words.

    It reads what was said when it is first asked, which is behind the first id; ``context`` is what it has room for.
    """

    def __init__(self, model: Transformer, context: int) -> None:
        self._model, self._context = model, min(context, model.config.context)
        self._lookup = PromptLookup()
        self._ids: list[int] = []
        self._cache: KVCache | None = None
        self._live: list[int] = []  # what its cache holds
        self.begin()

    def begin(self) -> None:
        """A new generation."""
        self._lookup.begin()
        self._pace = Pace(LONG_DRAFT)

    @property
    def drafted(self) -> int:
        """Ids guessed since then, in either way."""
        return self._pace.drafted + self._lookup.drafted

    @property
    def accepted(self) -> int:
        """Those that came."""
        return self._pace.accepted + self._lookup.accepted

    @property
    def hopeful(self) -> bool:
        """Whether ``draft`` may guess."""
        return self._pace.due() or self._lookup.hopeful

    def follow(self, ids: Sequence[int]) -> None:
        """The generation goes on from ``ids``."""
        self._lookup.follow(ids)
        self._ids = list(ids)

    def add(self, token_id: int) -> None:
        """``token_id`` came."""
        self._lookup.add(token_id)
        self._pace.came(token_id)
        self._ids.append(token_id)

    def draft(self, room: int) -> list[int]:
        """What may come next, at most ``room`` ids. Raises what torch raises."""
        due = self._pace.due()
        copied = self._lookup.draft(room)
        room = min(room, self._pace.length, self._context - len(self._ids))
        if copied or not due or room <= 0:
            return copied
        try:
            return self._pace.guessed(self._say(room))
        except BaseException:
            self._cache, self._live = None, []  # nobody knows what it holds now
            raise

    def _say(self, number: int) -> list[int]:
        """The ids that it finds likeliest, one after the other."""
        weight = self._model.tok_embeddings.weight
        if self._cache is None:
            self._cache = KVCache(self._model.config, self._context, device=weight.device, dtype=weight.dtype)
        shared = common_prefix(self._live, self._ids[:-1])
        self._cache.length, self._live = shared, self._ids[:]
        guess, new = list[int](), self._ids[shared:]
        while len(guess) < number:
            for at in range(0, len(new), CHUNK):
                tokens = torch.tensor([new[at : at + CHUNK]], device=weight.device)
                hidden = self._model.hidden(tokens, self._cache)
            guess.append(int(self._model.output(hidden[0, -1]).argmax()))
            new = guess[-1:]
        self._live += guess[:-1]
        return guess
