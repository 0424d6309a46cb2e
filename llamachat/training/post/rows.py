"""What is learned from: a prompt and replies to it, packed in one row so that the prompt is read once. Knows ids only.

A reply may hold several messages: what the model said is marked, what tools said in between is not. Replies of one
row see the prompt and themselves, never each other (Llama 3 report §4.1.2 packs the responses of the reward model so).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llamachat.model import Branches


@dataclass(frozen=True, slots=True)
class Reply:
    """Ids behind a prompt, and which of them the model said."""

    ids: tuple[int, ...]
    learn: tuple[bool, ...]

    def unmarked(self, forbidden: frozenset[int]) -> "Reply":
        """The same, but ``forbidden`` ids are not learned."""
        marks = zip(self.ids, self.learn, strict=True)
        return Reply(self.ids, tuple(learn and token not in forbidden for token, learn in marks))


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and its replies. ``better`` holds (i, j) where reply i was preferred to reply j; ``reference``, for DPO,
    how likely the model from which training starts finds each reply."""

    prompt: tuple[int, ...]
    replies: tuple[Reply, ...]
    better: tuple[tuple[int, int], ...] = ()
    reference: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Ids of the packed row."""
        return len(self.prompt) + sum(len(reply.ids) for reply in self.replies)

    @property
    def learned(self) -> int:
        """Ids that are predicted."""
        return sum(sum(reply.learn) for reply in self.replies)

    @property
    def longest(self) -> int:
        """Ids of the longest dialog in it."""
        return len(self.prompt) + max(len(reply.ids) for reply in self.replies)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right, B of T ids; N learned ids; R replies, in the order of rows.

    ``tokens`` (B, T) int64. ``positions`` and ``branch`` (B, T): the place in its dialog, and which reply of its row an
    id belongs to (0 the prompt, -1 padding). ``row``, ``before``, ``target`` and ``reply`` (N): the row of a learned
    id, the column whose state predicts it, the id, and its reply. ``ends`` (R, 2): row and column of each last id.
    ``better`` (P, 2): pairs of replies. ``reference`` (R) float32, 0 where a row has none.
    """

    tokens: Tensor
    positions: Tensor
    branch: Tensor
    row: Tensor
    before: Tensor
    target: Tensor
    reply: Tensor
    ends: Tensor
    better: Tensor
    reference: Tensor

    def branches(self) -> Branches | None:
        """Positions and mask for the model; None where plain causal attention is the same (one reply a row)."""
        if int(self.branch.max()) <= 1:
            return None
        own, other = self.branch[:, None, :, None], self.branch[:, None, None, :]
        mask = ((own == other) | (other == 0)).tril()  # padding sees padding, so that no softmax is empty
        return Branches(self.positions[:, None], mask)

    def to(self, device: torch.device) -> "Batch":
        """The same on ``device``."""
        return Batch(*(getattr(self, name).to(device) for name in self.__slots__))


def collate(rows: Sequence[Row], pad: int = 0) -> Batch:
    """One batch of ``rows``."""
    width = max(row.size for row in rows)
    tokens = torch.full((len(rows), width), pad)
    positions, branch = torch.zeros_like(tokens), torch.full_like(tokens, -1)
    learned: list[tuple[int, int, int, int]] = []
    ends: list[tuple[int, int]] = []
    better: list[tuple[int, int]] = []
    for i, row in enumerate(rows):
        start, first = len(row.prompt), len(ends)
        tokens[i, : row.size] = torch.tensor([*row.prompt, *(token for reply in row.replies for token in reply.ids)])
        positions[i, :start], branch[i, :start] = torch.arange(start), 0
        for number, reply in enumerate(row.replies):
            end = start + len(reply.ids)
            positions[i, start:end] = len(row.prompt) + torch.arange(len(reply.ids))
            branch[i, start:end] = number + 1
            learned += [
                (i, start + at - 1 if at else len(row.prompt) - 1, token, len(ends))
                for at, (token, learn) in enumerate(zip(reply.ids, reply.learn, strict=True))
                if learn and (at or row.prompt)
            ]
            ends.append((i, end - 1))
            start = end
        better += [(first + a, first + b) for a, b in row.better]
    row_, before, target, reply_ = torch.tensor(learned, dtype=torch.long).reshape(-1, 4).T
    pairs = torch.tensor(better, dtype=torch.long).reshape(-1, 2)
    reference = torch.tensor([value for row in rows for value in row.reference or [0.0] * len(row.replies)])
    return Batch(tokens, positions, branch, row_, before, target, reply_, torch.tensor(ends), pairs, reference)


def micro_batches(rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    """``rows`` sorted by size, cut where a padded batch would exceed ``budget`` ids; at least one row each."""
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: row.size):
        if group and (len(group) + 1) * row.size > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
