"""llama.cpp's layout: one GGUF file, or several that it split. Knows its architecture "llama" only.

Names, metadata and what the converter changes: llama.cpp's convert_hf_to_gguf.py. It turns q and k back to Meta's
adjacent rotary pairs, so that all weights are as ours, and writes Llama 3.1's scaling as ``rope_freqs.weight``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from llamachat.checkpoints.checkpoint import Checkpoint, Shape, check_weights, dialect_of
from llamachat.checkpoints.ggml import READABLE, kind_name, map_file, unpack
from llamachat.checkpoints.gguf_file import GGUFFile, TensorPlace, read_header
from llamachat.checkpoints.part import WHOLE, Part
from llamachat.checkpoints.settings import FETCH_AGAIN, Settings, quoted, shown
from llamachat.checkpoints.vocabulary import check_gguf_vocabulary, read_gguf_vocabulary
from llamachat.errors import CheckpointError, ConfigError
from llamachat.model import ModelConfig, RopeScaling, stretch
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import N_SPECIAL, Variant, special_names

PLAIN = "llamachat runs plain Llama 3 models; choose a GGUF file of that kind."
TOP = {"token_embd": "tok_embeddings", "output_norm": "norm", "output": "output"}
IN_LAYER = {
    "attn_q": "attention.wq",
    "attn_k": "attention.wk",
    "attn_v": "attention.wv",
    "attn_output": "attention.wo",
    "ffn_gate": "feed_forward.w1",
    "ffn_down": "feed_forward.w2",
    "ffn_up": "feed_forward.w3",
    "attn_norm": "attention_norm",
    "ffn_norm": "ffn_norm",
}
KNOWN = {
    f"llama.{key}"
    for key in (
        "block_count context_length embedding_length feed_forward_length vocab_size tensor_data_layout "
        "attention.head_count attention.head_count_kv attention.layer_norm_rms_epsilon attention.key_length "
        "attention.value_length attention.causal rope.dimension_count rope.freq_base rope.scaling.type "
        "rope.scaling.factor rope.scaling.original_context_length rope.scaling.finetuned "
        "expert_count expert_used_count"
    ).split()
}
FREQUENCIES = "rope_freqs.weight"
SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class GGUFWeights:
    """Tensors by our names, each with the file it is in."""

    tensors: Mapping[str, tuple[Path, TensorPlace]]

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape by name."""
        return {name: place.shape for name, (_, place) in self.tensors.items()}

    @property
    def files(self) -> list[Path]:
        """Where they are."""
        return sorted({file for file, _ in self.tensors.values()})

    def read(self, device: torch.device | str, dtype: torch.dtype, part: Part = WHOLE) -> Iterator[tuple[str, Tensor]]:
        """Map file by file and dequantise tensor by tensor; a part is cut from what was dequantised."""
        for file in self.files:
            data = map_file(file)
            for name, (where, place) in self.tensors.items():
                if where == file:
                    yield name, part.cut(name, unpack(data, place, device, dtype)).contiguous()


def read_folder(folder: Path, files: list[Path]) -> Checkpoint:
    """The one model of a folder that holds the GGUF ``files``. Raises CheckpointError if there are several."""
    first = [file for file in files if not (match := SPLIT.fullmatch(file.name)) or int(match[2]) == 1]
    if len(first) > 1:
        names = shown(", ".join(file.name for file in first))
        raise CheckpointError(f"{folder} holds {len(first)} models: {names}.", "Point to one of the files.")
    return read_gguf((first or files)[0])


def read_gguf(file: Path) -> Checkpoint:
    """Understand a GGUF file (any one of a split model's). Raises CheckpointError."""
    parts = open_parts(file)
    metadata = Settings(parts[0].path, parts[0].metadata)
    refuse_foreign(metadata)
    check_gguf_vocabulary(metadata)
    found = {our_name(name): (part.path, place) for part in parts for name, place in part.tensors.items()}
    frequencies = found.pop(FREQUENCIES, None)
    for name, (path, place) in found.items():
        if kind_name(place) not in READABLE:
            hint = f"Choose one of {', '.join(READABLE)} (Q4_K_M and Q8_0 are common)."
            raise CheckpointError(f"{path}: {shown(name)} is stored as {kind_name(place)}.", hint)
    weights = GGUFWeights(found)
    config = model_config(metadata, "output.weight" not in found, frequencies)
    check_weights(file, config, weights.shapes)
    names = metadata.data["tokenizer.ggml.tokens"][-N_SPECIAL:]
    eom = names[special_names("3.1").index("<|eom_id|>")] == "<|eom_id|>"
    variant: Variant = "3.1" if config.rope_scaling or eom else "3.0"
    return Checkpoint(
        path=file,
        name=shown(metadata.data.get("general.name") or file.stem),
        config=config,
        variant=variant,
        dialect=dialect_of(variant, config),
        tokenizer_path=parts[0].path,
        vocabulary=partial(read_gguf_vocabulary, metadata),
        weights=weights,
        stop_ids=_stop_ids(metadata, config.vocab_size),
        sampling=_sampling(metadata),
    )


def open_parts(file: Path) -> list[GGUFFile]:
    """The headers of all files of a model, that with the metadata first. Raises CheckpointError if one is missing."""
    match = SPLIT.fullmatch(file.name)
    count = int(match[3]) if match else 1
    if not match or count < 2:
        whole = read_header(file)
        if whole.metadata.get("split.count", 0) not in (0, 1):
            hint = "Give the parts the names that llama.cpp gave them (…-00001-of-00003.gguf)."
            raise CheckpointError(f"{file} is a part of a split model, and its name doesn't say which.", hint)
        return [whole]
    parts: list[GGUFFile] = []
    for number in range(1, count + 1):
        path = file.with_name(f"{match[1]}-{number:05d}-of-{count:05d}.gguf")
        if not path.is_file():
            raise CheckpointError(f"{file.parent} lacks the part {shown(path.name)}.", FETCH_AGAIN)
        part = read_header(path)
        said = part.metadata.get("split.no"), part.metadata.get("split.count")
        if said != (number - 1, count) or any(part.tensors.keys() & other.tensors.keys() for other in parts):
            raise CheckpointError(f"{path} doesn't belong to the other parts.", FETCH_AGAIN)
        parts.append(part)
    return parts


def refuse_foreign(metadata: Settings) -> None:
    """Raise CheckpointError for another architecture and for settings that change the computation."""
    kind = metadata.data.get("general.architecture")
    if kind != "llama":
        raise metadata.wrong(f"the architecture is {quoted(kind)}, not 'llama'", PLAIN)
    ours = Settings(metadata.path, {key: value for key, value in metadata.data.items() if key.startswith("llama.")})
    ours.only(KNOWN, PLAIN)
    if metadata.data.get("llama.expert_count"):
        raise metadata.wrong("it is a mixture of experts", PLAIN)
    if metadata.data.get("llama.attention.causal", True) is not True:
        raise metadata.wrong("its attention looks ahead: it is no language model", PLAIN)
    if (scaling := metadata.data.get("llama.rope.scaling.type", "none")) != "none":
        raise metadata.wrong(f"the RoPE scaling is {quoted(scaling)}; llamachat knows Llama 3's and none", PLAIN)


def model_config(metadata: Settings, tied: bool, frequencies: tuple[Path, TensorPlace] | None) -> ModelConfig:
    """Shape of the model, from the metadata."""
    dim, n_heads = metadata.integer("llama.embedding_length"), metadata.integer("llama.attention.head_count")
    width = metadata.integer("llama.attention.key_length", max(1, dim // n_heads))
    theta = metadata.number("llama.rope.freq_base", 10_000.0)
    turned = metadata.integer("llama.rope.dimension_count", width)
    if turned != width or metadata.integer("llama.attention.value_length", width) != width:
        raise metadata.wrong("only a part of each head is rotated, or keys and values differ in width", PLAIN)
    return ModelConfig(
        dim=dim,
        n_layers=metadata.integer("llama.block_count"),
        n_heads=n_heads,
        n_kv_heads=metadata.integer("llama.attention.head_count_kv", n_heads),
        ffn_dim=metadata.integer("llama.feed_forward_length"),
        vocab_size=len(metadata.data["tokenizer.ggml.tokens"]),
        context=metadata.integer("llama.context_length"),
        head_dim=0 if width == dim // n_heads else width,
        norm_eps=metadata.number("llama.attention.layer_norm_rms_epsilon"),
        rope_theta=theta,
        rope_scaling=_rope_scaling(metadata, width, theta, frequencies) if frequencies else None,
        tied=tied,
    )


def _rope_scaling(
    metadata: Settings, width: int, theta: float, frequencies: tuple[Path, TensorPlace]
) -> RopeScaling | None:
    """Llama 3.1's scaling whose divisors of the frequencies are those that the file holds; others are refused."""
    path, place = frequencies
    if place.shape != (width // 2,) or width > 2**16 or kind_name(place) != "F32":
        raise metadata.wrong(f"{FREQUENCIES} is {list(place.shape)} {kind_name(place)}, not {[width // 2]} F32")
    divisors = unpack(map_file(path), place, "cpu", torch.float32)
    if bool((divisors == 1).all()):
        return None
    plain = 1.0 / theta ** (torch.arange(0, width, 2).float() / width)
    factor = round(float(divisors.max().nan_to_num(0, 0, 0)), 3)
    for original in (8192, metadata.integer("llama.rope.scaling.original_context_length", 8192)):
        scaling = RopeScaling(factor=max(factor, 1.0), original_context=original)
        if torch.allclose(plain / stretch(plain, scaling), divisors, rtol=1e-3):
            return scaling
    raise metadata.wrong(f"the divisors in {FREQUENCIES} are not those of Llama 3.1's RoPE scaling", PLAIN)


def our_name(stored: str) -> str:
    """Meta's name of a tensor; a name that we don't know stays, and is refused later."""
    if match := re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", stored):
        return f"layers.{match[1]}.{IN_LAYER[match[2]]}.weight" if match[2] in IN_LAYER else stored
    stem = stored.removesuffix(".weight")
    return f"{TOP[stem]}.weight" if stem in TOP and stem != stored else stored


def _stop_ids(metadata: Settings, vocab_size: int) -> frozenset[int]:
    """What ends a text, a turn and a message."""
    stops: Iterable[str] = (f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
    ids = {key: metadata.data[key] for key in stops if key in metadata.data}
    for key, value in ids.items():
        if not isinstance(value, int) or not 0 <= value < vocab_size:
            raise metadata.wrong(f"{key} is {quoted(value)}, no id of its vocabulary")
    return frozenset(ids.values())


def _sampling(metadata: Settings) -> SamplingParams:
    """What general.sampling recommends."""
    ours, stem = SamplingParams(), "general.sampling."
    try:
        return SamplingParams(
            temperature=metadata.number(f"{stem}temp", ours.temperature, zero=True),
            top_p=metadata.number(f"{stem}top_p", ours.top_p),
            top_k=metadata.integer(f"{stem}top_k") if metadata.data.get(f"{stem}top_k") else 0,
            min_p=metadata.number(f"{stem}min_p", ours.min_p, zero=True),
        )
    except ConfigError as error:
        raise metadata.wrong(error.message.removesuffix("."), error.hint) from error
