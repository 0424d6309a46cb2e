"""How likely a model finds what it is to learn: log-probabilities by id and by reply. Knows tensors, no objective."""

import torch
import torch.nn.functional as F
from torch import Tensor

from llamachat.model import Transformer
from llamachat.training.post.rows import Batch


def states(model: Transformer, batch: Batch) -> Tensor:
    """Last hidden states (B, T, D) of the packed rows."""
    return model.hidden(batch.tokens, branches=batch.branches())


def log_probs(model: Transformer, batch: Batch) -> Tensor:
    """log p (N,) float32 of each learned id; logits are computed at those places only."""
    hidden = states(model, batch)[batch.row, batch.before]
    with torch.autocast(hidden.device.type, enabled=False):  # 8 bits of a logit are too few for a difference of sums
        logits = model.output(hidden.to(model.output.weight.dtype)).float()
    return -F.cross_entropy(logits, batch.target, reduction="none")


def by_reply(values: Tensor, batch: Batch) -> Tensor:
    """Sums (R,) of ``values`` (N,) over the learned ids of each reply."""
    return values.new_zeros(len(batch.ends)).index_add(0, batch.reply, values)
