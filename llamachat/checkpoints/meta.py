"""Meta's layout: params.json and consolidated.NN.pth, one file per model-parallel rank. Never unpickles code."""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from llamachat.checkpoints.checkpoint import Checkpoint, Shape, check_weights, dialect_of, find_tokenizer
from llamachat.checkpoints.part import WHOLE as ALL
from llamachat.checkpoints.part import Part
from llamachat.checkpoints.settings import FETCH_AGAIN, Settings, quoted, shown
from llamachat.checkpoints.vocabulary import vocabulary_of
from llamachat.errors import CheckpointError
from llamachat.model import ModelConfig, RopeScaling
from llamachat.tokenizer import Variant

KNOWN = {
    "dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "multiple_of", "ffn_dim_multiplier", "norm_eps",
    "rope_theta", "use_scaled_rope", "rope_scaling_factor", "max_seq_len", "max_batch_size",
}  # fmt: skip
FACTOR_32 = {(2048, 16), (3072, 28)}
"""(dim, layers) of 3.2 1B and 3B: params.json doesn't store their rope factor (llama-models issue 241)."""
WHOLE = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
TORN = (
    OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
    pickle.UnpicklingError, zipfile.BadZipFile, NotImplementedError,
)  # fmt: skip
"""What torch.load(weights_only=True) raises on files that are cut, overwritten or hostile (3,000 mutations tried)."""


@dataclass(frozen=True, slots=True)
class MetaWeights:
    """Shards of one model, joined along the axis that was split: rows of column-parallel weights, columns of
    row-parallel ones (wo, w2); norms are the same in every shard. ``dim`` tells how the embeddings were split."""

    files: tuple[Path, ...]
    shapes: Mapping[str, Shape]
    dim: int

    def read(self, device: torch.device | str, dtype: torch.dtype, part: Part = ALL) -> Iterator[tuple[str, Tensor]]:
        """Map the shards and join tensor by tensor, each part copied straight to its place."""
        shards = [open_shard(file) for file in self.files]
        for name in self.shapes:
            parts = [shard[name] for shard in shards]
            axis = split_axis(name, tuple(parts[0].shape), self.dim)
            if axis is None or len(parts) == 1:
                yield name, part.cut(name, parts[0]).to(device, dtype).contiguous()
                continue
            parts = part.joined(name, parts, axis)
            sizes = [piece.shape[axis] for piece in parts]
            joined = [sum(sizes) if i == axis else size for i, size in enumerate(parts[0].shape)]
            whole = torch.empty(joined, device=device, dtype=dtype)
            for place, piece in zip(torch.split(whole, sizes, axis), parts, strict=True):
                place.copy_(piece)
            yield name, whole


def read_meta(folder: Path) -> Checkpoint:
    """Understand a folder of Meta's. Raises CheckpointError."""
    params = Settings.read(folder / "params.json")
    params.only(KNOWN, "llamachat reads plain text models; quantised, vision and LoRA checkpoints are not supported.")
    dim, files = params.integer("dim"), shard_files(folder)
    opened = [open_shard(file) for file in files]
    shards = [{name: tuple(tensor.shape) for name, tensor in shard.items()} for shard in opened]
    if any(shard != shards[0] for shard in shards):
        raise CheckpointError(f"The shards in {folder} don't belong together.", FETCH_AGAIN)
    shapes = {name: joined_shape(name, shape, dim, len(files)) for name, shape in shards[0].items()}
    if (ranks := dim // rows(shards[0], "layers.0.attention.wq.weight", dim)) != len(files):
        raise CheckpointError(f"{folder} has {len(files)} of its {ranks} shards.", FETCH_AGAIN)
    config = model_config(params, shapes)
    check_weights(folder, config, shapes)
    tokenizer = find_tokenizer(folder)
    variant: Variant = "3.1" if params.flag("use_scaled_rope") else "3.0"
    return Checkpoint(
        path=folder,
        name=folder.resolve().name,
        config=config,
        variant=variant,
        dialect=dialect_of(variant, config),
        tokenizer_path=tokenizer,
        vocabulary=vocabulary_of(tokenizer),
        weights=MetaWeights(files, shapes, dim),
    )


def model_config(params: Settings, shapes: Mapping[str, Shape]) -> ModelConfig:
    """Shape of the model: params.json where it speaks, else the weights (width of the feed-forward, vocabulary)."""
    dim, n_layers, n_heads = (params.integer(key) for key in ("dim", "n_layers", "n_heads"))
    tied = "output.weight" not in shapes
    vocab_size = rows(shapes, "tok_embeddings.weight", 1)
    if params.data.get("vocab_size") not in (None, -1, vocab_size):
        raise params.wrong(f"vocab_size is {quoted(params.data['vocab_size'])}, but the weights have {vocab_size} rows")
    scaling = None
    if params.flag("use_scaled_rope"):
        known = 32.0 if (dim, n_layers) in FACTOR_32 else 8.0
        scaling = RopeScaling(factor=params.number("rope_scaling_factor", known))
    return ModelConfig(
        dim=dim,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=params.integer("n_kv_heads", n_heads),
        ffn_dim=rows(shapes, "layers.0.feed_forward.w1.weight", 1),
        vocab_size=vocab_size,
        context=params.integer("max_seq_len", 131_072 if scaling else 8192),
        norm_eps=params.number("norm_eps", 1e-5),
        rope_theta=params.number("rope_theta", 500_000.0),
        rope_scaling=scaling,
        tied=tied,
    )


def shard_files(folder: Path) -> tuple[Path, ...]:
    """consolidated.00.pth, consolidated.01.pth, …, in order and without a gap."""
    numbered = {int(m[1]): f for f in folder.iterdir() if (m := re.fullmatch(r"consolidated\.(\d+)\.pth", f.name))}
    for rank in range(max(numbered, default=0) + 1):
        if rank not in numbered:
            raise CheckpointError(f"{folder} lacks the shard consolidated.{rank:02d}.pth.", FETCH_AGAIN)
    return tuple(numbered[rank] for rank in sorted(numbered))


def open_shard(file: Path) -> dict[str, Tensor]:
    """The tensors of one shard by name, mapped, not read. An output layer that is the embedding table is left out."""
    try:
        _refuse_packed(file)
        with warnings.catch_warnings(action="ignore"):  # on odd pickles torch asks to be told of them
            shard = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} is torn or holds something else than weights; nothing in it was run.",
            "Download the file again, and only from a source that you trust.",
        ) from error
    except TORN as error:
        raise CheckpointError(f"{file} is torn: torch can't read it.", FETCH_AGAIN) from error
    if not isinstance(shard, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in shard.items()):
        raise CheckpointError(f"{file} holds no weights by name.", FETCH_AGAIN)
    weights: dict[str, Tensor] = {name: tensor for name, tensor in shard.items() if name != "rope.freqs"}
    for name, tensor in weights.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in WHOLE:
            form = f"{tensor.dtype}, {tensor.layout}"
            raise CheckpointError(f"{file}: {shown(name)} is stored as {form}.", "Choose the bf16 checkpoint.")
    table, output = weights.get("tok_embeddings.weight"), weights.get("output.weight")
    if table is not None and output is not None and output.is_set_to(table):
        del weights["output.weight"]  # 3.2 1B and 3B
    if sum(tensor.numel() * tensor.itemsize for tensor in weights.values()) > file.stat().st_size:
        raise CheckpointError(f"{file} claims more weights than it has bytes.", FETCH_AGAIN)
    return weights


def _refuse_packed(file: Path) -> None:
    """Raise BadZipFile for compressed entries, which torch never writes: they may unpack to any size."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise zipfile.BadZipFile


def split_axis(name: str, shape: Shape, dim: int) -> int | None:
    """The axis along which fairscale split a weight over ranks; None if every rank has all of it."""
    if len(shape) < 2:
        return None
    if name == "tok_embeddings.weight":  # by vocabulary in llama_models, by width in older releases
        return 0 if shape[1] == dim else 1
    return 1 if name.endswith(("attention.wo.weight", "feed_forward.w2.weight")) else 0


def rows(shapes: Mapping[str, Shape], name: str, default: int) -> int:
    """First size of a weight; ``default`` if it is missing or empty, which is reported later."""
    return next(iter(shapes.get(name, ())), default) or default


def joined_shape(name: str, shape: Shape, dim: int, shards: int) -> Shape:
    """Shape of a weight after its shards are joined."""
    axis = split_axis(name, shape, dim)
    return tuple(size * shards if i == axis else size for i, size in enumerate(shape))
