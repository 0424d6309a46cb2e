"""GGUF files give transformers' logits in every kind of quantisation, and foreign ones are refused with the reason."""

import shutil
import struct
from pathlib import Path
from typing import Any

import gguf
import llama_models.llama3
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from tiny_gguf import save_gguf
from tiny_llama import SHAPES, V, logits_agree, reference, rope, save_huggingface

from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints.ggml import unpack
from llamachat.checkpoints.gguf_file import TensorPlace
from llamachat.checkpoints.vocabulary import byte_alphabet
from llamachat.errors import CheckpointError
from llamachat.model import RopeScaling
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import Tokenizer, special_names

META_TOKENIZER = Path(llama_models.llama3.__path__[0]) / "tokenizer.model"
ROWS_OF_BLOCKS = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1}
KINDS = "F32 F16 BF16 Q8_0 Q4_0 Q4_K Q6_K Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q5_K IQ4_XS".split()


def refusal(path: Path) -> str:
    """The error of loading everything at ``path``."""
    with pytest.raises(CheckpointError) as caught:
        load_all(path)
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    return caught.value.message


def load_all(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    checkpoint.load_tokenizer()
    checkpoint.load_model()


# -- the same model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_logits_of_transformers(kind: str, tmp_path: Path) -> None:
    model = reference(**ROWS_OF_BLOCKS)
    file = save_gguf(model, tmp_path / "tiny.gguf", kind, output="Q6_K" if kind.endswith("_K") else "")
    logits_agree(file, model)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_K", "Q6_K"])
def test_blocks_of_any_bytes_give_the_numbers_of_the_library(kind: str) -> None:
    block, size = gguf.GGML_QUANT_SIZES[Kind[kind]]
    packed = torch.randint(0, 256, (100, 2 * size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = unpack(packed.flatten(), TensorPlace((100, 2 * block), Kind[kind], 0, packed.numel()), "cpu", torch.float32)
    with np.errstate(all="ignore"):
        expected = torch.from_numpy(gguf.quants.dequantize(packed.numpy(), Kind[kind]))
    assert found.std().isnan()  # some scales are not finite
    assert torch.equal(found.view(torch.int32)[found.isfinite()], expected.view(torch.int32)[expected.isfinite()])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_logits_of_transformers(shape: str, tmp_path: Path) -> None:
    model = reference(**SHAPES[shape])
    logits_agree(save_gguf(model, tmp_path / "tiny.gguf"), model)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_scaling_is_found_in_the_divisors(factor: float, tmp_path: Path) -> None:
    model = reference(rope_parameters=rope(factor, original=8192), head_dim=64)
    fields = {"llama__rope__scaling__original_context_length": None}
    file = save_gguf(model, tmp_path / "tiny.gguf", **fields)
    assert open_checkpoint(file).config.rope_scaling == RopeScaling(factor=factor)
    logits_agree(file, model)


def test_a_split_model_is_put_together(tmp_path: Path) -> None:
    model = reference()
    save_gguf(model, tmp_path / "tiny.gguf", split=5)
    parts = sorted(tmp_path.glob("*.gguf"))
    assert len(parts) > 3
    logits_agree(tmp_path, model)
    logits_agree(parts[2], model)
    moved = parts[2].rename(tmp_path / "part")
    assert f"lacks the part {parts[2].name}" in refusal(parts[0])
    assert "part of a split model" in refusal(moved)
    shutil.copy(parts[1], parts[2])
    assert "doesn't belong to the other parts" in refusal(parts[0])


def test_content_decides(tmp_path: Path) -> None:
    model = reference()
    file = save_gguf(model, tmp_path / "model.bin")
    logits_agree(tmp_path, model)
    shutil.copy(file, tmp_path / "other.gguf")
    assert "holds 2 models: model.bin, other.gguf" in refusal(tmp_path)
    (tmp_path / "other.gguf").unlink()
    (tmp_path / "link").symlink_to(file)
    logits_agree(tmp_path / "link", model)
    other = save_huggingface(reference(seed=1), tmp_path)
    logits_agree(other, reference(seed=1))


# -- who it is --------------------------------------------------------------------------------------------------------


def test_the_metadata_say_who_it_is(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"tokenizer__ggml__eot_token_id": 265, "tokenizer__ggml__eos_token_id": 257}
    fields |= {"general__sampling__temp": 0.5, "general__sampling__top_k": 20, "general__name": "My\x1b[31m Llama"}
    checkpoint = open_checkpoint(save_gguf(reference(), tmp_path / "tiny.gguf", **fields))
    assert "\x1b" not in checkpoint.name
    assert checkpoint.stop_ids == {257, 265}
    assert checkpoint.sampling == SamplingParams(temperature=0.5, top_k=20)
    assert (checkpoint.variant, checkpoint.dialect.calls) == ("3.1", "json")
    assert checkpoint.load_tokenizer().n_words == V


def test_the_tokenizer_of_llama_3(tmp_path: Path) -> None:
    metas = Tokenizer.from_file(META_TOKENIZER)
    char = str.maketrans({byte: char for char, byte in byte_alphabet().items()})
    ranks = {metas.token_bytes(i): i for i in range(metas.n_base)}
    cuts = [(t[:at], t[at:]) for t in ranks for at in range(1, len(t)) if t[:at] in ranks and t[at:] in ranks]
    merges = [f"{a.decode('latin-1').translate(char)} {b.decode('latin-1').translate(char)}" for a, b in cuts]
    words = [token.decode("latin-1").translate(char) for token in ranks] + special_names("3.1")
    model = reference(hidden_size=8, intermediate_size=8, num_hidden_layers=1, vocab_size=len(words))
    fields: dict[str, Any] = {"tokenizer__ggml__tokens": words, "tokenizer__ggml__merges": merges}
    ours = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", **fields)).load_tokenizer()
    assert [ours.token_bytes(i) for i in range(ours.n_words)] == [metas.token_bytes(i) for i in range(metas.n_words)]
    assert ours.fingerprint == metas.fingerprint


# -- foreign and lying ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"general__architecture": "qwen2"}, "the architecture is 'qwen2', not 'llama'"),
        ({"tokenizer__ggml__model": "llama"}, "the tokenizer is 'llama', 'llama-bpe', not Llama 3's"),
        ({"tokenizer__ggml__pre": "smollm"}, "the tokenizer is 'gpt2', 'smollm', not Llama 3's"),
        ({"tokenizer__ggml__tokens": ["a"] * V}, "its last 256 tokens are not Llama 3's control tokens"),
        ({"tokenizer__ggml__tokens": ["a"] * 256 + special_names("3.1")}, "its ids have gaps"),
        ({"tokenizer__ggml__tokens": None}, "the tokenizer has no tokens"),
        ({"tokenizer__ggml__merges": ["! !"]}, "its vocabulary or merges are torn"),
        ({"tokenizer__ggml__eos_token_id": 9999}, "eos_token_id is 9999, no id of its vocabulary"),
        ({"llama__expert_count": 8}, "mixture of experts"),
        ({"llama__logit_scale": 0.5}, "unknown key llama.logit_scale"),
        ({"llama__attention__sliding_window": 4096}, "unknown key llama.attention.sliding_window"),
        ({"llama__rope__scaling__type": "yarn"}, "the RoPE scaling is 'yarn'"),
        ({"llama__rope__dimension_count": 8}, "only a part of each head is rotated"),
        ({"llama__attention__causal": False}, "looks ahead"),
        ({"llama__attention__head_count_kv": [2, 1]}, "head_count_kv is (2, 1), not a whole number"),
        ({"llama__attention__head_count": 5}, "don't make a Llama model"),
        ({"llama__block_count": 3}, "weights for 2 layers, but the config says 3"),
        ({"llama__context_length": 2**31}, "a context of 2,147,483,648 tokens is too long"),
        ({"llama__embedding_length": 128}, "has shape [512, 64], but the config says [512, 128]"),
        ({"llama__attention__layer_norm_rms_epsilon": None}, "layer_norm_rms_epsilon is missing"),
    ],
)
def test_a_model_that_we_would_run_wrongly(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(save_gguf(reference(), tmp_path / "tiny.gguf", **fields))


def test_other_rope_divisors_are_refused(tmp_path: Path) -> None:
    model = reference(rope_parameters={**rope(8.0), "high_freq_factor": 40.0})
    assert "are not those of Llama 3.1's RoPE scaling" in refusal(save_gguf(model, tmp_path / "tiny.gguf"))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def head(n_tensors: int, n_fields: int, *parts: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_fields) + b"".join(parts)


def tensor(name: str, dims: list[int], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GGUF", "is torn"),
        (head(0, 1), "is torn"),
        (head(0, 0, version=1), "version 1 of GGUF"),
        (head(0, 0, version=3 << 24), "big-endian"),
        (head(2**60, 0), "claims 1,152,921,504,606,846,976 tensors"),
        (head(0, 2**60), "is torn"),
        (head(0, 1, struct.pack("<Q", 2**63), b"key"), "is torn"),
        (head(0, 1, text("k"), struct.pack("<IIQ", 9, 0, 2**60)), "claims an array of"),
        (head(0, 1, text("k"), struct.pack("<IIQ", 9, 8, 2**22)), "is torn"),
        (head(0, 1, text("k"), struct.pack("<IIQ", 9, 9, 2)), "value of the unknown type 9"),
        (head(0, 1, text("k"), struct.pack("<I", 99)), "value of the unknown type 99"),
        (head(0, 2, *[text("k\x1b"), struct.pack("<IB", 0, 1)] * 2), "'k\\x1b' is there twice"),
        (head(0, 1, text("general.alignment"), struct.pack("<II", 4, 3)), "the alignment is 3"),
        (head(1, 0, tensor("x", [2**62, 2**62])), "ends behind it"),
        (head(1, 0, tensor("x", [0])), "impossible shape [0]"),
        (head(1, 0, tensor("x", [33], kind=8)), "impossible shape [33]"),
        (head(1, 0, tensor("x", [32], kind=999)), "unknown type 999"),
        (head(1, 0, tensor("x", [1] * 9)), "has 9 dimensions"),
        (head(2, 0, *[tensor("x", [4])] * 2), "is there twice"),
        (head(2, 0, tensor("x", [4]), tensor("y", [4]), bytes(64)), "lies across another one"),
        (head(1, 0, tensor("x", [4], offset=2**63)), "ends behind it"),
        (head(1, 0, tensor("x", [4], offset=1), bytes(64)), "lies across another one"),
        (head(0, 0), "the architecture is None"),
    ],
)
def test_a_header_that_lies(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "lie.gguf").write_bytes(data)
    assert reason in refusal(tmp_path / "lie.gguf")


def test_a_kind_that_can_not_be_read(tmp_path: Path) -> None:
    file = save_gguf(reference(), tmp_path / "tiny.gguf")
    name = text("blk.0.attn_q.weight")
    data = file.read_bytes()
    at = data.index(name) + len(name) + 4 + 16
    file.write_bytes(data[:at] + struct.pack("<I", 24) + data[at + 4 :])
    assert "layers.0.attention.wq.weight is stored as I8" in refusal(file)


@pytest.mark.parametrize("share", [0.0002, 0.01, 0.5, 0.999])
def test_a_truncated_file(share: float, tmp_path: Path) -> None:
    data = save_gguf(reference(), tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(data[: int(len(data) * share)])
    assert "torn" in refusal(tmp_path / "tiny.gguf")


def test_loading_tells_its_progress(tmp_path: Path) -> None:
    checkpoint, seen = open_checkpoint(save_gguf(reference(), tmp_path / "tiny.gguf", "Q8_0")), list[float]()
    checkpoint.load_model(dtype=torch.bfloat16, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) == len(checkpoint.weights.shapes)
    assert seen[-1] == 1.0
