"""Bytes of a GGUF tensor to a tensor of torch: whole numbers are mapped, blocks dequantised by the library ``gguf``."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamachat.checkpoints.gguf_file import TensorPlace
from llamachat.checkpoints.settings import FETCH_AGAIN
from llamachat.errors import CheckpointError

WHOLE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
BLOCKS = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")
READABLE = (*WHOLE, *BLOCKS)
CHUNK = 2**20  # weights that one thread dequantises at once: 4 MiB of float32, and some times that under way


def kind_name(place: TensorPlace) -> str:
    """How ggml calls the type of a tensor."""
    from gguf.constants import GGMLQuantizationType

    return GGMLQuantizationType(place.kind).name


def map_file(file: Path) -> Tensor:
    """The bytes of a file, mapped. Raises CheckpointError."""
    try:
        return torch.from_file(str(file), shared=False, size=file.stat().st_size, dtype=torch.uint8)
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"Can't map {file} into memory.", FETCH_AGAIN) from error


def unpack(data: Tensor, place: TensorPlace, dtype: torch.dtype) -> Tensor:
    """One tensor of the mapped file ``data`` on the CPU in ``dtype``; what is stored so stays mapped.

    Blocks give 350 to 600 million weights a second and thread, in as many threads as torch has.
    """
    if place.offset + place.nbytes > len(data):
        raise CheckpointError("The GGUF file was cut while it was read.", FETCH_AGAIN)
    raw, name = data[place.offset : place.offset + place.nbytes], kind_name(place)
    if name in WHOLE:
        aligned = place.offset % WHOLE[name].itemsize == 0
        return (raw if aligned else raw.clone()).view(WHOLE[name]).view(place.shape).to(dtype)
    out = torch.empty(place.shape, dtype=dtype)
    flat, columns = out.view(-1, place.shape[-1]), place.shape[-1]
    rows = raw.view(len(flat), -1)
    step = max(1, CHUNK // columns)
    spans = [slice(at, at + step) for at in range(0, len(flat), step)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(lambda span: flat[span].copy_(_dequantise(rows[span], place.kind)), spans):
            pass
    return out


def _dequantise(rows: Tensor, kind: int) -> Tensor:
    """Rows of blocks (R, bytes) to float32 (R, D). A damaged scale gives numbers that are not finite, no warning."""
    import numpy as np
    from gguf import quants
    from gguf.constants import GGMLQuantizationType

    with np.errstate(all="ignore"):
        numbers: Any = quants.dequantize(rows.numpy(), GGMLQuantizationType(kind))
    return torch.from_numpy(numbers)
