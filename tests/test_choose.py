"""Choosing the next id: each filter against its definition, on random logits."""

import math
from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.kv_tree import common_prefix
from llamachat.picking import choose
from llamachat.sampling import SamplingParams, uniform

LOGITS = st.lists(st.integers(-160, 160).map(lambda i: i / 8), min_size=1, max_size=12).map(torch.tensor)
TEMPERATURES = st.floats(0.05, 5.0)


def draws(logits: torch.Tensor, sampling: SamplingParams, number: int = 60) -> set[int]:
    random = Random(0)
    return {choose(logits, sampling, random) for _ in range(number)}


def allowed(logits: torch.Tensor, sampling: SamplingParams) -> set[int]:
    """The ids that may come, by the definitions, in plain Python; a hair of tolerance where float32 decides."""
    top = sorted(range(len(logits)), key=lambda i: -float(logits[i]))
    kth = float(logits[top[min(sampling.top_k or len(top), len(top)) - 1]])
    top = [i for i in top if float(logits[i]) >= kth]
    weights = [math.exp((float(logits[i]) - float(logits[top[0]])) / sampling.temperature) for i in top]
    shares = [weight / sum(weights) for weight in weights]
    before = [sum(share for share in shares if share > shares[i] + 1e-6) for i in range(len(top))]
    return {
        i
        for i, share, sum_before in zip(top, shares, before, strict=True)
        if sum_before < sampling.top_p + 1e-5 and share >= sampling.min_p * shares[0] - 1e-6
    }


@settings(deadline=None)
@given(LOGITS, TEMPERATURES, st.floats(0.01, 1.0), st.integers(0, 13), st.floats(0.0, 1.0))
def test_only_what_the_filters_leave(
    logits: torch.Tensor, temperature: float, top_p: float, top_k: int, min_p: float
) -> None:
    sampling = SamplingParams(temperature, top_p, top_k, min_p)
    assert draws(logits, sampling, 20) <= allowed(logits, sampling)


@settings(deadline=None)
@given(LOGITS, st.floats(0.0, 5.0))
def test_greedy_by_any_name(logits: torch.Tensor, temperature: float) -> None:
    best = int(logits.argmax())
    assert draws(logits, SamplingParams(temperature=0.0), 2) == {best}
    assert draws(logits, SamplingParams(temperature, top_k=1), 2) == {best}
    for sampling in (SamplingParams(1e-300, 1.0), SamplingParams(1.0, 1e-9), SamplingParams(1.0, 1.0, min_p=1.0)):
        assert {float(logits[i]) for i in draws(logits, sampling, 2)} == {float(logits[best])}


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    for top_p, kept in ((0.4, {1}), (0.6, {1, 3}), (0.74, {1, 3}), (0.76, {1, 3, 2}), (0.95, {0, 1, 2, 3})):
        assert draws(logits, SamplingParams(1.0, top_p), 200) == kept


def test_top_p_counts_after_top_k() -> None:
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()  # of the best two, the first has 2/3
    assert draws(logits, SamplingParams(1.0, 0.66, top_k=2), 200) == {1}
    assert draws(logits, SamplingParams(1.0, 0.68, top_k=2), 200) == {1, 3}


def test_min_p_is_a_share_of_the_likeliest() -> None:
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    for min_p, kept in ((0.0, {0, 1, 2, 3}), (0.25, {1, 2, 3}), (0.49, {1, 3}), (0.51, {1})):
        assert draws(logits, SamplingParams(1.0, 1.0, min_p=min_p), 200) == kept


def test_ids_come_as_often_as_they_are_likely() -> None:
    shares = torch.tensor([0.1, 0.5, 0.15, 0.25])
    random = Random(0)
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[choose(shares.log() * 2, SamplingParams(2.0, 1.0), random)] += 1
    torch.testing.assert_close(counts / 4000, shares, atol=0.03, rtol=0)


def test_the_arguments_are_left_as_they_were() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0])
    choose(logits, SamplingParams(), Random())
    assert logits.tolist() == [1.0, 2.0, 3.0]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix(a: list[int], b: list[int]) -> None:
    length = common_prefix(a, b)
    assert a[:length] == b[:length]
    assert a[length : length + 1] != b[length : length + 1] or length == min(len(a), len(b))


def test_a_flat_distribution_keeps_its_long_tail() -> None:
    flat, peaked = torch.zeros(2000), torch.zeros(2000)
    peaked[7] = 20.0
    for sampling in (SamplingParams(1.0, 0.9), SamplingParams(1.0, 1.0), SamplingParams(1.0, 1.0, min_p=0.5)):
        assert len(draws(flat, sampling, 3000)) > 1200
    assert draws(peaked, SamplingParams(1.0, 0.9), 100) == {7}
    assert len(draws(peaked, SamplingParams(20.0, 1.0), 1000)) > 600


def test_no_draw_is_the_end_of_its_range() -> None:
    class Last(Random):
        def getrandbits(self, k: int) -> int:
            return 2**k - 1

    assert torch.tensor(uniform(Last())) < 1
    assert choose(torch.zeros(5), SamplingParams(1.0, 1.0), Last()) == 4
