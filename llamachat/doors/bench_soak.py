"""The soak: thousands of cells, deaths and dialogs in one process, and what they leave behind. Knows no screen."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llamachat.tools.python import PythonSession

_CELL = "data = [x * {0} for x in range(1000)]\nprint(sum(data))\n{0}"
_DEATHS = {
    "exit": "import os\nos._exit(1)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "interrupt": "while True: pass",
    "timeout": "import itertools\nsum(itertools.repeat(0))",  # deaf to an interrupt: a second more for the kill
}
_SECONDS = 0.2  # wall clock of a call that is to end by it
_SETTLE = 5.0  # seconds that ended processes may take to be gone
_PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds: its descendants, its descriptors, folders for workers, its memory and that of its
    descendants, pages that they share counted each time, in MiB."""

    processes: int
    descriptors: int
    folders: int
    memory: float
    children: float


def soak(
    cells: Annotated[int, typer.Option(min=1, help="In one session.")] = 10_000,
    deaths: Annotated[int, typer.Option(min=1, help="Of workers: crashes, kills and timeouts in turns.")] = 1_000,
    dialogs: Annotated[int, typer.Option(min=1, help="At the same time.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers for programs.")] = False,
) -> None:
    """Thousands of cells, deaths of workers and dialogs at once: what is left of them in this process. Linux only."""
    found = dict(asyncio.run(_soak(cells, deaths, dialogs)))
    if as_json:
        print(json.dumps({phase: asdict(held) for phase, held in found.items()}))
    else:
        _show(found)
    before, after = found["before"], found["all closed"]
    left = [name for name in ("processes", "descriptors", "folders") if getattr(after, name) > getattr(before, name)]
    if left:
        raise typer.Exit(1)


async def _soak(cells: int, deaths: int, dialogs: int) -> list[tuple[str, Held]]:
    """What is held before, after each part, and when all is closed."""
    from llamachat.tools.python import PythonLimits, PythonSession

    first = PythonSession()
    await first.look()
    await first.close()
    found = [("before", await _settled(0))]
    one = PythonSession()
    for part in (cells // 10, cells - cells // 10):
        await _cells(one, part)
        found.append((f"{part:,} cells more" if len(found) > 1 else f"{part:,} cells", held()))
    await one.close()
    mortal = PythonSession(PythonLimits(seconds=_SECONDS), policy=False)
    for part in (deaths // 10, deaths - deaths // 10):
        await _deaths(mortal, part)
        found.append((f"{part:,} deaths more" if len(found) > 3 else f"{part:,} deaths", held()))
    await mortal.close()
    many = [PythonSession() for _ in range(dialogs)]
    await asyncio.gather(*(_cells(session, 3) for session in many))
    found.append((f"{dialogs:,} dialogs", held()))
    await asyncio.gather(*(session.close() for session in many))
    del one, mortal, many
    return [*found, ("all closed", await _settled(found[0][1].processes))]


async def _cells(session: "PythonSession", count: int) -> None:
    for number in range(count):
        result = await session.run(_CELL.format(number))
        assert result.value == str(number), result
    assert (await session.run("len(data)")).value == "1000"


async def _deaths(session: "PythonSession", count: int) -> None:
    kinds = list(_DEATHS.values())
    for number in range(count):
        result = await session.run(kinds[number % len(kinds)])
        assert not result.ok, result


async def _settled(processes: int) -> Held:
    """What is held when the ended processes are gone."""
    for _ in range(int(_SETTLE / 0.1)):
        if held().processes <= processes:
            break
        await asyncio.sleep(0.1)
    return held()


def held() -> Held:
    """What this process holds now."""
    from llamachat.tools.python.zygotes import base

    below = list(_descendants())
    return Held(
        len(below),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir(base())),
        _resident("self"),
        round(sum(map(_resident, below)), 1),
    )


def _descendants() -> Iterator[str]:
    waiting = [str(os.getpid())]
    while waiting:
        try:
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = (task / "children").read_text().split()
                yield from children
                waiting += children
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue


def _resident(pid: str) -> float:
    """MiB of a process; 0 if it is gone."""
    try:
        return round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20, 1)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _show(found: dict[str, Held]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("after", "processes", "descriptors", "folders", "MiB", "MiB of children")
    for phase, one in found.items():
        table.add_row(phase, *map(str, (one.processes, one.descriptors, one.folders, one.memory, one.children)))
    Console().print(table)
