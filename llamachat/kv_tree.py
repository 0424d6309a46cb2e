"""Keys and values of branches that the live cache has left, to be copied back instead of read again. Knows ids only.

A dialog is a tree of ids: a retry, an edit or a switch leaves one branch for another. Only one is live, in a contiguous
cache; the others are parked in RAM. Since the tree belongs to one runtime, weights, dtype and rotation always fit.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from llamachat.model import KVCache


@dataclass(slots=True, eq=False)
class Segment:
    """A run of ids between two forks. ``held`` is (2, L, K, T, E) on the CPU; None while the live cache has it."""

    ids: list[int]
    parent: "Segment | None" = None
    held: Tensor | None = None
    children: dict[int, "Segment"] = field(default_factory=dict)
    """By their first id."""
    used: int = 0

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.held.nbytes if self.held is not None else 0


class KVTree:
    """Parks branches within ``budget`` bytes; what was not used for longest goes first, from its end.

    What a segment does not hold is in the live cache: a branch is parked from where the next one departs from it.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        """Bytes that are parked."""
        self._root = Segment([])
        self._clock = 0

    def switch(self, cache: KVCache, live: Sequence[int], ids: Sequence[int]) -> int:
        """Make ``cache``, which holds ``live``, hold as much of ``ids`` as is known; return how many that are.

        Copies of what ``live`` has beyond ``ids`` are parked. Raises what torch raises if memory is short.
        """
        self._clock += 1
        shared = common_prefix(live, ids)
        if shared < len(live):
            self._park(cache, list(live), shared)
        cache.length = self._restore(cache, list(ids), shared)
        self._shrink()
        return cache.length

    def clear(self) -> None:
        """Forget everything: the live cache is lost, or its memory is wanted."""
        self._root, self.size = Segment([]), 0

    def _park(self, cache: KVCache, live: list[int], start: int) -> None:
        """Walk along ``live``, adding what is new, and copy whatever lies at ``start`` or beyond and is not held."""
        node, at = self._root, 0
        while at < len(live):
            child = node.children.get(live[at])
            if child is None:
                child = node.children[live[at]] = Segment(live[at:], node)
            self._cut(child, common_prefix(child.ids, live[at:]))
            if at < start and child.held is None:
                self._cut(child, start - at)
            end = at + len(child.ids)
            if at >= start and child.held is None:
                child.held = cache.copy(at, end)
                self.size += child.size
            child.used = self._clock
            node, at = child, end

    def _restore(self, cache: KVCache, ids: list[int], start: int) -> int:
        """Copy what is held of ``ids`` beyond ``start``; return where that ends."""
        node, at = self._root, 0
        while at < len(ids) and (child := node.children.get(ids[at])):
            end = at + common_prefix(child.ids, ids[at:])
            if end > start:
                if child.held is None:
                    break
                begin = max(start, at)
                cache.write(begin, child.held[..., begin - at : end - at, :])
            child.used = self._clock
            if end < at + len(child.ids):
                return max(start, end)
            node, at = child, end
        return max(start, at)

    def _cut(self, segment: Segment, length: int) -> None:
        """Let ``segment`` end after ``length`` ids, the rest become its only child. Nothing if it is no longer."""
        if length >= len(segment.ids):
            return
        rest = Segment(segment.ids[length:], segment, None, segment.children, segment.used)
        if segment.held is not None:  # copies, since a view would keep the whole alive
            rest.held = segment.held[..., length:, :].clone()
            segment.held = segment.held[..., :length, :].clone()
        for child in rest.children.values():
            child.parent = rest
        segment.ids, segment.children = segment.ids[:length], {rest.ids[0]: rest}

    def _shrink(self) -> None:
        while self.size > self.budget:
            leaf = min(self._leaves(self._root), key=lambda segment: segment.used)
            excess, held = self.size - self.budget, leaf.size
            self.size -= held
            kept = len(leaf.ids) * max(0, held - excess) // max(1, held)
            if kept and leaf.held is not None:
                leaf.ids, leaf.held = leaf.ids[:kept], leaf.held[..., :kept, :].clone()
                self.size += leaf.size
            elif leaf.parent:
                del leaf.parent.children[leaf.ids[0]]

    def _leaves(self, segment: Segment) -> Iterator[Segment]:
        pending = [segment]
        while pending:
            node = pending.pop()
            pending += node.children.values()
            if not node.children:
                yield node


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading ids that two lists share; whole blocks are compared at C's speed (8k ids in 0.1 ms)."""
    shortest, block, at = min(len(a), len(b)), 256, 0
    while at < shortest and a[at : at + block] == b[at : at + block]:
        at += block
    at = min(at, shortest)
    return next((i for i in range(at, shortest) if a[i] != b[i]), shortest)


def default_budget() -> int:
    """Bytes for parked branches: a quarter of the memory that is free, at most 8 GiB."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows and macOS
        free = 4 << 30
    return min(free // 4, 8 << 30)
