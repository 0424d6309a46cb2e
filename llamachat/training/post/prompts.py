"""Tasks to sample from: what the generators make, with names and phrasings of the training split only.

A task is a pure function of (seed, index). Its answer is known, so replies can be judged by what they do.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count as endless

from llamachat.evaluation.tasks import Task
from llamachat.training.examine import CATEGORIES
from llamachat.training.strict import StrictDraw


def training_tasks(count: int, seed: int = 0, categories: Sequence[str] = ()) -> tuple[Task, ...]:
    """``count`` tasks, the categories in turn (all of them by default)."""
    return tuple(training_task(seed, index, categories or sorted(CATEGORIES)) for index in range(count))


def training_task(seed: int, index: int, categories: Sequence[str]) -> Task:
    """Task number ``index``."""
    category = categories[index % len(categories)]
    for attempt in endless():
        draw = StrictDraw(f"post-{seed}-{index}-{attempt}", "train", "train")
        task = CATEGORIES[category](draw)
        if task is not None and not draw.spoiled:
            return replace(task, id=f"train-{seed}-{index:05}", category=category)
    raise AssertionError  # endless
