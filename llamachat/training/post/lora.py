"""Low-rank adapters: W + (alpha / r) B A with W frozen, A (r, in) drawn, B (out, r) zero at first (arXiv 2106.09685).

They learn in a fraction of the memory, and merge to an ordinary checkpoint.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from llamachat.model import Attention, FeedForward, Transformer


class LoraLinear(nn.Module):
    """A frozen linear layer and what is added to it."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        device = base.weight.device
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        base: Tensor = self.base(x)
        added: Tensor = (x.to(self.a.dtype) @ self.a.T) @ self.b.T
        return base + (self.scale * added).to(base.dtype)


def add_lora(model: Transformer, rank: int, alpha: float) -> int:
    """Freeze ``model`` and put adapters on all seven matrices of every block. Returns how many weights they have."""
    model.requires_grad_(False)
    for part, name, child in matrices(model):
        setattr(part, name, LoraLinear(child, rank, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def merge_lora(model: Transformer) -> None:
    """Add the adapters into the weights and take them off."""
    for part, name, child in matrices(model):
        if isinstance(child, LoraLinear):
            added = child.scale * (child.b @ child.a)
            child.base.weight.copy_((child.base.weight.float() + added).to(child.base.weight.dtype))
            setattr(part, name, child.base)


def matrices(model: Transformer) -> list[tuple[nn.Module, str, Any]]:
    """The linear layers of all blocks, each with what holds it and its name there."""
    parts = (part for layer in model.layers for part in layer.children() if isinstance(part, Attention | FeedForward))
    return [(part, name, child) for part in parts for name, child in part.named_children()]
