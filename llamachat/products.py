"""Matrix products in the dtype in which a device is fast. Knows tensors and processors; no model."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 16  # rows for which bfloat16 is the faster, since its weights are read once


def product_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, and on a CPU for which oneDNN has products in it (AVX-512, AMX, some of ARM); else float32.

    On a Zen 3 core (AVX2) torch multiplies at most 11 GFLOP/s in bfloat16 and 85 in float32.
    """
    if device.type != "cpu":
        return torch.bfloat16
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # not on every Mac
    return torch.bfloat16 if there and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ, (…, C) and (R, C) to (…, R), in x's dtype; computed in float32 where bfloat16 is slow."""
    slow = x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.shape[:-1].numel() > FEW
    if slow and product_dtype(x.device) == torch.float32:
        return F.linear(x.float(), weight.float()).to(x.dtype)
    return F.linear(x, weight)


class Linear(nn.Linear):
    """nn.Linear without bias, by ``product``."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """(…, C) to (…, R)."""
        return product(input, self.weight)
