"""``llamachat bench decode|prefill|turn``: how fast ids come, beside transformers with the same weights.

Both engines take turns in one process, with equal threads and ids streamed out one by one; a ratio is the median over
the rounds, so that a machine that is busy with other work slows both. Knows engines; knows no tokens' meaning.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamachat.errors import ConfigError, EngineError, LlamaChatError

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from llamachat.doors.bench_llama_cpp import LlamaCpp
    from llamachat.doors.bench_peers import Peer
    from llamachat.runtime import LlamaRuntime

Shape = Annotated[str, typer.Option(help="Random weights: nano, 1b, 3b, 8b or 70b; or bundled: the embedded model.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if there is one.")]
Dtype = Annotated[str | None, typer.Option(help="float32 or bfloat16; int8 with llama.cpp, which has Q8_0.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of both engines, on the CPU.")]
Rounds = Annotated[int, typer.Option(min=1, max=1000, help="How often each engine has its turn.")]
PeerName = Annotated[str, typer.Option("--peer", help="transformers, llama.cpp (extra bench) or none.")]
WeightsName = Annotated[str | None, typer.Option("--weights", help="bf16, int8, fp8 or int4; without a peer then.")]
Tune = Annotated[bool, typer.Option("--tune", help="Try first how weights are best cut into tiles, on a GPU.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")]


BUFFER, SMALL = 4 * 2**30, 2**28  # bytes that are read to find the bandwidth: far beyond the caches of GPU and CPU

WARM_UP = 1999  # the seed of a prompt that no round has, or it would be measured from the cache


@dataclass(frozen=True, slots=True)
class Timing:
    """What a person sees of one generation: seconds to its first id, and ids a second behind that."""

    first: float
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report; medians. ``ratio`` says how many times better than the peer we are."""

    name: str
    ours: float
    unit: str
    theirs: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Two engines with the same weights, and how often they are compared."""

    ours: "LlamaRuntime"
    theirs: "Peer | LlamaCpp | None"
    rounds: int
    brief: bool = False

    def decode(self, context: int, tokens: int) -> Iterator[Row]:
        """Ids a second behind a prompt of ``context`` ids, without guesses; then with guesses beside without: on text
        that repeats nothing, drawn at temperature 1, and on a loop, which greedy decoding of random weights runs in.
        Beside llama.cpp, whose turns take minutes with a large model, only the first."""
        self.ours.speculative = False
        yield from self._compare("decode, plain", "tok/s", [prompt(context, i) for i in range(self.rounds)], tokens)
        for name, temperature in () if self.brief else (("free text", 1.0), ("a loop", 0.0)):
            pairs = []
            for i in range(self.rounds):
                rates = {}
                for on in (True, False) if i % 2 else (False, True):
                    self.ours.speculative = on
                    rates[on] = self._time([7] * context, tokens, temperature).rate
                pairs.append((rates[True], rates[False]))
            guessed, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            yield Row(f"decode with guesses, {name} (peer: without)", guessed, "tok/s", plain, ratio)

    def prefill(self, context: int) -> Iterator[Row]:
        """Seconds to the first id of prompts of ``context`` ids that share nothing."""
        prompts = [prompt(context, i) for i in range(self.rounds)]
        yield from self._compare(f"first id, {context:,} new", "ms", prompts, 1)

    def turn(self, context: int, new: int) -> Iterator[Row]:
        """Seconds to the first id when ``new`` ids follow ``context`` ids that were read: a tool step, and a switch
        back to a branch that was left. transformers' generate() reads all of them."""
        base = prompt(context, 1)
        for name, other in (("tool step", base), ("switch back", prompt(context, 2))):
            self._time(base, 1)
            self._time(other, 1)
            seeds = range(10, 10 + self.rounds) if other is base else range(2000, 2000 + self.rounds)  # new each time
            prompts = [[*base, *prompt(new, seed)] for seed in seeds]
            yield from self._compare(f"first id, {name}, {context:,} cached + {new} new", "ms", prompts, 1, other)

    def _compare(
        self, name: str, unit: str, prompts: Sequence[list[int]], tokens: int, before: list[int] | None = None
    ) -> Iterator[Row]:
        """Both in turns; ``before`` is what the dialog was at before each of the prompts, not timed."""
        found: list[tuple[float, float | None]] = []
        for i, ids in enumerate(prompts):
            theirs = self.theirs.time(ids, tokens) if self.theirs and i % 2 else None
            if before:
                self._time(before, 1)
            ours = self._time(ids, tokens)
            theirs = theirs or (self.theirs.time(ids, tokens) if self.theirs else None)
            found.append((_figure(ours, unit), _figure(theirs, unit) if theirs else None))
        ours_all, theirs_all = [a for a, _ in found], [b for _, b in found if b is not None]
        if not theirs_all:
            yield Row(name, statistics.median(ours_all), unit)
            return
        ratios = [b / a if unit == "ms" else a / b for a, b in zip(ours_all, theirs_all, strict=True)]
        yield Row(name, statistics.median(ours_all), unit, statistics.median(theirs_all), statistics.median(ratios))

    def _time(self, ids: list[int], tokens: int, temperature: float = 0.0) -> Timing:
        return asyncio.run(time_ours(self.ours, ids, tokens, temperature))


async def time_ours(runtime: "LlamaRuntime", ids: list[int], tokens: int, temperature: float = 0.0) -> Timing:
    """One generation, as it comes through asyncio."""
    from llamachat.sampling import SamplingParams

    start, times = perf_counter(), list[float]()
    async for _ in runtime.generate(ids, SamplingParams(temperature, 1.0, seed=1, max_tokens=tokens), ()):
        times.append(perf_counter())
    return timing(start, times)


def timing(start: float, times: Sequence[float]) -> Timing:
    """From when it was asked for, and when each id came."""
    return Timing(times[0] - start, (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0)


def prompt(length: int, seed: int) -> list[int]:
    """Random ids that every shape has; prompts of different seeds differ from their first id on."""
    import random

    draw = random.Random(seed)
    return [100 + seed % 2000, *(draw.randrange(2000) for _ in range(length - 1))]


def _figure(timing: Timing, unit: str) -> float:
    return 1000 * timing.first if unit == "ms" else timing.rate


def decode(  # noqa: PLR0913 they are options
    shape: Shape = "nano",
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = 1,
    rounds: Rounds = 5,
    peer: PeerName = "transformers",
    context: Annotated[int, typer.Option(min=8, help="Ids before.")] = 128,
    tokens: Annotated[int, typer.Option(min=2, help="Ids that are generated.")] = 128,
    weights: WeightsName = None,
    tune: Tune = False,
    as_json: Json = False,
) -> None:
    """Ids a second, streamed."""
    with_bench(
        Setup(shape, device, dtype, threads, rounds, peer, context + tokens, weights, tune),
        as_json,
        "decode",
        context,
        tokens,
    )


def prefill(  # noqa: PLR0913 they are options
    shape: Shape = "nano",
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = 1,
    rounds: Rounds = 5,
    peer: PeerName = "transformers",
    context: Annotated[int, typer.Option(min=8, help="Ids of the prompt.")] = 1024,
    weights: WeightsName = None,
    tune: Tune = False,
    as_json: Json = False,
) -> None:
    """Time to the first id of a prompt that is new."""
    with_bench(
        Setup(shape, device, dtype, threads, rounds, peer, context + 1, weights, tune), as_json, "prefill", context
    )


def turn(  # noqa: PLR0913 they are options
    shape: Shape = "nano",
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = 1,
    rounds: Rounds = 5,
    peer: PeerName = "transformers",
    context: Annotated[int, typer.Option(min=8, help="Ids that were read before.")] = 1024,
    new: Annotated[int, typer.Option(min=1, help="Ids behind them.")] = 64,
    weights: WeightsName = None,
    tune: Tune = False,
    as_json: Json = False,
) -> None:
    """Time to the first id when a dialog goes on, and when it goes back to a branch."""
    with_bench(
        Setup(shape, device, dtype, threads, rounds, peer, context + new + 1, weights, tune),
        as_json,
        "turn",
        context,
        new,
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured, as the options say."""

    shape: str
    device: str | None
    dtype: str | None
    threads: int
    rounds: int
    peer: str
    positions: int
    weights: str | None = None
    tune: bool = False


def with_bench(setup: Setup, as_json: bool, what: str, *sizes: int) -> None:
    """Measure and print; an error of ours is one line and exit code 2."""
    try:
        rows, where = measure(setup, what, *sizes)
    except LlamaChatError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps({"setup": asdict(setup), "where": where, "rows": [asdict(row) for row in rows]}))
    else:
        from rich.console import Console

        Console().print(report(rows, f"{what} · {setup.shape} · {where}"))


def measure(setup: Setup, what: str, *sizes: int) -> tuple[list[Row], str]:
    """The rows, and where they were measured. Raises ConfigError, EngineError."""
    if setup.peer not in ("transformers", "llama.cpp", "none"):
        raise ConfigError(f"There is no peer called {setup.peer!r}.", "Choose transformers, llama.cpp or none.")
    if setup.peer == "llama.cpp" and not find_spec("llama_cpp"):
        raise ConfigError("llama-cpp-python is not installed.", "pip install 'llamachat[bench]' compiles it.")
    if setup.dtype == "int8" and (setup.peer != "llama.cpp" or what != "decode"):
        raise ConfigError("int8 is compared with llama.cpp's decoding only.", "Choose --peer llama.cpp.")
    from llamachat.devices import using_threads
    from llamachat.doors.bench_peers import Peer, bytes_a_token, in_int8, peak_memory, random_model, runtime_of

    try:
        int8 = setup.dtype == "int8"
        dtype = None if int8 else setup.dtype
        model = random_model(setup.shape, setup.device, dtype, setup.positions + 8, setup.weights)
        theirs: Any = None  # first, since it wants the weights as they are
        if setup.peer == "llama.cpp":
            from llamachat.doors.bench_llama_cpp import LlamaCpp

            theirs = LlamaCpp(model, setup.threads, "Q8_0" if int8 else "")
        elif setup.peer == "transformers" and not setup.weights and find_spec("transformers"):
            theirs = Peer(model, setup.threads)
        if int8:
            in_int8(model)
        size = bytes_a_token(model)
        ours = runtime_of(model, setup.threads)
        if setup.tune:
            ours.tune()
        asyncio.run(time_ours(ours, prompt(sizes[0], WARM_UP), 4))
        rows = [] if theirs else [Row("peak memory, ours alone", peak_memory(model) / 2**20, "MiB")]
        if theirs:
            theirs.time(prompt(sizes[0], WARM_UP), 4)
        rows += getattr(Bench(ours, theirs, setup.rounds, setup.peer == "llama.cpp"), what)(*sizes)
        with using_threads(setup.threads):  # as both engines had
            rows += memory(model.norm.weight.device, size, rows)
    except (RuntimeError, MemoryError) as error:
        raise EngineError(f"The engine failed: {error}", "Choose a smaller shape.") from error
    ours.close()
    weight = model.norm.weight
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    machine = f"{setup.threads} threads of {os.cpu_count()} cores, load {load}, Python {platform.python_version()}"
    kind = setup.weights or setup.dtype or str(weight.dtype).removeprefix("torch.")
    return rows, f"{kind} on {weight.device} · {machine} · {date.today()}"


def memory(place: "torch.device", size: int, rows: Sequence[Row]) -> Iterator[Row]:
    """How fast memory is in this run, in GB/s, and per cent of it that plain decoding uses, if ``rows`` tell: of
    ``size`` bytes an id."""
    from llamachat.doors.bench_peers import bandwidth

    read, copied = bandwidth(place, BUFFER if place.type == "cuda" else SMALL)
    yield Row("memory is read at", read / 1e9, "GB/s")
    for row in rows:
        if row.name == "decode, plain":
            used = row.ours * size
            yield Row("memory is copied at (read + written)", copied / 1e9, "GB/s")
            yield Row("decode, share of what can be read", 100 * used / read, "%")
            yield Row("decode, share of what can be copied", 100 * used / copied, "%")


def report(rows: Sequence[Row], title: str) -> "Table":
    """The rows for people."""
    from rich.table import Table

    table = Table(title=title)
    for name in ("", "llamachat", "peer", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        theirs = "" if row.theirs is None else f"{row.theirs:,.1f} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f} ×"
        table.add_row(row.name, f"{row.ours:,.1f} {row.unit}", theirs, ratio)
    return table
