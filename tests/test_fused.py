"""The block of the training loop whose gradient is written out, beside the model's own in float32."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from llamachat.model import ModelConfig, Transformer, rope_table
from llamachat.training import fused


def shaped(heads: int, kv_heads: int, width: int) -> ModelConfig:
    return ModelConfig(
        dim=heads * width, n_layers=2, n_heads=heads, n_kv_heads=kv_heads, ffn_dim=96, vocab_size=64, context=128
    )


def twins(config: ModelConfig, dtype: torch.dtype = torch.bfloat16) -> tuple[Transformer, Transformer]:
    """The same random weights in float32 and in ``dtype``; norms that scale, and looks that are not yet so keen that
    roundings decide them."""
    torch.manual_seed(0)
    wide = Transformer(config)
    for weight in wide.parameters():
        torch.nn.init.uniform_(weight, 0.5, 1.5) if weight.ndim == 1 else torch.nn.init.normal_(weight, std=0.06)
    narrow = Transformer(config).to(dtype)
    narrow.load_state_dict(wide.state_dict())
    narrow.rope = rope_table(config)
    wide.load_state_dict(narrow.state_dict())  # what was rounded away is nobody's error
    return wide, narrow


def loss(hidden: Tensor, model: Transformer, tokens: Tensor) -> Tensor:
    return F.cross_entropy(model.output(hidden).float().flatten(0, 1), tokens.flatten().roll(-1))


@pytest.mark.parametrize(("heads", "kv_heads", "width"), [(4, 4, 16), (8, 2, 16), (4, 2, 32), (2, 1, 48), (3, 1, 64)])
@pytest.mark.parametrize("length", [1, 7, 33, 80])
@pytest.mark.parametrize(("dtype", "off"), [(torch.bfloat16, 0.03), (torch.float32, 1e-4)])
def test_loss_and_gradients_are_those_of_the_model(  # of what shape, how long, how exactly
    heads: int, kv_heads: int, width: int, length: int, dtype: torch.dtype, off: float
) -> None:
    wide, narrow = twins(shaped(heads, kv_heads, width), dtype)
    tokens = torch.randint(0, 64, (3, length))
    assert fused.suits(narrow)
    expected, found = loss(wide.hidden(tokens), wide, tokens), loss(fused.hidden(narrow, tokens), narrow, tokens)
    torch.autograd.backward([expected, found])
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=off / 3)
    for (name, a), b in zip(wide.named_parameters(), narrow.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        if length == 1 and name.endswith(("wq.weight", "wk.weight")):
            assert b.grad.abs().max() < 1e-4  # one position looks at itself, however it looks
            continue
        assert (a.grad - b.grad.float()).norm() <= off * a.grad.norm(), name


def test_a_position_gets_no_gradient_at_all_from_those_before_it() -> None:
    """Not 2^-126 of it either: with such numbers this part of the step took 6 times as long."""
    _, narrow = twins(shaped(4, 2, 16))
    looked_at = narrow.tok_embeddings(torch.arange(20)[None]).detach().requires_grad_()
    narrow.tok_embeddings.forward = lambda tokens: looked_at  # type: ignore[method-assign]
    torch.autograd.backward(fused.hidden(narrow, torch.arange(20)[None])[0, 7].sum())
    assert looked_at.grad is not None
    assert looked_at.grad[0, :8].abs().min() > 0
    assert not looked_at.grad[0, 8:].any()


def test_small_numbers_stay_what_they_are_once_it_is_loaded() -> None:
    assert fused.library(torch.bfloat16) is not None
    assert math.ulp(0.0) * 1.5 > 0.0  # -ffast-math would make this nothing, everywhere


def test_what_it_is_not_made_for_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fused.suits(Transformer(shaped(4, 2, 16)).half())
    assert not fused.suits(Transformer(shaped(4, 2, 24)).bfloat16())
    monkeypatch.setattr(fused, "library", lambda dtype: None)  # no compiler
    assert not fused.suits(Transformer(shaped(4, 2, 16)).bfloat16())
