"""``llamachat bench load``: a checkpoint from the disk to where it computes, beside a plain read of the same files.

Both take turns, each after the system was asked to forget the files. Mapped weights are touched page by page, so that a
load that only maps is not taken for one that has read. Knows files and one model; generates nothing.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from llamachat.doors.bench_runtime import Device, Dtype, Json, Rounds, Row, report
from llamachat.errors import ConfigError, EngineError, LlamaChatError
from llamachat.paths import bundled_model

if TYPE_CHECKING:
    import torch

    from llamachat.checkpoints import Checkpoint

PIECE = 2**24  # bytes of a plain read
PAGE = 4096


def load(
    path: Annotated[Path | None, typer.Argument(help="A checkpoint; without it, nano.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """Seconds and bytes a second from the disk to the device."""
    try:
        rows, where = measure(path or bundled_model(), device, dtype, rounds)
    except LlamaChatError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps({"where": where, "rows": [asdict(row) for row in rows]}))
    else:
        from rich.console import Console

        Console().print(report(rows, f"load · {where}"))


def measure(path: Path, device: str | None, dtype: str | None, rounds: int) -> tuple[list[Row], str]:
    """The rows, and where they were measured. Raises ConfigError, CheckpointError, EngineError."""
    import torch

    from llamachat.checkpoints import open_checkpoint
    from llamachat.devices import default_dtype, pick_device

    if dtype not in (None, "float32", "bfloat16"):
        raise ConfigError(f"dtype is {dtype}.", "Choose float32 or bfloat16.")
    checkpoint, place = open_checkpoint(path), pick_device(device)
    kind = getattr(torch, dtype) if dtype else default_dtype(place, checkpoint)
    files = weight_files(path)
    size = sum(file.stat().st_size for file in files)
    pairs = []
    try:
        for i in range(rounds):
            turns = [lambda: read(files), lambda: load_once(checkpoint, place, kind)]
            taken = {}
            for which in (1, 0) if i % 2 else (0, 1):
                forget(files)
                start = perf_counter()
                turns[which]()
                taken[which] = perf_counter() - start
            pairs.append((taken[1], taken[0]))
    except (RuntimeError, MemoryError) as error:
        raise EngineError(f"The engine failed: {error}", "Choose a smaller checkpoint.") from error
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(plain / load for load, plain in pairs)
    rows = [
        Row("load (peer: a plain read)", ours, "s", theirs, ratio),
        Row("of the files' bytes", size / ours / 1e6, "MB/s", size / theirs / 1e6, ratio),
    ]
    load_now = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    machine = f"{os.cpu_count()} cores, load {load_now}, Python {platform.python_version()}"
    stored = f"{checkpoint.name}, {size / 2**30:.2f} GiB to {str(kind).removeprefix('torch.')} on {place}"
    return rows, f"{stored} · {machine} · {date.today()}"


def load_once(checkpoint: "Checkpoint", place: "torch.device", kind: "torch.dtype") -> None:
    """As the runtime does it, and then one number of every page."""
    import torch

    model = checkpoint.load_model(place, kind)
    if place.type == "cuda":
        torch.cuda.synchronize()
        return
    for weight in model.parameters():
        weight.detach().reshape(-1).view(torch.uint8)[::PAGE].sum()


def read(files: Iterable[Path]) -> None:
    """Every byte, into one buffer."""
    buffer = bytearray(PIECE)
    for file in files:
        with open(file, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def forget(files: Iterable[Path]) -> None:
    """Ask the system to drop what it holds of them, where that can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in files:
        with open(file, "rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def weight_files(path: Path) -> Sequence[Path]:
    """The large files of a checkpoint."""
    if path.is_file() and path.suffix == ".gguf":
        return [path]
    folder = path if path.is_dir() else path.parent
    return sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", ".pth", ".gguf"))
