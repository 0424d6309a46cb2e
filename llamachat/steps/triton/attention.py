"""Attention of the new positions: rotation, keys and values into the cache, and flash decoding over what is there.

A key/value head is read once for all of its query heads. The positions are split among programs, and the program of a
head that comes in last puts their results together (Flash-Decoding, Dao et al. 2023), so there is no second kernel.
"""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import go_on, wait

NEW = tl.constexpr(16)  # lines that tl.dot asks for at least; eight of them may be new positions


@triton.jit
def attention(
    qkv, keys, values, rope, position, partial, marks, arrived, out,
    CONTEXT, SIZE,
    M: tl.constexpr, GROUP: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr,
    LINES: tl.constexpr, SPLITS: tl.constexpr, BLOCK_S: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """``out`` (M, HEADS · GROUP · WIDTH) from ``qkv`` (M, (GROUP + 2) · HEADS · WIDTH) float32, not rotated.

    ``keys`` and ``values`` (HEADS, SIZE, WIDTH) of this layer hold ``position`` [1] positions and get M more.
    ``rope`` is (2, CONTEXT, WIDTH/2). A line of the LINES ≥ M · GROUP is a query head of a new position. For each head
    and split, ``partial`` holds LINES · WIDTH sums, and ``marks`` their largest scores and weights, 2 · LINES.
    ``arrived`` (HEADS) is 0, before and after. Programs: HEADS · SPLITS.
    """
    head = tl.program_id(0)
    split = tl.program_id(1)
    stride = (GROUP + 2) * HEADS * WIDTH
    e = tl.arange(0, WIDTH)
    wait(PDL)
    length = tl.load(position).to(tl.int32)

    line = tl.arange(0, LINES)
    token = line // GROUP
    real = token < M
    sines = rope + CONTEXT * (WIDTH // 2)
    place = token * stride + (head * GROUP + line % GROUP) * WIDTH
    q = _rotated(qkv, place, rope, sines, length + token, real, WIDTH).to(out.dtype.element_ty)

    scaling: tl.constexpr = 1.4426950408889634 / WIDTH**0.5  # e^x is 2^(x · log2 e)
    keys += head * SIZE * WIDTH
    values += head * SIZE * WIDTH
    best = tl.full((LINES,), float("-inf"), tl.float32)
    weight = tl.zeros((LINES,), tl.float32)
    sums = tl.zeros((LINES, WIDTH), tl.float32)
    if split == 0:  # the new positions, which nobody else has
        n = tl.arange(0, NEW)
        mine = n < M
        place_k = n * stride + (HEADS * GROUP + head) * WIDTH
        k = _rotated(qkv, place_k, rope, sines, length + n, mine, WIDTH).to(out.dtype.element_ty)
        v = tl.load(qkv + place_k[:, None] + HEADS * WIDTH + e[None, :], mask=mine[:, None], other=0.0)
        v = v.to(out.dtype.element_ty)
        there = (length + n)[:, None] * WIDTH + e[None, :]
        tl.store(keys + there, k.to(keys.dtype.element_ty), mask=mine[:, None])
        tl.store(values + there, v.to(values.dtype.element_ty), mask=mine[:, None])
        score = tl.dot(q, tl.trans(k)) * scaling
        seen = (n[None, :] <= token[:, None]) & (n[None, :] < M)
        score = tl.where(seen, score, float("-inf"))
        best = tl.max(score, 1)
        p = tl.exp2(score - best[:, None])
        weight = tl.sum(p, 1)
        sums = tl.dot(p.to(out.dtype.element_ty), v)

    share = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK_S) * BLOCK_S
    end = tl.minimum(length, (split + 1) * share)
    for at in range(split * share, end, BLOCK_S):
        s = at + tl.arange(0, BLOCK_S)
        valid = s < end
        there = s[:, None] * WIDTH + e[None, :]
        k = tl.load(keys + there, mask=valid[:, None], other=0.0).to(out.dtype.element_ty)
        score = tl.dot(q, tl.trans(k)) * scaling
        score = tl.where(valid[None, :], score, float("-inf"))
        higher = tl.maximum(best, tl.max(score, 1))
        fading = tl.exp2(best - higher)
        p = tl.exp2(score - higher[:, None])
        v = tl.load(values + there, mask=valid[:, None], other=0.0).to(out.dtype.element_ty)
        sums = sums * fading[:, None] + tl.dot(p.to(out.dtype.element_ty), v)
        weight = weight * fading + tl.sum(p, 1)
        best = higher
    go_on(PDL)

    piece = head * SPLITS + split
    tl.store(marks + piece * 2 * LINES + line, best)
    tl.store(marks + (piece * 2 + 1) * LINES + line, weight)
    tl.store(partial + piece * LINES * WIDTH + line[:, None] * WIDTH + e[None, :], sums)
    tl.debug_barrier()  # all of this program's stores come before its arrival
    if tl.atomic_add(arrived + head, 1, sem="acq_rel", scope="gpu") == SPLITS - 1:
        _combine(
            partial + head * SPLITS * LINES * WIDTH, marks + head * SPLITS * 2 * LINES,
            out + token[:, None] * (HEADS * GROUP * WIDTH)
            + ((head * GROUP + line % GROUP) * WIDTH)[:, None] + e[None, :],
            real[:, None], LINES, WIDTH, SPLITS,
        )  # fmt: skip
        tl.store(arrived + head, 0)


@triton.jit
def _rotated(qkv, place, cosines, sines, position, real, WIDTH: tl.constexpr):
    """Heads at ``place`` turned by their positions, (…, WIDTH): x cos + (its partner in the pair) sin, with a
    minus for the even one."""
    e = tl.arange(0, WIDTH)[None, :]
    real = real[:, None]
    angle = position[:, None] * (WIDTH // 2) + e // 2
    cos = tl.load(cosines + angle, mask=real, other=0.0)
    sin = tl.load(sines + angle, mask=real, other=0.0)
    straight = tl.load(qkv + place[:, None] + e, mask=real, other=0.0)
    crossed = tl.load(qkv + place[:, None] + (e ^ 1), mask=real, other=0.0)
    return straight * cos + crossed * tl.where(e % 2 == 0, -sin, sin)


@triton.jit
def _combine(partial, marks, out, real, LINES: tl.constexpr, WIDTH: tl.constexpr, SPLITS: tl.constexpr):
    """The average over all splits, each weighted by what its scores sum to. Past the L1 cache, which may hold what lay
    there a layer ago."""
    line = tl.arange(0, LINES)
    places = line[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    best = tl.full((LINES,), float("-inf"), tl.float32)
    for split in tl.static_range(SPLITS):
        best = tl.maximum(best, tl.load(marks + split * 2 * LINES + line, cache_modifier=".cg"))
    weight = tl.zeros((LINES,), tl.float32)
    sums = tl.zeros((LINES, WIDTH), tl.float32)
    for split in range(SPLITS):
        share = tl.exp2(tl.load(marks + split * 2 * LINES + line, cache_modifier=".cg") - best)
        weight += share * tl.load(marks + (split * 2 + 1) * LINES + line, cache_modifier=".cg")
        sums += share[:, None] * tl.load(partial + split * LINES * WIDTH + places, cache_modifier=".cg")
    tl.store(out, (sums / weight[:, None]).to(out.dtype.element_ty), mask=real)
