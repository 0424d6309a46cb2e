"""Steps in C++: what the Transformer computes, for every shape, kind of weights and number of threads."""

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from llamachat.doors.bench_peers import in_int8
from llamachat.errors import EngineError
from llamachat.model import Branches, KVCache, ModelConfig, RopeScaling, Transformer
from llamachat.quantise import QuantisedLinear, dequantise, quantise
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.steps import compiler, fast
from llamachat.steps.compiler import Build, machine, native, place
from llamachat.steps.cores import Cores
from llamachat.steps.native import NativeSteps
from llamachat.steps.torch_steps import TorchSteps
from llamachat.testing import byte_tokenizer

SHAPES = {
    "grouped": {},
    "no groups": {"n_kv_heads": 6},
    "one group": {"n_kv_heads": 1},
    "wide heads": {"head_dim": 32},
    "nothing is a multiple of anything": {"dim": 98, "n_heads": 7, "n_kv_heads": 7, "head_dim": 10, "ffn_dim": 131},
    "tied": {"tied": True},
    "stretched": {"rope_scaling": RopeScaling(8.0, original_context=64)},
}
PARTS = (5, 1, 1, 7, 1, 32, 1, 3, 130, 1, 1)  # ids at once; 130 are for torch


@pytest.fixture(scope="module", autouse=True)
def library() -> ctypes.CDLL:
    """Made in seconds where it is not there yet."""
    found = native().wait()
    assert found is not None, native().problem
    return found


def random_model(dtype: torch.dtype = torch.float32, sharp: float = 0.2, **shape: object) -> Transformer:
    """``sharp`` queries and keys make attention look at few positions, so that a wrong rotation shows."""
    base = {"dim": 96, "n_layers": 3, "n_heads": 6, "n_kv_heads": 2, "ffn_dim": 200, "vocab_size": 512, "context": 256}
    model = Transformer(ModelConfig(**{**base, **shape})).eval().requires_grad_(False)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    for name, weight in model.named_parameters():
        random = torch.randn(weight.shape, generator=generator)
        scale = 0.1 if "norm" in name else sharp if "wq" in name or "wk" in name else 0.06
        weight.copy_(random * scale + ("norm" in name))
        weight.data = weight.to(dtype)  # not model.to(): the rotation stays in float32
    return model


def take(
    model: Transformer, ids: Tensor, threads: int = 1, parts: Sequence[int] = PARTS, build: Build | None = None
) -> Tensor:
    """Logits (T, V) of ``ids`` (T), read in ``parts``; keys and values as the model has them."""
    cache = KVCache(model.config, 200, device="cpu", dtype=model.norm.weight.dtype)
    steps = NativeSteps(model, threads, build)
    with torch.inference_mode():
        rows = [steps.output(steps.hidden(part[None], cache)[0]).float() for part in ids.split(list(parts))]
    return torch.cat(rows)


def off(found: Tensor, wanted: Tensor) -> float:
    """The largest relative error of a row."""
    return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max())


def some_ids(length: int = sum(PARTS), seed: int = 3) -> Tensor:
    return torch.randint(512, (length,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_the_transformers(shape: str) -> None:
    model, ids = random_model(**SHAPES[shape]), some_ids()
    assert off(take(model, ids), model(ids[None])[0]) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_nearer_to_float32_than_torchs(shape: str) -> None:
    model, ids = random_model(torch.bfloat16, sharp=0.06, **SHAPES[shape]), some_ids(80)
    wanted = deepcopy(model).float()(ids[None])[0]
    found = off(take(model, ids, parts=[32, 32, 1, 15]), wanted)
    assert found < 0.01
    assert found < off(model(ids[None])[0].float(), wanted)


def test_float32_that_came_from_bfloat16_is_read_as_such() -> None:
    model, ids = random_model(torch.bfloat16).float(), some_ids()
    assert {m.kind for m in (NativeSteps(model, 1)._model.output, NativeSteps(model, 1)._model.embeddings)} == {1}
    assert off(take(model, ids), model(ids[None])[0]) < 1e-4


def test_int8_is_what_the_weights_stand_for() -> None:
    model, ids = random_model(dim=200, head_dim=24, ffn_dim=520, sharp=0.06), some_ids()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, QuantisedLinear(quantise(child.weight, "int8")))
    assert off(take(model, ids), model(ids[None])[0]) < 0.05  # activations are rounded once more: for the head …
    head, x = model.output.quantised, torch.randn(5, 200, generator=torch.Generator().manual_seed(1))
    groups = torch.nn.functional.pad(x, (0, 56)).unflatten(1, (4, 64))
    scale = groups.abs().amax(2, keepdim=True) / 127
    rounded = ((groups / scale).round() * scale).flatten(1)[:, :200]
    assert off(NativeSteps(model, 1).output(x), rounded @ dequantise(head).T) < 1e-4  # … like this


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neither_threads_nor_company_change_a_bit(dtype: torch.dtype) -> None:
    model, ids = random_model(dtype), some_ids(60)
    alone = take(model, ids, parts=[1] * 60)
    for threads, parts in ((2, [1] * 60), (3, [5, 32, 20, 3]), (1, [31, 29]), (8, [30, 30])):
        assert torch.equal(alone, take(model, ids, threads, parts))


def test_branches_and_what_does_not_fit_are_for_torch() -> None:
    model, cache = random_model(), KVCache(ModelConfig(96, 3, 6, 2, 200, 512), 8, device="cpu", dtype=torch.float32)
    steps, notice = fast(model, 1)
    assert isinstance(steps, NativeSteps)
    assert notice == ""
    steps.hidden(torch.tensor([[1, 2, 3, 4]]), cache)
    branches = Branches.behind(4, [1, 2], torch.device("cpu"))
    found = steps.hidden(torch.tensor([[5, 6, 7]]), cache, branches)[0]
    for row, ids in ((0, [1, 2, 3, 4, 5]), (2, [1, 2, 3, 4, 6, 7])):
        assert off(found[row : row + 1], model.hidden(torch.tensor([ids]))[0, -1:]) < 1e-4
    cache.length = 4
    with pytest.raises(RuntimeError):
        steps.hidden(torch.tensor([[1, 2, 3, 4, 5]]), cache)
    with pytest.raises(IndexError):
        steps.hidden(torch.tensor([[512]]), cache)


@pytest.mark.parametrize(
    "filters", [{}, {"top_k": 5}, {"top_p": 0.8}, {"min_p": 0.3}, {"top_k": 30, "top_p": 0.9, "min_p": 0.02}]
)
async def test_the_library_chooses_what_the_picker_chooses(filters: dict[str, float]) -> None:
    """Who wants to know how likely ids are gets them from the picker."""
    runtime, said = LlamaRuntime(random_model(), byte_tokenizer(), context=256, threads=1), []
    for logprobs in (0, 1):
        sampling = SamplingParams(2.0, **{"top_p": 1.0, **filters}, seed=5, max_tokens=150, logprobs=logprobs)
        said.append([i async for i in runtime.generate([7, 8, 9], sampling, ())])
    runtime.close()
    assert said[0] == said[1]
    assert len(set(said[0])) > 20


async def test_logits_that_are_not_finite_are_noticed() -> None:
    model = random_model()
    runtime = LlamaRuntime(model, byte_tokenizer(), context=256, threads=1)
    model.output.weight[511] = torch.nan
    with pytest.raises(EngineError, match="not finite"):
        assert [i async for i in runtime.generate([7, 8, 9], SamplingParams(0.0, max_tokens=5), ())]
    runtime.close()


async def test_guesses_change_no_id() -> None:
    model = random_model(torch.bfloat16)
    runtime, prompt = LlamaRuntime(model, byte_tokenizer(), context=256, threads=1), [7, 8, 9] * 6
    said = {}
    for runtime.speculative in (True, False):
        said[runtime.speculative] = [i async for i in runtime.generate(prompt, SamplingParams(0.0, max_tokens=150), ())]
        drafted = runtime.stats.drafted_tokens
        assert bool(drafted) == runtime.speculative
    runtime.close()
    assert said[True] == said[False]


def test_an_older_processor_computes_the_same() -> None:
    """With vectors half as wide, where there are two kinds."""
    older = {"x86_64": "x86-64-v3", "aarch64": "armv8-a"}.get(platform.machine(), "native")
    build, model, ids = Build(more=(f"-march={older}",)), random_model(torch.bfloat16, sharp=0.06), some_ids(60)
    assert (library := build.wait()) is not None, build.problem
    assert machine(library) in ("AVX2", "vectors of 16 bytes")
    assert off(take(model, ids, 2, [5, 32, 1, 22], build), take(model, ids, parts=[30, 30])) < 1e-4
    head, x = random_model(dim=200).output, torch.randn(7, 200, generator=torch.Generator().manual_seed(1))
    model.output = QuantisedLinear(quantise(head.weight, "int8"))
    assert off(NativeSteps(model, 1, build).output(x), NativeSteps(model, 1).output(x)) < 1e-4


# -- the library ------------------------------------------------------------------------------------------------------


def test_it_says_for_which_machine_it_is(library: ctypes.CDLL) -> None:
    assert machine(library) in ("AVX-512 with VNNI", "AVX-512", "AVX2", "NEON with dot products", "vectors of 16 bytes")


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(tmp_path))
    source = tmp_path / "small.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    both = [Build(source), Build(source)]
    for build in both:
        library = build.wait()
        assert library is not None
        assert library.answer() == 42
    made = both[0].file.stat().st_mtime_ns
    assert Build(source).wait() is not None
    assert both[0].file.stat().st_mtime_ns == made
    assert [file.suffix for file in both[0].file.parent.iterdir() if file.suffix != ".lock"] == [".so"]


WANTS = """
from llamachat.steps.compiler import Build, Path

print(Build(Path("small.cpp")).file)
open("begun").read()
"""
SLOW = """#!/bin/sh
echo > begun; read word < go
while [ "$1" != -o ]; do shift; done
echo made > "$2"
"""


def test_it_is_made_although_the_program_ends_before(tmp_path: Path) -> None:
    for pipe in ("begun", "go"):
        os.mkfifo(tmp_path / pipe)
    (tmp_path / "small.cpp").touch()
    (tmp_path / "c++").write_text(SLOW)
    (tmp_path / "c++").chmod(0o700)
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LLAMACHAT_CACHE_DIR": str(tmp_path / "cache")}
    alive, held = os.pipe()  # the compiler has the program's standard input: held until it ends
    ended = subprocess.run([sys.executable, "-c", WANTS], env={**os.environ, **own}, cwd=tmp_path, stdin=held,
                           capture_output=True, text=True)  # fmt: skip
    os.close(held)
    file = Path(ended.stdout.strip())
    assert not file.exists()
    (tmp_path / "go").write_text("")
    assert os.read(alive, 1) == b""
    os.close(alive)
    assert file.read_text() == "made\n"
    assert [other.suffix for other in file.parent.iterdir() if other != file] == [".lock"]


def test_without_a_compiler_torch_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(tmp_path / "cache"))
    broken = tmp_path / "broken.cpp"
    broken.write_text("this is no C++")
    build = Build(broken)
    assert build.wait() is None
    assert "error" in build.problem
    monkeypatch.setenv("PATH", str(tmp_path))
    without = Build()
    assert without.wait() is None
    assert without.problem.startswith("there is no C++ compiler")
    model, ids = random_model(), some_ids(20)
    steps, cache = NativeSteps(model, 1, without), KVCache(model.config, 20, device="cpu", dtype=torch.float32)
    assert torch.equal(steps.output(steps.hidden(ids[None], cache)[0]), model(ids[None])[0])
    monkeypatch.setattr(compiler, "native", lambda: without)
    runtime = LlamaRuntime(model, byte_tokenizer(), threads=1)
    assert isinstance(runtime._model, TorchSteps)
    assert "no C++ compiler" in runtime.notice


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_fewer_operations_of_torch_compute_the_same(shape: str, kind: str) -> None:
    dtype = torch.float32 if kind == "float32" else torch.bfloat16
    model, ids = random_model(dtype, sharp=0.2 if kind == "float32" else 0.06, **SHAPES[shape]), some_ids(80)
    if kind == "int8":
        in_int8(model)
    wanted = deepcopy(model).float()(ids[None])[0]
    rounded = off(model(ids[None])[0].float(), wanted)
    cache, weights = KVCache(model.config, 200, device="cpu", dtype=dtype), len(model.state_dict())
    steps = TorchSteps(model)
    with torch.inference_mode():
        found = torch.cat([steps.output(steps.hidden(p[None], cache)[0]) for p in ids.split([40, 1, 1, 38])]).float()
        branches = Branches.behind(60, [3, 4], torch.device("cpu"))
        cache.length = 60
        behind = steps.output(steps.hidden(torch.cat((ids[60:63], ids[60:64]))[None], cache, branches)[0]).float()
    allowed = max(1e-4, 1.5 * rounded)
    assert off(found, wanted) < allowed
    assert off(behind, torch.cat((wanted[60:63], wanted[60:64]))) < allowed
    assert len(model.state_dict()) == weights


def test_a_torn_library_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(tmp_path))
    source = tmp_path / "small.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    place(source).parent.mkdir()
    place(source).write_bytes(b"\x7fELF torn")
    build = Build(source)
    library = build.wait()
    assert library is not None
    assert (library.answer(), build.problem) == (42, "")


# -- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "best"), [({1: 4, 2: 2, 4: 1}, 4), ({1: 4, 2: 3, 4: 9}, 2), ({1: 4, 2: 40, 4: 40}, 1)]
)
def test_the_fastest_number_of_threads_is_found(cost: dict[int, int], best: int) -> None:
    cores, now = Cores(1, most=4), [0.0]

    def work(threads: int) -> None:
        now[0] += cost[threads]

    for _ in range(200):
        cores.run(work, lambda: now[0])
    assert cores.best == best


def test_a_fixed_number_stays() -> None:
    cores, seen = Cores(1, 3, most=4), set[int]()
    for _ in range(100):
        cores.run(seen.add)
    assert seen == {3}
