"""Muon and the optimiser pair that trains the embedded model. Knows matrices and learning rates, no data.

Reference: K. Jordan, Muon, 2024 (momentum, then a Newton-Schulz iteration towards the nearest orthogonal matrix).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """A matrix of the shape of ``matrix`` (rows, columns) with its singular vectors and all singular values near 1.

    The quintic 3.4445 x - 4.7750 x^3 + 2.0315 x^5 drives values in (0, 1] into about [0.7, 1.2] in five steps.
    """
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    result: Tensor = x.T if tall else x
    return result.to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised, scaled by sqrt(max(1, rows / columns)). For 2-d weights."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closures: gradients are at hand
        """Apply one update."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                buffer = state.setdefault("momentum", torch.zeros_like(weight))
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalise(weight.grad.lerp(buffer, group["momentum"]))
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update, alpha=-group["lr"] * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5)


class Optimisers:
    """Muon for the matrices of the blocks, AdamW for embeddings, head and norms, under one learning-rate factor."""

    def __init__(self, masters: dict[str, nn.Parameter], *, muon_lr: float, adam_lr: float) -> None:
        matrices = [p for name, p in masters.items() if name.startswith("layers.") and p.ndim == 2]
        norms = [p for p in masters.values() if p.ndim == 1]
        groups = [
            {"params": [masters["tok_embeddings.weight"]], "lr": 10 * adam_lr},
            {"params": [masters["output.weight"]], "lr": adam_lr},
            {"params": norms, "lr": adam_lr},
        ]
        adam = torch.optim.AdamW(groups, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.parts: tuple[torch.optim.Optimizer, ...] = (Muon(matrices, lr=muon_lr), adam)
        self._base = [group["lr"] for part in self.parts for group in part.param_groups]

    def step(self, factor: float) -> None:
        """One update with every learning rate multiplied by ``factor``."""
        groups = (group for part in self.parts for group in part.param_groups)
        for group, base in zip(groups, self._base, strict=True):
            group["lr"] = base * factor
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """The states of both optimisers."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Continue from ``state_dict``."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
