"""One run from a start to a checkpoint: train, go on where a killed run stopped, save, draw losses. Knows folders."""

from collections.abc import Sequence
from pathlib import Path

from llamachat.errors import ConfigError
from llamachat.training.post.rows import Row
from llamachat.training.post.saving import LARGE, check_free, save_checkpoint
from llamachat.training.post.start import Start
from llamachat.training.post.trainer import STATE, Objective, Recipe, Trainer
from llamachat.training.post.watch import bar, of_trainer, save_curve
from llamachat.training.team import place

CURVE = "loss.png"
RATES = {"sft": (2e-4, 1e-5), "reward": (2e-4, 1e-5), "dpo": (5e-5, 5e-6)}
"""Learning rates by method: of the embedded model's kind, and from half a billion weights on, where the report has 1e-5
for both methods at 405B. Adapters take ten times the latter for SFT and rewards, twice for DPO."""


def default_rate(start: Start, method: str) -> float:
    """The learning rate for a model of this size."""
    small, large = RATES[method]
    if start.checkpoint.parameters <= LARGE:
        return small
    return large * ((2 if method == "dpo" else 10) if start.lora else 1)


def default_step(rows: Sequence[Row], most: int = 16_384) -> int:
    """Ids of an update: at least eight updates an epoch, if that leaves 512 ids for each."""
    return max(512, min(most, sum(row.size for row in rows) // 8))


class Interrupted(Exception):
    """The run was asked to stop; the same command goes on."""


def learn(
    start: Start,
    objective: Objective,
    rows: Sequence[Row],
    recipe: Recipe,
    out: Path,
    *,
    title: str = "training",
    name: str = "",
) -> list[dict[str, float]]:
    """Train, and leave a checkpoint in ``out``. Returns the log. Raises ConfigError, EngineError, StorageError,
    Interrupted."""
    check_free(out)
    trainer = Trainer(start.model, objective, rows, recipe, out)
    trainer.resume()
    with bar(title) as tell:
        if not trainer.run(of_trainer(tell)):
            raise Interrupted(f"Stopped after {trainer.done} of {len(trainer.plan)} steps.")
    if place()[0] == 0:
        save_checkpoint(out, start.finished(), start.checkpoint, name=name)
        save_curve(trainer.log, out / CURVE, f"{title}: {out.name}")
        (out / STATE).unlink(missing_ok=True)
    return trainer.log


def split(rows: Sequence[Row], share: float, least: int = 8) -> tuple[list[Row], list[Row]]:
    """Most of ``rows`` to learn from, and the last ``share`` to test on; none to test on if that would be fewer than
    ``least``. A prompt is on one side only, since each row has a prompt of its own."""
    held = round(len(rows) * share)
    if held < least:
        return list(rows), []
    return list(rows[:-held]), list(rows[-held:])


def need(rows: Sequence[Row], total: int, context: int) -> None:
    """Raise ConfigError if nothing is left to learn from."""
    if not rows:
        raise ConfigError(
            f"All {total} dialogs are longer than {context} tokens.", "Give a larger --context, or shorter dialogs."
        )
