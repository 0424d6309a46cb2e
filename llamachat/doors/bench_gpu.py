"""``llamachat bench gpu``: one command that fills the table of figures to reach on a GPU. Knows the figures, and the
other benches by their JSON.

Each row is a process of its own, so that one that fails costs no other, and memory is whole for each.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure to reach on one H200: what the bench is asked, which of its rows counts, and how good it should be."""

    name: str
    options: tuple[str, ...]
    row: str
    floor: float
    goal: float
    unit: str
    column: str = "ours"


def _decode(shape: str, weights: str, floor: float, goal: float) -> Aim:
    options = ("decode", "--shape", shape, "--weights", weights)
    return Aim(f"{shape} {weights}, decode", options, "decode, plain", floor, goal, "tok/s")


AIMS = (
    _decode("8b", "bf16", 229, 252),
    _decode("8b", "int8", 372, 458),
    _decode("8b", "fp8", 372, 458),
    _decode("8b", "int4", 457, 610),
    _decode("70b", "int8", 49.5, 54.5),
    _decode("70b", "fp8", 49.5, 54.5),
    _decode("1b", "bf16", 1044, 1305),
    Aim("8b bf16, first id of 2,048", ("prefill", "--shape", "8b", "--context", "2048"), "first id", 80, 52, "ms"),
    Aim(
        "8b bf16, first id, 8k cached + 64 new",
        ("turn", "--shape", "8b", "--context", "8192", "--new", "64"),
        "first id, tool step",
        15,
        8,
        "ms",
    ),
    Aim(
        "prompt-lookup, copy-heavy", ("decode", "--shape", "8b"), "decode with guesses, a loop", 1.5, 2.5, "×", "ratio"
    ),
    Aim("prompt-lookup, free text", ("decode", "--shape", "8b"), "decode with guesses, free", 0.98, 1.0, "×", "ratio"),
)


@dataclass(frozen=True, slots=True)
class Reached:
    """A row of the table; ``reason`` says why it was not measured."""

    name: str
    floor: float
    goal: float
    unit: str
    found: float | None = None
    share: float | None = None
    """Per cent of the same run's read bandwidth."""
    reason: str = ""

    @property
    def verdict(self) -> str:
        """Against floor and goal."""
        if self.found is None:
            return "not measured"
        better = [self.found <= aim if self.unit == "ms" else self.found >= aim for aim in (self.floor, self.goal)]
        return "goal" if better[1] else "floor" if better[0] else "below"


def gpu(
    shape: Annotated[str | None, typer.Option(help="This shape in place of those of the table, to try it out.")] = None,
    device: Annotated[str, typer.Option(help="Where.")] = "cuda",
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Turns of each.")] = 5,
    tune: Annotated[bool, typer.Option("--tune", help="Try how weights are best cut into tiles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")] = False,
) -> None:
    """Every figure to reach on an H200, each in a process of its own; without a GPU the rows say "not measured"."""
    extra = ["--device", device, "--rounds", str(rounds), "--peer", "none", *(["--tune"] if tune else [])]
    rows = list(reach(extra, shape))
    if as_json:
        print(json.dumps({"rows": [{**asdict(row), "verdict": row.verdict} for row in rows]}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "found", "% of read", "floor", "goal", "", title="figures to reach on one H200")
    for row in rows:
        found = "" if row.found is None else f"{row.found:,.2f} {row.unit}"
        share = "" if row.share is None else f"{row.share:.0f} %"
        table.add_row(row.name, found, share, f"{row.floor:g}", f"{row.goal:g}", row.reason or row.verdict)
    Console().print(table)


def reach(extra: list[str], shape: str | None = None) -> Iterator[Reached]:
    """Row after row, as they come."""
    known: dict[tuple[str, ...], dict[str, Any] | str] = {}
    for aim in AIMS:
        options = tuple(shape if shape and before == "--shape" else word for before, word in _pairs(aim.options))
        if options not in known:
            known[options] = _ask([*options, *extra])
        answer, facts = known[options], (aim.name, aim.floor, aim.goal, aim.unit)
        if isinstance(answer, str):
            yield Reached(*facts, reason=f"not measured: {answer}")
            continue
        row = next(row for row in answer["rows"] if row["name"].startswith(aim.row))
        shares = [row["ours"] for row in answer["rows"] if row["unit"] == "%"]
        yield Reached(*facts, row[aim.column], shares[0] if shares and aim.column == "ours" else None)


def _pairs(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each word and the one before."""
    return zip(("", *words), words, strict=False)


def _ask(options: list[str]) -> dict[str, Any] | str:
    """What a bench says in JSON, or the last line of its complaint."""
    command = [sys.executable, "-m", "llamachat", "bench", *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return lines[0] if lines else f"exit code {done.returncode}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
