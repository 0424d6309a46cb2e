"""A product that is added to the residual stream: the way out of attention and of the feed-forward layer."""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import LINES, keep, product


@triton.jit
def add_product(
    weight, scale, x, residual, R,
    M: tl.constexpr, C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
    KIND: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """``residual`` (M, R) float32 += ``x`` (M, C) Wᵀ. One program for BLOCK_R rows."""
    rows = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    total = product(weight, scale, x, x, rows, M, C, BLOCK_R, BLOCK_C, KIND, False, 0.0, PDL)
    if M > 1:
        line = tl.arange(0, LINES)[None, :]
        total += tl.load(residual + line * R + rows[:, None], mask=line < M, other=0.0)
    else:
        total += tl.load(residual + rows)
    keep(residual, total, rows, R, M)
