"""What a run starts from: a checkpoint that fits, all of it or adapters, on its device, alone or under torchrun."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.devices import engine_error
from llamachat.errors import EngineError
from llamachat.model import Transformer
from llamachat.paths import bundled_model
from llamachat.training.post.lora import add_lora, merge_lora
from llamachat.training.post.reading import Speech
from llamachat.training.post.saving import LARGE
from llamachat.training.team import own_device


@dataclass(frozen=True, slots=True)
class Start:
    """A model ready to be trained. ``lora`` is the rank of its adapters, 0 if all is trained."""

    checkpoint: Checkpoint
    model: Transformer
    speech: Speech
    lora: int
    dtype: torch.dtype

    def finished(self) -> dict[str, torch.Tensor]:
        """The weights by our names, adapters merged."""
        merge_lora(self.model)
        return dict(self.model.state_dict())


def begin(
    path: Path | None = None,
    *,
    device: str | None = None,
    lora: int | None = None,
    alpha: float = 0.0,
    context: int = 2048,
    afresh: bool = False,
    seed: int = 1,
    compiled: bool | None = None,
) -> Start:
    """Open ``path`` (the embedded model by default) for training. ``lora`` None: adapters, if it is LARGE.

    ``context``: the longest dialog, in tokens. Raises CheckpointError, and EngineError if it does not fit in memory.
    """
    place = own_device(device)
    checkpoint = open_checkpoint(path or bundled_model())
    rank = (16 if checkpoint.parameters > LARGE else 0) if lora is None else lora
    dtype = torch.bfloat16 if rank and checkpoint.parameters > LARGE else torch.float32
    check_room(checkpoint, rank, dtype, place)
    short = min(context, checkpoint.config.context)
    try:
        model = replace(checkpoint, config=replace(checkpoint.config, context=short)).load_model(place, dtype)
        torch.manual_seed(seed)
        if rank:
            add_lora(model, rank, alpha or 2.0 * rank)
        else:
            own_memory(model)
    except (RuntimeError, MemoryError) as error:
        raise engine_error(error) from error
    if place.type == "cuda" if compiled is None else compiled:
        for layer in model.layers:
            layer.compile(dynamic=True)
    speech = Speech(checkpoint.load_tokenizer(), checkpoint.dialect, short, afresh)
    return Start(checkpoint, model, speech, rank, dtype)


def own_memory(model: Transformer) -> None:
    """Weights that are mapped from a file can't be written: copy them, and want gradients."""
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if not (model.config.tied and module is model.output):
                setattr(module, name, torch.nn.Parameter(weight.detach().clone()))
    if model.config.tied:
        model.output.weight = model.tok_embeddings.weight


def check_room(checkpoint: Checkpoint, lora: int, dtype: torch.dtype, device: torch.device) -> None:
    """Raise EngineError if weights, gradients and AdamW's two moments can't fit."""
    weights = checkpoint.parameters * dtype.itemsize
    needed = weights * 1.1 if lora else weights * 4
    free = free_bytes(device)
    if free and needed > free:
        hint = "Choose a smaller model, or another device." if lora else "Add --lora 16, which trains adapters only."
        raise EngineError(
            f"Training {checkpoint.name} takes at least {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free.",
            hint,
        )


def free_bytes(device: torch.device) -> int:
    """Memory that is free on ``device``; 0 if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)


def set_threads() -> None:
    """One thread on a busy machine, else the idle cores: a thread that waits for a busy core slows all."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    torch.set_num_threads(max(1, torch.get_num_threads() - round(load)))
