"""Files of functions, in the real process that runs them: what they see, and what they can't do to us."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from llamachat.errors import ConfigError
from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.tools import Toolbox
from llamachat.tools.functions import load_functions

DATA = Path(__file__).parent / "data" / "functions"
GONE = "and what the functions kept in memory is gone"
ANEW = "\n[its process was started anew; what the functions kept in memory is gone]"


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(true: Callable[[], bool]) -> None:
    """The condition, within a time that only a broken program needs."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 another process is watched: nobody can set an event
            await asyncio.sleep(0.002)


@pytest.fixture(scope="module")
def loaded() -> Toolbox:
    return Toolbox(tuple(load_functions(DATA / "bad.py", timeout=20)))


@pytest.fixture
async def bad(loaded: Toolbox) -> AsyncIterator[Toolbox]:
    yield loaded
    await loaded.close()  # the next test starts the process anew


async def call(box: Toolbox, name: str, **arguments: object) -> ToolResult:
    return await box.run(ToolCall(name, arguments))


async def test_a_file_of_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/the/home")
    box = Toolbox(tuple(load_functions(DATA / "good.py")))
    assert box.names == ("area", "hello", "note", "meet", "where", "report")
    assert {(tool.permission, tool.source) for tool in box.tools} == {("ask", str(DATA / "good.py"))}
    assert box.tools[0].parameters["properties"] == {
        "circle": {
            "type": "object",
            "properties": {"radius": {"type": "number"}},
            "required": ["radius"],
            "description": "The circle.",
        }
    }
    assert (await call(box, "area", circle={"radius": 1})).output == "3.141592653589793"
    assert (await call(box, "hello")).output == '"Hello you"'
    assert [(await call(box, "note", note={"text": "x"})).output for _ in range(2)] == ["1", "2"]
    assert (await call(box, "note", note={"tags": []})).output == "failed\n[stderr]note.text is missing[/stderr]"
    met = await asyncio.gather(*(call(box, "meet", others=5) for _ in range(5)))
    assert [result.output for result in met] == ['"met"'] * 5
    seen = (await call(box, "where")).output
    assert f'"cwd": "{tmp_path}", "home": "/the/home"' in seen
    report = await call(box, "report", path="/x")
    assert (report.output, report.artifacts) == ("It is done.", (Artifact("report.txt", "text/plain", "/x"),))
    await box.close()
    assert "functions:" + str(DATA / "good.py") not in sys.modules


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("leave", '{"error": "SystemExit: no more"}'),
        ("interrupt", '{"error": "KeyboardInterrupt"}'),
        ("rude", '{"error": "KeyboardInterrupt: from repr"}'),
        ("ask", '{"error": "EOFError: EOF when reading a line"}\n[stdout]\nWhat?\n[/stdout]'),
        ("fork", '"forked"'),
        ("threads", "23"),
        ("say", "null\n[stdout]\nhello there\n[/stdout]"),
        ("say_and_return", "1"),
        ("say_and_fail", '{"error": "ValueError: no"}\n[stdout]\ngot as far as here\n[/stdout]'),
        ("flood", f"null\n[stdout]\n{'x' * 1000}\n{'x' * 999}\n[/stdout]\n[the first of 2,002,000 characters]"),
        ("close_stdout", '"closed"'),
    ],
)
async def test_what_functions_do_stays_in_their_process(bad: Toolbox, name: str, output: str) -> None:
    await call(bad, "bump")
    result = await call(bad, name)
    assert (result.output, result.ok) == (output, not output.startswith('{"error"'))
    assert (await call(bad, "bump")).output == "2"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("exit_now", "exit status 3"),
        ("crash", "SIGSEGV"),
        ("kill_itself", f"signal {signal.SIGRTMIN + 1}"),
        ("close_everything", "SIGKILL"),
        ("forge", "SIGKILL"),
        ("raise_exit_aside", "SIGKILL"),
    ],
)
async def test_a_process_that_ends_is_told_and_replaced(bad: Toolbox, name: str, how: str) -> None:
    await call(bad, "bump")
    result = await call(bad, name)
    assert (result.output, result.ok) == (f'{{"error": "its process ended ({how}), {GONE}"}}', False)
    assert (await call(bad, "bump")).output == "1"


async def test_results_beyond_measure(bad: Toolbox) -> None:
    huge = (await call(bad, "huge")).output
    assert "of 50,000,002 characters left out" in huge
    assert len(huge) < 17_000
    deep = await call(bad, "deep")
    assert not deep.ok
    assert len(deep.output) < 17_000


STUCK = [
    ("sleep", True),
    ("hold_the_interpreter", True),
    ("hang_in_a_generator", True),
    ("deaf", True),
    ("wait", False),
]


@pytest.mark.parametrize(("name", "lost"), STUCK)
async def test_a_function_that_hangs_is_stopped(tmp_path: Path, name: str, lost: bool) -> None:
    box = Toolbox(tuple(load_functions(DATA / "bad.py", timeout=1)))
    await call(box, "bump")
    paths = {"begun": str(tmp_path / "begun")} | ({"ended": str(tmp_path / "ended")} if name == "wait" else {})
    result = await call(box, name, **paths)
    told = f"; its process was ended to stop it, {GONE}" if lost else ""
    assert (result.output, result.ok) == (f'{{"error": "TimeoutError: no answer in 1 s{told}"}}', False)
    assert alive(int((tmp_path / "begun").read_text())) != lost
    assert (tmp_path / "ended").exists() != lost
    assert (await call(box, "bump")).output == ("1" if lost else "2")
    await box.close()


@pytest.mark.parametrize(("name", "lost"), STUCK)
async def test_an_interrupt_reaches_the_function(bad: Toolbox, tmp_path: Path, name: str, lost: bool) -> None:
    begun = tmp_path / "begun"
    paths = {"begun": str(begun)} | ({"ended": str(tmp_path / "ended")} if name == "wait" else {})
    task = asyncio.create_task(call(bad, name, **paths))
    await until(lambda: begun.exists() and begun.read_text() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: alive(int(begun.read_text())) != lost)
    assert (tmp_path / "ended").exists() != lost
    assert [(await call(bad, "bump")).output for _ in "ab"] == [f"1{ANEW if lost else ''}", "2"]


async def test_a_process_that_ends_between_calls(bad: Toolbox, tmp_path: Path) -> None:
    assert (await call(bad, "exit_later", sign=str(tmp_path / "sign"))).ok
    (tmp_path / "sign").touch()
    await until(lambda: not any(thread.name == "functions: answers" for thread in threading.enumerate()))
    assert [(await call(bad, "bump")).output for _ in "ab"] == [f"1{ANEW}", "2"]


async def test_a_call_that_waits_its_turn_is_cancelled_alone(bad: Toolbox, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    first = asyncio.create_task(call(bad, "sleep", begun=str(begun)))
    await until(begun.exists)
    second = asyncio.create_task(call(bad, "bump"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (await call(bad, "look")).output == "0"
    assert alive(int(begun.read_text()))
    assert not first.done()
    await bad.close()
    assert (await first).output == f'{{"error": "its process ended (SIGKILL), {GONE}"}}'


@pytest.mark.parametrize("name", ["fork_and_stay", "start_a_child"])
async def test_closing_ends_what_functions_have_started(bad: Toolbox, tmp_path: Path, name: str) -> None:
    begun = tmp_path / "begun"
    assert (await call(bad, name, begun=str(begun))).ok
    child = int(begun.read_text())
    assert alive(child)
    await bad.close()
    await until(lambda: not alive(child))


PROGRAM = """
import asyncio, sys
from pathlib import Path
from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.functions import load_functions
box = Toolbox(tuple(load_functions(Path(sys.argv[1]))))
asyncio.run(box.run(ToolCall("hold_the_interpreter", {"begun": sys.argv[2]})))
"""


def start(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", program, *arguments])


async def test_functions_die_with_a_program_that_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = start(PROGRAM, str(DATA / "bad.py"), str(begun))
    await until(lambda: begun.exists() and begun.read_text() != "")
    program.send_signal(signal.SIGKILL)
    program.wait()
    await until(lambda: not alive(int(begun.read_text())))


async def test_nothing_is_left_over() -> None:
    def open_now() -> int:
        return len(os.listdir("/proc/self/fd")) + len(os.listdir("/proc/self/task"))

    box = Toolbox(tuple(load_functions(DATA / "bad.py")))
    before = open_now()
    for _ in range(5):
        await call(box, "exit_now")
        assert (await call(box, "bump")).output == "1"
    await until(lambda: open_now() <= before)
    await box.close()
    await until(lambda: open_now() < before)


async def test_calls_from_one_event_loop_after_another(tmp_path: Path) -> None:
    tools = await asyncio.to_thread(load_functions, DATA / "good.py")
    outputs = [await asyncio.to_thread(lambda: asyncio.run(call(Toolbox(tuple(tools)), "hello")).output) for _ in "ab"]
    assert outputs == ['"Hello you"'] * 2
    await tools[0].close()


async def test_a_file_that_changes_under_way(tmp_path: Path) -> None:
    path = tmp_path / "tools.py"
    path.write_text("import os\ndef a(): os._exit(1)\ndef b(): ...")
    box = Toolbox(tuple(load_functions(path)))
    await call(box, "a")
    path.write_text("def b(): ...")
    assert (await call(box, "a")).output == f'{{"error": "{path} has changed: it has no function a any more"}}'
    await box.close()
    path.write_text("def b(:")
    assert (await call(box, "b")).output.startswith(f"failed\n[stderr]{path}, line 1 can't be imported: SyntaxError")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("__all__ = ['b']\ndef a(): ...\ndef b(): ...", ["b"]),
        ("def a(): ...\nb = a\nimport json\nfrom json import dumps\n_c = a\ndef _d(): ...", ["a"]),
        ("from functools import partial\n__all__ = ['p']\ndef a(x: int, y: int): ...\np = partial(a, y=1)", ["a"]),
        ("from helper import a\n__all__ = ['a']", ["a"]),
        ("def wrong(x: int = 1): ...\nprint('noise')\nimport sys; sys.stdout.flush()", ["wrong"]),
    ],
)
def test_which_functions_of_a_file_are_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my tools.py").write_text(text)
    (tmp_path / "helper.py").write_text("def a(): ...")
    assert [tool.name for tool in load_functions(Path("my tools.py"))] == names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(:\n  pass", "tools.py, line 1 can't be imported: SyntaxError: invalid syntax"),
        ("x = 1\n\nx / 0", "tools.py, line 3 can't be imported: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", "line 1 can't be imported: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import torn", "tools.py, line 1 can't be imported: SyntaxError: "),
        ("raise SystemExit('no')", "tools.py, line 1 can't be imported: SystemExit: no"),
        ("raise KeyboardInterrupt", "tools.py, line 1 can't be imported: KeyboardInterrupt"),
        ("raise ValueError('two\\nlines')", "tools.py, line 1 can't be imported: ValueError: two lines."),
        ("import os; os._exit(7)", "tools.py can't be imported: its process ended (exit status 7)."),
        ("import ctypes; ctypes.string_at(0)", "tools.py can't be imported: its process ended (SIGSEGV)."),
        ("from math import sqrt", "tools.py defines no public function"),
        ("def f(*args): ...", "f can't be a tool: it takes *args"),
        ("__all__ = ['f', 'g']\ndef f(): ...\ng = f", "Two functions are named 'f'."),
        ("x = '\0'", "can't be imported: "),
        (None, "There is no file"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "tools.py"
    (tmp_path / "torn.py").write_text("def")
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_functions(path)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_an_import_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tools.py"
    path.write_text("import time; time.sleep(60)")
    monkeypatch.setattr("llamachat.tools.functions.link.START_SECONDS", 0.5)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="it takes longer than 0 s"):
        load_functions(path)
    assert time.monotonic() - begun < 20


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    path = tmp_path / "tools.txt"
    path.write_text("hello")
    with pytest.raises(ConfigError, match="is neither a Python nor a JSON file"):
        load_functions(path)
