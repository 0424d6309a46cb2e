"""The reward model: a scalar head on the state of a reply's last id, trained on which reply was liked better.

L = - log sigma(r(x, y_w) - r(x, y_l)), without a margin; edited > chosen > rejected, all replies to a prompt in one row
(Llama 3 report §4.1.2; the pairwise loss: arXiv 2203.02155).
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llamachat.errors import CheckpointError
from llamachat.model import Transformer
from llamachat.training.post.likelihood import states
from llamachat.training.post.rows import Batch, Row, collate, micro_batches
from llamachat.training.post.trainer import Measured, precision

HEAD = "reward_head.json"


class Reward:
    """The objective and its head (1, D); a step's loss is the mean over its pairs."""

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self.head = nn.Parameter(torch.zeros(1, dim, device=device))

    def count(self, rows: Sequence[Row]) -> int:
        """What a loss over ``rows`` is divided by."""
        return sum(len(row.better) for row in rows)

    def loss(self, model: Transformer, batch: Batch) -> Measured:
        """Summed over the pairs; ``right`` counts those in the right order."""
        rewards = self.rewards(model, batch)
        differences = rewards[batch.better[:, 0]] - rewards[batch.better[:, 1]]
        return Measured(-F.logsigmoid(differences).sum(), {"right": int((differences > 0).sum())})

    def parameters(self) -> Sequence[Tensor]:
        """The head."""
        return (self.head,)

    def rewards(self, model: Transformer, batch: Batch) -> Tensor:
        """One number (R,) float32 for each reply."""
        last = states(model, batch)[batch.ends[:, 0], batch.ends[:, 1]]
        return (last.float() @ self.head.T)[:, 0]

    @torch.no_grad()
    def judge(self, model: Transformer, rows: Sequence[Row], budget: int = 8192) -> list[list[float]]:
        """The rewards of the replies of each row."""
        numbers = {id(row): i for i, row in enumerate(rows)}
        found: list[list[float]] = [[] for _ in rows]
        for group in micro_batches(rows, budget):
            batch = collate(group).to(self.head.device)
            with precision(self.head.device):
                rewards = self.rewards(model, batch).tolist()
            for row in group:
                found[numbers[id(row)]], rewards = rewards[: len(row.replies)], rewards[len(row.replies) :]
        return found

    def accuracy(self, model: Transformer, rows: Sequence[Row]) -> float:
        """The share of pairs in the right order."""
        judged = zip(rows, self.judge(model, rows), strict=True)
        order = [values[a] > values[b] for row, values in judged for a, b in row.better]
        return sum(order) / max(1, len(order))

    def save(self, folder: Path) -> None:
        """Write the head beside the weights of its model."""
        (folder / HEAD).write_text(json.dumps(self.head[0].tolist()) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, dim: int, device: torch.device | str = "cpu") -> "Reward":
        """Read it. Raises CheckpointError."""
        hint = "Give a folder that llamachat train reward wrote."
        try:
            values = json.loads((folder / HEAD).read_text(encoding="utf-8"))
            weights = torch.tensor([values], dtype=torch.float32)
        except OSError as error:
            raise CheckpointError(f"{folder} holds no reward model: there is no {HEAD}.", hint) from error
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{folder / HEAD} is no list of numbers.", hint) from error
        if weights.shape != (1, dim):
            raise CheckpointError(f"{folder / HEAD} has {weights.numel()} numbers, not the {dim} of its model.", hint)
        reward = cls(dim, device)
        with torch.no_grad():
            reward.head.copy_(weights)
        return reward
