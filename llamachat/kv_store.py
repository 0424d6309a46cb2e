"""Keys and values on disk, for the next start of the program. Knows ids, a cache and a folder; no model, no dialog.

The ids of a dialog are cut into blocks of 64. A block's file is named by a hash of the fingerprint (weights, dtype,
rotation) and of all ids up to the block's end, so that it is found by ids alone, branches share what they share, and
nothing is ever taken for another model's. What has not been used for longest goes first.
"""

import hashlib
import os
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time

import torch
from torch import Tensor

from llamachat.model import KVCache, ModelConfig

BLOCK = 64  # ids; 2 MiB of a 1B model, 8 MiB of an 8B
MAGIC = b"llamachat kv 1\n\0"
DISK = 500e6  # bytes a second of an ordinary SSD: what is believed before this one was timed
DOUBT = 64e6  # bytes that this belief weighs, so that one slow block does not decide
SAMPLES = 8  # numbers of each weight that stand for it: whatever trains a model changes nearly all
RATE = "ids-per-second"
MISSING = (FileNotFoundError, NotADirectoryError)


class KVStore:
    """The blocks of one model in ``folder``, within ``budget`` bytes for those of all models together.

    Reading is worth it where a block comes faster from the disk than from the model: the disk is timed as it is read,
    the model by its latest long prompt, also of an earlier run.
    """

    def __init__(self, folder: Path, fingerprint: str, budget: int) -> None:
        self.root, self.folder, self.budget = folder, folder / fingerprint[:32], budget
        self._seed = fingerprint.encode()
        self._timed = DOUBT, DOUBT / DISK  # bytes and seconds
        self._model = self._remembered()
        self._used: int | None = None
        self._kept: set[str] = set()

    def save(self, cache: KVCache, live: Sequence[int]) -> None:
        """Write the full blocks of ``live`` that are not there yet. A disk that is full or closed ends the saving."""
        if self.budget <= 0:
            return
        try:
            for number, name in enumerate(self._names(live)):
                if name not in self._kept and self._worth(cache):
                    self._write(name, cache.copy(number * BLOCK, (number + 1) * BLOCK))
                    self._kept.add(name)
            self._touch(live)
        except (OSError, RuntimeError, MemoryError):  # what is there stays good
            self.budget = 0

    def restore(self, cache: KVCache, ids: Sequence[int], start: int) -> int:
        """Put into ``cache`` what is held of ``ids`` beyond ``start``; return where that ends."""
        if self.budget <= 0:
            return start
        for number, name in enumerate(self._names(ids)):
            end = (number + 1) * BLOCK
            if end <= start:
                continue
            if not self._worth(cache):
                break
            began = perf_counter()
            block = self._read(name, cache)
            if block is None:
                break
            cache.write(number * BLOCK, block)
            self._timed = self._timed[0] + block.nbytes, self._timed[1] + perf_counter() - began
            start = end
        self._touch(ids[:start])
        return start

    def learned(self, ids: int, seconds: float) -> None:
        """The model read so many ids in so many seconds."""
        if ids < BLOCK or seconds <= 0 or self.budget <= 0:
            return
        self._model = ids / seconds
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.folder / RATE).write_text(f"{self._model:.1f}")

    def _worth(self, cache: KVCache) -> bool:
        """Whether the disk is faster than the model."""
        size = 2 * cache.keys[:, 0, :, :BLOCK].nbytes
        return self._model is None or size * self._timed[1] / self._timed[0] < BLOCK / self._model

    def _names(self, ids: Sequence[int]) -> Iterator[str]:
        """One for each full block, each made of all before it."""
        running = hashlib.sha256(self._seed)
        for at in range(0, len(ids) - BLOCK + 1, BLOCK):
            running.update(array("i", ids[at : at + BLOCK]).tobytes())
            yield running.hexdigest()[:40]

    def _write(self, name: str, block: Tensor) -> None:
        file = self.folder / name
        if file.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = block.contiguous().view(torch.uint8).numpy().tobytes()
        self._make_room(len(data) + len(MAGIC) + 4)
        fresh = file.with_name(f".{name}.{os.getpid()}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(MAGIC + zlib.crc32(data).to_bytes(4, "little"))
                out.write(data)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)

    def _read(self, name: str, cache: KVCache) -> Tensor | None:
        """A block; None if it is not there, or torn, which removes it."""
        file, like = self.folder / name, cache.keys[:, 0, :, :BLOCK]
        try:
            data = file.read_bytes()
        except OSError:
            return None
        body = memoryview(data)[len(MAGIC) + 4 :]
        check = zlib.crc32(body).to_bytes(4, "little")
        if data[: len(MAGIC) + 4] != MAGIC + check or len(body) != 2 * like.nbytes:
            file.unlink(missing_ok=True)
            self._kept.discard(name)
            return None
        return torch.frombuffer(bytearray(body), dtype=torch.uint8).view(like.dtype).view(2, *like.shape)

    def _touch(self, ids: Sequence[int]) -> None:
        """They were used now; later blocks a little earlier, so that a dialog loses its end first."""
        now = time()
        for number, name in enumerate(self._names(ids)):
            with suppress(*MISSING):
                os.utime(self.folder / name, (now, now - number * 1e-3))

    def _make_room(self, wanted: int) -> None:
        """Remove what was not used for longest, of whatever model, until ``wanted`` bytes fit."""
        if self._used is None:
            self._used = usage(self.root)
        self._used += wanted
        if self._used <= self.budget:
            return
        found = sorted((stat.st_mtime, stat.st_size, file) for file, stat in _blocks(self.root))
        used = sum(size for _, size, _ in found) + wanted
        for _, size, file in found:
            if used <= self.budget * 0.9:  # a little more than needed, so that not every block looks at all others
                break
            file.unlink(missing_ok=True)
            self._kept.discard(file.name)
            used -= size
        self._used = used
        if used > self.budget:
            raise OSError("A block is larger than the budget.")

    def _remembered(self) -> float | None:
        try:
            return max(float((self.folder / RATE).read_text()), 1e-3)
        except (OSError, ValueError):
            return None


def fingerprint(weights: Mapping[str, Tensor], config: ModelConfig, kind: torch.dtype) -> str:
    """Of what keys and values depend on: the shape with its rotation, their dtype, and numbers out of every weight."""
    running = hashlib.sha256(repr((replace(config, context=1), str(kind), BLOCK)).encode())
    for name, weight in sorted(weights.items()):
        flat = weight.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // SAMPLES)][:SAMPLES].contiguous().cpu()
        running.update(repr((name, tuple(weight.shape), str(weight.dtype))).encode())
        running.update(some.view(torch.uint8).numpy().tobytes())
    return running.hexdigest()


def usage(folder: Path) -> int:
    """Bytes of all blocks in ``folder``."""
    return sum(stat.st_size for _, stat in _blocks(folder))


def clear(folder: Path) -> int:
    """Remove all blocks; return how many bytes they were. Raises OSError."""
    size = 0
    for file, stat in _blocks(folder):
        file.unlink(missing_ok=True)
        size += stat.st_size
    return size


def _blocks(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for file in folder.glob("*/*"):
        with suppress(*MISSING):
            if file.name.strip("0123456789abcdef") == "" or file.name.startswith("."):  # what a crash left, too
                yield file, file.stat()
