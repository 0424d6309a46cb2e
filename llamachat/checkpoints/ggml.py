"""Bytes of a GGUF tensor to a tensor of torch: whole numbers are mapped, blocks of few bits dequantised.

The common kinds are dequantised where the model will be, by torch: bit for bit what the library ``gguf`` gives, in half
to nine tenths of its processor time, and on a GPU only their few bits travel there. The library does the rest.
Layouts: ggml-common.h; a scale is a float16.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamachat.checkpoints.gguf_file import TensorPlace
from llamachat.checkpoints.settings import FETCH_AGAIN
from llamachat.errors import CheckpointError

WHOLE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
RARE = ("Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "IQ4_NL", "IQ4_XS")
CHUNK = 2**17  # weights that are dequantised at once: 512 KiB of float32. Larger steps are fresh memory each time, and
# the system's share of the time doubles (2**20); smaller ones cost calls (2**16)


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


def unpack(data: Tensor, place: TensorPlace, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """One tensor of the mapped file ``data``; on the CPU, whole numbers that are stored in ``dtype`` stay mapped."""
    if place.offset + place.nbytes > len(data):
        raise CheckpointError("The GGUF file was cut while it was read.", FETCH_AGAIN)
    raw, name = data[place.offset : place.offset + place.nbytes], kind_name(place)
    if name in WHOLE:
        aligned = place.offset % WHOLE[name].itemsize == 0
        return (raw if aligned else raw.clone()).view(WHOLE[name]).view(place.shape).to(device, dtype)
    out = torch.empty(place.shape, device=device, dtype=dtype)
    flat, rows = out.view(-1, place.shape[-1]), raw.view(-1, raw.numel() * place.shape[-1] // out.numel())
    step = max(1, CHUNK // place.shape[-1])

    def fill(span: slice) -> None:
        numbers = COMMON[name](rows[span].to(device)) if name in COMMON else _by_library(rows[span], name)
        flat[span] = numbers.view(-1, place.shape[-1])

    _each(fill, [slice(at, at + step) for at in range(0, len(rows), step)], parallel=out.device.type == "cpu")
    return out


def _each(work: Callable[[slice], None], spans: list[slice], *, parallel: bool) -> None:
    """Do ``work`` for all spans, on the CPU each in one thread: torch's own threads wait for each other after every
    step, which on a busy machine costs more than it gives (0.07 against 0.5 billion weights a second)."""
    if not parallel:
        for span in spans:
            work(span)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "unpack", torch.set_num_threads, (1,)) as pool:
            list(pool.map(work, spans))
    finally:
        torch.set_num_threads(threads)  # it is a thread's own, but new threads begin with what was set last


def _by_library(rows: Tensor, name: str) -> Tensor:
    """Rows of blocks to float32. A damaged scale gives numbers that are not finite, and no warning."""
    import numpy as np
    from gguf import quants
    from gguf.constants import GGMLQuantizationType

    with np.errstate(all="ignore"):
        numbers: Any = quants.dequantize(rows.numpy(), GGMLQuantizationType[name])
    return torch.from_numpy(numbers)


def _halves(data: Tensor) -> Tensor:
    """Scales (blocks, 2n) bytes to (blocks, n) float32."""
    return data.contiguous().view(torch.float16).float()


def _q8_0(rows: Tensor) -> Tensor:
    """Blocks of 32: scale, 32 signed bytes."""
    blocks = rows.view(-1, 34)
    return blocks[:, 2:].view(torch.int8) * _halves(blocks[:, :2])


def _q4_0(rows: Tensor) -> Tensor:
    """Blocks of 32: scale, 16 bytes whose low halves are the first 16 numbers; 8 is 0."""
    blocks = rows.view(-1, 18)
    low = blocks[:, 2:]
    return (torch.cat((low & 15, low >> 4), 1).view(torch.int8) - 8) * _halves(blocks[:, :2])


def _q4_k(rows: Tensor) -> Tensor:
    """Blocks of 256, 8 parts of 32: scale of scales and of minima, 8 of each in 6 bits, then half bytes."""
    blocks = rows.view(-1, 144)
    scale, least = _halves(blocks[:, :2]), _halves(blocks[:, 2:4])
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = torch.cat((first & 63, (third & 15) | ((first >> 2) & 48)), 1)
    minima = torch.cat((second & 63, (third >> 4) | ((second >> 2) & 48)), 1)
    low = blocks[:, 16:].view(-1, 4, 1, 32)
    numbers = torch.cat((low & 15, low >> 4), 2).view(-1, 8, 32)
    product: Tensor = numbers * (scale * scales).unsqueeze(2) - (least * minima).unsqueeze(2)
    return product


def _q6_k(rows: Tensor) -> Tensor:
    """Blocks of 256, 16 parts of 16: low 4 bits, high 2 bits, signed scales, their scale; 32 is 0."""
    blocks = rows.view(-1, 210)
    low, high = blocks[:, :128].view(-1, 2, 1, 64), blocks[:, 128:192].view(-1, 2, 1, 32)
    low = torch.cat((low & 15, low >> 4), 2).view(-1, 8, 32)
    high = torch.cat([(high >> shift) & 3 for shift in (0, 2, 4, 6)], 2).view(-1, 8, 32)
    numbers = ((low | (high << 4)).view(torch.int8) - 32).view(-1, 16, 16)
    scales = _halves(blocks[:, 208:]) * blocks[:, 192:208].view(torch.int8)
    return numbers * scales.unsqueeze(2)


COMMON: dict[str, Callable[[Tensor], Tensor]] = {"Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_K": _q4_k, "Q6_K": _q6_k}
READABLE = (*WHOLE, *COMMON, *RARE)
