"""``llamachat bench start``: a process of the embedded model, from nothing to its first id, and what it holds.

What is measured runs in a new process each time, as a chat does: keys and values of earlier ones are not looked at.
"""

import json
import statistics
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from time import perf_counter

import typer

from llamachat.doors.bench_child import LONG
from llamachat.doors.bench_runtime import Json, Rounds, Row, report
from llamachat.errors import EngineError, LlamaChatError

CHILD = "from llamachat.doors.bench_child import main; main()"


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
