"""Generated tasks for evaluation, whose names, phrasings or sizes no training dialog has. Knows the generators.

Each split changes one thing: ``unseen-names`` speaks of people, things and made-up words that training never draws, in
phrasings that it does; ``unseen-templates`` the other way round; ``unseen-both`` both; ``larger-schemas`` has more
functions and more parameters than any training dialog. A task is a pure function of (split, seed, index).
"""

from dataclasses import dataclass, replace
from itertools import count as endless

from llamachat.evaluation.tasks import Task
from llamachat.training.examine import CATEGORIES, LARGE
from llamachat.training.strict import StrictDraw
from llamachat.training.words import Split

SPLITS: dict[str, tuple[Split, Split]] = {
    "unseen-names": ("val", "train"),
    "unseen-templates": ("train", "val"),
    "unseen-both": ("val", "val"),
    "larger-schemas": ("train", "train"),
}
"""Where names and phrasings come from."""


@dataclass(frozen=True, slots=True)
class Made:
    """A task, and what it was drawn from."""

    task: Task
    names: frozenset[str]
    phrasings: frozenset[str]


def split_tasks(split: str, count: int, seed: int = 0) -> tuple[Task, ...]:
    """The first ``count`` tasks of a split, the categories in turn."""
    return tuple(make(split, seed, index).task for index in range(count))


def make(split: str, seed: int, index: int) -> Made:
    """Task number ``index``, drawn until it shows what the split is about."""
    names, templates = SPLITS[split]
    makers = LARGE if split == "larger-schemas" else CATEGORIES
    category = sorted(makers)[index % len(makers)]
    for attempt in endless():
        draw = StrictDraw(f"{split}-{seed}-{index}-{attempt}", names, templates)
        task = makers[category](draw)
        if task is None or draw.spoiled or (names == "val" != templates and not _shows(task, draw.named)):
            continue
        task = replace(task, id=f"{split}-{seed}-{index:04}", category=category)
        return Made(task, frozenset(draw.named), frozenset(draw.phrasings))
    raise AssertionError  # endless


def _shows(task: Task, names: set[str]) -> bool:
    said = [turn.user for turn in task.turns] + [f"{f.name} {f.parameters}" for f in task.functions]
    return any(name in text for name in names for text in said)
