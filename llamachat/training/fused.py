"""A Transformer block with its gradient written out: matrix products by torch, all between them by ``fused.cpp``.

Knows tensors in bfloat16 or float32 on the CPU. The mathematics is model.py's, which is the oracle of its tests; on a
core with AMX a step takes half the time (docs/log.md).
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamachat.model import Block, Transformer
from llamachat.steps.compiler import Build

SOURCE = Path(__file__).with_name("fused.cpp")
# -ffast-math one by one: given whole, g++ links what turns subnormal numbers off in all of the program
FAST = ("-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffinite-math-only",
        "-fassociative-math", "-freciprocal-math")  # fmt: skip
WIDTHS = (16, 32, 48, 64)
"""Widths of a head that ``fused.cpp`` is compiled for."""


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """``fused.cpp``, compiled for this processor and numbers of ``dtype``; None where there is no compiler that can."""
    return Build(SOURCE, (*FAST, "-DFLOAT32") if dtype == torch.float32 else FAST).wait()


def _call(name: str, first: Tensor, *others: Tensor | int | float) -> None:
    """``first`` is of the dtype that numbers are kept in."""
    values = (first, *others)
    arguments: list[ctypes.c_void_p | ctypes.c_long | ctypes.c_float] = []
    for value in values:
        if isinstance(value, Tensor):
            arguments.append(ctypes.c_void_p(value.data_ptr()))
        else:
            arguments.append(ctypes.c_long(value) if isinstance(value, int) else ctypes.c_float(value))
    getattr(library(first.dtype), name)(*arguments)


def _norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    y, rstd = torch.empty_like(x), torch.empty(len(x))
    _call("norm_forward", x, weight, y, rstd, len(x), x.shape[1], eps)
    return y, rstd


def _norm_back(dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    dx, dw = torch.empty_like(x), torch.zeros(x.shape[1])
    _call("norm_backward", dy, x, weight, rstd, beside, dx, dw, len(x), x.shape[1])
    return dx, dw.to(weight.dtype)


class FusedBlock(torch.autograd.Function):
    """x (N, D) through one block; ``shape`` is (B, T, H, K, E), N = B T."""

    @staticmethod
    def forward(  # noqa: PLR0913  # torch wants every tensor by itself
        ctx: Any,
        x: Tensor,
        norm1: Tensor,
        qkv: Tensor,
        wo: Tensor,
        norm2: Tensor,
        w13: Tensor,
        w2: Tensor,
        rope: Tensor,
        shape: tuple[int, ...],
        eps: float,
    ) -> Tensor:
        batch, length, heads, _, width = shape
        normed, rstd1 = _norm(x, norm1, eps)
        projected = normed @ qkv.T
        seen, lse = x.new_empty(len(x), heads * width), torch.empty(batch, heads, length)
        _call("attention_forward", projected, seen, lse, rope[0], rope[1], *shape)
        middle = torch.addmm(x, seen, wo.T)
        normed, rstd2 = _norm(middle, norm2, eps)
        gates = normed @ w13.T
        active = x.new_empty(len(x), w2.shape[1])
        _call("swiglu_forward", gates, active, len(x), w2.shape[1])
        ctx.save_for_backward(
            x, norm1, qkv, wo, norm2, w13, w2, rope, rstd1, projected, seen, lse, middle, rstd2, gates
        )
        ctx.shape, ctx.eps = shape, eps
        return torch.addmm(middle, active, w2.T)

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        x, norm1, qkv, wo, norm2, w13, w2, rope, rstd1, projected, seen, lse, middle, rstd2, gates = ctx.saved_tensors
        dout = dout.contiguous()
        active, dgates = x.new_empty(len(x), w2.shape[1]), torch.empty_like(gates)
        _call("swiglu_backward", dout @ w2, gates, dgates, active, len(x), w2.shape[1])
        dw2 = dout.T @ active
        normed, _ = _norm(middle, norm2, ctx.eps)
        dw13 = dgates.T @ normed
        dmiddle, dnorm2 = _norm_back(dgates @ w13, middle, norm2, rstd2, dout)
        dwo = dmiddle.T @ seen
        dprojected = torch.empty_like(projected)
        _call("attention_backward", dmiddle @ wo, seen, projected, lse, dprojected, rope[0], rope[1], *ctx.shape)
        normed, _ = _norm(x, norm1, ctx.eps)
        dqkv = dprojected.T @ normed
        dx, dnorm1 = _norm_back(dprojected @ qkv, x, norm1, rstd1, dmiddle)
        return dx, dnorm1, dqkv, dwo, dnorm2, dw13, dw2, None, None, None


def suits(model: Transformer) -> bool:
    """Whether ``hidden`` can stand in for the model's own: on the CPU, multiples of 16, a compiler at hand."""
    config, weight = model.config, model.output.weight
    whole = config.width in WIDTHS and config.dim % 16 == 0 and config.ffn_dim % 16 == 0
    known = weight.dtype in (torch.bfloat16, torch.float32) and weight.device.type == "cpu"
    return known and whole and library(weight.dtype) is not None


def hidden(model: Transformer, tokens: Tensor) -> Tensor:
    """What ``model.hidden(tokens)`` gives, (B, T, D), with a gradient."""
    config, (batch, length) = model.config, tokens.shape
    shape = (batch, length, config.n_heads, config.n_kv_heads, config.width)
    rope = model.rope[:, :length].contiguous()
    x = model.tok_embeddings(tokens).flatten(0, 1)
    for layer in model.layers:
        assert isinstance(layer, Block)
        attention, ffn = layer.attention, layer.feed_forward
        x = FusedBlock.apply(  # type: ignore[no-untyped-call]
            x,
            layer.attention_norm.weight,
            torch.cat((attention.wq.weight, attention.wk.weight, attention.wv.weight)),
            attention.wo.weight,
            layer.ffn_norm.weight,
            torch.cat((ffn.w1.weight, ffn.w3.weight)),
            ffn.w2.weight,
            rope,
            shape,
            config.norm_eps,
        )
    final: Tensor = model.norm(x).view(batch, length, -1)
    return final
