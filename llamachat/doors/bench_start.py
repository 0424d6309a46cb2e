"""``llamachat bench start``: a process of the embedded model, from nothing to its first id, and what it holds.

What is measured runs in a new process each time, as a chat does: keys and values of earlier ones are not looked at.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import date
from time import perf_counter
from typing import Any

import typer

from llamachat.doors.bench_runtime import Json, Rounds, Row, prompt, report, time_ours
from llamachat.errors import EngineError, LlamaChatError

CHILD = "from llamachat.doors.bench_start import child; child()"
LONG = 600  # ids of a long prompt
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
QUESTION = "Tell me all you know about rivers, mountains and the sea."


def start(rounds: Rounds = 5, as_json: Json = False) -> None:
    """A process to its first id, a long prompt, decoding held to tools, and memory, with the embedded model."""
    try:
        rows = measure(rounds)
    except LlamaChatError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        from rich.console import Console

        Console().print(report(rows, f"start · embedded model, one thread · {date.today()}"))


def measure(rounds: int) -> list[Row]:
    """Medians of processes one after the other, with their goals. Raises EngineError."""
    found = [_once() for _ in range(rounds + 1)][1:]  # the first compiles, or fills the caches
    names = {
        "process to first id (goal: ≤ 1,000)": "ms",
        f"first id of {LONG} (goal: ≤ 400)": "ms",
        "decode, held to tools (goal: ≥ 150)": "tok/s",
        "resident memory (goal: ≤ 500)": "MB",
    }
    medians = [statistics.median(one[i] for one in found) for i in range(len(names))]
    return [Row(name, median, unit) for (name, unit), median in zip(names.items(), medians, strict=True)]


def _once() -> list[float]:
    began = perf_counter()
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.readline()
        first = 1000 * (perf_counter() - began)
        rest = process.stdout.read()
    if process.returncode or not said:
        raise EngineError("The measured process failed.", "Run llamachat doctor.")
    return [first, *json.loads(rest)]


def child() -> None:
    """In the measured process: a line with the first id, and one with the other figures."""
    from llamachat.config import Config
    from llamachat.opening import open_runtime
    from llamachat.runtime import LlamaRuntime

    settings = Config()
    runtime = open_runtime(replace(settings, cache=replace(settings.cache, disk_mb=0)))
    assert isinstance(runtime, LlamaRuntime)
    asyncio.run(time_ours(runtime, prompt(20, 1), 1))
    print("first", flush=True)
    long = asyncio.run(time_ours(runtime, prompt(LONG, 2), 1)).first
    print(json.dumps([1000 * long, asyncio.run(_held(runtime)), _memory()]))


async def _held(runtime: Any) -> float:
    """Ids a second while each is held to the calls of python and a function."""
    from llamachat.constrain import Grammar
    from llamachat.messages import Dialog, Message
    from llamachat.offer import FunctionSpec, Offer, open_dialog
    from llamachat.protocol import encode_dialog
    from llamachat.sampling import SamplingParams

    offer = Offer(code=True, functions=(FunctionSpec("weather", "Tells the weather.", TOOL),))
    wire = open_dialog(Dialog((Message("user", QUESTION),)), offer, runtime.dialect)
    ids = encode_dialog(runtime.tokenizer, wire, runtime.dialect).ids
    times, constraint = list[float](), Grammar(runtime.tokenizer, offer).constraint()
    async for _ in runtime.generate(ids, SamplingParams(1.0, seed=1, max_tokens=200), (), constraint):
        times.append(perf_counter())
    return (len(times) - 1) / (times[-1] - times[0])


def _memory() -> float:
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
