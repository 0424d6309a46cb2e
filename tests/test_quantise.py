"""Weights in 8 and 4 bits: small cases by hand, error bounds, round trips, damage that stays visible."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llamachat.errors import ConfigError
from llamachat.quantise import GROUP, KINDS, Kind, Quantised, QuantisedLinear, dequantise, quantise, stack

ERRORS: dict[Kind, float] = {"int8": 0.01, "fp8": 0.03, "int4": 0.12}
"""Relative, of normally distributed weights."""


def drawn(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.02


def same(a: Quantised, b: Quantised) -> bool:
    return torch.equal(a.data.view(torch.uint8), b.data.view(torch.uint8)) and torch.equal(a.scale, b.scale)


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_int8_by_hand() -> None:
    found = quantise(torch.tensor([[127.0, -1.4, 0.0, 63.5], [0.0, 0.0, 0.0, 0.0], [0.5, -1.0, 0.25, 0.0]]), "int8")
    assert found.scale.tolist() == pytest.approx([1.0, 0.0, 1 / 127])
    assert found.data.tolist() == [[127, -1, 0, 64], [0, 0, 0, 0], [64, -127, 32, 0]]
    assert found.shape == (3, 4)
    assert found.nbytes == 12 + 12


def test_fp8_by_hand() -> None:
    found = quantise(torch.tensor([[448.0, -1.0, 17.0, 0.0], [0.0, 2.24, -1.12, 4.48]]), "fp8")
    assert found.scale.tolist() == pytest.approx([1.0, 0.01])
    assert found.data.float().tolist() == [[448, -1, 16, 0], [0, 224, -112, 448]]  # 17 is between 16 and 18, and even


def test_int4_by_hand() -> None:
    row = torch.zeros(2 * GROUP)
    row[0], row[1], row[64], row[127] = 16.0, -14.0, 2.0, -16.0  # the first of the largest becomes -8
    row[GROUP + 5], row[GROUP + 69] = -8.0, 7.0
    found = quantise(row[None], "int4")
    assert found.scale.tolist() == [[-2.0, 1.0]]
    data = found.data[0].tolist()
    assert (data[0] & 15, data[0] >> 4) == (0, 7)  # 16 / -2 = -8, and column 64: 2 / -2 = -1
    assert data[1] == 15 | 8 << 4
    assert data[63] >> 4 == 15  # 8 does not fit, 7 does
    assert (data[64 + 5] & 15, data[64 + 5] >> 4) == (0, 15)
    assert found.shape == (1, 256)
    assert found.nbytes == 128 + 4
    whole = dequantise(found)[0]
    assert [whole[i].item() for i in (0, 1, 64, 127, GROUP + 5, GROUP + 69, 2)] == [16, -14, 2, -14, -8, 7, 0]


# -- for all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_how_far_off(kind: Kind) -> None:
    weight = drawn(64, 512)
    found = quantise(weight, kind)
    error = dequantise(found) - weight
    assert 0.3 * ERRORS[kind] < error.norm() / weight.norm() < ERRORS[kind]
    if kind == "int8":
        assert (error.abs() <= 0.5001 * found.scale[:, None]).all()
    elif kind == "fp8":
        assert (error.abs() <= torch.maximum(weight.abs() / 16, found.scale[:, None] / 1024) * 1.0001).all()
    else:
        scale = found.scale.float().abs().repeat_interleave(GROUP, 1)
        inside = weight.abs() <= 7.4 * scale
        assert (error.abs() <= 0.5001 * scale)[inside].all()
        assert (error.abs() <= scale).all()


@pytest.mark.parametrize("kind", KINDS)
@given(
    rows=st.integers(1, 9),
    groups=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    size=st.sampled_from([1e-4, 0.02, 1.0, 300.0]),
)
@settings(max_examples=25, deadline=None)
def test_what_was_rounded_once_stays(kind: Kind, rows: int, groups: int, seed: int, size: float) -> None:
    weight = drawn(rows, groups * GROUP, seed) * size
    once = quantise(weight, kind)
    again = quantise(dequantise(once), kind)
    assert torch.allclose(dequantise(again), dequantise(once), rtol=1e-5, atol=0)
    parts = [quantise(weight[:1], kind), quantise(weight[1:], kind)]
    assert same(stack(parts), once)


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_larger_than_a_chunk(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = drawn(50, 256).bfloat16()
    whole = quantise(weight, kind)
    monkeypatch.setattr("llamachat.quantise.CHUNK", 1000)
    assert same(quantise(weight, kind), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_damage_stays_visible(kind: Kind, bad: float) -> None:
    weight = drawn(4, 256)
    weight[2, 7] = bad
    whole = dequantise(quantise(weight, kind))
    assert whole[2, :GROUP].isnan().any()
    assert whole[[0, 1, 3]].isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_multiplies_with_what_it_stands_for(kind: Kind, dtype: torch.dtype) -> None:
    weight, x = quantise(drawn(96, 256), kind), drawn(6, 256, 1).view(2, 3, 256).to(dtype)
    found, expected = QuantisedLinear(weight)(x), F.linear(x.double(), dequantise(weight).double())
    assert (found.dtype, found.shape) == (dtype, (2, 3, 96))
    assert (found.double() - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 0.005)


def test_rows_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="Rows of 192 weights"):
        quantise(drawn(2, 192), "int4")


@pytest.mark.parametrize("rows", [64, 72])
def test_few_lines_in_bfloat16_are_multiplied_in_another_way(rows: int) -> None:
    generator = torch.Generator().manual_seed(1)
    layer = QuantisedLinear(quantise(torch.randn(rows, 128, generator=generator), "int8"))
    for shape in ((1, 128), (1, 1, 128), (4, 128), (5, 128), (2, 3, 128)):
        x = torch.randn(shape, generator=generator).bfloat16()
        wanted = x.float() @ dequantise(layer.quantised).T
        found = layer(x)
        assert (found.shape, found.dtype) == (wanted.shape, torch.bfloat16)
        assert (found.float() - wanted).norm() / wanted.norm() < 0.01
