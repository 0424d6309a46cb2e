"""The header of a GGUF file: its metadata, and where each tensor lies. Knows no model and reads no weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. The walk is our own:
``gguf.GGUFReader`` 0.19 takes 8.9 s and 600 MiB for the header of Llama 3 (an array object per token and merge; this
takes 0.12 s and 41 MiB), and an array that claims 2**60 numbers keeps it busy for ever. The library's tables are used.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamachat.checkpoints.settings import FETCH_AGAIN, shown
from llamachat.errors import CheckpointError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value type of a metadata field to its code for struct."""
STRING, ARRAY = 8, 9
MAX_HEADER = 2**26  # bytes; Llama 3's header has 8 MB
MAX_ITEMS = 2**22  # of an array; Llama 3 has 280,147 merges
MAX_TENSORS = 2**14  # the 405B has 1,138
MAX_DIMS = 4


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor lies: ``shape`` with rows first (GGUF writes it last), ``kind`` a GGMLQuantizationType,
    ``offset`` and ``nbytes`` within the file."""

    shape: tuple[int, ...]
    kind: int
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class GGUFFile:
    """What the header says. Numbers, strings and flags are as in Python; arrays are tuples or lists of them."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorPlace]


def is_gguf(file: Path) -> bool:
    """True if a regular file begins as GGUF does. Raises OSError."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(4) == MAGIC


def read_header(path: Path) -> GGUFFile:
    """Read the header and check that every tensor lies within the file, apart from the others.

    Raises CheckpointError; OSError if the file can't be opened.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk = _Walk(data)
            metadata, places = walk.fields(), walk.places(len(data))
    except (struct.error, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is torn: it is no complete GGUF file.", FETCH_AGAIN) from error
    except _Lie as lie:
        raise CheckpointError(f"{path}: {lie}.", FETCH_AGAIN) from lie
    return GGUFFile(path, metadata, places)


class _Lie(Exception):
    """What a header says that can't be."""


class _Walk:
    """A place in the header that moves on with each value read. Raises struct.error or ValueError at the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.end = data, 4, min(len(data), MAX_HEADER)
        version = self.number("I")
        if data[:4] != MAGIC or version not in VERSIONS:
            raise _Lie(f"version {version} of GGUF (or one for big-endian machines) can't be read")
        self.n_tensors, self.n_fields = self.number("Q"), self.number("Q")
        if self.n_tensors > MAX_TENSORS:
            raise _Lie(f"the header claims {self.n_tensors:,} tensors")
        self.alignment = 32

    def number(self, code: str) -> Any:
        """One number of struct's ``code``."""
        return self.numbers(code, 1)[0]

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        """``count`` numbers in a row."""
        layout = f"<{count}{code}"
        size = struct.calcsize(layout)
        if size > self.end - self.at:
            raise ValueError
        self.at += size
        return struct.unpack_from(layout, self.data, self.at - size)

    def text(self) -> str:
        """A string behind its length in bytes."""
        return self.texts(1)[0]

    def texts(self, count: int) -> list[str]:
        """``count`` strings in a row; a loop of its own, for there are 400,000 in a vocabulary."""
        data, at, end, length, texts = self.data, self.at, self.end, struct.Struct("<Q"), []
        for _ in range(count):
            (size,) = length.unpack_from(data, at)
            at += 8
            if size > end - at:
                raise ValueError
            texts.append(data[at : at + size].decode())
            at += size
        self.at = at
        return texts

    def value(self) -> Any:
        """One value behind its type."""
        kind = self.number("I")
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if count > MAX_ITEMS:
                raise _Lie(f"the header claims an array of {count:,} values")
            if inner == STRING:
                return self.texts(count)
            return self.numbers(_code(inner), count)
        return self.number(_code(kind))

    def fields(self) -> dict[str, Any]:
        """The metadata."""
        metadata: dict[str, Any] = {}
        for _ in range(self.n_fields):
            key = self.text()
            if key in metadata:
                raise _Lie(f"the field {shown(key)} is there twice")
            metadata[key] = self.value()
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20 or alignment & (alignment - 1):
            raise _Lie(f"the alignment is {shown(alignment)}")
        self.alignment = alignment
        return metadata

    def places(self, size: int) -> dict[str, TensorPlace]:
        """The tensors, in a file of ``size`` bytes; behind ``fields``."""
        claims: dict[str, tuple[tuple[int, ...], int, int]] = {}
        for _ in range(self.n_tensors):
            name, n_dims = self.text(), self.number("I")
            if name in claims or not 1 <= n_dims <= MAX_DIMS:
                raise _Lie(f"the tensor {shown(name)} is there twice or has {n_dims} dimensions")
            claims[name] = self.numbers("Q", n_dims)[::-1], self.number("I"), self.number("Q")
        start = -(-self.at // self.alignment) * self.alignment
        places = {name: _place(name, shape, kind, start + at) for name, (shape, kind, at) in claims.items()}
        begin = start
        for name, place in sorted(places.items(), key=lambda item: item[1].offset):
            if place.offset < begin or place.offset % self.alignment:
                raise _Lie(f"the tensor {shown(name)} lies across another one")
            begin = place.offset + place.nbytes
            if begin > size:
                raise _Lie(f"the file is torn: the tensor {shown(name)} ends behind it")
        return places


def _code(kind: int) -> str:
    if kind not in NUMBERS:
        raise _Lie(f"the header has a value of the unknown type {kind}")
    return NUMBERS[kind]


def _place(name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorPlace:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType  # 0.15 s that only users of GGUF pay

    if kind not in list(GGMLQuantizationType):
        raise _Lie(f"the tensor {shown(name)} has the unknown type {kind}")
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    if min(shape) < 1 or shape[-1] % block:
        raise _Lie(f"the tensor {shown(name)} has the impossible shape {list(shape)}")
    rows = 1
    for length in shape[:-1]:
        rows *= length
    return TensorPlace(shape, kind, offset, rows * (shape[-1] // block) * size)
