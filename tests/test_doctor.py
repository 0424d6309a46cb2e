"""The doctor, as a real process: what it finds where all is well, and where something is wrong."""

import io
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from front import PERSONAS
from program import run
from saying import CONDITIONS, reply, user

from llamachat import runtime
from llamachat.chat.settings import Settings
from llamachat.doors import doctor as doctors
from llamachat.paths import bundled_model
from llamachat.plain import Talk, one_shot
from llamachat.sessions import Store, unsaved
from llamachat.sessions.health import health
from llamachat.testing import ScriptedRuntime
from llamachat.tools import Toolbox


@pytest.fixture
def home(home: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return home | {f"LLAMACHAT_{name}_DIR": str(tmp_path / name.lower()) for name in ("DATA", "CONFIG")}


def doctor(home: dict[str, str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = run(home, "doctor", "--output", "json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def states(checks: list[dict[str, Any]]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in checks}


def talked(store: Path) -> None:
    """A store with one session of two messages."""
    with closing(Store(store)) as open_store:
        session = open_store.create()
        session.ask(user("hi"), CONDITIONS)
        reply(session, "Hello.")


def test_a_sound_house(home: dict[str, str], tmp_path: Path) -> None:
    talked(tmp_path / "data" / "sessions.db")
    code, checks = doctor(home)
    assert code == 0
    found = {check["name"]: check for check in checks}
    assert found["sandbox"]["state"] == "ok"
    assert {"sandbox, seccomp", "sandbox, landlock", "sandbox, policy"} <= set(found)
    assert found["model nano"]["detail"].endswith("tokenizer of Llama 3.1")
    assert found["tools"]["detail"] == "python, search"
    assert found["sessions"]["detail"].startswith("1 with 2 messages")
    assert all(check["hint"] for check in checks if check["state"] != "ok")


def test_people_get_a_line_for_each_finding(home: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "llamachat", "doctor"], env={**home, "PYTHONUTF8": "1"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert all(line[:2] in ("✓ ", "! ", "  ") for line in lines)
    assert any(line.startswith("✓ sessions: none yet") for line in lines)


def test_what_is_wrong_has_a_hint_and_the_exit_code_says_so(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text("[sampling]\ntemprature = 1\n")
    servers = {"here": {"command": sys.executable}, "gone": {"command": "/nowhere/at/all"}}
    (tmp_path / "config" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sessions.db").write_text("no store at all, but long enough to be one" * 100)
    code, checks = doctor(home, "-m", str(tmp_path / "nothing"))
    assert code == 1
    found = states(checks)
    assert (found["settings"], found["model nothing"], found["sessions"]) == ("bad", "bad", "bad")
    assert (found["MCP server here"], found["MCP server gone"]) == ("ok", "note")
    assert all(check["hint"] for check in checks if check["state"] != "ok")
    assert "line 2" in next(check["detail"] for check in checks if check["name"] == "settings")


def test_a_model_that_is_slower_than_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "fast", lambda model, *given: (model, "Replies come slower: no kernels."))
    well, slow = doctors._model(bundled_model())
    assert (well.state, slow.state, slow.detail) == ("ok", "note", "Replies come slower: no kernels.")
    assert slow.hint


async def test_the_same_is_told_beside_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    slow = ScriptedRuntime(["It is 4.<|eot_id|>"])
    slow.notice = "Replies come slower than they could."
    talk = Talk(slow, Settings(PERSONAS["default"], PERSONAS, Toolbox(())), unsaved(), source=io.StringIO())
    assert await one_shot(talk, "2 + 2?", "text") == 0
    assert capsys.readouterr() == ("It is 4.\n", "Replies come slower than they could.\n")


def test_a_broken_server_file_is_found(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mcp.json").write_text("{")
    code, checks = doctor(home)
    assert (code, states(checks)["tools"]) == (1, "bad")


def test_the_health_of_a_store_is_looked_at_and_not_changed(tmp_path: Path) -> None:
    store = tmp_path / "sessions.db"
    assert not health(store).there
    assert not store.exists()
    talked(store)
    found = health(store)
    assert (found.sessions, found.messages, found.wrong) == (1, 2, "")
    data = bytearray(store.read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    store.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    assert health(store).wrong
    assert sorted(tmp_path.rglob("*")) == before
