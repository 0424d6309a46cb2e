"""Supervised finetuning: cross-entropy on what the assistant says, the prompt masked.

L = - sum_t log pi(y_t | x, y_<t) / N, over the N ids that the assistant said (Llama 3 report §4.1.3).
"""

from collections.abc import Sequence

from torch import Tensor

from llamachat.model import Transformer
from llamachat.training.post.likelihood import log_probs
from llamachat.training.post.rows import Batch, Row
from llamachat.training.post.trainer import Measured


class SFT:
    """The objective; a step's loss is the mean over its learned ids, whatever their rows."""

    def count(self, rows: Sequence[Row]) -> int:
        """What a loss over ``rows`` is divided by."""
        return sum(row.learned for row in rows)

    def loss(self, model: Transformer, batch: Batch) -> Measured:
        """Nats, summed over the learned ids."""
        return Measured(-log_probs(model, batch).sum())

    def parameters(self) -> Sequence[Tensor]:
        """It has none of its own."""
        return ()
