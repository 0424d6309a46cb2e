"""Checkpoints averaged to a checkpoint. Knows files; the arithmetic is in average."""

from collections.abc import Sequence
from pathlib import Path

import torch

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.errors import ConfigError
from llamachat.training.post.average import State, linear, ties
from llamachat.training.post.saving import save_checkpoint


def merge(
    models: Sequence[Path],
    out: Path,
    weights: Sequence[float] | None = None,
    base: Path | None = None,
    keep: float = 0.2,
    dtype: torch.dtype | None = None,
) -> None:
    """Average ``models`` by ``weights``, or by TIES their changes from ``base``. Tokenizer and dialect are the first's;
    ``dtype`` as in ``save_checkpoint``.

    Raises ConfigError, CheckpointError, StorageError."""
    if base is not None and weights is not None:
        raise ConfigError("TIES takes no weights.", "Give either --base or --weights.")
    opened = [open_checkpoint(path) for path in models]
    states = [_state(checkpoint) for checkpoint in opened]
    merged = ties(_state(open_checkpoint(base)), states, keep) if base else linear(states, weights)
    save_checkpoint(out, merged, opened[0], dtype=dtype)


def _state(checkpoint: Checkpoint) -> State:
    """The weights by our names; a tied output layer once."""
    found = dict(checkpoint.weights.read("cpu", torch.float32))
    found.pop("output.weight", None) if checkpoint.config.tied else None
    return found
