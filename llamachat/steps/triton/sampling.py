"""Which id comes next, on the device: temperature, top-k, top-p and min-p without sorting, and the step to the next
position.

An id is drawn from all, and kept if what is likelier weighs less than top_p of the whole; else it is drawn again from
what is likelier. That is a draw from the smallest set that reaches top_p, mostly in one round (rejection by threshold,
as in FlashInfer's sampling kernels), where sorting 128,256 logits would take longer than a layer.
"""

import triton
import triton.language as tl

from llamachat.steps.triton.tiles import go_on, wait

ROUNDS = tl.constexpr(64)  # draws of one id that have random numbers of their own


@triton.jit
def order(x):
    """float32 to int32 so that larger ones are larger: integers can be bisected to the last bit."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@triton.jit
def sampling(
    logits, settings, seed, ids, position, found, V, CHAIN: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr
):
    """``found`` [M] from ``logits`` (M, V) float32, -1 if they are not finite. One program for a line.

    ``settings`` [4] float32: temperature (0 is greedy), top_p, min_p, top_k (0 is off); ``seed`` [1] int32. With CHAIN
    (M = 1) the id goes to ``ids`` and ``position`` moves on, as the next step wants them.
    """
    line = tl.program_id(0)
    logits += line * V
    wait(PDL)
    temperature = tl.maximum(tl.load(settings), 1e-30)
    top_k = tl.load(settings + 3)
    best, chosen, finite = _largest(logits, V, BLOCK)
    if finite & (tl.load(settings) > 0) & (top_k != 1):
        floor = order(tl.full((), float("-inf"), tl.float32))
        if top_k > 0:
            floor = _kth(logits, best, top_k, V, BLOCK)
        here = tl.load(position).to(tl.int32) + line
        chosen = _draw(
            logits, best, temperature, tl.load(settings + 1), tl.load(settings + 2), floor - 1,
            tl.load(seed), here * ROUNDS, V, BLOCK,
        )  # fmt: skip
    go_on(PDL)
    tl.store(found + line, tl.where(finite, chosen, -1))
    if CHAIN:
        tl.store(ids, chosen)
        tl.store(position, tl.load(position) + 1)


@triton.jit
def _largest(logits, V, BLOCK: tl.constexpr):
    """The largest, the first id that has it, and whether all are numbers."""
    lane = tl.arange(0, BLOCK)
    largest = tl.full((BLOCK,), float("-inf"), tl.float32)
    where = tl.zeros((BLOCK,), tl.int32)
    odd = tl.zeros((BLOCK,), tl.int32)
    for at in range(0, V, BLOCK):
        x = tl.load(logits + at + lane, mask=at + lane < V, other=float("-inf"))
        odd |= (x != x).to(tl.int32)
        where = tl.where(x > largest, at + lane, where)
        largest = tl.where(x > largest, x, largest)
    best = tl.max(largest, 0)
    first = tl.min(tl.where(largest == best, where, V), 0)
    finite = (tl.max(odd, 0) == 0) & (best < float("inf")) & (best > float("-inf"))
    return best, tl.where(finite, first, 0), finite


@triton.jit
def _kth(logits, best, k, V, BLOCK: tl.constexpr):
    """The order of the k-th largest."""
    low = order(tl.full((), float("-inf"), tl.float32)).to(tl.int64)
    high = order(best).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    while low < high:
        middle = low + (high - low + 1) // 2
        count = tl.zeros((BLOCK,), tl.int32)
        for at in range(0, V, BLOCK):
            x = tl.load(logits + at + lane, mask=at + lane < V, other=float("-inf"))
            count += ((order(x) >= middle) & (at + lane < V)).to(tl.int32)
        enough = tl.sum(count, 0) >= k
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle - 1)
    return low.to(tl.int32)


@triton.jit
def _draw(logits, best, temperature, top_p, min_p, under, seed, offset, V, BLOCK: tl.constexpr):
    """An id whose logit's order is above ``under``, by its probability among those, top_p and min_p."""
    whole = _mass(logits, best, temperature, under, V, BLOCK)
    total = whole
    chosen = 0
    turn = 0
    drawing = True
    while drawing:
        chosen = _inverse(logits, best, temperature, under, tl.rand(seed, offset + turn) * total, V, BLOCK)
        drawn = tl.load(logits + chosen)
        under = order(drawn)
        total = _mass(logits, best, temperature, under, V, BLOCK)  # of what is likelier
        drawing = (total >= top_p * whole) | (tl.exp((drawn - best) / temperature) < min_p)
        drawing = drawing & (drawn < best)
        turn += 1
    return chosen


@triton.jit
def _mass(logits, best, temperature, under, V, BLOCK: tl.constexpr):
    """Weights of all above ``under``; the likeliest has 1."""
    lane = tl.arange(0, BLOCK)
    sums = tl.zeros((BLOCK,), tl.float32)
    for at in range(0, V, BLOCK):
        x = tl.load(logits + at + lane, mask=at + lane < V, other=float("-inf"))
        sums += tl.where(order(x) > under, tl.exp((x - best) / temperature), 0.0)
    return tl.sum(sums, 0)


@triton.jit
def _inverse(logits, best, temperature, under, target, V, BLOCK: tl.constexpr):
    """The first id at which the weights above ``under``, added up in order of ids, exceed ``target``; rounding may put
    that behind the last, which it is then."""
    lane = tl.arange(0, BLOCK)
    before = 0.0
    chosen = V
    last = 0
    at = 0
    while (at < V) & (chosen == V):
        x = tl.load(logits + at + lane, mask=at + lane < V, other=float("-inf"))
        weight = tl.where(order(x) > under, tl.exp((x - best) / temperature), 0.0)
        reached = before + tl.cumsum(weight, 0)
        chosen = tl.min(tl.where((reached > target) & (weight > 0), at + lane, V), 0)
        last = tl.maximum(last, tl.max(tl.where(weight > 0, at + lane, 0), 0))
        before += tl.sum(weight, 0)
        at += BLOCK
    return tl.where(chosen == V, last, chosen)
