"""Packages that bring functions: installed for real into a folder, found by their entry points."""

import importlib
from pathlib import Path

import pytest

from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.functions.plugins import load_plugins

MODULE = '''
def convert(value: float, unit: str = "C") -> float:
    """Celsius to Fahrenheit."""
    return value * 9 / 5 + 32

def double(x: int) -> int:
    return 2 * x

both = [convert, double]
nothing = 5
'''


def install(folder: Path, name: str, text: str, points: str) -> None:
    """What pip leaves behind: the module, and its metadata beside it."""
    (folder / f"{name}.py").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[llamachat.tools]\n{points}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


async def test_functions_of_packages(folder: Path) -> None:
    install(folder, "first", MODULE, "a = first")
    install(
        folder, "second", MODULE.replace("def ", "def s_").replace("[convert, double]", "[s_double]"), "b = second:both"
    )
    install(folder, "third", "def one() -> int: return 1\ndef two() -> int: return 2", "x = third:two\ny = third:one")
    importlib.invalidate_caches()
    tools, errors = load_plugins()
    assert errors == []
    assert [(tool.name, tool.source, tool.permission) for tool in tools] == [
        ("convert", "first", "ask"),
        ("double", "first", "ask"),
        ("s_double", "second", "ask"),
        ("two", "third", "ask"),
        ("one", "third", "ask"),
    ]
    box = Toolbox(tuple(tools))
    assert (await box.run(ToolCall("convert", {"value": 100}))).output == "212.0"
    assert (await box.run(ToolCall("s_double", {"x": 4}))).output == "8"
    await box.close()


@pytest.mark.parametrize(
    ("text", "point", "reason"),
    [
        ("def f(:", "a = broken", "Its a = broken can't be imported: SyntaxError: invalid syntax."),
        ("", "a = absent", "Its a = absent can't be imported: ModuleNotFoundError: No module named 'absent'."),
        (
            "",
            "a = broken:f",
            "Its a = broken:f can't be imported: AttributeError: module 'broken' has no attribute 'f'.",
        ),
        ("f = 5", "a = broken:f", "Its a = broken:f holds no function."),
        ("f = [len, 5]", "a = broken:f", "Its a = broken:f holds no function."),
        ("", "a = broken", "Its a = broken holds no function."),
        ("def f(*x): ...", "a = broken", "f can't be a tool: it takes *x."),
        ("import os; os._exit(3)", "a = broken", "broken can't be imported: its process ended (exit status 3)."),
        ("def f(): ...", "a = broken\nb = broken:f", "Two functions are named 'f'."),
        ("def good(): ...", "a = broken", "there is a tool 'good' already."),
        ("def taken(): ...", "a = broken", "there is a tool 'taken' already."),
    ],
)
async def test_a_broken_package_is_named_and_left_out(folder: Path, text: str, point: str, reason: str) -> None:
    install(folder, "a_good_one", "def good() -> int: return 1", "a = a_good_one")
    install(folder, "broken", text, point)
    tools, errors = load_plugins(["taken"])
    assert [error.message for error in errors] == [f"The plug-in broken can't be used: {reason}"]
    assert errors[0].hint
    box = Toolbox(tuple(tools))
    assert (await box.run(ToolCall("good", {}))).output == "1"
    await box.close()


def test_without_packages_nothing_starts() -> None:
    assert load_plugins() == ([], [])
