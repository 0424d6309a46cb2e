"""Checkpoints in 8 or 4 bits: what they compute, the copy in the cache folder, and what makes it worthless."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llama import change_weights, reference, rope, save_huggingface, save_meta
from torch import Tensor

from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints import quantised as quantised_file
from llamachat.checkpoints.quantised import fingerprint, load_quantised
from llamachat.errors import ConfigError
from llamachat.model import Transformer
from llamachat.quantise import KINDS, Kind, QuantisedLinear, dequantise, quantise
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams

IDS = torch.randint(512, (1, 40), generator=torch.Generator().manual_seed(1))
WIDE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "quantised"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_huggingface(reference(**WIDE), tmp_path / "m")


def logits(model: Transformer) -> Tensor:
    found: Tensor = model(IDS)
    return found


def copies(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [False, True])
def test_it_computes_with_weights_that_were_rounded_once(tmp_path: Path, kind: Kind, tied: bool) -> None:
    folder = save_huggingface(reference(**WIDE, tie_word_embeddings=tied), tmp_path / "m")
    whole = open_checkpoint(folder).load_model()
    exact = logits(whole)
    shares: list[float] = []
    for _ in range(2):  # made, then read back
        model = load_quantised(open_checkpoint(folder), kind, progress=shares.append)
        assert (shares[-1], sorted(shares)) == (1.0, shares)
        shares.clear()
        found = logits(model)
        assert model.output.kind == ("int8" if kind == "int4" else kind)
        assert model.tok_embeddings.weight.equal(whole.tok_embeddings.weight)
        linear = {name: module for name, module in model.named_modules() if isinstance(module, QuantisedLinear)}
        assert len(linear) == 2 * 7 + 1
        rounded = open_checkpoint(folder).load_model()
        for name, module in linear.items():
            weight = dequantise(quantise(whole.get_parameter(f"{name}.weight"), module.kind))
            rounded.get_submodule(name).weight = torch.nn.Parameter(weight, False)
        expected = logits(rounded)
        assert (found - expected).norm() / expected.norm() < 1e-5
        assert 0.001 < (found - exact).norm() / exact.norm() < 1.0  # q and k are large: 4 bits are off by 0.8


def test_every_layout(tmp_path: Path, cache: Path) -> None:
    shape = {**WIDE, "tie_word_embeddings": True, "rope_parameters": rope(32.0)}
    meta = save_meta(reference(**WIDE), tmp_path / "meta", 2)
    tied = save_huggingface(reference(**shape), tmp_path / "hf", max_shard_size="300KB")
    for folder in (meta, tied):
        first = logits(load_quantised(open_checkpoint(folder), "int8", dtype=torch.bfloat16))
        assert logits(load_quantised(open_checkpoint(folder), "int8", dtype=torch.bfloat16)).equal(first)
    assert len(copies(cache)) == 2


def test_each_kind_and_dtype_has_a_copy(folder: Path, cache: Path) -> None:
    checkpoint = open_checkpoint(folder)
    for kind in KINDS:
        load_quantised(checkpoint, kind)
    load_quantised(checkpoint, "int8", dtype=torch.bfloat16)
    assert len(copies(cache)) == 4
    assert all(not copy.name.startswith(".") for copy in copies(cache))


def test_a_copy_is_read_in_place_of_the_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = logits(load_quantised(open_checkpoint(folder), "int8"))
    monkeypatch.setattr(quantised_file, "quantise", None)
    assert logits(load_quantised(open_checkpoint(folder), "int8")).equal(first)


def test_many_parts(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised_file, "PART", 50_000)
    first = logits(load_quantised(open_checkpoint(folder), "int4"))
    assert len(list(copies(cache)[0].iterdir())) == 5
    assert logits(load_quantised(open_checkpoint(folder), "int4")).equal(first)


def test_other_weights_have_another_copy(folder: Path) -> None:
    before = fingerprint(open_checkpoint(folder), "int8", torch.float32)
    change_weights(folder, lambda weights: weights["model.norm.weight"].add_(1))
    assert fingerprint(open_checkpoint(folder), "int8", torch.float32) != before


def truncate(folder: Path) -> None:
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes()[:-1000])


def overwrite(folder: Path) -> None:
    next(folder.iterdir()).write_bytes(b"\xff" * 5000)


def rename(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({"layers.0.attention.wq.weight:int3": torch.ones(2, 2)}))


def lose(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("norm.weight"))


def lose_a_scale(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.pop("output.weight:scale"))


def empty(folder: Path) -> None:
    next(folder.iterdir()).unlink()


@pytest.mark.parametrize("damage", [truncate, overwrite, rename, lose, lose_a_scale, empty])
def test_a_torn_copy_is_made_anew(folder: Path, cache: Path, damage: Callable[[Path], None]) -> None:
    first = logits(load_quantised(open_checkpoint(folder), "int8"))
    (copy,) = copies(cache)
    damage(copy)
    assert logits(load_quantised(open_checkpoint(folder), "int8")).equal(first)
    assert copies(cache) == [copy]
    assert next(copy.iterdir()).stat().st_size > 100_000


def test_a_full_disk_costs_the_copy_only(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised_file, "SPARE", 2**60)
    first = logits(load_quantised(open_checkpoint(folder), "int8"))
    assert copies(cache) == []
    monkeypatch.undo()
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(folder / "config.json"))  # no folder can be made there
    assert logits(load_quantised(open_checkpoint(folder), "int8")).equal(first)


def test_an_interrupted_load_leaves_nothing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    monkeypatch.setattr(quantised_file, "PART", 50_000)
    with pytest.raises(KeyboardInterrupt):
        load_quantised(open_checkpoint(folder), "int8", progress=interrupt)
    assert copies(cache) == []
    killed = cache / f".{'0' * 32}.{'1' * 32}"  # by a power cut, long ago
    killed.mkdir(parents=True)
    monkeypatch.setattr(quantised_file, "ABANDONED", -1.0)
    load_quantised(open_checkpoint(folder), "int8")
    assert [copy.name[0] for copy in copies(cache)] != ["."]
    assert len(copies(cache)) == 1


def test_a_shape_that_int4_can_not_hold(tmp_path: Path, cache: Path) -> None:
    folder = save_huggingface(reference(), tmp_path / "m")
    with pytest.raises(ConfigError, match="don't divide into groups of 128"):
        load_quantised(open_checkpoint(folder), "int4")
    assert copies(cache) == []


async def test_the_runtime_runs_it(folder: Path, cache: Path) -> None:
    change_weights(folder, lambda weights: weights["model.layers.1.mlp.up_proj.weight"][3].fill_(1.0))
    greedy, said = SamplingParams(temperature=0.0, max_tokens=12), []
    for weights in ("int8", None):
        runtime = LlamaRuntime.open(folder, device="cpu", threads=1, weights=weights)
        said.append([i async for i in runtime.generate(list(range(30)), greedy, ())])
        runtime.close()
    assert len(copies(cache)) == 1
    assert said[0][:2] == said[1][:2]
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1, weights="bf16")
    assert runtime._weight.dtype == torch.bfloat16
    runtime.close()
    shutil.rmtree(cache)
