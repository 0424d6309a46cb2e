"""A trained model as a checkpoint in Hugging Face's layout, which llamachat -m and transformers open. Knows files.

The tokenizer goes along: always as tokenizer.model, and as what Hugging Face's tools read where the source had it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from llamachat.checkpoints import Checkpoint
from llamachat.checkpoints.safetensors_files import INDEX
from llamachat.errors import ConfigError, StorageError
from llamachat.model import ModelConfig
from llamachat.tokenizer import Tokenizer
from llamachat.training.bpe import write
from llamachat.training.layout import config_json, foreign

SHARD = 4 << 30  # bytes
LARGE = 500e6  # weights
ALONG = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def check_free(out: Path) -> None:
    """Raise ConfigError if ``out`` is there and is no folder that may be written into."""
    if out.exists() and (not out.is_dir() or (out / "config.json").exists()):
        raise ConfigError(f"{out} is there already.", "Give another --out, or remove it first.")


def save_checkpoint(
    out: Path,
    state: Mapping[str, Tensor],
    source: Checkpoint,
    *,
    name: str = "",
    dtype: torch.dtype | None = None,
    shard: int = SHARD,
) -> None:
    """Write ``state`` (our names) with the shape, tokenizer and dialect of ``source`` to the folder ``out``.

    ``dtype``: float32 up to half a billion weights, else bfloat16: its 8 bits lose what a short run changes.
    config.json comes last, so a folder that has one is whole. Raises StorageError.
    """
    tokenizer = source.load_tokenizer()
    dtype = dtype or (torch.float32 if source.parameters <= LARGE else torch.bfloat16)
    try:
        out.mkdir(parents=True, exist_ok=True)
        ranks = source.vocabulary()
        write(ranks, out / "tokenizer.model")
        for file in (source.tokenizer_path.parent / along for along in ALONG):
            if file.is_file() and file.parent != out:
                shutil.copy(file, out)
        _write_weights(out, state, source.config, dtype, shard)
        _write_json(out / "generation_config.json", generation_json(source, tokenizer))
        stops = source.stop_ids or tokenizer.stop_ids
        shape = config_json(name or out.name, source.config, tokenizer, source.dialect, stops, dtype)
        _write_json(out / "config.json", shape)
    except OSError as error:
        raise StorageError(
            f"Can't write {out}: {error.strerror or error}.", "Make room, or give another --out."
        ) from error


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _write_weights(out: Path, state: Mapping[str, Tensor], config: ModelConfig, dtype: torch.dtype, shard: int) -> None:
    shards = list(_shards(foreign(state, config, dtype), shard))
    if len(shards) == 1:
        _save(shards[0], out / "model.safetensors")
        return
    where, total = {}, 0
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _save(tensors, out / file)
        where.update(dict.fromkeys(tensors, file))
        total += sum(_bytes(tensor) for tensor in tensors.values())
    _write_json(out / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _shards(tensors: Iterator[tuple[str, Tensor]], size: int) -> Iterator[dict[str, Tensor]]:
    group: dict[str, Tensor] = {}
    for name, tensor in tensors:
        if group and sum(map(_bytes, group.values())) + _bytes(tensor) > size:
            yield group
            group = {}
        group[name] = tensor
    yield group


def generation_json(source: Checkpoint, tokenizer: Tokenizer) -> dict[str, Any]:
    """generation_config.json: the sampling that the source's makers recommend."""
    sampling = source.sampling
    ends = {"bos_token_id": tokenizer.bos_id, "eos_token_id": sorted(source.stop_ids or tokenizer.stop_ids)}
    if sampling.temperature == 0:
        return {**ends, "do_sample": False, "temperature": 0.0}
    asked = {"temperature": sampling.temperature, "top_p": sampling.top_p, "min_p": sampling.min_p}
    return {**ends, "do_sample": True, **asked, **({"top_k": sampling.top_k} if sampling.top_k else {})}
