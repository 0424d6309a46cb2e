"""Ids to the residual stream."""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import wait


@triton.jit
def embedding(table, ids, residual, C: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr):
    """``residual`` (M, C) float32 = rows ``ids`` [M] of ``table`` (V, C). One program for a line."""
    line = tl.program_id(0)
    wait(PDL)
    row = table + tl.load(ids + line) * C
    for at in range(0, C, BLOCK):
        columns = at + tl.arange(0, BLOCK)
        tl.store(residual + line * C + columns, tl.load(row + columns).to(tl.float32))
