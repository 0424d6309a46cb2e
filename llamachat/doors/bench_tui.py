"""``llamachat bench tui``: how fast the screen is, beside a chat of Textual's Markdown widgets.

Knows the program from outside, by a terminal of its own, and the probe of the transcript as a process that prints JSON;
knows no widget and no engine.
"""

import json
import os
import platform
import random
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from llamachat.errors import LlamaChatError

if TYPE_CHECKING:
    from rich.table import Table

ROWS, COLUMNS = 40, 120
STARTS = 7
KEYS = 200
PAUSE = 0.05  # seconds between two keys: 20 keys a second are faster than anybody types
FIRST = "sk anything"  # of "Ask anything": the cursor stands on the A
PATIENCE = 60.0  # seconds for what must appear
LETTERS = [chr(code) for code in range(0x3B1, 0x3C9)] + [chr(code) for code in range(0x430, 0x450)]
# Noise at a high temperature is the longest reply that the embedded model gives.
TALKATIVE = ("--no-tools", "--temperature", "3", "--seed", "3")


class BenchError(LlamaChatError):
    """A measurement can't be made here."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report. ``target`` is the most that ``ours`` should be; ``theirs`` is the same of Textual's."""

    name: str
    ours: float
    unit: str
    target: float | None = None
    theirs: float | None = None

    @property
    def good(self) -> bool:
        """The target is met, or there is none."""
        return self.target is None or self.ours <= self.target


def tui(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")] = False,
) -> None:
    """Measure the terminal chat: first frame, long dialogs, streaming, keys, memory. Takes some two minutes."""
    rows = list(measure())
    if as_json:
        typer.echo(json.dumps([{**_plain(row), "good": row.good} for row in rows]))
    else:
        from rich.console import Console

        Console().print(report(rows))


def measure() -> Iterator[Row]:
    """All rows. Raises BenchError."""
    if sys.platform == "win32":
        raise BenchError("Windows has no pseudo-terminals that Python can open.", "Measure in WSL.")
    with TemporaryDirectory() as home:
        frames = sorted(first_frames(home))
        yield Row(f"first frame, best of {len(frames)}", frames[0], "ms", 500)
        yield Row("first frame, median", statistics.median(frames), "ms")
        echoes = key_echoes(home)
    ours, theirs = _probe("ours"), _probe("textual")
    yield Row("open 200 turns", ours["open"], "ms", 1000, theirs["open"])
    ratios = [found["key"] / found["key_empty"] for found in (ours, theirs)]
    yield Row("key to idle / an empty app's", ratios[0], "×", 1.3, ratios[1])
    for name, key in (("focus out and in", "focus"), ("resize", "resize")):
        yield Row(f"{name}, 200 turns", ours[key], "ms", 300, theirs[key])
    for kind in ("prose", "fence", "list", "table"):
        key = f"append_{kind}"
        yield Row(f"a token at 16k characters, {kind}", ours[key], "ms", 5, theirs[key])
    for name, key in (("10,000 tokens", "memory_first"), ("10,000 more", "memory_second")):
        yield Row(f"memory for {name}", ours[key], "MB", None, theirs[key])
    yield Row(f"key to echo while the model streams, p50 of {len(echoes)}", echoes[len(echoes) // 2], "ms")
    yield Row("key to echo while the model streams, p99", echoes[int(len(echoes) * 0.99)], "ms", 50)


def report(rows: list[Row]) -> "Table":
    """The rows for people."""
    from rich.table import Table

    load = f"{os.getloadavg()[0]:.1f}"  # what else ran: beyond the number of cores, times are longer than they need be
    machine = f"{os.cpu_count()} cores, CPU · load {load} · Python {platform.python_version()}"
    table = Table(title=f"{COLUMNS} × {ROWS} · {machine} · {date.today()}")
    for name in ("", "llamachat", "target", "Textual Markdown", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        theirs = "" if row.theirs is None else _number(row.theirs, row.unit)
        ratio = f"{row.theirs / row.ours:,.1f}" if row.theirs is not None and row.ours > 0 else ""
        target = "" if row.target is None else f"{'✓' if row.good else '✗'} ≤ {_number(row.target, row.unit)}"
        table.add_row(row.name, _number(row.ours, row.unit), target, theirs, ratio)
    return table


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 or value == int(value) else f"{value:,.2f} {unit}"


def _plain(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("name", "ours", "unit", "target", "theirs")}


def _probe(subject: str) -> Mapping[str, float]:
    """Figures of one kind of transcript, from a process of its own."""
    command = [sys.executable, "-m", "llamachat.widgets.probe", subject]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError("The transcript could not be measured.", done.stderr.strip()[-300:])
    found: dict[str, float] = json.loads(done.stdout)
    return found


# ── the program in a terminal ────────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """The other end of a pseudo-terminal: what a person at the keyboard sees and types."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._end, text.encode())

    def read(self, seconds: float) -> str:
        """What comes within ``seconds``, as soon as something comes."""
        if not select.select([self._end], [], [], seconds)[0]:
            return ""
        try:
            text = os.read(self._end, 1 << 16).decode("utf-8", "replace")
        except OSError as error:  # Linux says EIO when the other end has gone
            raise BenchError("The program has ended.", f"The screen ended with {self.seen[-200:]!r}.") from error
        self.seen += text
        return text

    def wait(self, what: str, happened: Callable[[], bool]) -> float:
        """Seconds until ``happened``. Raises BenchError after PATIENCE."""
        start = time.perf_counter()
        while not happened():
            if time.perf_counter() - start > PATIENCE:
                raise BenchError(f"{what} did not come.", f"The screen ended with {self.seen[-200:]!r}.")
            self.read(0.5)
        return time.perf_counter() - start


@contextmanager
def _running(home: str, *options: str) -> Iterator[Terminal]:
    """llamachat in a terminal, with nobody's settings; ended by force, as only its beginning is of interest.

    Python may keep what it compiled, as pip does when it installs, whatever the environment says of that.
    """
    import pty
    import termios

    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (ROWS, COLUMNS))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMACHAT_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {"TERM": "xterm-256color", "LLAMACHAT_DATA_DIR": home, "LLAMACHAT_CONFIG_DIR": home}
    process = subprocess.Popen(
        [sys.executable, "-m", "llamachat", *options],
        stdin=its, stdout=its, stderr=its, env=environment, cwd=home, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    try:
        yield Terminal(ours)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def first_frames(home: str) -> Iterator[float]:
    """Milliseconds from the start of the process to the prompt on the screen; the first start warms the disk."""
    for i in range(STARTS + 1):
        start = time.perf_counter()
        with _running(home) as terminal:
            terminal.wait("The first frame", lambda: FIRST in terminal.seen)
            if i:
                yield 1000 * (time.perf_counter() - start)


def key_echoes(home: str) -> list[float]:
    """Milliseconds from a key to its letter on the screen, while the embedded model writes and is drawn, sorted.

    A reply ends where the window does, after some seconds: there are as many starts as it takes for KEYS keys.
    """
    echoes: list[float] = []
    while len(echoes) < KEYS:
        with _running(home, *TALKATIVE) as terminal:
            found = list(_echoes(terminal))
        if not found:
            raise BenchError("No reply was long enough for a key.", f"The screen ended with {terminal.seen[-200:]!r}.")
        echoes += found
    return sorted(echoes)


def _echoes(terminal: Terminal) -> Iterator[float]:
    """Of the keys that are pressed while one reply streams."""
    terminal.wait("The first frame", lambda: FIRST in terminal.seen)
    terminal.type("Tell me a story\r")
    terminal.wait("The reply", lambda: " tok/s" in terminal.seen)
    begun = len(terminal.seen)
    uneven = random.Random(1)  # an even beat would fall in step with the drawing's
    for letter in LETTERS * KEYS:
        echo = 1000 * _echo(terminal, letter)
        if "ttft" in terminal.seen[begun:]:  # the reply was over by then
            return
        yield echo
        end = time.perf_counter() + PAUSE * uneven.uniform(0.5, 1.5)
        while (left := end - time.perf_counter()) > 0:
            terminal.read(left)


def _echo(terminal: Terminal, letter: str) -> float:
    seen = len(terminal.seen)
    terminal.type(letter)
    return terminal.wait(f"The letter {letter}", lambda: letter in terminal.seen[seen:])
