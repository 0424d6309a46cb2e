"""How many threads take a step fastest, found out while steps are taken. Knows a clock; nothing of models.

A second thread doubles the speed where a core is free, and costs many times more than it gives where none is, since all
wait for the slowest: so it is measured, and measured again. All numbers of threads give the same bits.
"""

import os
import statistics
from collections.abc import Callable
from time import perf_counter

TRIES = 3  # steps for each number of threads that is tried; the median counts
GAIN = 0.9  # more threads must take less than this share of the time
SOON, LATE = 8, 512  # steps until others are tried again: after a change, and at most


class Cores:
    """Half and twice as many threads as now are tried from time to time; ``fixed`` says how many instead."""

    def __init__(self, start: int, fixed: int | None = None, most: int | None = None) -> None:
        self.most = most or available()
        self.best = fixed or min(start, self.most)
        """Threads that are used now."""
        self._fixed = fixed is not None
        self._wait, self._pause = SOON, SOON
        self._plan: list[int] = []
        self._taken: dict[int, list[float]] = {}

    def run(self, work: Callable[[int], object], clock: Callable[[], float] = perf_counter) -> None:
        """Do ``work`` with a number of threads, one step for one id: those are alike."""
        threads = self._plan.pop() if self._plan else self.best
        start = clock()
        work(threads)
        if threads in self._taken:
            self._taken[threads].append(clock() - start)
            if not self._plan:
                self._choose()
        elif not self._fixed:
            self._wait -= 1
            if self._wait <= 0:
                others = {max(1, self.best // 2), self.best, min(self.most, 2 * self.best)}
                self._taken = {number: [] for number in others} if len(others) > 1 else {}
                self._plan = TRIES * sorted(others) if len(others) > 1 else []

    def _choose(self) -> None:
        before, taken = self.best, {number: statistics.median(times) for number, times in self._taken.items()}
        for number in sorted(taken):
            if number == min(taken) or taken[number] < GAIN * taken[self.best]:
                self.best = number
        self._pause = SOON if self.best != before else min(LATE, 4 * self._pause)
        self._wait, self._taken = self._pause, {}


def available() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
