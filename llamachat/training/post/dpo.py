"""Direct preference optimisation with the two changes of the Llama 3 report (§4.1.4; the method: arXiv 2305.18290).

For each pair (y_w, y_l) of replies to x, with pi the model and pi_ref the one from which training starts:

    d = log pi(y_w | x) / pi_ref(y_w | x) - log pi(y_l | x) / pi_ref(y_l | x)
    L = - log sigma(beta d)  -  nll log pi(y_w | x) / |y_w|            beta = 0.1, nll = 0.2

1. Header and end tokens are left out of both replies' sums in d: both have them, and to push the same id up and down
   makes replies without an end, or that end abruptly. Headers are never learned here, so it is the end tokens.
2. The second term keeps the chosen reply likely and the format alive; so it counts end tokens too.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from llamachat.model import Transformer
from llamachat.training.post.likelihood import by_reply, log_probs
from llamachat.training.post.rows import Batch, Row, collate, micro_batches
from llamachat.training.post.trainer import Measured, precision


class DPO:
    """The objective; a step's loss is the mean over its pairs. ``formatting`` are the ids left out of d."""

    def __init__(self, formatting: frozenset[int], beta: float = 0.1, nll: float = 0.2) -> None:
        self.beta, self.nll = beta, nll
        self._formatting = torch.tensor(sorted(formatting), dtype=torch.long)

    def count(self, rows: Sequence[Row]) -> int:
        """What a loss over ``rows`` is divided by."""
        return sum(len(row.better) for row in rows)

    def loss(self, model: Transformer, batch: Batch) -> Measured:
        """Summed over the pairs; ``right`` counts those whose chosen reply gained more than the rejected one."""
        said = log_probs(model, batch)
        gained = by_reply(said * self.kept(batch), batch) - batch.reference
        lengths = by_reply(torch.ones_like(said), batch).clamp(min=1)
        chosen, rejected = batch.better.T
        margins = self.beta * (gained[chosen] - gained[rejected])
        nll = -(by_reply(said, batch) / lengths)[chosen]
        right = int((margins > 0).sum())
        return Measured(dpo_loss(margins, nll, self.nll).sum(), {"right": right, "margin": margins.sum().item()})

    def kept(self, batch: Batch) -> Tensor:
        """Which learned ids (N,) count in d."""
        return ~torch.isin(batch.target, self._formatting.to(batch.target.device))

    def parameters(self) -> Sequence[Tensor]:
        """It has none of its own."""
        return ()

    @torch.no_grad()
    def referred(self, model: Transformer, rows: Sequence[Row], budget: int = 8192) -> list[Row]:
        """``rows`` with how likely ``model`` finds each reply now, so that no second model is kept in memory."""
        device = model.output.weight.device
        found: dict[int, Row] = {}
        numbered = {id(row): i for i, row in enumerate(rows)}
        for group in micro_batches(rows, budget):
            batch = collate(group).to(device)
            with precision(device):
                sums = by_reply(log_probs(model, batch) * self.kept(batch), batch).tolist()
            for row in group:
                own, sums = sums[: len(row.replies)], sums[len(row.replies) :]
                found[numbered[id(row)]] = replace(row, reference=tuple(own))
        return [found[i] for i in range(len(rows))]


def dpo_loss(margins: Tensor, nll: Tensor, weight: float) -> Tensor:
    """The loss (P,) of pairs from beta d and the chosen replies' nats per id, both (P,)."""
    return -F.logsigmoid(margins) + weight * nll
