"""The bench door: what things cost on this machine, measured beside something that everybody knows. Knows no screen."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from llamachat.doors import bench_gpu, bench_load, bench_runtime, bench_soak, bench_start, bench_tui
from llamachat.errors import ConfigError, LlamaChatError

if TYPE_CHECKING:
    from llamachat.tools.sandbox import Choice

app = typer.Typer(no_args_is_help=True, help="Measure what things cost on this machine.")
for command in (
    bench_tui.tui,
    bench_runtime.decode,
    bench_runtime.prefill,
    bench_runtime.turn,
    bench_load.load,
    bench_start.start,
    bench_soak.soak,
    bench_gpu.gpu,
):
    app.command()(command)
_WARM_UP = 20.0  # seconds that a worker may take to get ready ahead of need


@app.callback()
def bench() -> None:
    """Measure what things cost on this machine."""


@app.command()
def sandbox(
    walls: Annotated[str, typer.Option(help="auto, bubblewrap, namespaces or landlock.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="How often each is measured; the median counts.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers for programs.")] = False,
) -> None:
    """Start of a python worker, cold and from the pool, and a cell's round trip, beside a bare python -c pass."""
    from typing import get_args

    from llamachat.tools.sandbox import Choice

    try:
        if walls not in get_args(Choice):
            raise ConfigError(f"There are no walls called {walls!r}.", f"Choose one of {', '.join(get_args(Choice))}.")
        found, layers = asyncio.run(_measure(walls, rounds))  # type: ignore[arg-type]
    except LlamaChatError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps({"median_ms": found, "rounds": rounds, "layers": layers}))
    else:
        _show(found, rounds, layers)


async def _measure(walls: "Choice", rounds: int) -> tuple[dict[str, float], str]:
    """Medians in ms by what was measured, and the names of the layers."""
    from llamachat.tools.python import PythonSession

    async def bare() -> None:
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "pass"], check=True)

    async def cold() -> None:
        alone = PythonSession(walls=walls)
        await alone.look()
        await alone.close()

    found = {"python -c pass": await _median(bare, rounds), "cold start": await _median(cold, min(rounds, 5))}
    session = PythonSession(walls=walls)
    layers = str(await session.look())

    async def warm() -> None:
        await session.look()

    async def prepare() -> None:
        await session.restart()
        await session.warm_up(_WARM_UP)

    async def round_trip() -> None:
        await session.run("1")

    found["warm start"] = await _median(warm, rounds, prepare)
    found["round trip"] = await _median(round_trip, rounds * 10)
    await session.close()
    return found, layers


async def _median(
    measured: Callable[[], Awaitable[None]], rounds: int, prepare: Callable[[], Awaitable[None]] | None = None
) -> float:
    from statistics import median  # late: every verb of the command line imports this file

    taken = []
    for _ in range(rounds):
        if prepare:
            await prepare()
        start = time.perf_counter()
        await measured()
        taken.append(time.perf_counter() - start)
    return round(median(taken) * 1e3, 2)


def _show(found: dict[str, float], rounds: int, layers: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measured", "median", caption=f"{rounds} rounds; {layers}")
    for name, milliseconds in found.items():
        table.add_row(name, f"{milliseconds:,.2f} ms")
    Console().print(table)
