"""Sessions through their store: what was said is there again, as a tree, ids and all."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from saying import CALL, CONDITIONS, END, reopened, reply, said, texts, user

from llamachat.agent import run_turn
from llamachat.errors import ConfigError, StorageError
from llamachat.messages import (
    Artifact,
    CallDelta,
    Dialog,
    Message,
    MessageEnd,
    StopReason,
    TextDelta,
    ToolCall,
    ToolEnd,
    ToolResult,
    ToolStart,
    TurnEnd,
    Usage,
)  # fmt: skip
from llamachat.sessions import Conditions, Recorder, Store, database, unsaved
from llamachat.sessions.database import connect
from llamachat.sessions.schema import MIGRATIONS
from llamachat.testing import ScriptedRuntime
from llamachat.tools import Tool, Toolbox, ToolOutput


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    ticks = count(1_800_000_000)
    with closing(Store(path, clock=lambda: float(next(ticks)))) as store:
        yield store


STRANGE = [
    Message("user", ("pieces ", "apart"), context="retrieved \ud800"),
    Message("user", ""),
    Message("user", "lone \udfff, NUL \0, \u202e, 🦙\r\n"),
    Message("assistant", "beside", (CALL, ToolCall("f")), StopReason.end_of_message, (0, 2**32 - 1)),
    Message("ipython", ("", "x")),
    Message("assistant", "cut", stop=StopReason.out_of_tokens, token_ids=()),
    Message("system", "in between"),
]


def test_a_dialog_comes_back_exactly_as_it_was_said(store: Store) -> None:
    session = store.create("/home/me")
    for message in STRANGE:
        session.add(session.make(message, conditions=CONDITIONS))
    session.end_turn(session.path[5].id, END)
    before = dict(session.tree.nodes)
    asked = Dialog((Message("system", "Say arr."), *STRANGE))
    assert session.dialog() == asked
    again = reopened(store, session)
    assert again.dialog() == asked
    assert again.tree.nodes == before
    assert again.info == session.info
    assert again.repaired == ()


async def test_a_turn_is_recorded_and_goes_on_from_the_same_ids(store: Store) -> None:
    """Prompts after reopening begin with the ids before it, so that the KV cache stays valid."""

    async def double(x: int) -> ToolOutput:
        return ToolOutput(str(2 * x))

    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tool = Tool("double", "Doubles.", schema, lambda arguments: double(**arguments))
    runtime = ScriptedRuntime(
        ['{"name": "double", "parameters": {"x": 21}}<|eom_id|>', "It is 42.<|eot_id|>", "Bye.<|eot_id|>"]
    )
    session = store.create()
    session.ask(user("Double 21"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    async for event in run_turn(session.dialog(), runtime, Toolbox((tool,))):
        recorder.feed(event)
    recorder.close()
    assert [node.message.role for node in session.path] == ["user", "assistant", "ipython", "assistant"]
    result = session.path[2]
    assert result.outcome is not None
    assert (result.outcome.call, result.outcome.ok) == (ToolCall("double", {"x": 21}), True)
    assert session.path[3].turn is not None
    assert session.path[3].turn.steps == 2
    session = reopened(store, session)
    session.ask(user("Bye"), CONDITIONS)
    async for _ in run_turn(session.dialog(), runtime, Toolbox((tool,))):
        pass
    first, second, third = runtime.prompts
    assert second[: len(first)] == first
    assert third[: len(second)] == second


@pytest.mark.parametrize("started", [False, True])
def test_calls_without_result_are_answered_at_reopening(store: Store, started: bool) -> None:
    """As after kill -9, between two calls and within the second."""
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    calls = (ToolCall("f", {"n": 1}), ToolCall("f", {"n": 2}), ToolCall("f", {"n": 3}))
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(CallDelta("f(1)"))
    recorder.feed(MessageEnd(Message("assistant", "", calls, StopReason.end_of_turn, (7, 128009))))
    recorder.feed(ToolStart(calls[0]))
    recorder.feed(ToolEnd(ToolResult(calls[0], "one"), 0.1))
    recorder.feed(MessageEnd(Message("ipython", "one")))
    if started:
        recorder.feed(ToolStart(calls[1]))
    session = reopened(store, session)
    assert [node.message.role for node in session.path] == ["user", "assistant", *["ipython"] * 3]
    assert [node.outcome.call for node in session.path[2:] if node.outcome] == list(calls)
    assert [node.kind for node in session.path[2:]] == ["said", "repair", "repair"]
    assert list(session.repaired) == session.path[3:]
    assert "llamachat ended before this call returned" in session.path[3].message.text
    again = reopened(store, session)
    assert again.repaired == ()
    assert again.path == session.path


def test_a_turn_that_the_user_stopped_is_not_mended(store: Store) -> None:
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(MessageEnd(Message("assistant", "", (CALL,), StopReason.end_of_message, (7,))))
    recorder.feed(TurnEnd(StopReason.cancelled, Usage()))
    recorder.close()
    before = session.path
    again = reopened(store, session)
    assert (again.path, again.repaired) == (before, ())


def test_a_turn_that_fails_keeps_what_was_running(store: Store) -> None:
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(MessageEnd(Message("assistant", "", (CALL,), StopReason.end_of_message, (7,))))
    recorder.feed(ToolStart(CALL))
    recorder.close()
    recorder.close()
    assert session.path[-1].kind == "repair"
    assert session.path[-1].turn == TurnEnd(StopReason.cancelled, Usage())
    before = session.path
    assert reopened(store, session).path == before


def test_files_outlive_the_folder_they_were_made_in(store: Store, tmp_path: Path) -> None:
    plot, table = tmp_path / "plot.png", tmp_path / "t.csv"
    plot.write_bytes(b"PNG" * 1000)
    table.write_text("a,b\n")
    gone = Artifact("gone.png", "image/png", str(tmp_path / "gone.png"))
    session = store.create()
    asked = session.ask(user("plot"), CONDITIONS, [Artifact("t.csv", "text/csv", str(table))])
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(MessageEnd(Message("assistant", "", (CALL,), StopReason.end_of_message, (7,))))
    recorder.feed(ToolStart(CALL))
    made = Artifact("plot.png", "image/png", str(plot))
    recorder.feed(ToolEnd(ToolResult(CALL, "done", artifacts=(made, made, gone)), 0.1))
    node = recorder.feed(MessageEnd(Message("ipython", "done")))
    assert node is not None
    assert store.flush()
    plot.unlink()
    table.unlink()
    for opened in (session, reopened(store, session)):
        one, two, lost = opened.artifacts(node.id)
        assert one.path == two.path != str(plot)
        assert Path(one.path).read_bytes() == b"PNG" * 1000
        assert (one.name, Path(one.path).suffix, lost.name) == ("plot.png", ".png", "gone.png")
        assert Path(opened.artifacts(asked.id)[0].path).read_text() == "a,b\n"
    opened.close()
    store.remove(session.id)
    assert list(store.files.folder.iterdir()) == []


def test_removing_leaves_no_trace_of_the_words(store: Store, path: Path) -> None:
    keep, drop = store.create(), store.create()
    keep.ask(user("harmless"), CONDITIONS)
    drop.ask(user("thesecretword " * 50), Conditions(system="thesecretprompt"))
    with pytest.raises(ConfigError, match="is open"):
        store.remove(drop.id)
    for session in (keep, drop):
        session.close()
    store.remove(drop.id)
    store.close()
    assert [info.id for info in store.sessions()] == [keep.id]
    left = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())
    assert b"harmless" in left
    assert b"thesecret" not in left


def test_lists_and_prefixes(store: Store) -> None:
    assert (store.sessions(), store.latest(), store.search("x")) == ([], None, [])
    empty = store.create()
    here, there = store.create("/here"), store.create("/there")
    here.ask(user("  What is\nthe matter? " + "x" * 100), CONDITIONS)
    there.ask(user("hello"), CONDITIONS)
    assert [info.id for info in store.sessions()] == [there.id, here.id]
    assert len(store.sessions(1)) == 1
    assert store.latest() == there.info
    assert store.latest("/here") == here.info
    assert store.latest("/nowhere") is None
    assert here.info.title == "What is the matter? " + "x" * 39 + "…"
    here.rename("Matter")
    assert store.find(here.id[:8].upper()).title == "Matter"
    store.rename(here.id, "matters")
    assert store.find(here.id).title == "matters"
    for wrong in ("", "zz", "%", empty.id):
        with pytest.raises(ConfigError, match="no session"):
            store.find(wrong)
    with pytest.raises(ConfigError, match="no session"):
        store.open(empty.id)


def test_a_prefix_of_several_names_them(store: Store) -> None:
    ids = {(session := store.create()).id: session for _ in range(40)}
    for session in ids.values():
        session.ask(user("same"), CONDITIONS)
    first = next(c for c in "0123456789abcdef" if sum(id.startswith(c) for id in ids) > 1)
    with pytest.raises(ConfigError, match="more than one") as caught:
        store.find(first)
    assert next(id for id in ids if id.startswith(first))[:8] in caught.value.hint


def test_search_takes_words_for_words(store: Store) -> None:
    session = store.create()
    for text in ('He said "NEAR(x)" AND left', "C++ is * not a-b", "Über Lärm\0 am Fluß", "中文 text"):
        session.ask(user(text), CONDITIONS)
    found = {words: [hit.node for hit in store.search(words)] for words in (
        'said "NEAR', "AND", "c++", "uber larm", "LÄR", "nothing", '"', "*", "a-b", "x) OR (y", "content:left", "中文",
        "\0", "\ud800", "fluß NOT", "",
    )}  # fmt: skip
    first, second, third, fourth = (node.id for node in session.path)
    expected = {'said "NEAR': [first], "AND": [first], "c++": [second], "uber larm": [third], "LÄR": [third],
                "a-b": [second], "中文": [fourth]}  # fmt: skip
    assert {words: ids for words, ids in found.items() if ids} == expected
    (hit,) = store.search("left said")
    assert [piece for piece, marked in hit.snippet if marked] == ["said", "left"]
    assert "".join(piece for piece, _ in hit.snippet) == 'He said "NEAR(x)" AND left'


def test_files_are_the_users_alone(store: Store, path: Path) -> None:
    session = store.create()
    source = path.parent / "a.txt"
    source.write_text("a")
    source.chmod(0o644)
    session.ask(user("q"), CONDITIONS, [Artifact("a.txt", "text/plain", str(source))])
    assert store.flush()
    source.unlink()
    modes = {file: file.stat().st_mode & 0o777 for file in (path.parent, *path.parent.rglob("*"))}
    assert {path, Path(f"{path}-wal")} < set(modes)
    assert {file.name: oct(mode) for file, mode in modes.items() if mode != (0o700 if file.is_dir() else 0o600)} == {}


def test_a_session_open_twice_is_shared_and_then_is_not(store: Store, path: Path) -> None:
    first = store.create()
    first.ask(user("q"), CONDITIONS)
    recorder = Recorder(first, CONDITIONS)
    recorder.feed(MessageEnd(Message("assistant", "", (CALL,), StopReason.end_of_message, (7,))))
    recorder.feed(ToolStart(CALL))
    assert store.flush()
    with closing(Store(path)) as other:
        second = other.open(first.id)
        assert (first.shared, second.shared) == (False, True)
        assert texts(second) == ["q"]
        second.ask(user("mine"), CONDITIONS)
        recorder.feed(ToolEnd(ToolResult(CALL, "1"), 0.1))
        recorder.feed(MessageEnd(Message("ipython", "1")))
        assert other.flush()
    recorder.close()
    session = reopened(store, first)
    assert (session.shared, session.repaired) == (False, ())
    assert [row.node.message.role for row in session.tree.walk()] == ["user", "assistant", "ipython", "user"]


def test_a_third_that_opens_it_alone_takes_nothing_from_the_second(store: Store, path: Path) -> None:
    """The second is told that it shares, the first leaves, and the second's reply streams on."""
    first = store.create()
    first.ask(user("q"), CONDITIONS)
    assert store.flush()
    with closing(Store(path)) as other:
        second = other.open(first.id)
        recorder = Recorder(second, CONDITIONS)
        recorder.feed(TextDelta("half"))
        assert other.flush()
        third = reopened(store, first)
        assert [node.message.text for node in third.repaired] == ["half"]
        assert store.flush()
        recorder.feed(MessageEnd(said("half and whole")))
        recorder.close()
    found = store.read(first.id)[1].children(first.path[0].id)
    assert [node.message.text for node in found] == ["half", "half and whole"]


def test_migrations_come_one_by_one_and_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(path)) as store:
        store.create().ask(user("kept"), CONDITIONS)

    def state() -> tuple[int, list[str]]:
        with closing(connect(path)) as db:
            columns = [row["name"] for row in db.execute("PRAGMA table_info(sessions)")]
            return db.execute("PRAGMA user_version").fetchone()[0], columns[6:]

    assert state() == (1, [])
    good, bad = "ALTER TABLE sessions ADD COLUMN colour", "ALTER TABLE sessions ADD COLUMN taste; SELECT nonsense"
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, good, bad))
    with pytest.raises(StorageError, match="nonsense"):
        Store(path)
    assert state() == (2, ["colour"])
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, good))
    with closing(Store(path)) as store:
        assert [node.message.text for node in store.open(store.sessions()[0].id).path] == ["kept"]


def test_without_a_store_the_chat_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be used") as caught:
        Store(tmp_path / "file" / "sessions.db")
    assert caught.value.hint
    session = unsaved()
    session.ask(user("q"), CONDITIONS)
    reply(session, "a")
    session.name(session.path[0].id, "n")
    session.close()
    assert texts(session) == ["q", "a"]


async def test_a_slow_disk_blocks_nobody(store: Store) -> None:
    """A write that takes its time holds up neither the recorder nor the loop."""
    gate = threading.Event()
    store.writer.put(lambda db: gate.wait(10))
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    for _ in range(1000):
        recorder.feed(TextDelta("x"))
    await asyncio.sleep(0)
    assert not store.flush(0.01)
    gate.set()
    assert store.flush()
    recorder.close()
    assert texts(session) == ["q", "x" * 1000]


def test_a_deep_session_can_be_walked_and_removed(store: Store) -> None:
    """Deeper than Python's recursion and SQLite's triggers go."""
    session = store.create()
    for number in range(2_000):
        session.add(session.make(user(str(number)), conditions=CONDITIONS))
    session = reopened(store, session)
    assert len(session.path) == len(session.dialog()) - 1 == len(list(session.tree.walk())) == 2_000
    session.close()
    store.remove(session.id)
    assert store.sessions() == []


def test_the_data_folder_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "odd ?#% näme"
    monkeypatch.setenv("LLAMACHAT_DATA_DIR", str(folder))
    with closing(Store()) as store:
        store.create().ask(user("q"), CONDITIONS)
    assert os.listdir(folder)
    with closing(Store()) as store:
        assert len(store.sessions()) == 1
