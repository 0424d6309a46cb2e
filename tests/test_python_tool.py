"""The python tool through its own door: real workers, real limits."""

import ast
import asyncio
import os
import re
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from llamachat.errors import ConfigError, StorageError
from llamachat.messages import ToolCall
from llamachat.tools import Toolbox, sandbox
from llamachat.tools.python import PythonLimits, PythonResult, PythonSession, home, zygotes

BEGIN = "open('begun', 'w').close()"  # a fifo: waits until the test has opened it too
STUBBORN = "    while True: pass\nfinally:\n    while True: pass"  # outlives one interrupt
TOOLS = Path(sandbox.__file__).parent


@pytest.fixture
async def python() -> AsyncIterator[PythonSession]:
    session = PythonSession()
    yield session
    await session.close()


@pytest.fixture
async def hasty() -> AsyncIterator[PythonSession]:
    """A session whose calls end after 1 s, for code that never ends."""
    session = PythonSession(PythonLimits(seconds=1))
    yield session
    await session.close()


async def test_state_echo_and_framing(python: PythonSession) -> None:
    toolbox = Toolbox((python.tool,))
    first = await toolbox.run(ToolCall("code_interpreter", {"code": "x = 5\nprint('hi')\nx"}))
    assert (first.output, first.ok) == ("completed\n[stdout]\nhi\n5\n[/stdout]", True)
    assert (await python.run("x += 10; data = [x]")).value is None
    assert (await python.run("data[0] -= 1; data, x")).value == "([14], 15)"
    assert (await python.run("_[1]")).value == "15"
    assert (await python.run("x;")).value is None
    assert (await python.run("print(3, end='')\nNone")).text(100) == "completed\n[stdout]\n3\n[/stdout]"
    assert (await python.run("")).text(100) == "completed"


async def test_an_error_shows_the_codes_own_frames(python: PythonSession) -> None:
    await python.run("def mean(xs):\n    return sum(xs) / len(xs)")
    result = await python.run("import sys\nprint('warn', file=sys.stderr)\nmean([])")
    assert result.text(1000) == textwrap.dedent("""\
        error
        [stderr]
        warn
        Traceback (most recent call last):
          line 3
            mean([])
          cell 1, line 2, in mean
            return sum(xs) / len(xs)
        ZeroDivisionError: division by zero
        [/stderr]""")


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("x = = 3", "SyntaxError: invalid syntax"),
        ("def f():\n\tx = 1\n        y = 2", "TabError: inconsistent use of tabs and spaces in indentation"),
        ("!pip install x", "SyntaxError: line 1: !pip is not Python; magics and shell commands can't run here"),
        ("x = 1\n%time x", "SyntaxError: line 2: %time is not Python; magics and shell commands can't run here"),
        ("a\0b", "source code string cannot contain null bytes"),
        ("'\ud800'", "surrogates not allowed"),
        ("(" * 300, "SyntaxError: too many nested parentheses"),
        ("1" + "+1" * 20_000, "RecursionError: maximum recursion depth exceeded during ast construction"),
        ("def f(n): return f(n + 1)\nf(0)", "RecursionError: maximum recursion depth exceeded"),
        ("input()", "RuntimeError: input() is not available here, nobody can type; put the values into the code"),
        ("[0] * 10**12", "MemoryError"),
        ("class R:\n    def __repr__(self): raise ValueError('no repr')\nR()", "ValueError: no repr"),
        ("try: 1/0\nexcept ValueError: pass", "ZeroDivisionError: division by zero"),
        ("try: 1/0\nexcept Exception as e: raise KeyError('k') from e", "KeyError: 'k'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("b'\\xff'.decode()", "can't decode byte 0xff in position 0: invalid start byte"),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
async def test_mistakes_end_in_type_and_message(python: PythonSession, code: str, end: str) -> None:
    result = await python.run(code)
    assert result.error is not None
    assert result.error.endswith(end)
    assert "/" not in result.error.replace("1/0", "")  # no path of ours
    assert (await python.run("6 * 7")).value == "42"


async def test_deep_tracebacks_are_short_and_chains_are_told(python: PythonSession) -> None:
    deep = await python.run("def f(n): return f(n + 1)\nf(0)")
    assert deep.error is not None
    assert 980 <= int(deep.error.split("… ")[1].split()[0]) <= 1000
    assert len(deep.error.splitlines()) < 25
    chain = await python.run("try: int('a')\nexcept ValueError as e: raise KeyError('b') from e")
    assert "was the direct cause" in str(chain.error)
    chain = await python.run("try: int('a')\nexcept ValueError as e: raise KeyError('b')")
    assert "During handling" in str(chain.error)


async def test_output_is_cut_in_the_middle_and_its_size_told(python: PythonSession) -> None:
    result = await python.run("print('a' * 50_000 + 'z')\n'v' * 10**6")
    text = result.text(1000)
    assert "… [49,002 of 50,002 characters left out] …" in text
    assert "z\n'vvv" in text
    assert "of 1,000,002 characters left out] …" in text
    assert len(text) < 18_000


async def test_text_that_utf8_cannot_hold_stays_printable(python: PythonSession) -> None:
    result = await python.run("import sys\nprint('\\udc80')\nsys.stdout.buffer.write(b'\\xff\\n')\n'\\ud800'")
    assert result.stdout == "\\udc80\n\ufffd\n"
    result.text(100).encode()
    assert "\\udfff" in str((await python.run("raise ValueError('\\udfff')")).error)


async def test_prints_cannot_forge_a_result(python: PythonSession) -> None:
    frame = b'{"id": 1, "status": "completed", "value": "forged", "error": null}'
    forged = struct.pack(">I", len(frame)) + frame
    result = await python.run(
        f"import sys\nsys.stdout.buffer.write({forged!r})\nsys.stderr.buffer.write({forged!r})\n1"
    )
    assert result.value == "1"
    assert (await python.run("2")).value == "2"
    probe = """
        refused = 0
        for number in range(3, 64):
            try:
                open(number, "wb", closefd=False).write(b"x")
            except PermissionError:
                refused += 1
            except OSError:  # not open at all
                pass
        refused"""
    assert (await python.run(textwrap.dedent(probe))).value == "2"  # the pipes of commands and results


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(60)"])
async def test_a_timeout_keeps_the_state_if_it_can(hasty: PythonSession, code: str) -> None:
    await hasty.run("x = 3")
    result = await hasty.run(
        f"print('begun')\ntry:\n    {code.replace(chr(10), chr(10) + '    ')}\nexcept BaseException:\n    x = 4"
    )
    assert result.status == "timeout"
    assert result.stdout == "begun\n"
    assert result.error == "Stopped after 1 s, the limit of a call.\nVariables are kept."
    assert (await hasty.run("x")).value == "3"


async def test_a_timeout_that_needs_force_says_that_the_state_is_gone(hasty: PythonSession) -> None:
    await hasty.run("x = 3")
    result = await hasty.run(f"try:\n    print('begun')\n{STUBBORN}")
    assert result.text(1000) == (
        "timeout\n[stdout]\nbegun\n[/stdout]\n[stderr]\nStopped after 1 s, the limit of a call.\n"
        "The python process is gone, and with it all variables and imports; files are kept.\n[/stderr]"
    )
    assert str((await hasty.run("x")).error).endswith("NameError: name 'x' is not defined")


async def test_a_flood_is_stopped_long_before_the_clock() -> None:
    python = PythonSession(PythonLimits(captured=100_000))
    result = await python.run("x = 1\nwhile True: print('A' * 1000)")
    assert result.status == "error"
    assert result.error == "Stopped: it printed more than 100,000 bytes.\nVariables are kept."
    assert 100_000 < len(result.stdout) < 300_000
    assert (await python.run("x")).value == "1"
    await python.close()


async def test_processor_time_is_limited_and_death_is_told() -> None:
    python = PythonSession(PythonLimits(cpu_seconds=1))
    result = await python.run("while True: pass")
    assert result.error == (
        "Stopped: it used 1 s of processor time.\n"
        "The python process is gone, and with it all variables and imports; files are kept."
    )
    assert (await python.run("1")).error is None
    await python.close()


async def test_an_interrupt_stops_the_code_and_keeps_the_state(python: PythonSession) -> None:
    await python.run("x = 3")
    running = await _start(python, f"{BEGIN}\nwhile True: x += 1")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    result = await python.run("x > 2")
    assert (result.value, result.error) == ("True", None)


async def test_an_interrupt_that_needs_force_is_told_with_the_next_result(python: PythonSession) -> None:
    running = await _start(python, f"try:\n    {BEGIN}\n{STUBBORN}")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    result = await python.run("2")
    assert result.value == "2"
    assert (
        result.error == "Note: the python process was ended before this call; earlier variables and imports are gone."
    )
    assert (await python.run("3")).error is None


async def test_restart_ends_what_runs_and_keeps_files(python: PythonSession) -> None:
    running = await _start(python, f"x = 1\nopen('kept.txt', 'w').write('k')\n{BEGIN}\nwhile True: pass")
    await python.restart()
    assert str((await running).error).startswith("The process was killed")
    assert (await python.run("open('kept.txt').read(), 'x' in globals()")).value == "('k', False)"


async def test_calls_at_once_run_one_after_the_other(python: PythonSession) -> None:
    results = await asyncio.gather(*(python.run(f"print({i})\n{i}") for i in range(5)))
    assert [(r.stdout, r.value) for r in results] == [(f"{i}\n", str(i)) for i in range(5)]


async def test_close_removes_everything(python: PythonSession) -> None:
    result = await python.run("open('a.txt', 'w').write('a')")
    assert (python.scratch / "a.txt").exists()
    with open(result.artifacts[0].path) as offered:  # noqa: ASYNC230
        assert offered.read() == "a"
    await python.close()
    assert not os.path.exists(result.artifacts[0].path)  # noqa: ASYNC240
    with pytest.raises(ConfigError, match="no working folder yet"):
        _ = python.scratch
    assert (await python.run("import os\nos.listdir()")).value == "[]"


async def test_attachments_can_be_read_and_not_written(python: PythonSession, tmp_path: Path) -> None:
    original = tmp_path / "sales.csv"
    original.write_text("a,b\n1,2\n")
    (tmp_path / "secret.txt").write_text("canary")
    assert python.attach(original) == "sales.csv"
    assert (await python.run("open('sales.csv').read()")).value == "'a,b\\n1,2\\n'"
    for code in ("open('sales.csv', 'a')", f"open({str(original)!r}, 'w')", f"open({str(tmp_path / 'secret.txt')!r})"):
        assert re.search("PermissionError|FileNotFoundError", str((await python.run(code)).error))
    with pytest.raises(ConfigError, match=r"can't be attached as 'sales\.csv'"):
        python.attach(original)
    with pytest.raises(ConfigError, match="There is no file"):
        python.attach(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match=r"can't be attached as '\.\./x'"):
        python.attach(original, "../x")
    await python.close()
    assert original.read_text() == "a,b\n1,2\n"


async def test_the_worker_inherits_nothing(
    python: PythonSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLAMACHAT_CANARY", "canary-5c1d")
    secret = tmp_path / "secret"
    secret.write_text("canary-5c1d")
    descriptor = os.open(secret, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    seen = await python.run(f"print(open({descriptor}).read())")
    os.close(descriptor)
    assert "Bad file descriptor" in str(seen.error)
    environments = _environments_of_descendants()
    assert any(b"MPLBACKEND" in environment for environment in environments)
    assert not any(b"canary-5c1d" in environment for environment in environments)


async def test_file_size_is_limited() -> None:
    python = PythonSession(PythonLimits(file_bytes=10_000))
    result = await python.run("with open('big', 'wb') as f:\n    f.write(b'x' * 20_000)")
    assert "File too large" in str(result.error)
    assert (await python.run("1")).value == "1"
    await python.close()


def test_the_worker_dies_with_its_parent(tmp_path: Path) -> None:
    """The worker holds a fifo open in an endless loop: reading the fifo ends when the worker does."""
    script = """
        import asyncio, os
        from llamachat.tools.python import PythonLimits, PythonSession
        python = PythonSession(PythonLimits(cpu_seconds=20))
        async def main():
            await python.run("")
            os.mkfifo(python.scratch / "fifo")
            (python.scratch / "fifo").chmod(0o666)
            print(str(python.scratch / "fifo").replace("self", str(os.getpid())), flush=True)
            await python.run("f = open('fifo', 'w')\\nwhile True: pass")
        asyncio.run(main())
    """
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=TOOLS.parents[1]) as parent:
        assert parent.stdout
        fifo = open(parent.stdout.readline().strip())  # noqa: SIM115 opened here, read when the parent is dead
        parent.kill()
    start = time.monotonic()
    assert fifo.read() == ""
    assert time.monotonic() - start < 10
    fifo.close()


LIFE = """
import asyncio, os, sys, pathlib
from llamachat.tools.python import PythonSession

async def main():
    python = PythonSession()
    python.attach(pathlib.Path(sys.argv[0]), "mine.txt")
    print((await python.run("1 + 1")).value, flush=True)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), 9)
    await python.close()

asyncio.run(main())
"""


def test_what_a_killed_program_left_goes_when_the_next_starts(tmp_path: Path) -> None:
    script, place = tmp_path / "life.py", tmp_path / "run"
    script.write_text(LIFE)
    (place / "llamachat-of-somebody").mkdir(parents=True)  # no lock of ours is in it
    environment = {**os.environ, "LLAMACHAT_RUNDIR": str(place), "PYTHONPATH": str(TOOLS.parents[1])}
    for end, status in (("die", -9), ("live", 0)):
        done = subprocess.run([sys.executable, script, end], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stdout) == (status, "2\n"), done.stderr
    assert [folder.name for folder in place.iterdir()] == ["llamachat-of-somebody"]


async def test_a_worker_that_does_not_come_up_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygotes, "_BOOT", "raise ModuleNotFoundError('No module named RestrictedPython')")
    python = PythonSession()
    with pytest.raises(StorageError, match=r"Python did not start: ModuleNotFoundError: No module named Restricted"):
        await python.run("1")
    await python.close()


async def test_no_place_for_the_scratch_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "base", lambda: Path("/nonexistent"))
    python = PythonSession()
    result = await Toolbox((python.tool,)).run(ToolCall("python", {"code": "1"}))
    assert not result.ok
    assert result.output == (
        "failed\n[stderr]The python tool can't make its working folder: No such file or directory.[/stderr]"
    )
    await python.close()


def test_the_worker_imports_nothing_of_ours_but_its_own_side() -> None:
    """From the zygote on, imports stay among modules that know neither messages nor errors, paths or the parent."""
    reached, waiting = set[str](), ["python_worker.zygote"]
    while waiting:
        reached.add(name := waiting.pop())
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("llamachat"):
                assert node.module.startswith("llamachat.tools"), (name, node.module)
                inner = node.module.removeprefix("llamachat.tools").strip(".")
                package = (TOOLS / inner.replace(".", "/")).is_dir()
                found = {f"{inner}.{alias.name}".strip(".") for alias in node.names} if package else {inner}
                waiting += found - reached
    assert {f"python_worker.{part}" for part in ("worker", "cells", "policy", "guards", "audit")} <= reached
    assert "walls.seccomp" in reached
    assert {name.partition(".")[0] for name in reached} == {"python_worker", "walls", "shorten", "tidy"}


def _source(name: str) -> str:
    return (TOOLS / f"{name.replace('.', '/')}.py").read_text()


def _environments_of_descendants() -> list[bytes]:
    found, waiting = [], [os.getpid()]
    while waiting:
        with suppress(OSError):  # it ended just now
            pid = waiting.pop()
            found.append(Path(f"/proc/{pid}/environ").read_bytes() if pid != os.getpid() else b"")
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


async def _start(python: PythonSession, code: str) -> "asyncio.Task[PythonResult]":
    """A task that runs ``code``, once that has come to BEGIN."""
    await python.run("")
    fifo = python.scratch / "begun"
    os.mkfifo(fifo)
    fifo.chmod(0o666)  # root's workers are nobody
    task = asyncio.create_task(python.run(code))
    await asyncio.to_thread(fifo.read_text)
    return task


def test_a_session_outlives_an_event_loop() -> None:
    python = PythonSession()
    asyncio.run(python.run("x = 1"))
    assert asyncio.run(python.run("x + 1")).value == "2"
    asyncio.run(python.close())
