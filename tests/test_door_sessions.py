"""The sessions door, as a user calls it."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from saying import CONDITIONS, reply, user
from typer.testing import CliRunner

from llamachat.cli import app
from llamachat.errors import ConfigError, StorageError
from llamachat.sessions import Session, Store

pytestmark = pytest.mark.usefixtures("own_folders")


def door(*words: str, input: str | None = None) -> str:
    """What ``llamachat sessions …`` prints; errors are raised."""
    result = CliRunner().invoke(app, ["sessions", *words], input=input, env={"COLUMNS": "100"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1)
    return result.stdout


@pytest.fixture
def session(own_folders: None) -> Session:
    """One about llamas, with a retry, closed."""
    with closing(Store()) as store:
        session = store.create("/home/me")
        session.ask(user("Do llamas [bold]spit[/bold]?\x1b[31m"), CONDITIONS)
        first = reply(session, "Never.")
        session.retry(first.id)
        reply(session, "They do, and far.")
    return session


def test_an_empty_store() -> None:
    assert "no sessions yet" in door("list")
    assert json.loads(door("list", "--output", "json")) == []
    assert "Nothing was found" in door("search", "x")


def test_list_shows_what_it_is_about(session: Session) -> None:
    header, row = door("list").splitlines()
    assert header.split() == ["id", "last", "used", "messages", "title", "folder"]
    assert row.split()[0] == session.id[:8]
    assert "Do llamas [bold]spit[/bold]?␛[31m" in row
    (entry,) = json.loads(door("list", "--output", "json"))
    assert (entry["id"], entry["messages"], entry["cwd"]) == (session.id, 3, "/home/me")


def test_show(session: Session) -> None:
    text = door("show", session.id[:5])
    assert "They do, and far." in text
    assert "Never." not in text
    assert "\x1b" not in text
    rows = door("show", "--tree", session.id).splitlines()
    assert rows == [
        "• user: Do llamas [bold]spit[/bold]?␛[31m",
        "    assistant ‹1/2›: Never.",
        "•   assistant ‹2/2›: They do, and far.",
    ]
    assert len(json.loads(door("show", "--output", "json", session.id))["nodes"]) == 3


def test_search_finds_words_in_all_branches(session: Session) -> None:
    assert "Never." in door("search", "nev")
    (hit,) = json.loads(door("search", "far", "they", "--output", "json"))
    assert hit["session"] == session.id
    assert [piece for piece, marked in hit["snippet"] if marked] == ["They", "far"]


def test_export_and_import(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    door("export", session.id, "--format", "json", "-o", str(file))
    with pytest.raises(ConfigError, match="there already"):
        door("export", session.id, "-o", str(file))
    with pytest.raises(ConfigError, match="here already"):
        door("import", str(file))
    copy = door("import", "--copy", str(file)).split()[0]
    assert copy != session.id[:8]
    door("rm", "--yes", session.id)
    assert session.id[:8] in door("import", "-", input=file.read_text())
    with closing(Store()) as store:
        again = store.open(session.id)
        assert again.tree.nodes == session.tree.nodes
        assert again.dialog() == session.dialog()
        assert [n.message for n in store.read(store.find(copy).id)[1].nodes.values()] == [
            node.message for node in session.tree.nodes.values()
        ]
    assert door("export", session.id).startswith("# Do llamas")
    (pair,) = [json.loads(line) for line in door("export", session.id, "--format", "dpo").splitlines()]
    assert pair["chosen"][0]["content"] == "They do, and far."


def test_an_export_without_a_preference_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    with closing(Store()) as store:
        plain = store.create("/tmp")
        plain.ask(user("Hello"), CONDITIONS)
    file = tmp_path / "pairs.jsonl"
    with pytest.raises(ConfigError, match="liked better") as caught:
        door("export", plain.id, "--format", "dpo", "-o", str(file))
    assert "/retry" in (caught.value.hint or "")
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "no json", "[" * 100_000, '{"a": 1}', "[]"])
def test_import_refuses_what_is_no_session(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content)
    with pytest.raises(StorageError) as caught:
        door("import", str(file))
    assert caught.value.hint
    with pytest.raises(StorageError, match="Can't read"):
        door("import", str(tmp_path / "nothing.json"))


def test_rename_and_rm(session: Session) -> None:
    door("rename", session.id[:6], "Llamas")
    assert "Llamas" in door("list")
    assert "Remove" in door("rm", session.id[:6], input="n\n")
    assert "Llamas" in door("list")
    door("rm", session.id[:6], session.id, input="y\n")
    assert "no sessions yet" in door("list")


@pytest.mark.parametrize("command", [("show",), ("export",), ("rm", "-y"), ("rename", "x")])
def test_an_unknown_id_is_a_wrong_usage(session: Session, command: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="no session"):
        door(command[0], "zz", *command[1:])


def test_a_damaged_store_is_said(own_folders: None, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sessions.db").write_bytes(b"garbage" * 1000)
    result: Any = CliRunner().invoke(app, ["sessions", "list"])
    assert "set aside as" in result.stderr
    assert "no sessions yet" in result.stdout
