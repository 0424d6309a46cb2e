"""RMSNorm and a product in one pass: q, k and v of a layer, and the logits."""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import keep, product


@triton.jit
def norm_product(
    weight, scale, x, gain, out, R,
    M: tl.constexpr, C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
    KIND: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """``out`` (M, R) float32 = RMSNorm(``x`` (M, C)) Wᵀ. One program for BLOCK_R rows."""
    rows = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    total = product(weight, scale, x, gain, rows, M, C, BLOCK_R, BLOCK_C, KIND, True, EPS, PDL)
    keep(out, total, rows, R, M)
