"""Weights in 8 or 4 bits: what they are, how they are made, and the plain torch that multiplies with them. Knows
matrices; no model, no file, no kernel.

Only weights are quantised, with activations as they were: at batch 1 the time goes into reading weights. Letters: R
rows (outputs), C columns (inputs), G = 128.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from llamachat.errors import ConfigError
from llamachat.products import product

Kind = Literal["int8", "fp8", "int4"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GROUP = 128  # columns that share a scale in int4
FEW = 4  # rows of activations up to which torch's own product with int8 is faster on a CPU, ten times for one
CHUNK = 2**22  # weights that are quantised at once, in float32: 16 MiB
_LARGEST = {"int8": 127.0, "fp8": 448.0}
_STORED = {"int8": torch.int8, "fp8": torch.float8_e4m3fn, "int4": torch.uint8}


@dataclass(frozen=True, slots=True)
class Quantised:
    """A matrix (R, C) in few bits; ``dequantise`` says what it stands for.

    ``int8``: ``data`` (R, C) int8 in -127..127, ``scale`` (R) float32. ``fp8``: ``data`` (R, C) float8_e4m3fn, and
    ``scale`` (R) float32. ``int4``: ``data`` (R, C/2) uint8, ``scale`` (R, C/G) bfloat16; byte j of a group holds its
    column j in the low half and column j + G/2 in the high half, each plus 8.
    """

    kind: Kind
    data: Tensor
    scale: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        rows, stored = self.data.shape
        return rows, 2 * stored if self.kind == "int4" else stored

    @property
    def nbytes(self) -> int:
        """Bytes that a product with it reads."""
        return self.data.nbytes + self.scale.nbytes


def quantise(weight: Tensor, kind: Kind) -> Quantised:
    """``weight`` (R, C), rounded to nearest, some rows at a time. NaN and infinity stay what they are for the reader:
    their whole row or group becomes NaN.

    A row's largest magnitude becomes 127 in int8 and 448 in fp8; a group's becomes -8 in int4 (as in llama.cpp's Q4_0,
    which uses all 16 values: the scale may be negative). So an element is off by at most half a scale in int8 and int4
    (a whole one in int4 where it is close to the opposite of the largest), and by 1/16 of itself in fp8, or
    2⁻¹⁰ scales where that is more. Raises ConfigError if int4 does not go into C.
    """
    rows, columns = weight.shape
    if kind == "int4" and columns % GROUP:
        raise ConfigError(f"Rows of {columns} weights don't divide into groups of {GROUP}.", "Choose int8 or fp8.")
    stored = columns // 2 if kind == "int4" else columns
    groups, wide = ((rows, columns // GROUP), torch.bfloat16) if kind == "int4" else ((rows,), torch.float32)
    data = torch.empty(rows, stored, dtype=_STORED[kind], device=weight.device)
    scale = torch.empty(groups, dtype=wide, device=weight.device)
    step = max(1, CHUNK // columns)
    for at in range(0, rows, step):
        part = weight[at : at + step].float()
        data[at : at + step], scale[at : at + step] = _nibbles(part) if kind == "int4" else _rows(part, kind)
    return Quantised(kind, data, scale)


def _rows(part: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    scale = part.abs().amax(1) / _LARGEST[kind]
    scaled = part / torch.where(scale == 0, 1.0, scale)[:, None]
    return (scaled.round() if kind == "int8" else scaled).nan_to_num().to(_STORED[kind]), scale


def _nibbles(part: Tensor) -> tuple[Tensor, Tensor]:
    groups = part.view(len(part), -1, GROUP)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    scale = (largest / -8).bfloat16()  # argmax finds NaN first
    scaled = groups / torch.where(scale == 0, 1.0, scale.float())
    whole = (scaled.nan_to_num().round().clamp(-8, 7) + 8).to(torch.uint8)
    low, high = whole.chunk(2, dim=2)
    return (low | high << 4).flatten(1), scale[..., 0]


def dequantise(weight: Quantised, dtype: torch.dtype = torch.float32) -> Tensor:
    """What ``weight`` stands for, (R, C) in ``dtype``; multiplied in float32."""
    if weight.kind != "int4":
        return (weight.data.float() * weight.scale[:, None]).to(dtype)
    halves = weight.data.view(len(weight.data), -1, GROUP // 2)
    whole = torch.cat((halves & 15, halves >> 4), dim=2).float() - 8
    return (whole * weight.scale[..., None].float()).flatten(1).to(dtype)


def stack(parts: Sequence[Quantised]) -> Quantised:
    """The rows of all, one after the other, as one matrix. They are of one kind."""
    (kind,) = {part.kind for part in parts}
    return Quantised(kind, torch.cat([part.data for part in parts]), torch.cat([part.scale for part in parts]))


class QuantisedLinear(nn.Module):
    """x Wᵀ with a quantised W, in place of nn.Linear without bias: the reference that kernels are tested against.

    8-bit weights are exact in bfloat16, so the product is taken with them and multiplied by each row's scale.
    """

    data: Tensor
    scale: Tensor

    def __init__(self, weight: Quantised) -> None:
        super().__init__()
        self.kind = weight.kind
        self.register_buffer("data", weight.data)
        self.register_buffer("scale", weight.scale)

    @property
    def quantised(self) -> Quantised:
        """The matrix."""
        return Quantised(self.kind, self.data, self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) to (…, R), in x's dtype."""
        if self.kind == "int4":
            return product(x, dequantise(self.quantised, x.dtype))
        even = self.data.shape[0] % 32 == self.data.shape[1] % 64 == 0  # torch reads beyond the end of others
        few = self.kind == "int8" and x.dtype == torch.bfloat16 and x[..., 0].numel() <= FEW
        if even and few and x.device.type == "cpu":
            found: Tensor = torch._weight_int8pack_mm(x.flatten(0, -2), self.data, self.scale.to(x.dtype))
            return found.view(*x.shape[:-1], -1)
        return product(x, self.data.to(x.dtype)) * self.scale.to(x.dtype)
