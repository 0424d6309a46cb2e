"""A checkpoint in 8 or 4 bits: quantised while it is read, and kept in the cache folder for the next time. Knows what a
Transformer needs; no file format but safetensors.

The copy is a folder of safetensors files named after what was read; it appears whole or not at all, since it is
written under another name first. One that is torn, or does not hold what the model asks for, is made anew.
"""

import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamachat.checkpoints.checkpoint import Checkpoint, expected_shapes, hollow
from llamachat.model import ModelConfig, Transformer
from llamachat.paths import cache_dir
from llamachat.quantise import KINDS, Kind, Quantised, QuantisedLinear, quantise

VERSION = 1  # of the folder's content
PART = 2**29  # bytes of one file: what is held in RAM on the way to the disk
SAMPLES, SAMPLE = 64, 2**16  # of each weight file, spread over it, are part of its fingerprint
SPARE = 2**30  # bytes of the disk that we leave free
ABANDONED = 24 * 3600.0  # seconds after which a copy that is not whole will never be
Named = tuple[str, Tensor | Quantised]


def load_quantised(
    checkpoint: Checkpoint,
    kind: Kind,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[float], None] | None = None,
) -> Transformer:
    """The Transformer with its linear layers in ``kind``, the rest in ``dtype``; ``progress`` gets the share done.

    Memory peaks at two tensors above the model. The output layer of int4 is int8, since errors there go straight
    into the choice of the next id. Raises CheckpointError, ConfigError (a shape that int4 can't hold), and what torch
    raises when memory is short. A full disk costs the copy, not the model.
    """
    folder = cache_dir() / "quantised" / fingerprint(checkpoint, kind, dtype)
    report = progress or (lambda share: None)
    if folder.is_dir():
        try:
            return assemble(checkpoint.config, _read(folder, device), kind, report)
        except (SafetensorError, OSError, LookupError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
    fresh = quantised(checkpoint.weights.read(device, dtype), checkpoint.config, kind)
    return assemble(checkpoint.config, _kept(fresh, folder), kind, report)


def fingerprint(checkpoint: Checkpoint, kind: str, dtype: torch.dtype) -> str:
    """A name for the weights of ``checkpoint`` in a form: of the files' sizes, times and samples, 4 MiB of each."""
    digest = sha256(f"{VERSION} {kind} {dtype} {checkpoint.config}".encode())
    for file in checkpoint.weights.files:
        facts = file.stat()
        digest.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}".encode())
        with file.open("rb") as stream:
            for i in range(SAMPLES):
                stream.seek(facts.st_size * i // SAMPLES)
                digest.update(stream.read(SAMPLE))
    return digest.hexdigest()[:32]


def kind_of(name: str, kind: Kind) -> Kind | None:
    """How a tensor is kept when the model is in ``kind``; None for what stays as it is: norms, and the embeddings, of
    which each id reads one row."""
    if name == "output.weight":
        return "int8" if kind == "int4" else kind
    return kind if ".attention.w" in name or ".feed_forward.w" in name else None


def quantised(tensors: Iterable[tuple[str, Tensor]], config: ModelConfig, kind: Kind) -> Iterator[Named]:
    """``tensors`` of a model as they are kept, one after the other; a tied output layer becomes one of its own."""
    for name, tensor in tensors:
        small = kind_of(name, kind)
        yield name, quantise(tensor, small) if small else tensor
        if config.tied and name == "tok_embeddings.weight":
            output = kind_of("output.weight", kind)
            assert output
            yield "output.weight", quantise(tensor, output)


def assemble(config: ModelConfig, tensors: Iterator[Named], kind: Kind, report: Callable[[float], None]) -> Transformer:
    """A model of ``tensors``. Raises LookupError or ValueError if they are not those that it needs."""
    model, state = hollow(config), dict[str, Tensor]()
    wanted = expected_shapes(config)
    if config.tied:
        wanted["output.weight"] = wanted["tok_embeddings.weight"]
    done, total = 0, sum(math.prod(shape) for shape in wanted.values())
    for name, tensor in tensors:
        if tensor.shape != wanted.pop(name) or kind_of(name, kind) != getattr(tensor, "kind", None):
            raise ValueError(name)
        if isinstance(tensor, Quantised):
            parent, _, child = name.removesuffix(".weight").rpartition(".")
            setattr(model.get_submodule(parent), child, QuantisedLinear(tensor))
            state |= {name.replace(".weight", ".data"): tensor.data, name.replace(".weight", ".scale"): tensor.scale}
        else:
            state[name] = tensor
        done += math.prod(tensor.shape)
        report(done / total)
    if wanted:
        raise LookupError(min(wanted))
    model.load_state_dict(state, assign=True)
    model.rope = model.rope.to(state["norm.weight"].device)
    return model.eval().requires_grad_(False)


def _read(folder: Path, device: torch.device | str) -> Iterator[Named]:
    """What a copy holds, mapped on the CPU. Raises SafetensorError, OSError, LookupError, ValueError."""
    for file in sorted(folder.iterdir()):
        with safe_open(file, framework="pt", device="cpu") as handle:
            for name in handle.keys():  # noqa: SIM118 (a handle is no mapping)
                stem, kind = name.rsplit(":", 1) if ":" in name else (name, "")
                if kind == "scale":
                    continue
                tensor = handle.get_tensor(name).to(device)
                if kind:
                    known = KINDS[KINDS.index(kind)]
                    yield stem, Quantised(known, tensor, handle.get_tensor(f"{stem}:scale").to(device))
                else:
                    yield stem, tensor


def _kept(tensors: Iterator[Named], folder: Path) -> Iterator[Named]:
    """``tensors``, written to ``folder`` while they pass; it is there when all have. Without room they just pass."""
    writer: _Writer | None = _Writer(folder)
    try:
        for name, tensor in tensors:
            writer = writer and writer.add(name, tensor)
            yield name, tensor
        if writer:
            writer.finish()
    finally:
        if writer:
            writer.remove()


class _Writer:
    """Writes a copy in parts, under a name that nobody reads before it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._fresh = folder, folder.with_name(f".{folder.name}.{uuid4().hex}")
        self._part, self._parts = dict[str, Tensor](), 0
        for old in folder.parent.glob(".*.*"):  # of a program that was killed meanwhile
            if time.time() - old.stat().st_mtime > ABANDONED:
                shutil.rmtree(old, ignore_errors=True)

    def add(self, name: str, tensor: Tensor | Quantised) -> "_Writer | None":
        """Take one more; None if it can't be written."""
        if isinstance(tensor, Quantised):
            self._part |= {f"{name}:{tensor.kind}": tensor.data.cpu(), f"{name}:scale": tensor.scale.cpu()}
        else:
            self._part[name] = tensor.cpu().contiguous()
        full = sum(held.nbytes for held in self._part.values()) > PART
        return self._flush() if full else self

    def finish(self) -> None:
        """All is there: give it its name."""
        if self._flush():
            with suppress(OSError):  # another program was faster
                self._fresh.rename(self._folder)

    def remove(self) -> None:
        """What has not got its name is worth nothing."""
        shutil.rmtree(self._fresh, ignore_errors=True)

    def _flush(self) -> "_Writer | None":
        try:
            self._fresh.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(self._fresh).free < 2 * sum(held.nbytes for held in self._part.values()) + SPARE:
                raise OSError("the disk is nearly full")
            file = self._fresh / f"{self._parts:05d}.safetensors"
            save_file(self._part, file)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        except (OSError, SafetensorError):
            self.remove()
            return None
        self._part, self._parts = {}, self._parts + 1
        return self
