"""Checkpoints are recognised by content, load to the same numbers from either layout, and say who they are."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_models.llama3
import pytest
import torch
from safetensors.torch import load_file
from tiny_gguf import save_gguf
from tiny_llama import (
    SHAPES,
    V,
    change_weights,
    edit_json,
    logits_agree,
    reference,
    rope,
    rounded,
    save_huggingface,
    save_meta,
    to_float8,
)
from transformers.convert_slow_tokenizer import TikTokenConverter

from llamachat.calls import Offered
from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints.meta import model_config
from llamachat.checkpoints.settings import Settings
from llamachat.checkpoints.vocabulary import byte_alphabet
from llamachat.errors import LlamaChatError
from llamachat.model import ModelConfig, RopeScaling
from llamachat.protocol import Dialect, ReplyParser
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import PATTERN, Tokenizer

IDS = torch.randint(V, (1, 50), generator=torch.Generator().manual_seed(1))
META_TOKENIZER = Path(llama_models.llama3.__path__[0]) / "tokenizer.model"
SCALED = rope(8.0, original=8192)


def logits(path: Path) -> torch.Tensor:
    return open_checkpoint(path).load_model()(IDS)


# -- the same model from every layout ---------------------------------------------------------------------------------


def test_the_disk_is_asked_for_what_is_turned_into_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_huggingface(reference().bfloat16(), tmp_path / "bf16")
    size, hints, window = (path / "model.safetensors").stat().st_size, list[tuple[int, int]](), 2000

    def hint(file: int, at: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        assert os.fstat(file).st_size == size
        hints.append((at, length))

    monkeypatch.setattr("llamachat.checkpoints.read_ahead.WINDOW", window)
    monkeypatch.setattr("llamachat.checkpoints.read_ahead.PIECE", 500)
    monkeypatch.setattr(os, "posix_fadvise", hint)
    open_checkpoint(path).load_model(dtype=torch.bfloat16)
    assert hints == []  # mapped, and read when it is used
    expected = open_checkpoint(path).load_model()(IDS)
    assert hints == [(at, 500) for at in range(0, size, 500)]  # each once, in order, to the end of the file
    monkeypatch.delattr(os, "posix_fadvise")  # macOS
    assert torch.equal(logits(path), expected)


@pytest.mark.parametrize("tied", [False, True])
def test_every_layout_gives_the_same_model(tied: bool, tmp_path: Path) -> None:
    model = reference(tie_word_embeddings=tied, rope_parameters=SCALED)
    single = save_huggingface(model, tmp_path / "single")
    expected = logits(single)
    paths = [
        single / "model.safetensors",  # a file stands for its folder
        save_huggingface(model, tmp_path / "sharded", max_shard_size="50KB"),
        save_meta(model, tmp_path / "meta", use_scaled_rope=True),
        save_meta(model, tmp_path / "two ranks", shards=2, use_scaled_rope=True),
        save_meta(model, tmp_path / "two ranks, old", shards=2, split_width=True, use_scaled_rope=True),
        tmp_path / "two ranks" / "consolidated.01.pth",
    ]
    assert len(list(paths[1].glob("*.safetensors"))) > 3
    for path in paths:
        assert torch.equal(logits(path), expected), path
    torch.testing.assert_close(expected, model(IDS).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_every_shape_and_dtype_gives_the_logits_of_transformers(
    shape: str, stored: torch.dtype, tmp_path: Path
) -> None:
    model = reference(**SHAPES[shape])
    folder = save_huggingface(rounded(model, stored), tmp_path / "hf", max_shard_size="50KB")
    logits_agree(folder, model)
    logits_agree(folder, model, torch.bfloat16)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
def test_metas_layout_and_gguf_in_every_dtype(stored: torch.dtype, tmp_path: Path) -> None:
    model = reference(rope_parameters=SCALED, num_key_value_heads=1)
    folder = save_meta(rounded(model, stored), tmp_path / "meta", use_scaled_rope=True)
    kind = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}[stored]
    logits_agree(folder, model)
    logits_agree(folder, model, torch.bfloat16)
    file = save_gguf(model, tmp_path / "tiny.gguf", kind)
    logits_agree(file, model)
    logits_agree(file, model, torch.bfloat16)


def test_the_tolerance_would_show_a_wrong_rotation(tmp_path: Path) -> None:
    model = reference()
    folder = save_huggingface(model, tmp_path)
    name = "model.layers.0.self_attn.q_proj.weight"
    change_weights(folder, lambda w: w.update({name: w[name].view(4, 8, 2, 64).transpose(1, 2).reshape(64, 64)}))
    with pytest.raises(AssertionError):
        logits_agree(folder, model, torch.bfloat16)


@pytest.mark.parametrize("shards", [1, 2, 4, 8])
@pytest.mark.parametrize("split_width", [False, True])
def test_a_meta_checkpoint_of_any_number_of_ranks(shards: int, split_width: bool, tmp_path: Path) -> None:
    model = reference(num_attention_heads=8, num_key_value_heads=8, rope_parameters=SCALED)
    folder = save_meta(
        rounded(model, torch.bfloat16), tmp_path / "m", shards=shards, split_width=split_width, use_scaled_rope=True
    )
    logits_agree(folder, model)


@pytest.mark.parametrize("ending", ["weight_scale", "weight_scale_inv"])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("method", ["fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"])
def test_float8_weights_are_multiplied_by_their_scales(ending: str, rows: bool, method: str, tmp_path: Path) -> None:
    model = reference(rope_parameters=SCALED, num_key_value_heads=1)
    folder = save_huggingface(model, tmp_path, quantization_config={"quant_method": method})
    logits_agree(to_float8(folder, model, ending, rows), model)
    logits_agree(folder, model, torch.bfloat16)


def test_float8_with_other_scales_is_refused(tmp_path: Path) -> None:
    folder = to_float8(save_huggingface(model := reference(), tmp_path), model)
    weights, name = load_file(folder / "model.safetensors"), "model.layers.1.mlp.up_proj"
    for scale, reason in (
        (torch.ones(1, 2), "the scale of model.layers.1.mlp.up_proj.weight is [1, 2] F32"),
        (torch.ones(1, dtype=torch.int32), "the scale of model.layers.1.mlp.up_proj.weight is [1] I32"),
    ):
        change_weights(folder, lambda w, scale=scale: w.update({f"{name}.weight_scale": scale}))
        with pytest.raises(LlamaChatError, match=re.escape(reason)):
            open_checkpoint(folder)
    change_weights(folder, lambda w: w.pop(f"{name}.weight_scale"))
    with pytest.raises(LlamaChatError, match="is fp8 and has no scale"):
        open_checkpoint(folder)
    five = weights[f"{name}.weight"].float().to(torch.float8_e5m2)
    change_weights(folder, lambda w: w.update({f"{name}.weight": five}))
    with pytest.raises(LlamaChatError, match="is stored as F8_E5M2"):
        open_checkpoint(folder)


def test_shards_without_an_index(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path, max_shard_size="50KB")
    expected = logits(folder)
    (folder / "model.safetensors.index.json").unlink()
    assert torch.equal(logits(folder), expected)


def test_both_layouts_have_one_config(tmp_path: Path) -> None:
    model = reference(rope_parameters=SCALED)
    config = open_checkpoint(save_huggingface(model, tmp_path / "hf")).config
    assert config == ModelConfig(
        dim=64, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=96, vocab_size=V, context=256, rope_scaling=RopeScaling()
    )
    assert open_checkpoint(save_meta(model, tmp_path / "meta", use_scaled_rope=True)).config == config
    by_rank = save_meta(model, tmp_path / "ranks", shards=2, use_scaled_rope=True, vocab_size=V, rope_scaling_factor=32)
    assert open_checkpoint(by_rank).config == replace(config, rope_scaling=RopeScaling(factor=32))


@pytest.mark.parametrize("factor", [8, 32])
def test_a_files_rotation_is_transformers(factor: int, tmp_path: Path) -> None:
    model = reference(rope_parameters=rope(float(factor), original=8192))
    folder = save_meta(model, tmp_path / "meta", use_scaled_rope=True, rope_scaling_factor=factor)
    cosines, sines = open_checkpoint(folder).load_model().rope[:, 1]
    torch.testing.assert_close(torch.atan2(sines, cosines), model.model.rotary_emb.inv_freq, atol=0, rtol=1e-5)


@pytest.mark.parametrize(("dim", "layers", "factor"), [(2048, 16, 32), (3072, 28, 32), (4096, 32, 8), (8192, 80, 8)])
def test_the_factor_that_no_params_json_holds_is_known_by_the_shape(dim: int, layers: int, factor: int) -> None:
    """3.2 1B and 3B have 32, all others 8; with the wrong one, a model breaks down after some ten thousand ids."""
    params = {"dim": dim, "n_layers": layers, "n_heads": 32, "use_scaled_rope": True, "rope_theta": 500_000.0}
    shapes = {"tok_embeddings.weight": (128_256, dim), "layers.0.feed_forward.w1.weight": (8192, dim)}
    assert model_config(Settings(Path("params.json"), params), shapes).rope_scaling == RopeScaling(factor=factor)
    said = {**params, "rope_scaling_factor": 16}
    assert model_config(Settings(Path("params.json"), said), shapes).rope_scaling == RopeScaling(factor=16)


def test_older_transformers_wrote_rope_theta_beside_rope_scaling(tmp_path: Path) -> None:
    folder = save_huggingface(reference(rope_parameters=SCALED), tmp_path)
    expected = open_checkpoint(folder).config
    scaling = {key: value for key, value in SCALED.items() if key != "rope_theta"}
    edit_json(folder / "config.json", rope_parameters=None, rope_theta=500_000.0, rope_scaling=scaling)
    assert open_checkpoint(folder).config == expected
    older = {"type" if key == "rope_type" else key: value for key, value in scaling.items()}
    edit_json(folder / "config.json", rope_scaling=older)
    assert open_checkpoint(folder).config == expected
    edit_json(folder / "config.json", rope_parameters={"rope_theta": 500_000.0})
    assert open_checkpoint(folder).config == expected
    edit_json(folder / "config.json", rope_parameters=None)
    edit_json(folder / "config.json", rope_scaling=None)
    assert open_checkpoint(folder).config == replace(expected, rope_scaling=None)


def test_params_without_numbers_of_its_own_take_the_defaults_of_llama_3(tmp_path: Path) -> None:
    folder = save_meta(
        reference(num_key_value_heads=4),
        tmp_path / "m",
        n_kv_heads=None,
        vocab_size=None,
        max_seq_len=None,
        norm_eps=None,
    )
    config = open_checkpoint(folder).config
    assert (config.n_kv_heads, config.vocab_size, config.context, config.norm_eps) == (4, V, 8192, 1e-5)


def test_a_meta_checkpoint_without_output_is_tied(tmp_path: Path) -> None:
    model = reference(tie_word_embeddings=True)
    folder = save_meta(model, tmp_path / "m")
    weights = torch.load(folder / "consolidated.00.pth")
    del weights["output.weight"]
    torch.save(weights, folder / "consolidated.00.pth")
    assert open_checkpoint(folder).config.tied
    torch.testing.assert_close(logits(folder), model(IDS).logits, atol=1e-4, rtol=0)


def test_an_output_that_shares_the_table_is_tied(tmp_path: Path) -> None:
    model = reference(tie_word_embeddings=True)
    folder = save_meta(model, tmp_path / "m")
    change_weights(folder, lambda w: w.update({"output.weight": w["tok_embeddings.weight"]}))  # as 3.2 1B has it
    assert open_checkpoint(folder).config.tied
    logits_agree(folder, model)


def test_loading_tells_its_progress(tmp_path: Path) -> None:
    checkpoint, seen = open_checkpoint(save_huggingface(reference(), tmp_path)), list[float]()
    checkpoint.load_model(progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) == len(checkpoint.weights.shapes)
    assert seen[-1] == 1.0
    assert checkpoint.parameters == sum(p.numel() for p in reference().parameters())


# -- who it is --------------------------------------------------------------------------------------------------------


def test_generations_are_told_apart_by_content(tmp_path: Path) -> None:
    def look(folder: Path) -> tuple[str, Dialect]:
        checkpoint = open_checkpoint(folder)
        return checkpoint.variant, checkpoint.dialect

    json_calls = Dialect(calls="json", python_tag="all_calls", dates=True)
    python_list = Dialect(calls="python_list", dates=False)
    plain, scaled = reference(), reference(rope_parameters=SCALED)
    folder = save_huggingface(plain, tmp_path / "hf")
    assert look(folder) == ("3.0", Dialect(dates=False))
    edit_json(folder / "generation_config.json", eos_token_id=[257, 265])
    assert look(folder) == ("3.0", Dialect(dates=False))
    edit_json(folder / "tokenizer_config.json", added_tokens_decoder={"264": {"content": "<|eom_id|>"}})
    assert look(folder) == ("3.1", json_calls)
    (folder / "tokenizer_config.json").unlink()
    edit_json(folder / "generation_config.json", eos_token_id=[257, 264, 265])  # base + 8 is eom
    assert look(folder) == ("3.1", json_calls)
    assert look(save_huggingface(scaled, tmp_path / "3.1")) == ("3.1", json_calls)
    tied = reference(tie_word_embeddings=True, rope_parameters=SCALED)
    assert look(save_huggingface(tied, tmp_path / "3.2")) == ("3.1", python_list)
    assert look(save_meta(plain, tmp_path / "m0")) == ("3.0", Dialect(dates=False))
    assert look(save_meta(scaled, tmp_path / "m1", use_scaled_rope=True)) == ("3.1", json_calls)
    assert look(save_meta(scaled, tmp_path / "m2", use_scaled_rope=True, rope_scaling_factor=32))[1] == python_list


def test_a_model_of_ours_says_who_it_is(tmp_path: Path) -> None:
    own = {"name": "nano", "variant": "3.1", "dialect": {"calls": "function_tag", "dates": False, "compact": True}}
    checkpoint = open_checkpoint(save_huggingface(reference(), tmp_path, llamachat=own))
    assert (checkpoint.name, checkpoint.variant) == ("nano", "3.1")
    assert checkpoint.dialect == Dialect("function_tag", "all_calls", dates=False, compact=True)


def test_generation_config_recommends_sampling_and_stops(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path, eos_token_id=257)
    edit_json(folder / "generation_config.json", eos_token_id=None)
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.stop_ids, checkpoint.sampling) == (frozenset({257}), SamplingParams())
    edit_json(
        folder / "generation_config.json", eos_token_id=[257, 265], temperature=0.8, top_p=0.7, top_k=40, min_p=0.1
    )
    checkpoint = open_checkpoint(folder)
    assert checkpoint.stop_ids == {257, 265}
    assert checkpoint.sampling == SamplingParams(temperature=0.8, top_p=0.7, top_k=40, min_p=0.1)
    edit_json(folder / "generation_config.json", do_sample=False)
    assert open_checkpoint(folder).sampling.temperature == 0


async def test_a_stop_id_of_the_makers_own_ends_a_message(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path, llamachat={"variant": "3.1"})
    edit_json(folder / "generation_config.json", eos_token_id=[257, 265, 300, 65])
    tokenizer = open_checkpoint(folder).load_tokenizer()
    assert tokenizer.stop_ids == {257, 264, 265, 300}  # 65 is a letter: no text ends a message
    parser = ReplyParser(tokenizer, Offered())
    for token_id in (*b"Hi", 300):
        parser.feed(token_id)
    assert parser.done
    assert parser.finish().message.text == "Hi"


# -- tokenizers -------------------------------------------------------------------------------------------------------


def test_the_tokenizer_may_lie_in_original(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path)
    (folder / "original").mkdir()
    (folder / "tokenizer.model").rename(folder / "original" / "tokenizer.model")
    assert open_checkpoint(folder).load_tokenizer().n_words == V


def test_tokenizer_json_gives_the_ids_of_tokenizer_model(tmp_path: Path) -> None:
    model = reference(hidden_size=8, intermediate_size=8, num_hidden_layers=1, vocab_size=128_256)
    folder = save_huggingface(model, tmp_path, llamachat={"variant": "3.1"})
    (folder / "tokenizer.model").unlink()
    theirs = TikTokenConverter(vocab_file=str(META_TOKENIZER)).converted()
    theirs.save(str(folder / "tokenizer.json"))
    ours, metas = open_checkpoint(folder).load_tokenizer(), Tokenizer.from_file(META_TOKENIZER)
    assert ours.special == metas.special
    assert [ours.token_bytes(i) for i in range(ours.n_words)] == [metas.token_bytes(i) for i in range(metas.n_words)]
    for text in ("Hello, world!", " x=3.14159\n\n\tdef", "naïve 😸 größe 東京", "<|eot_id|>"):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def small_tokenizer_json(**model: Any) -> dict[str, Any]:
    """tokenizer.json of 256 bytes; its first three letters of the alphabet are ! " #."""
    vocab = {char: i for i, char in enumerate(byte_alphabet())}
    return {
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": PATTERN}},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": vocab, "merges": [], **model},
    }


def test_a_small_tokenizer_json_of_bytes(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path)
    (folder / "tokenizer.model").unlink()
    edit_json(folder / "tokenizer.json", **small_tokenizer_json())
    assert open_checkpoint(folder).load_tokenizer().decode([0, 1]) == '!"'


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"type": "Unigram"}}, "no Llama 3 tokenizer"),
        (small_tokenizer_json(ignore_merges=False), "no Llama 3 tokenizer"),
        ({"normalizer": {"type": "NFC"}}, "cuts text differently"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "cuts text differently"),
        (small_tokenizer_json(vocab={"!": 0}), "its ids have gaps"),
        (small_tokenizer_json(vocab={"漢": 0}), "torn"),
        (small_tokenizer_json(merges=[["!", '"']]), "torn"),
        (
            small_tokenizer_json(vocab={**small_tokenizer_json()["model"]["vocab"], '!"': 256}),
            "not those of a tiktoken",
        ),
    ],
)
def test_a_foreign_tokenizer_json_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path)
    (folder / "tokenizer.model").unlink()
    edit_json(folder / "tokenizer.json", **small_tokenizer_json())
    edit_json(folder / "tokenizer.json", **changes)
    with pytest.raises(LlamaChatError, match=reason):
        open_checkpoint(folder).load_tokenizer()
