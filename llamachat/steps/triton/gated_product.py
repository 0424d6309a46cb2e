"""RMSNorm, gate and up, SiLU and their product: the way into the feed-forward layer."""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import LINES, keep, product


@triton.jit
def gated_product(
    weight, scale, x, gain, out, R,
    M: tl.constexpr, C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
    KIND: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """``out`` (M, R/2) = silu(w1 y) · w3 y, y = RMSNorm(``x`` (M, C)). Rows 2i of W are w1's, rows 2i + 1 w3's."""
    first = tl.program_id(0) * BLOCK_R
    rows = first + tl.arange(0, BLOCK_R)
    total = product(weight, scale, x, gain, rows, M, C, BLOCK_R, BLOCK_C, KIND, True, EPS, PDL)
    if M > 1:
        gate, up = tl.split(tl.permute(tl.reshape(total, (BLOCK_R // 2, 2, LINES)), (0, 2, 1)))
    else:
        gate, up = tl.split(tl.reshape(total, (BLOCK_R // 2, 2)))
    pairs = first // 2 + tl.arange(0, BLOCK_R // 2)
    keep(out, gate * tl.sigmoid(gate) * up, pairs, R // 2, M)
