"""Compiles what a step would launch for an H100 or H200, without one, and reads what the assembler made of it."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from llamachat.model import KVCache, Transformer
from llamachat.steps.triton.kernels import Kernels
from llamachat.steps.triton.matrices import head_of, layers_of

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
TYPES = {
    torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int8: "*i8", torch.uint8: "*u8", torch.int32: "*i32",
    torch.int64: "*i64", torch.float8_e4m3fn: "*fp8e4nv",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """A kernel with the types of its arguments and its constants."""

    kernel: Any
    types: tuple[str, ...]
    constants: tuple[tuple[str, Any], ...]
    warps: int


@dataclass(frozen=True)
class Compiled:
    """What became of it: registers and bytes of stack for each thread, PTX, machine code."""

    registers: int
    stack: int
    ptx: str
    sass: str


class Collector(Kernels):
    """Notes what would be launched."""

    def __init__(self, model: Transformer) -> None:
        super().__init__(model, layers_of(model), head_of(model), True)
        self.launches: dict[Launch, None] = {}

    def _launch(self, kernel: Any, grid: tuple[int, ...], warps: int, *arguments: Any, **constants: Any) -> None:
        types = tuple(TYPES[a.dtype] if isinstance(a, Tensor) else "i32" for a in arguments)
        assert all(isinstance(a, Tensor) or a % 16 == 0 for a in arguments)  # what compile_() promises
        self.launches[Launch(kernel, types, tuple({"PDL": True, **constants}.items()), warps)] = None


def launches(model: Transformer, rows: int, cache_dtype: torch.dtype) -> list[Launch]:
    """All different launches of a step over ``rows`` positions; the model's weights may be on the meta device."""
    collector = Collector(model)
    collector.read(rows, KVCache(model.config, 64, device="meta", dtype=cache_dtype))
    collector.choose(rows, rows == 1)
    return list(collector.launches)


def compile_(launch: Launch, folder: Path) -> Compiled:
    """As the launcher would, for compute capability 9.0."""
    names, constants = launch.kernel.arg_names, dict(launch.constants)
    free = [name for name in names if name not in constants]
    types = {**dict(zip(free, launch.types, strict=True)), **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(
        launch.kernel,
        {name: types[name] for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in free},
    )
    done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": launch.warps})
    cubin = folder / f"{launch.kernel.fn.__name__}.cubin"
    cubin.write_bytes(done.asm["cubin"])
    usage = run("cuobjdump", "-res-usage", cubin)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found, usage
    return Compiled(int(found[1]), int(found[2]), done.asm["ptx"], run("nvdisasm", "-c", cubin))


def run(tool: str, *arguments: object) -> str:
    """One of the tools that come with Triton."""
    return subprocess.run([TOOLS / tool, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
