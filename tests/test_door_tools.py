"""`llamachat tools`: lists and calls, with real tools, as a program."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = str(Path(__file__).parent / "data" / "mcp" / "hostile.py")
FUNCTIONS = '''
def shout(text: str, times: int = 1) -> str:
    """Say it in capitals.

    Args:
        text: what to say
    """
    return " ".join([text.upper()] * times)


def fail() -> str:
    """Fail."""
    raise ValueError("out of paper")
'''


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """Options that name a file of functions and two MCP servers, one of them dead."""
    functions, mcp = tmp_path / "functions.py", tmp_path / "mcp.json"
    functions.write_text(FUNCTIONS)
    servers = {
        name: {"command": sys.executable, "args": [HOSTILE, wrong]}
        for name, wrong in (("fine", "nothing"), ("broken", "dead at start"))
    }
    mcp.write_text(json.dumps({"mcpServers": servers}))
    return ("--functions", str(functions), "--mcp", str(mcp))


def tools(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "llamachat", "tools", *arguments], capture_output=True, text=True)


def test_tools_are_listed(files: tuple[str, ...]) -> None:
    done = tools("list", *files)
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["python", "search", "shout", "fail", "fine__echo"]
    assert rows[-1] == ["fine__echo", "MCP server fine", "ask", "Echo."]
    assert done.stderr == "The MCP server broken failed: it ended with status 3, saying: no licence.\n"
    assert done.returncode == 0


def test_the_list_is_json(files: tuple[str, ...]) -> None:
    rows = json.loads(tools("list", "--output", "json", *files).stdout)
    assert rows[-1] == {
        "name": "fine__echo",
        "source": "MCP server fine",
        "permission": "ask",
        "description": "Echo.",
        "parameters": {"type": "object", "properties": {}},
    }


def test_a_call_prints_its_output(files: tuple[str, ...]) -> None:
    done = tools("call", "shout", '{"text": "hi", "times": "2"}', *files)
    assert (done.stdout, done.returncode) == ('"HI HI"\n', 0)


def test_a_call_of_a_server(files: tuple[str, ...]) -> None:
    done = tools("call", "fine__echo", "--output", "json", *files)
    assert json.loads(done.stdout) == {"ok": True, "output": "fine", "artifacts": []}


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [("fail", "{}", "out of paper"), ("shout", '{"texts": 1}', "text is missing"), ("sing", "{}", "no tool 'sing'")],
)
def test_a_failed_call_exits_with_1(name: str, arguments: str, said: str, files: tuple[str, ...]) -> None:
    done = tools("call", name, arguments, *files[:2])
    assert said in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", ["{", "[1]", "NaN"])
def test_arguments_that_are_no_json_object_exit_with_2(arguments: str) -> None:
    done = tools("call", "python", arguments)
    assert done.stderr.startswith("error: The arguments are no JSON")
    assert done.returncode == 2
    assert done.stdout == ""


def test_a_wrong_file_exits_with_2(tmp_path: Path) -> None:
    done = tools("list", "--mcp", str(tmp_path / "none.json"))
    assert "none.json can't be read" in done.stderr
    assert done.returncode == 2


def test_files_are_kept_where_the_user_says(tmp_path: Path) -> None:
    mcp = tmp_path / "mcp.json"
    honest = str(Path(HOSTILE).with_name("honest.py"))
    mcp.write_text(json.dumps({"mcpServers": {"honest": {"command": sys.executable, "args": [honest]}}}))
    done = tools("call", "honest__picture", "--output", "json", "--files", str(tmp_path / "kept"), "--mcp", str(mcp))
    (artifact,) = json.loads(done.stdout)["artifacts"]
    assert artifact["path"] == str(tmp_path / "kept" / "honest__picture-1.png")
    assert Path(artifact["path"]).read_bytes().startswith(b"\x89PNG")
