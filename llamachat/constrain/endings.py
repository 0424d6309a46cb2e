"""When a message of a small model may not end yet, and when it has to. Knows ids, no calls.

It may not be empty. And one that goes in circles ends: greedy decoding, once in a loop, stays there, since each round
makes the next one likelier (arXiv 2206.02369); without this it would fill the context.
"""

from collections import deque

from llamachat.tokenizer import Tokenizer

LONGEST = 32
"""Ids of the longest circle that is seen."""
AGAIN = 64
"""Ids in a row that only say again what was said one circle before; no message of the training data has half of it."""
ROUNDS = 3
"""And as many rounds, behind the first."""


class Endings:
    """Of one message, or of the code behind a python tag. ``end`` is the id that ends it."""

    def __init__(self, tokenizer: Tokenizer, end: int) -> None:
        self.end = end
        self.due = False
        """Whether only ``end`` may come."""
        self._tokenizer = tokenizer
        self._blank = True
        self._latest = deque([-1] * LONGEST, LONGEST)
        self._again = [0] * LONGEST

    def allows(self, token_id: int) -> bool:
        """Whether ``token_id`` may come next."""
        if self.due:
            return token_id == self.end
        return not self._blank or token_id not in self._tokenizer.stop_ids

    def accept(self, token_id: int) -> None:
        """``token_id`` came next."""
        if self._tokenizer.is_special(token_id):
            return
        self._blank = self._blank and not self._tokenizer.token_bytes(token_id).strip()
        self._again = [n + 1 if token_id == old else 0 for n, old in zip(self._again, self._latest, strict=True)]
        self._latest.appendleft(token_id)
        self.due = any(n >= max(AGAIN, ROUNDS * period) for period, n in enumerate(self._again, 1))
