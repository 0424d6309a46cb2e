"""The Transformer computes what transformers' LlamaForCausalLM computes, with and without a cache."""

from pathlib import Path

import pytest
import torch
from tiny_llama import SHAPES, V, reference, save_huggingface
from torch import Tensor

from llamachat import products
from llamachat.checkpoints import open_checkpoint
from llamachat.model import KVCache, Transformer
from llamachat.products import Linear


def random_ids(length: int, seed: int = 1) -> Tensor:
    return torch.randint(V, (1, length), generator=torch.Generator().manual_seed(seed))


def ours(folder: Path, shape: str = "grouped, factor 8") -> Transformer:
    return open_checkpoint(save_huggingface(reference(**SHAPES[shape]), folder)).load_model()


def new_cache(model: Transformer, size: int = 256) -> KVCache:
    return KVCache(model.config, size, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_those_of_transformers(shape: str, tmp_path: Path) -> None:
    theirs, model = reference(**SHAPES[shape]), ours(tmp_path, shape)
    for length in (1, 7, 200):  # beyond 64 positions, scaled and plain rotations differ
        ids = random_ids(length)
        expected = theirs(ids).logits
        assert expected.std() > 0.5  # large enough for the tolerance to mean something
        found = model(ids)
        assert (found - expected).norm() <= 2e-5 * expected.norm()
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)  # 1.1e-4 was seen, once in 12,000 logits


@pytest.mark.parametrize("shape", SHAPES)
def test_64_greedy_tokens_equal_those_of_transformers(shape: str, tmp_path: Path) -> None:
    theirs, model, prompt = reference(**SHAPES[shape]), ours(tmp_path, shape), random_ids(100)
    expected = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=64,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    cache, ids = new_cache(model), prompt
    for _ in range(64):
        logits = model(ids[:, cache.length :], cache)
        ids = torch.cat((ids, logits[:, -1:].argmax(-1)), dim=1)
    assert ids.tolist() == expected.tolist()


def test_a_batch_is_its_rows(tmp_path: Path) -> None:
    model, ids = ours(tmp_path), torch.cat((random_ids(20, 1), random_ids(20, 2)))
    torch.testing.assert_close(model(ids), torch.cat((model(ids[:1]), model(ids[1:]))), atol=1e-4, rtol=0)


@pytest.mark.parametrize("parts", [[60], [1] * 60, [30, 30], [1, 59], [40, 1, 7, 12]])
def test_a_cache_changes_no_logits(parts: list[int], tmp_path: Path) -> None:
    model, ids = ours(tmp_path), random_ids(60)
    cache = new_cache(model)
    cached = torch.cat([model(part, cache) for part in ids.split(parts, dim=1)], dim=1)
    assert cache.length == 60
    torch.testing.assert_close(cached, model(ids), atol=1e-4, rtol=0)


def test_a_suffix_sees_no_later_ids_and_all_earlier_ones(tmp_path: Path) -> None:
    model, ids = ours(tmp_path), random_ids(60)
    changed = ids.clone()
    changed[0, 50] = (ids[0, 50] + 1) % V

    def suffix(tokens: Tensor) -> Tensor:
        cache = new_cache(model)
        model(tokens[:, :40], cache)
        return model(tokens[:, 40:], cache)[0]

    before, after = suffix(ids), suffix(changed)
    assert torch.equal(before[:10], after[:10])
    assert (before[10:] - after[10:]).abs().amax(-1).min() > 1e-3


def test_rewinding_the_cache_is_setting_its_length(tmp_path: Path) -> None:
    model, ids, other = ours(tmp_path), random_ids(60), random_ids(30, 2)
    cache = new_cache(model)
    model(ids, cache)
    cache.length = 30
    again = model(other, cache)
    fresh = model(torch.cat((ids[:, :30], other), dim=1))[:, 30:]
    torch.testing.assert_close(again, fresh, atol=1e-4, rtol=0)


def test_bfloat16_stays_near(tmp_path: Path) -> None:
    checkpoint, ids = open_checkpoint(save_huggingface(reference(), tmp_path)), random_ids(100)
    exact = checkpoint.load_model()(ids)
    near = checkpoint.load_model(dtype=torch.bfloat16)(ids)
    assert near.dtype == torch.bfloat16
    assert (near.float() - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("rows", [1, 16, 17, 200])
def test_a_product_in_bfloat16_is_one_of_float32_rounded(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every processor: where torch is slow in bfloat16, as here in the second round, many rows go by float32."""
    generator = torch.Generator().manual_seed(1)
    layer = Linear(96, 40).requires_grad_(False)
    x = torch.randn(2, rows, 96, generator=generator).bfloat16()
    layer.to(torch.bfloat16)
    wanted = x.float() @ layer.weight.float().T
    for dtype in (products.product_dtype(x.device), torch.float32):
        monkeypatch.setattr(products, "product_dtype", lambda device, dtype=dtype: dtype)
        found = layer(x)
        assert found.dtype == torch.bfloat16
        assert float((found.float() - wanted).norm() / wanted.norm()) < 0.004
    assert torch.equal(layer(x), wanted.bfloat16()) or 2 * rows <= products.FEW
