"""Missing, torn and foreign checkpoints: one sentence that names the trouble, a hint, and nothing of them is run."""

import contextlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_gguf import save_gguf
from tiny_llama import change_weights, edit_json, reference, rope, save_huggingface, save_meta, write_tokenizer

from llamachat.checkpoints import open_checkpoint
from llamachat.errors import CheckpointError, LlamaChatError, TokenizerError


def load_all(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    checkpoint.load_tokenizer()
    checkpoint.load_model()


def refusal(path: Path) -> str:
    """The error of loading everything at ``path``; it must be one sentence and have a hint."""
    with pytest.raises(LlamaChatError) as caught:
        load_all(path)
    assert isinstance(caught.value, CheckpointError | TokenizerError)
    message, hint = caught.value.message, caught.value.hint
    assert message.endswith(".")
    assert hint.endswith(".")
    assert "\n" not in message + hint
    return message


@pytest.fixture(scope="module")
def huggingface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = save_huggingface(reference(), tmp_path_factory.mktemp("good") / "hf")
    return folder


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, model = tmp_path_factory.mktemp("every"), reference(num_hidden_layers=1)
    save_huggingface(model, folder / "hf")
    save_meta(model, folder / "meta")
    save_gguf(model, folder / "tiny.gguf")
    return Path(folder)


@pytest.fixture
def hf(tmp_path: Path) -> Path:
    return save_huggingface(reference(), tmp_path / "hf")


@pytest.fixture
def meta(tmp_path: Path) -> Path:
    return save_meta(reference(), tmp_path / "meta", shards=2)


# -- nothing to open --------------------------------------------------------------------------------------------------


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    assert "doesn't exist" in refusal(tmp_path / "nowhere")
    assert "is empty" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "holds no checkpoint" in refusal(tmp_path)
    assert "is no checkpoint" in refusal(tmp_path / "notes.txt")
    (tmp_path / "config.json").write_text("{}")
    assert "holds no weights" in refusal(tmp_path)


def test_what_is_no_file_is_not_read(hf: Path) -> None:
    weights, config = hf / "model.safetensors", hf / "config.json"
    kept = weights.rename(hf / "kept")
    os.mkfifo(weights)  # opening it would wait for ever
    assert "no file behind them" in refusal(hf)
    weights.unlink()
    weights.symlink_to(weights)
    assert "no file behind them" in refusal(hf)
    weights.unlink()
    weights.symlink_to(kept)
    load_all(hf)
    config.unlink()
    os.mkfifo(config)
    assert "config.json is no file" in refusal(hf)


def test_gguf_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"GGUF\x03\x00\x00\x00")
    assert "GGUF" in refusal(tmp_path)
    assert "GGUF" in refusal(tmp_path / "model.bin")


# -- torn files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.999])
def test_a_truncated_file(share: float, hf: Path, meta: Path) -> None:
    for file in (hf / "model.safetensors", meta / "consolidated.01.pth"):
        os.truncate(file, int(file.stat().st_size * share))
        assert "is torn" in refusal(file.parent)


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_a_torn_config(text: str, hf: Path, meta: Path) -> None:
    for file in (hf / "config.json", meta / "params.json"):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert "JSON" in refusal(file.parent)


def test_files_of_any_size_are_not_swallowed(hf: Path, meta: Path) -> None:
    os.truncate(hf / "tokenizer.model", 2**40)
    assert "larger than 64 MiB" in refusal(hf)
    os.truncate(meta / "params.json", 2**40)
    assert "larger than 4 MiB" in refusal(meta)


def test_a_torn_tokenizer(hf: Path) -> None:
    (hf / "tokenizer.model").write_text("\x0asentencepiece")
    assert "tokenizer.model" in refusal(hf)
    (hf / "tokenizer.model").unlink()
    assert "no tokenizer" in refusal(hf)


def test_a_tokenizer_of_another_model(hf: Path) -> None:
    write_tokenizer(hf, words=300)
    assert "has 556 words, but the weights have rows for 512" in refusal(hf)


# -- missing, extra and misshapen -------------------------------------------------------------------------------------


def test_a_missing_shard(tmp_path: Path, meta: Path) -> None:
    folder = save_huggingface(reference(), tmp_path / "sharded", max_shard_size="50KB")
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    assert f"lacks {lost.name}" in refusal(folder)
    (folder / "model.safetensors.index.json").unlink()
    assert "lacks" in refusal(folder)
    (meta / "consolidated.01.pth").unlink()
    assert "1 of its 2 shards" in refusal(meta)
    (meta / "consolidated.00.pth").rename(meta / "consolidated.01.pth")
    assert "lacks the shard consolidated.00.pth" in refusal(meta)


def test_an_index_that_points_elsewhere(hf: Path) -> None:
    edit_json(hf / "model.safetensors.index.json", weight_map={"lm_head.weight": "../hf/model.safetensors"})
    assert "lacks ../hf/model.safetensors" in refusal(hf)


def test_weights_that_do_not_fit_the_config(hf: Path, meta: Path) -> None:
    layer = "model.layers.1.mlp.up_proj.weight"
    weight = load_file(hf / "model.safetensors")[layer]
    assert "lacks layers.1.feed_forward.w3.weight" in refusal(change_weights(hf, lambda w: w.pop(layer)))
    change_weights(hf, lambda w: w.update({layer: weight[:50].clone()}))
    assert "layers.1.feed_forward.w3.weight has shape [50, 64], but the config says [96, 64]" in refusal(hf)
    change_weights(hf, lambda w: w.update({layer: weight, "model.layers.0.lora_A.weight": weight.clone()}))
    assert "model.layers.0.lora_A.weight that Llama 3 has no place for" in refusal(hf)
    change_weights(hf, lambda w: w.pop("model.layers.0.lora_A.weight"))
    change_weights(hf, lambda w: w.update({layer: weight.to(torch.int8)}))
    assert "is stored as I8" in refusal(hf)
    change_weights(hf, lambda w: w.update({layer: weight}))
    edit_json(hf / "config.json", num_hidden_layers=10**9)
    assert "weights for 2 layers, but the config says 1000000000" in refusal(hf)
    assert "don't belong together" in refusal(change_weights(meta, lambda w: w.pop("norm.weight")))


def test_params_that_do_not_fit_the_weights(tmp_path: Path) -> None:
    folder = save_meta(reference(), tmp_path / "m")
    for change, reason in (
        ({"vocab_size": 500}, "vocab_size is 500, but the weights have 512 rows"),
        ({"vocab_size": -1, "n_heads": 5}, "don't make a Llama model"),
        ({"n_heads": 4, "n_kv_heads": 4}, "has shape [32, 64], but the config says [64, 64]"),
        ({"n_layers": 0}, "n_layers is 0, not a whole number above 0"),
        ({"dim": None}, "dim is missing"),
        ({"dim": 64, "quantization_args": {"scheme": "int4"}}, "unknown key quantization_args"),
    ):
        edit_json(folder / "params.json", **change)
        assert reason in refusal(folder)


# -- foreign ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "qwen2"}, "the model type is 'qwen2', not 'llama'; Qwen2's attention has biases"),
        ({"model_type": "mistral"}, "not 'llama'; Mistral slides its attention window"),
        ({"model_type": "\x1b[31m"}, r"the model type is '\x1b[31m', not 'llama'."),
        ({"model_type": ["llama"]}, "the model type is ['llama'], not 'llama'."),
        ({"sliding_window": 4096}, "it has sliding_window, which Llama 3 has not"),
        ({"num_local_experts": 8}, "it has num_local_experts"),
        ({"max_position_embeddings": 10**12}, "a context of 1,000,000,000,000 tokens is too long"),
        ({"rope_parameters": {**rope(8.0), "high_freq_factor": 1.0}}, "high_freq_factor is not above"),
        ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, "scaled by blocks"),
        ({"quantization_config": {"quant_method": "fp8", "transform_config": {"config_groups": {"a": 1}}}}, "rotated"),
        ({"quantization_config": {"quant_method": "fp8", "sparsity_config": {"format": "24"}}}, "sparse"),
        ({"eos_token_id": [1, 512]}, "eos_token_id is [1, 512], neither an id nor a list"),
        ({"hidden_act": "gelu"}, "the activation is 'gelu'"),
        ({"attention_bias": True}, "attention_bias is on"),
        ({"mlp_bias": True}, "mlp_bias is on"),
        ({"quantization_config": {"quant_method": "gptq"}}, "the weights are quantised by 'gptq'"),
        ({"rope_parameters": {**rope(None), "rope_type": "yarn"}}, "the RoPE scaling is 'yarn'"),
        ({"rope_parameters": {**rope(None), "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"rope_parameters": {**rope(8.0), "factor": "8"}}, "factor is '8', not a number above 0"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "factor is missing"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": 2**70}, "has shape [512, 64], but the config says [512, 1180591620717411303424]"),
        ({"intermediate_size": 2**70}, "impossibly large"),
        ({"head_dim": 2**40}, "don't make a Llama model"),
        ({"num_key_value_heads": 3}, "don't make a Llama model"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', neither true nor false"),
        ({"eos_token_id": "</s>"}, "eos_token_id is '</s>'"),
        ({"llamachat": {"persona": "pirate"}}, "unknown key persona"),
        ({"llamachat": {"variant": "4"}}, "variant is '4'"),
        ({"llamachat": {"dialect": {"calls": "xml"}}}, "calls is 'xml'"),
        ({"llamachat": {"dialect": {"dates": 1}}}, "dates is 1"),
        ({"llamachat": {"dialect": {"date": True, "tag": 1}}}, "unknown keys date, tag"),
    ],
)
def test_a_config_that_we_would_run_wrongly(change: dict[str, Any], reason: str, hf: Path) -> None:
    (hf / "generation_config.json").unlink()
    edit_json(hf / "config.json", **change)
    assert reason in refusal(hf)


def test_sampling_out_of_range(hf: Path) -> None:
    edit_json(hf / "generation_config.json", top_p=1.5)
    assert "top_p is 1.5" in refusal(hf)


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_hostile_pickle_is_not_run(meta: Path, tmp_path: Path) -> None:
    torch.save({"norm.weight": Hostile(tmp_path / "trace")}, meta / "consolidated.00.pth")
    assert "nothing in it was run" in refusal(meta)
    assert not (tmp_path / "trace").exists()
    torch.save([torch.zeros(2)], meta / "consolidated.00.pth")
    assert "holds no weights by name" in refusal(meta)


@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        (torch.zeros(1).expand(2**40), "claims more weights than it has bytes"),
        (torch.ones(64).to_sparse(), "norm.weight is stored as torch.float32, torch.sparse_coo"),
        (torch.ones(64).to("meta"), "norm.weight is stored as torch.float32"),
        (torch.ones(64, dtype=torch.complex64), "norm.weight is stored as torch.complex64"),
        (torch.ones(64, dtype=torch.float8_e4m3fn), "norm.weight is stored as torch.float8_e4m3fn"),
    ],
)
def test_a_tensor_of_another_kind(weight: torch.Tensor, reason: str, meta: Path) -> None:
    assert reason in refusal(change_weights(meta, lambda w: w.update({"norm.weight": weight})))


def test_a_packed_or_old_archive(meta: Path) -> None:
    file = meta / "consolidated.00.pth"
    weights = torch.load(file)
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    assert "is torn" in refusal(meta)
    torch.save(weights, file, _use_new_zipfile_serialization=False)
    assert "is torn" in refusal(meta)


def test_a_tensor_in_two_files(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path, max_shard_size="50KB")
    one, two = sorted(folder.glob("*.safetensors"))[:2]
    save_file({**load_file(one), **load_file(two)}, two)
    assert f"in {one.name} and {two.name}" in refusal(folder)


def test_what_a_file_says_cannot_write_on_the_screen(hf: Path, meta: Path) -> None:
    evil = "\x1b[31mevil\n" + "x" * 500
    change_weights(hf, lambda w: w.update({evil: torch.zeros(2)}))
    assert len(message := refusal(hf)) < 400
    assert message.isprintable()
    edit_json(meta / "params.json", **{evil: 1})
    assert len(message := refusal(meta)) < 400
    assert message.isprintable()


# -- anything ---------------------------------------------------------------------------------------------------------

KEYS = [
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_parameters", "rope_scaling",
    "tie_word_embeddings", "eos_token_id", "llamachat", "quantization_config", "hidden_act", "attention_bias",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "dialect", "factor"]), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=2))
def test_any_config_opens_or_is_refused(changes: dict[str, Any], huggingface: Path) -> None:
    good = (huggingface / "config.json").read_text()
    (huggingface / "config.json").write_text(json.dumps({**json.loads(good), **changes}))
    with contextlib.suppress(CheckpointError):  # anything else fails the test
        open_checkpoint(huggingface)
    (huggingface / "config.json").write_text(good)


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=4
)
"""Where, as a share of what matters; how many bytes are taken out there; what is put in."""


@pytest.mark.parametrize(
    ("name", "begin"),
    [("model.safetensors", b"{"), ("tokenizer.model", b""), ("consolidated.00.pth", b"PK"), ("tiny.gguf", b"GGUF")],
)
@settings(max_examples=250, deadline=None)
@given(edits=EDITS, share=st.sampled_from([0.01, 0.1, 1.0]), end=st.booleans())
def test_any_bytes_open_or_are_refused(
    every: Path, name: str, begin: bytes, edits: list[tuple[float, int, bytes]], share: float, end: bool
) -> None:
    file = next(every.rglob(name))
    good = file.read_bytes()
    data, first, size = bytearray(good), good.index(begin), int(len(good) * share)
    for where, out, new in edits:
        at = int(where * size)
        at = len(data) - at if end else first + at
        data[at : at + out] = new
    file.write_bytes(data)
    with contextlib.suppress(CheckpointError, TokenizerError):  # anything else fails the test
        load_all(file if name == "tiny.gguf" else file.parent)
    file.write_bytes(good)
