"""What all products share: some rows of a matrix, in any kind of weights, times one or a few lines of activations.
Knows tiles; no layer.

Letters: M lines (new positions), R rows of the weights, C columns. A program has BLOCK_R rows for itself and walks
along their columns. Weights never change, so the first tile is asked for before the kernel waits for its predecessor
(programmatic dependent launch).
"""

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

GROUP = tl.constexpr(128)  # columns that share a scale in int4, as in llamachat.quantise
HALF = tl.constexpr(64)
LINES = tl.constexpr(16)  # that tl.dot asks for at least


@triton.jit
def wait(PDL: tl.constexpr):
    """What the kernels before have written is there."""
    if PDL:
        gdc_wait()


@triton.jit
def go_on(PDL: tl.constexpr):
    """The next kernel may begin with what does not depend on this one."""
    if PDL:
        gdc_launch_dependents()


@triton.jit
def product(
    weight, scale, x, gain, rows,
    M: tl.constexpr, C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
    KIND: tl.constexpr, NORM: tl.constexpr, EPS: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """``rows`` of W times ``x`` (M, C): (BLOCK_R) float32 if M is 1, else (BLOCK_R, LINES), of which M are meant. With
    NORM, of RMSNorm(x) with ``gain``: squares are summed on the way, their root divides the result."""
    if M > 1:
        total, squares = _few(weight, scale, x, gain, rows, M, C, BLOCK_R, BLOCK_C, KIND, NORM, PDL)
    elif KIND == "int4":
        total, squares = _one4(weight, scale, x, gain, rows, C, BLOCK_R, BLOCK_C, NORM, PDL)
    else:
        total, squares = _one(weight, x, gain, rows, C, BLOCK_R, BLOCK_C, NORM, PDL)
    go_on(PDL)
    if NORM:
        rms = tl.rsqrt(squares / C + EPS)
        total *= rms[None, :] if M > 1 else rms
    if (KIND == "int8") | (KIND == "fp8"):
        by_row = tl.load(scale + rows)
        total *= by_row[:, None] if M > 1 else by_row
    return total


@triton.jit
def keep(out, total, rows, R, M: tl.constexpr):
    """Store a product to ``out`` (M, R) in its dtype."""
    if M > 1:
        line = tl.arange(0, LINES)[None, :]
        tl.store(out + line * R + rows[:, None], total.to(out.dtype.element_ty), mask=line < M)
    else:
        tl.store(out + rows, total.to(out.dtype.element_ty))


@triton.jit
def _one(
    weight, x, gain, rows,
    C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, NORM: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One line, an element a weight. The next tile is on its way while this one is multiplied."""
    columns = tl.arange(0, BLOCK_C)
    places = weight + rows[:, None] * C + columns[None, :]
    tile = tl.load(places, eviction_policy="evict_first")
    wait(PDL)
    sums = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    squares = tl.zeros((BLOCK_C,), tl.float32)
    for at in range(0, C, BLOCK_C):
        ahead = at + BLOCK_C
        following = tl.load(places + ahead, mask=(ahead + columns < C)[None, :], eviction_policy="evict_first")
        part = tl.load(x + at + columns).to(tl.float32)
        if NORM:
            squares += part * part
            part *= tl.load(gain + at + columns).to(tl.float32)
        sums += tile.to(tl.float32) * part[None, :]
        tile = following
    return tl.sum(sums, 1), tl.sum(squares, 0)


@triton.jit
def _one4(
    weight, scale, x, gain, rows,
    C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr, NORM: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """One line, two weights a byte and a scale for each group: (q·x − 8·x) times the scale."""
    GROUPS: tl.constexpr = BLOCK_C // GROUP
    group = tl.arange(0, GROUPS)
    inside = group[:, None] * GROUP + tl.arange(0, HALF)[None, :]
    places = weight + rows[:, None, None] * (C // 2)
    places += (group[:, None] * HALF + tl.arange(0, HALF)[None, :])[None, :, :]
    scales = scale + rows[:, None] * (C // GROUP) + group[None, :]
    tile = tl.load(places, eviction_policy="evict_first")
    wait(PDL)
    sums = tl.zeros((BLOCK_R, GROUPS, HALF), tl.float32)
    squares = tl.zeros((GROUPS, HALF), tl.float32)
    for at in range(0, C, BLOCK_C):
        ahead = at + BLOCK_C
        unread = (ahead + inside < C)[None, :, :]
        following = tl.load(places + ahead // 2, mask=unread, eviction_policy="evict_first")
        low = tl.load(x + at + inside).to(tl.float32)
        high = tl.load(x + at + inside + HALF).to(tl.float32)
        if NORM:
            squares += low * low + high * high
            low *= tl.load(gain + at + inside).to(tl.float32)
            high *= tl.load(gain + at + inside + HALF).to(tl.float32)
        step = tl.load(scales + at // GROUP).to(tl.float32)
        part = (tile & 15).to(tl.float32) * low[None, :, :] - (8 * (low + high))[None, :, :]
        part += (tile >> 4).to(tl.float32) * high[None, :, :]
        sums += part * step[:, :, None]
        tile = following
    return tl.sum(tl.sum(sums, 2), 1), tl.sum(tl.sum(squares, 1), 0)


@triton.jit
def _few(
    weight, scale, x, gain, rows,
    M: tl.constexpr, C: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
    KIND: tl.constexpr, NORM: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Several lines, by the tensor cores: weights are multiplied as bfloat16, which holds all 8- and 4-bit ones. In
    int4 BLOCK_C is a group."""
    line = tl.arange(0, LINES)
    wait(PDL)
    sums = tl.zeros((BLOCK_R, LINES), tl.float32)
    squares = tl.zeros((LINES,), tl.float32)
    if KIND == "int4":
        half = tl.arange(0, HALF)
        for at in range(0, C, GROUP):
            tile = tl.load(weight + rows[:, None] * (C // 2) + at // 2 + half[None, :])
            step = tl.load(scale + rows * (C // GROUP) + at // GROUP).to(tl.float32)
            low, more = _lines(x, gain, at + half, line, M, C, NORM)
            high, even_more = _lines(x, gain, at + half + HALF, line, M, C, NORM)
            squares += more + even_more
            part = tl.dot(((tile & 15).to(tl.float32) - 8).to(tl.bfloat16), tl.trans(low))
            part += tl.dot(((tile >> 4).to(tl.float32) - 8).to(tl.bfloat16), tl.trans(high))
            sums += part * step[:, None]
    else:
        columns = tl.arange(0, BLOCK_C)
        for at in range(0, C, BLOCK_C):
            tile = tl.load(weight + rows[:, None] * C + at + columns[None, :])
            part, more = _lines(x, gain, at + columns, line, M, C, NORM)
            squares += more
            sums += tl.dot(tile.to(tl.bfloat16), tl.trans(part))
    return sums, squares


@triton.jit
def _lines(x, gain, columns, line, M: tl.constexpr, C: tl.constexpr, NORM: tl.constexpr):
    """``columns`` of ``x`` (M, C), times ``gain``, (LINES, …) bfloat16, and the sums of their squares."""
    part = tl.load(x + line[:, None] * C + columns[None, :], mask=(line < M)[:, None], other=0.0).to(tl.float32)
    squares = tl.sum(part * part, 1)
    if NORM:
        part *= tl.load(gain + columns).to(tl.float32)[None, :]
    return part.to(tl.bfloat16), squares
