"""Weights as the kernels want them: matrices that share an input joined into one, and how each is cut into tiles.

The model keeps its layers: what was theirs becomes a view of the joined matrix, so nothing is held twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from llamachat.model import Block, Transformer
from llamachat.quantise import GROUP, Kind, QuantisedLinear

Form = Literal["whole"] | Kind


@dataclass(frozen=True, slots=True)
class Tiles:
    """What a program multiplies at a time, rows by columns, and with how many warps."""

    rows: int
    columns: int
    warps: int


ONE: dict[Form, tuple[Tiles, ...]] = {
    "whole": (Tiles(8, 512, 4), Tiles(4, 512, 2), Tiles(4, 1024, 4), Tiles(2, 512, 1), Tiles(16, 512, 8)),
    "int8": (Tiles(8, 512, 4), Tiles(4, 512, 2), Tiles(4, 1024, 4), Tiles(8, 1024, 4), Tiles(16, 512, 8)),
    "fp8": (Tiles(8, 512, 4), Tiles(4, 512, 2), Tiles(4, 1024, 4), Tiles(8, 1024, 4), Tiles(16, 512, 8)),
    "int4": (Tiles(8, 1024, 4), Tiles(4, 1024, 2), Tiles(4, 2048, 4), Tiles(16, 1024, 8)),
}
"""For one line: 32 elements (int4: bytes) a thread, which the registers hold without spilling; the first is the
default, the others are what ``tune`` tries on the device."""
FEW = Tiles(32, 128, 4)
"""For several lines."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix (R, C): ``data`` and ``scale`` as in ``Quantised``; a whole one has no scale and points to its data."""

    form: Form
    data: Tensor
    scale: Tensor
    rows: int
    columns: int
    one: Tiles
    few: Tiles

    def tiles(self, lines: int) -> Tiles:
        """For so many lines."""
        return self.one if lines == 1 else self.few


@dataclass(frozen=True, slots=True)
class Layer:
    """One block. ``qkv`` is q, k and v, one below the other; in ``gate_up`` rows of w1 and w3 alternate."""

    attention_norm: Tensor
    qkv: Matrix
    out: Matrix
    ffn_norm: Tensor
    gate_up: Matrix
    down: Matrix


def fits(model: Transformer) -> bool:
    """Whether the kernels can be cut to this shape: all published Llama 3 models can."""
    config = model.config
    columns = (config.dim, config.ffn_dim, config.n_heads * config.width)
    heads = config.n_heads // config.n_kv_heads
    return (
        type(model) is Transformer  # a share of one must be summed with the others'
        and all(size % GROUP == 0 for size in columns)
        and config.vocab_size % 16 == 0
        and config.width in (16, 32, 64, 128)
        and heads <= 16
        and model.tok_embeddings.weight.dtype == torch.bfloat16
    )


def layers_of(model: Transformer) -> list[Layer]:
    """All blocks; their modules become views. Memory peaks at one layer above the model."""
    return [_layer(block) for block in model.layers if isinstance(block, Block)]


def head_of(model: Transformer) -> Matrix:
    """The output layer."""
    return joined([model.output])


def _layer(block: Block) -> Layer:
    attention, feed_forward = block.attention, block.feed_forward
    return Layer(
        block.attention_norm.weight,
        joined([attention.wq, attention.wk, attention.wv]),
        joined([attention.wo]),
        block.ffn_norm.weight,
        joined([feed_forward.w1, feed_forward.w3], alternate=True),
        joined([feed_forward.w2]),
    )


def joined(modules: Sequence[nn.Module], *, alternate: bool = False) -> Matrix:
    """The rows of all, one below the other or in turns; the modules become views of it."""
    form: Form = getattr(modules[0], "kind", "whole")
    names = ("data", "scale") if form != "whole" else ("weight",)
    whole = [_join(modules, name, alternate) for name in names]
    rows, stored = whole[0].shape
    columns = 2 * stored if form == "int4" else stored
    one, few = cut(rows, columns, ONE[form][0]), cut(rows, columns, FEW)
    return Matrix(form, whole[0], whole[-1], rows, columns, one, few)


def _join(modules: Sequence[nn.Module], name: str, alternate: bool) -> Tensor:
    parts: list[Tensor] = [getattr(module, name).detach() for module in modules]
    if len(parts) == 1:
        return parts[0].contiguous()
    bare = [part.view(torch.uint8) if part.dtype == torch.float8_e4m3fn else part for part in parts]
    whole = (torch.stack(bare, 1).flatten(0, 1) if alternate else torch.cat(bare)).view(parts[0].dtype)
    at = 0
    for i, (module, part) in enumerate(zip(modules, parts, strict=True)):
        view = whole[i :: len(parts)] if alternate else whole[at : at + len(part)]
        at += len(part)
        if isinstance(module, QuantisedLinear):
            setattr(module, name, view)
        else:
            setattr(module, name, nn.Parameter(view, requires_grad=False))
    return whole


def cut(rows: int, columns: int, wanted: Tiles) -> Tiles:
    """``wanted``, halved until it divides the matrix: kernels need no masks then."""
    return replace(wanted, rows=_halved(wanted.rows, rows), columns=_halved(wanted.columns, columns))


def _halved(size: int, whole: int) -> int:
    while whole % size:
        size //= 2
    return size


def tune(matrix: Matrix, seconds: Callable[[Matrix], float]) -> Matrix:
    """``matrix`` with the tiles that take the least ``seconds``."""
    candidates = {cut(matrix.rows, matrix.columns, tiles) for tiles in ONE[matrix.form]}
    return min((replace(matrix, one=tiles) for tiles in sorted(candidates, key=repr)), key=seconds)
