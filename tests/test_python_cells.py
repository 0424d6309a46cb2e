"""Cells as models write them, and as attackers do: our own corpora through real workers, and how each cell ends."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llamachat.tools.python import PythonLimits, PythonResult, PythonSession
from llamachat.tools.python_worker.cells import MAX_SOURCES

CORPORA = Path(__file__).parent / "data" / "sandbox_more"
PNG = b"\x89PNG\r\n\x1a\n"


def _cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPORA / name).read_text("utf-8").splitlines()]


BENIGN = _cases("benign.jsonl")
HOSTILE = _cases("hostile.jsonl")


@pytest.fixture
async def python() -> AsyncIterator[PythonSession]:
    session = PythonSession(PythonLimits(seconds=60))
    yield session
    await session.close()


async def _run(session: PythonSession, cells: list[str]) -> list[PythonResult]:
    return [await session.run(cell) for cell in cells]


def _faults(case: dict[str, Any], results: list[PythonResult]) -> list[str]:
    """What is not as the case expects."""
    stdout = "\n".join(result.stdout for result in results)
    faults = [f"cell {number}: {result.error}" for number, result in enumerate(results) if result.error]
    faults += [f"stderr: {result.stderr}" for result in results if result.stderr and not case.get("stderr")]
    faults += [f"no {text!r} in {stdout!r}" for text in case.get("expect_stdout_contains", ()) if text not in stdout]
    if case.get("expect_value", "") not in str(results[-1].value):
        faults.append(f"value {results[-1].value!r}")
    if (images := sum(result.images for result in results)) != case.get("expect_images", images):
        faults.append(f"{images} images")
    return faults


FORGET = """
import os, shutil
for entry in os.scandir():
    if not entry.is_symlink():
        (shutil.rmtree if entry.is_dir() else os.remove)(entry.path)
for name in [name for name in globals() if not name.startswith("__")]:
    del globals()[name]
"""
"""Gives the next case a clean table; a new worker for each would take longer."""


@pytest.mark.parametrize("group", range(8))
async def test_everyday_cells_run_as_in_python(python: PythonSession, tmp_path: Path, group: int) -> None:
    """What they print and give was recorded from CPython itself, or is what ipython adds."""
    wrong = {}
    cases = [case for case in BENIGN if ("attachments" in case) == (group == 7)]
    attached = {name: text for case in cases for name, text in case.get("attachments", {}).items()}
    for name, text in attached.items():
        (tmp_path / name).write_text(text, "utf-8")
        python.attach(tmp_path / name)
    for case in cases if attached else cases[group::7]:
        if faults := _faults(case, await _run(python, case["cells"])):
            wrong[case["id"]] = faults
        assert (await python.run(FORGET)).error is None
        if "alone" in case:  # it changes what a library prints
            await python.restart()
    assert wrong == {}


def test_the_corpora_are_as_large_as_they_should_be() -> None:
    assert len({case["id"] for case in BENIGN}) == len(BENIGN) >= 150
    assert len({case["id"] for case in HOSTILE}) == len(HOSTILE) >= 80


@pytest.mark.parametrize("category", sorted({case["category"] for case in HOSTILE}))
async def test_walks_out_of_the_language_end_in_an_error(python: PythonSession, tmp_path: Path, category: str) -> None:
    """No attack gets hold of what it wants; each is told so by an exception of its own code."""
    (tmp_path / "secret").write_text("the secret")
    places = {"SECRET_FILE": str(tmp_path / "secret"), "OUTSIDE": "/elsewhere", "MARKER": "marker"}
    escaped = []
    for case in (case for case in HOSTILE if case["category"] == category):
        cells = [re.sub(r"@@(\w+)@@", lambda found: places[found[1]], cell) for cell in case["cells"]]
        results = await _run(python, cells)
        said = "\n".join(result.text(10_000) for result in results)
        if "REACHED_marker" in said or "the secret" in said or all(result.ok for result in results):
            escaped.append((case["id"], said))
    assert escaped == []


def _pictures(result: PythonResult) -> list[bytes]:
    return [Path(artifact.path).read_bytes() for artifact in result.artifacts[: result.images]]


async def test_figures_are_pngs_also_those_drawn_before_an_error(python: PythonSession) -> None:
    drawn = await python.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nplt.plot([3])\n1 / 0")
    assert [picture[:8] for picture in _pictures(drawn)] == [PNG, PNG]
    assert str(drawn.error).endswith("ZeroDivisionError: division by zero")
    assert (await python.run("plt.get_fignums()")).value == "[]"


async def test_figures_keep_their_bounds(python: PythonSession) -> None:
    many = await python.run("import matplotlib.pyplot as plt\nfor i in range(9): plt.figure(figsize=(1, 1))")
    assert many.images == 8
    assert many.error == "Only the first 8 figures of a cell are shown; use subplots, or show fewer."
    noise = "import numpy as np\nplt.figure(figsize=(40, 40))\nplt.imshow(np.random.rand(1500, 1500))\nplt.show()"
    [large] = _pictures(await python.run(noise))
    assert 100_000 < len(base64.b64encode(large)) <= 2_000_000


async def test_a_broken_figure_is_an_error_of_the_cell(python: PythonSession) -> None:
    result = await python.run("import matplotlib.pyplot as plt\nplt.title(r'$\\frac{$')\n1")
    assert "ParseSyntaxException" in str(result.error) or "ParseException" in str(result.error)
    assert (await python.run("plt.get_fignums()")).value == "[]"


ENDS = {
    "missing_file": ("open('nope.csv')", "No such file or directory: 'nope.csv'\nFiles here: none"),
    "group": ("raise ExceptionGroup('g', [ValueError('a'), KeyError('k')])", "  | ValueError: a\n  | KeyError: 'k'"),
    "note": ("e = ValueError('a'); e.add_note('try b'); raise e", "ValueError: a\ntry b"),
    "dead_str": ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E: <exception str() failed>"),
    "endless_chain": (
        "class E(Exception):\n    __context__ = property(lambda self: E())\nraise E('a')",
        "Traceback (most recent call last):\n  line 3\n    raise E('a')\nE: a",
    ),
    "library": ("import pandas as pd\npd.Series({'a': 1})['b']", "\n    pd.Series({'a': 1})['b']\nKeyError: 'b'"),
    "deadlock": (
        "import asyncio\nasync def main(): await asyncio.Event().wait()\nasyncio.run(main())",
        "RuntimeError: every task waits for another: nothing can go on",
    ),
    "exit_in_repr": ("class R:\n    def __repr__(self): raise SystemExit(3)\nR()", "SystemExit: 3"),
    "repr_is_no_text": ("class R:\n    def __repr__(self): return 3\nR()", "__repr__ returned non-string (type int)"),
    "threads": (
        "import threading\nfor _ in range(99): threading.Timer(1, print).start()",
        "RuntimeError: can't start new thread: 64 run already",
    ),
    "levels": ("".join(" " * n + "if 1:\n" for n in range(120)), "IndentationError: too many levels of indentation"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
async def test_errors_say_what_the_model_needs(python: PythonSession, name: str) -> None:
    code, end = ENDS[name]
    assert str((await python.run(code)).error).endswith(end)
    assert (await python.run("6 * 7")).value == "42"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("\ufeffx = 1\r\nx + 1\r\n", "2"),
        ("\n    x = 3\n    if x:\n        x += 1\n    x", "4"),
        ("%matplotlib inline\n5", "5"),
        ("x = 1; x ;  # quiet", None),
        ("x = 'a;'  # no ;\nx", "'a;'"),
        ("import sys\nsys.stdout = None\nsys.stderr.close()\n7", "7"),
        ("class S(str):\n    def __len__(self): return -1\nclass R:\n    def __repr__(self): return S('r')\nR()", "r"),
        ("x = '" + "a" * 1_000_000 + "'; len(x)", "1000000"),
    ],
    ids=["bom", "indented", "magic", "semicolon", "no-semicolon", "streams", "repr", "long"],
)
async def test_odd_cells_run(python: PythonSession, code: str, value: str | None) -> None:
    result = await python.run(code)
    assert (result.value, result.error) == (value, None)
    assert (await python.run("print('still here')")).stdout == "still here\n"


async def test_the_sources_of_long_gone_cells_are_forgotten() -> None:
    session = PythonSession(policy=False)
    for _ in range(MAX_SOURCES):
        await session.run("def fail(): 1 / 0")
    kept = await session.run("import linecache\nlen([name for name in linecache.cache if name.startswith('<cell')])")
    assert kept.value == str(MAX_SOURCES)
    assert "cell 1000, line 1, in fail\n    def fail(): 1 / 0" in str((await session.run("fail()")).error)
    await session.close()


async def test_warnings_are_one_line(python: PythonSession) -> None:
    result = await python.run("import warnings\nwarnings.warn('\\nfirst\\nsecond')\nx = 1\nx is 1")
    assert (
        result.stderr == 'line 4: SyntaxWarning: "is" with a literal. Did you mean "=="?\nline 2: UserWarning: first\n'
    )


async def test_an_interrupt_reaches_tasks_and_threads() -> None:
    hasty = PythonSession(PythonLimits(seconds=1))
    tasks = "import asyncio\nasync def main():\n    while True: await asyncio.sleep(0.01)\n"
    kept = "Stopped after 1 s, the limit of a call.\nVariables are kept."
    assert (await hasty.run(tasks + "await main()")).error == kept
    thread = "import threading\nn = 0\ndef count():\n    global n\n    while True: n += 1\n"
    stuck = "thread = threading.Thread(target=count)\nthread.start()\nthread.join()"
    assert (await hasty.run(thread + stuck)).error == kept
    assert (await hasty.run("thread.join(); thread.is_alive()")).value == "False"
    await hasty.close()
