"""Tensors in Hugging Face's safetensors files: where each lies, how it becomes one of ours. Knows no config.json."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from llamachat.checkpoints.checkpoint import Shape
from llamachat.checkpoints.part import ROWS, Part
from llamachat.checkpoints.part import WHOLE as ALL
from llamachat.checkpoints.read_ahead import ReadAhead
from llamachat.checkpoints.settings import FETCH_AGAIN, Settings, shown
from llamachat.errors import CheckpointError

INDEX = "model.safetensors.index.json"
WHOLE = ("F32", "BF16", "F16", "F64")
FLOAT8 = "F8_E4M3"
SCALES = (".weight_scale", ".weight_scale_inv")
"""What fp8 weights are multiplied by; both names mean the same (the second is the inverse of the quantiser's scale)."""
UNUSED = (".input_scale", ".input_scale_ub", ".k_scale", ".v_scale", ".q_scale", ".output_scale")
"""Scales of activations and of the cache, which our runtime keeps in its own dtype."""
CHUNK = 2**22  # weights that are scaled at once, in float32: 16 MiB
TOP = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output"}
IN_LAYER = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file: its ``name`` there, its dtype as safetensors spells it."""

    file: Path
    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class SafetensorsWeights:
    """Tensors by our names, ``scales`` of the fp8 ones too.

    Hugging Face stores q and k with the two halves of a head apart; ``head_width`` is what it takes to interleave them.
    """

    tensors: Mapping[str, Stored]
    scales: Mapping[str, Stored]
    head_width: int

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape by name."""
        return {name: stored.shape for name, stored in self.tensors.items()}

    @property
    def files(self) -> list[Path]:
        """Where they are."""
        return sorted({stored.file for stored in self.tensors.values()})

    def read(self, device: torch.device | str, dtype: torch.dtype, part: Part = ALL) -> Iterator[tuple[str, Tensor]]:
        """Map file by file; only q and k are copied if dtype and device are those of the file."""
        for file in self.files:
            with open_file(file) as handle, closing(ReadAhead(file)) as ahead:
                for name, stored in self.tensors.items():
                    if stored.file != file:
                        continue
                    tensor = part.cut(name, get_tensor(handle, stored))
                    if (tensor.dtype, tensor.device) != (dtype, torch.device(device)):
                        ahead.use(tensor.nbytes)
                    if name in self.scales:
                        scale = self._scale(name).expand(stored.shape[0], 1)
                        tensor = scaled(
                            tensor,
                            part.cut(name, scale) if name.removesuffix(".weight").endswith(ROWS) else scale,
                            device,
                            dtype,
                        )
                    tensor = tensor.to(device, dtype).contiguous()
                    rotary = name.endswith(("wq.weight", "wk.weight"))
                    yield name, interleave(tensor, self.head_width) if rotary else tensor

    def _scale(self, name: str) -> Tensor:
        """One number, or one of each row, which may lie in another file than the weights."""
        with open_file(self.scales[name].file) as handle:
            return get_tensor(handle, self.scales[name]).float().reshape(-1, 1)


def interleave(weight: Tensor, width: int) -> Tensor:
    """Rows (heads · E, D) from Hugging Face's order (x0 x2 … x1 x3 …) to Meta's, where a rotary pair is adjacent."""
    return weight.view(-1, 2, width // 2, weight.shape[1]).transpose(1, 2).flatten(0, 2)


def scaled(weight: Tensor, scale: Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """fp8 weight (R, D) times its scale (1, 1) or (R, 1), multiplied in float32, some rows at a time."""
    out, scale = torch.empty(weight.shape, device=device, dtype=dtype), scale.to(device).expand(weight.shape[0], 1)
    rows = max(1, CHUNK // weight.shape[1])
    for at in range(0, weight.shape[0], rows):
        out[at : at + rows] = weight[at : at + rows].to(device).float() * scale[at : at + rows]
    return out


def find_tensors(folder: Path, head_width: int, tied: bool) -> SafetensorsWeights:
    """Where each tensor is; reads only the files' headers. Raises CheckpointError if one is there twice, or in a dtype
    that we can't read."""
    found: dict[str, Stored] = {}
    for file in weight_files(folder):
        for stored in _headers(file):
            if stored.name in found:
                other = found[stored.name].file.name
                raise CheckpointError(f"{folder} has {shown(stored.name)} in {other} and {file.name}.", FETCH_AGAIN)
            found[stored.name] = stored
    eight = any(stored.dtype == FLOAT8 for stored in found.values())
    drop = ("rotary_emb.inv_freq", *(SCALES + UNUSED if eight else ()))  # a constant that old transformers stored
    tensors = {our_name(name): stored for name, stored in found.items() if not name.endswith(drop)}
    if tied:  # some files store the table twice
        tensors.pop("output.weight", None)
    scales = {name: _scale_of(stored, found) for name, stored in tensors.items() if stored.dtype == FLOAT8}
    for stored in tensors.values():
        if stored.dtype not in (*WHOLE, FLOAT8):
            reason = f"{folder}: {shown(stored.name)} is stored as {stored.dtype}."
            raise CheckpointError(reason, "Choose the bf16 checkpoint.")
    return SafetensorsWeights(tensors, scales, head_width)


def _scale_of(weight: Stored, found: Mapping[str, Stored]) -> Stored:
    """The scale of an fp8 weight: one number, or one for each row."""
    stem = weight.name.removesuffix(".weight")
    scale = next((found[stem + ending] for ending in SCALES if stem + ending in found), None)
    hint = "Choose the bf16 checkpoint, or one with a scale by tensor or by row."
    if scale is None or len(weight.shape) != 2:
        raise CheckpointError(f"{weight.file}: {shown(weight.name)} is fp8 and has no scale.", hint)
    rows = weight.shape[0]
    if scale.shape not in ((), (1,), (1, 1), (rows,), (rows, 1)) or scale.dtype not in WHOLE:
        said = f"{list(scale.shape)} {scale.dtype}"
        raise CheckpointError(f"{weight.file}: the scale of {shown(weight.name)} is {said}.", hint)
    return scale


def weight_files(folder: Path) -> list[Path]:
    """The files of the index if there is one, else model.safetensors, else all safetensors files."""
    if (folder / INDEX).is_file():
        index = Settings.read(folder / INDEX)
        names = sorted({str(name) for name in index.section("weight_map").data.values()})
        lost = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        if lost or not names:
            reason = f"{folder} lacks {shown(lost[0]) if lost else 'every file'} of its index."
            raise CheckpointError(reason, FETCH_AGAIN)
        return [folder / name for name in names]
    single = folder / "model.safetensors"
    files = [single] if single.is_file() else sorted(f for f in folder.glob("*.safetensors") if f.is_file())
    if not files:
        raise CheckpointError(f"{folder} has names of weight files, but no file behind them.", FETCH_AGAIN)
    return files


def _headers(file: Path) -> list[Stored]:
    """All tensors of a file."""
    with open_file(file) as handle:
        slices = ((name, handle.get_slice(name)) for name in handle.keys())  # noqa: SIM118 (a handle is no mapping)
        return [Stored(file, name, part.get_dtype(), tuple(part.get_shape())) for name, part in slices]


def open_file(file: Path) -> Any:
    """A safetensors handle, a context manager (the package has no types). Raises CheckpointError if it is torn."""
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is torn: it is no complete safetensors file.", FETCH_AGAIN) from error


def get_tensor(handle: Any, stored: Stored) -> Tensor:
    """One tensor, mapped. Raises CheckpointError if the file is no longer what its header said."""
    try:
        tensor: Tensor = handle.get_tensor(stored.name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{stored.file} changed while it was read.", FETCH_AGAIN) from error
    if tuple(tensor.shape) != stored.shape:
        raise CheckpointError(f"{stored.file} changed while it was read.", FETCH_AGAIN)
    return tensor


def our_name(stored: str) -> str:
    """Meta's name of a tensor; a name that we don't know stays, and is refused later."""
    if match := re.fullmatch(r"model\.layers\.(\d+)\.(\w+(?:\.\w+)?)\.weight", stored):
        return f"layers.{match[1]}.{IN_LAYER[match[2]]}.weight" if match[2] in IN_LAYER else stored
    stem = stored.removesuffix(".weight")
    return f"{TOP[stem]}.weight" if stem in TOP and stem != stored else stored
