"""One model in several processes: the logits of one, each reading and holding its own share."""

from pathlib import Path

import pytest
import torch
from team import run
from tiny_gguf import save_gguf
from tiny_llama import SHAPES, reference, rope, rounded, save_huggingface, save_meta, to_float8

from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints.part import COLUMNS, ROWS, Part
from llamachat.errors import ConfigError

EIGHT = {"num_attention_heads": 8, "num_key_value_heads": 8, "rope_parameters": rope(8.0, original=8192)}


def test_two_processes_say_what_one_says(tmp_path: Path) -> None:
    tied = {"tie_word_embeddings": True, "rope_parameters": rope(32.0)}
    shapes = {"grouped": SHAPES["grouped, factor 8"], "tied": tied, "wide": SHAPES["wide heads"]}
    folders = [save_huggingface(reference(**shape), tmp_path / name) for name, shape in shapes.items()]
    small = rounded(reference(**SHAPES["plain"]), torch.bfloat16)
    found = run(*folders, save_huggingface(small, tmp_path / "bf16"))
    for each in found[:-1]:
        assert max(each["errors"]) <= 1e-5
        assert each["same"]
        assert each["scores"] <= 1e-3
        assert each["cached"][0] == each["cached"][1]
        assert each["share"] < 0.51  # of the layers; norms are whole
    split, whole = found[-1]["errors"]
    assert 0.001 < split <= 1.2 * whole <= 0.05  # in bfloat16 it rounds otherwise, and no worse


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("layout", ["hf", "sharded", "meta", "meta, 2 shards", "meta, 8 shards, old", "fp8", "gguf"])
def test_the_shares_make_up_the_whole(size: int, layout: str, tmp_path: Path) -> None:
    model = reference(**EIGHT)
    paths = {
        "hf": lambda: save_huggingface(model, tmp_path / "m"),
        "sharded": lambda: save_huggingface(model, tmp_path / "m", max_shard_size="50KB"),
        "meta": lambda: save_meta(model, tmp_path / "m", use_scaled_rope=True),
        "meta, 2 shards": lambda: save_meta(model, tmp_path / "m", shards=2, use_scaled_rope=True),
        "meta, 8 shards, old": lambda: save_meta(
            model, tmp_path / "m", shards=8, split_width=True, use_scaled_rope=True
        ),
        "fp8": lambda: to_float8(
            save_huggingface(model, tmp_path / "m", quantization_config={"quant_method": "fp8"}), model, rows=True
        ),
        "gguf": lambda: save_gguf(model, tmp_path / "m.gguf", "F32"),
    }
    weights = open_checkpoint(paths[layout]()).weights
    whole = dict(weights.read("cpu", torch.float32))
    shares = [dict(weights.read("cpu", torch.float32, Part(rank, size))) for rank in range(size)]
    for name, weight in whole.items():
        stem = name.removesuffix(".weight")
        axis = 0 if stem.endswith(ROWS) else 1 if stem.endswith(COLUMNS) else None
        if axis is None:
            assert all(torch.equal(share[name], weight) for share in shares)
        else:
            assert torch.equal(torch.cat([share[name] for share in shares], axis), weight), name
            assert shares[0][name].numel() * size == weight.numel()


def test_of_mapped_files_a_share_is_a_view(tmp_path: Path) -> None:
    """Whatever is split by rows and stored as it is wanted stays in the file: no process reads what is not its own."""
    weights = open_checkpoint(save_meta(reference(**EIGHT), tmp_path / "m", use_scaled_rope=True)).weights
    for name, weight in weights.read("cpu", torch.float32, Part(1, 2)):
        if name.removesuffix(".weight").endswith(ROWS):
            assert weight.untyped_storage().nbytes() > weight.nbytes


def test_models_that_can_not_be_split_so_often(tmp_path: Path) -> None:
    config = open_checkpoint(save_huggingface(reference(), tmp_path)).config
    for size, what in ((3, "2 key/value heads"), (4, "2 key/value heads")):
        with pytest.raises(ConfigError, match=f"{what} can't be split over {size} processes") as caught:
            Part(0, size).config(config)
        assert "nproc-per-node" in caught.value.hint
    assert Part(0, 2).config(config).n_kv_heads == 1
