"""Sessions and sudden ends: kill -9, torn logs, garbage, two programs at once. Real processes, real files."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue

import pytest

from llamachat.errors import StorageError
from llamachat.messages import Dialog, Message, StopReason, ToolCall
from llamachat.sessions import Conditions, Node, Store

TALKER = Path(__file__).parent / "data" / "sessions" / "talker.py"
ROUNDS = int(os.environ.get("KILL_ROUNDS", "25"))  # 200 is what a release should survive
LANES = 5  # stores, each with its own rounds; side by side, since a talker mostly waits
LOST = 1.0  # seconds of which nothing need be there


@contextmanager
def talker(path: Path, session: str = "new") -> Iterator[subprocess.Popen[str]]:
    """A llamachat that talks to itself in another process."""
    command = [sys.executable, str(TALKER), str(path), session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_after(path: Path, events: int) -> tuple[str, list[list[str]]]:
    """Run a talker, kill it after so many events; the session's id, and what it had done a second before its end."""
    with talker(path) as process:
        assert process.stdout is not None
        id = process.stdout.readline().split()[0]
        lines = [process.stdout.readline() for _ in range(events)]
        end = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
    done = [line.split() for line in lines]
    return id, [words[:-1] for words in done if float(words[-1]) < end - LOST]


def well_formed(dialog: Dialog) -> bool:
    """Every call of a whole message has its result right behind it."""
    messages = dialog.messages
    return all(
        message.stop is StopReason.cancelled
        or [m.role for m in messages[i + 1 : i + 1 + len(message.tool_calls)]] == ["ipython"] * len(message.tool_calls)
        for i, message in enumerate(messages)
    )


def check_turns(path: list[Node], done: list[list[str]]) -> None:
    """All that was done is in ``path``, in order and unharmed."""
    turns: list[list[Node]] = []
    for node in path:
        if node.message.role == "user":
            turns.append([])
        turns[-1].append(node)
    for number, (question, *rest) in enumerate(turns):
        assert question.message.text == f"question {number}"
        assert [node.message.role for node in rest] == ["assistant", "ipython", "assistant"][: len(rest)]
        assert number == len(turns) - 1 or (len(rest) == 3 and rest[2].message.stop is StopReason.end_of_turn)
        assert len(rest) < 2 or rest[1].message.text == str(number) or "llamachat ended" in rest[1].message.text
    for what, turn, *more in done:
        question, *rest = turns[int(turn)]
        if what == "returned":
            assert rest[1].message.text == turn
        if what == "said":
            assert rest[2].message.text.split()[int(more[0])] == more[0]
        if what == "ended":
            assert rest[2].message.token_ids == (*range(60), 128009)
            assert rest[2].turn is not None
        assert rest or what == "asked"


def survive(path: Path, moments: random.Random) -> int:
    """Rounds of killing and reopening on one store; how many messages were mended."""
    mended = 0
    for _ in range(ROUNDS // LANES):
        id, done = kill_after(path, moments.randrange(450))
        with closing(Store(path)) as store:
            assert store.notice is None
            if not done and id not in [info.id for info in store.sessions()]:
                continue
            session = store.open(id)
            assert not session.shared
            check_turns(session.path, done)
            assert well_formed(session.dialog())
            mended += len(session.repaired)
            before = session.path
            session.ask(Message("user", "go on"), Conditions())
            session.close()
            assert store.open(id).path[:-1] == before
    return mended


def test_kill_9_loses_at_most_the_last_second(tmp_path: Path) -> None:
    with ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(survive, tmp_path / str(n) / "sessions.db", random.Random(n)) for n in range(LANES)]
        assert all(lane.result() for lane in lanes)


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was killed: most of it is still in the log."""
    path = tmp_path_factory.mktemp("torn") / "sessions.db"
    kill_after(path, 300)
    return path


def copied(torn: Path, folder: Path) -> Path:
    """A copy of a store and its log, to be harmed."""
    folder.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{torn}{suffix}", folder / f"sessions.db{suffix}")
    return folder / "sessions.db"


def usable(path: Path) -> tuple[Store, list[Node]]:
    """The store, which takes new messages, and the path of its only session, which is whole as far as it goes."""
    store = Store(path)
    found = [store.open(info.id) for info in store.sessions()]
    for session in found:
        check_turns(session.path, [])
        assert well_formed(session.dialog())
    new = store.create()
    new.ask(Message("user", "new"), Conditions())
    assert store.flush()
    return store, found[0].path if found else []


def test_a_log_that_is_cut_anywhere(torn: Path, tmp_path: Path) -> None:
    size = os.path.getsize(f"{torn}-wal")
    assert size > 100_000
    places = random.Random(50)
    lengths = []
    for cut in sorted(places.randrange(size) for _ in range(50)):
        path = copied(torn, tmp_path / str(cut))
        os.truncate(f"{path}-wal", cut)
        store, kept = usable(path)
        lengths.append(len(kept))
        assert store.notice is None
        assert store.close()
        shutil.rmtree(path.parent)
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


def test_a_store_that_is_damaged_anywhere_opens_or_is_set_aside(torn: Path, tmp_path: Path) -> None:
    """Garbage in the file and in the log, and a file that is cut: what can't be read is kept beside."""
    with closing(Store(copied(torn, tmp_path / "whole"))) as store:
        whole = len(store.open(store.sessions()[0].id).path)
    closed = (tmp_path / "whole" / "sessions.db").read_bytes()
    places, kept = random.Random(7), []
    for harm in range(40):
        path = tmp_path / f"{harm}" / "sessions.db"
        path.parent.mkdir()
        harmed = bytearray(closed)
        start = places.randrange(len(closed))
        if harm % 2:
            del harmed[start:]
        else:
            length = min(places.randrange(1, 9_000), len(closed) - start)
            harmed[start : start + length] = places.randbytes(length)
        path.write_bytes(harmed)
        (path.parent / "sessions.db-wal").write_bytes(b"torn")  # nobody closed it
        try:
            store = Store(path)
            found = [store.open(info.id) for info in store.sessions()]
        except StorageError:  # damage that the quick look did not see; the next opening knows better
            store = Store(path)
            found = [store.open(info.id) for info in store.sessions()]
        new = store.create()
        new.ask(Message("user", "new"), Conditions())
        assert store.flush(), store.writer.trouble
        if store.notice:
            assert list(path.parent.glob("sessions.db.damaged-*"))
        kept.append(max((len(s.path) for s in found), default=0))
        store.close()
    assert max(kept) == whole


@pytest.mark.parametrize(
    "content",
    [b"", b"no database at all " * 500, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["empty", "text", "only the magic"],
)
def test_a_file_that_is_no_store_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(content)
    log = tmp_path / "sessions.db-wal"
    log.write_bytes(b"its log")
    store = Store(path, clock=lambda: 1_800_000_000.0)
    assert store.notice is not None
    aside = tmp_path / "sessions.db.damaged-20270115-080000"
    assert str(aside) in store.notice.message
    assert aside.read_bytes() == content
    assert Path(f"{aside}-wal").read_bytes() == b"its log"
    assert usable(path)[0].notice is None


def test_the_database_of_another_program_is_left_whole(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE recipes (name); INSERT INTO recipes VALUES ('pie')")
    store, _ = usable(path)
    assert store.notice is not None
    (aside,) = (file for file in tmp_path.glob("sessions.db.damaged-*"))
    with closing(sqlite3.connect(aside)) as db:
        assert db.execute("SELECT name FROM recipes").fetchall() == [("pie",)]


def test_a_newer_store_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="newer llamachat") as caught:
        Store(path)
    assert "Update" in caught.value.hint
    assert path.read_bytes() == before


def test_two_programs_write_into_one_store(tmp_path: Path) -> None:
    """Two of them in one session, and a third in its own: nothing gets lost, and the second is told."""
    path = tmp_path / "sessions.db"
    with talker(path) as first:
        assert first.stdout is not None
        id, shared = first.stdout.readline().split()
        lines = [first.stdout.readline() for _ in range(70)]
        with talker(path, id) as second, talker(path) as third:
            assert second.stdout is not None
            assert third.stdout is not None
            told, other = second.stdout.readline().split(), third.stdout.readline().split()
            for process in (first, second, third) * 80:
                lines.append(process.stdout.readline())  # type: ignore[union-attr]
    assert (shared, told, other[1]) == ("0", [id, "1"], "0")
    with closing(Store(path)) as store:
        assert store.notice is None
        questions = {i: [n.message.text for n in store.open(i).tree.nodes.values() if n.message.role == "user"]
                     for i in (id, other[0])}  # fmt: skip
        assert questions[id].count("question 0") == 2
        assert questions[other[0]].count("question 0") == 1
        session = store.open(id)
        ends = [node.id for node in session.tree.nodes.values() if not session.tree.children(node.id)]
        for end in ends:
            assert well_formed(session.dialog(end))


def test_a_store_that_is_locked_is_written_later(tmp_path: Path) -> None:
    told: Queue[StorageError | None] = Queue()
    with closing(Store(tmp_path / "sessions.db", tell=told.put, busy=0.05)) as store:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            session = store.create()
            session.ask(Message("user", "kept"), Conditions())
            trouble = told.get(timeout=10)
            assert trouble is not None
            assert "locked" in trouble.message
            assert not store.flush()
            session.ask(Message("user", "kept too"), Conditions())
            assert [node.message.text for node in session.path] == ["kept", "kept too"]
        assert told.get(timeout=10) is None
        assert store.flush()
        assert [node.message.text for node in store.read(session.id)[1].nodes.values()] == ["kept", "kept too"]


@pytest.mark.parametrize("harm", ["removed", "garbage"])
def test_a_store_that_goes_away_under_way_is_written_anew(tmp_path: Path, harm: str) -> None:
    """Somebody removes or ruins the file while the chat runs: all that is in memory is written again."""
    told: Queue[StorageError | None] = Queue()
    path = tmp_path / "sessions.db"
    with closing(Store(path, tell=told.put)) as store:
        session = store.create()
        for number in range(30):
            session.ask(Message("user", f"{number} " * 500), Conditions())
        assert store.flush()
        if harm == "removed":
            for file in tmp_path.glob("sessions.db*"):
                file.unlink()
        else:
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with path.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * 200_000)
            assert told.empty()
        session.ask(Message("user", "and on"), Conditions())
        while not store.flush():
            told.get(timeout=10)
        assert len(store.read(session.id)[1].nodes) == 31
    with closing(Store(path)) as store:
        assert len(store.open(session.id).path) == 31


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The size of files is limited in another process, then the limit is lifted."""
    code = f"""
import resource
from pathlib import Path
from queue import Queue
from llamachat.messages import Message
from llamachat.sessions import Conditions, Store
told = Queue()
store = Store(Path({str(tmp_path / "sessions.db")!r}), tell=told.put)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
session = store.create()
for number in range(300):
    session.ask(Message("user", f"{{number}} " * 300), Conditions())
print(told.get(timeout=20).message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(told.get(timeout=20), store.close(), session.id)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    trouble, last = done.stdout.splitlines()
    assert "can't be used" in trouble
    none, closed, id = last.split()
    assert (none, closed) == ("None", "True")
    with closing(Store(tmp_path / "sessions.db")) as store:
        assert len(store.open(id).path) == 300


def test_half_a_file_gives_back_half_the_messages(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with closing(Store(path)) as store:
        session = store.create()
        for number in range(400):
            session.ask(Message("user", f"{number} " + "word " * 100), Conditions(system="Count."))
    os.truncate(path, path.stat().st_size // 2)
    with closing(Store(path)) as store:
        assert store.notice is not None
        kept = store.open(session.id).path
        assert f"{len(kept)} messages could be read" in store.notice.hint
        assert [node.message for node in kept] == [node.message for node in session.path[: len(kept)]]
        assert 100 < len(kept) < 300


def test_rows_that_make_no_sense_cost_only_themselves(tmp_path: Path) -> None:
    """Bytes that changed where SQLite has no checksum: the session can't be read, the next start mends it."""
    path = tmp_path / "sessions.db"
    call = ToolCall("f", {"x": 1})
    with closing(Store(path)) as store:
        session = store.create()
        session.ask(Message("user", "question"), Conditions(system="One."))
        session.add(session.make(Message("assistant", "beside", (call,), StopReason.end_of_turn, (1, 2))))
        session.add(session.make(Message("ipython", "result")))
        session.ask(Message("user", "lost"), Conditions(system="Two."))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE nodes SET calls = '[{\"nam' WHERE role = 'assistant'")
        db.execute("UPDATE nodes SET role = 'usfr' WHERE content = 'lost'")
        db.execute("UPDATE conditions SET data = '{}' WHERE data LIKE '%Two.%'")
        db.commit()
    with closing(Store(path)) as store, pytest.raises(StorageError, match="can't be read"):
        store.open(session.id)
    with closing(Store(path)) as store:
        assert store.notice is not None
        assert "3 rows make no sense" in store.notice.message
        assert [m.text for m in store.open(session.id).dialog()] == ["One.", "question", "beside", "result"]


def test_three_programs_make_the_store_together(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sessions.db"
    with talker(path) as one, talker(path) as two, talker(path) as three:
        ids = {process.stdout.readline().split()[0] for process in (one, two, three) if process.stdout}
        assert all(process.stdout.readline().startswith("asked 0") for process in (one, two, three) if process.stdout)
    with closing(Store(path)) as store:
        assert store.notice is None
        assert {info.id for info in store.sessions()} <= ids


@pytest.mark.parametrize("seed", [0, 33], ids=["no sense", "a length of gigabytes"])
def test_a_search_index_that_is_damaged_is_made_anew(tmp_path: Path, seed: int) -> None:
    path, told = tmp_path / "sessions.db", Queue[StorageError | None]()
    with closing(Store(path)) as store:
        store.create().ask(Message("user", "before"), Conditions())
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE words_data SET block = ?", (random.Random(seed).randbytes(50),))
        db.commit()
    with closing(Store(path, tell=told.put)) as store:
        session = store.open(store.sessions()[0].id)
        session.ask(Message("user", "after"), Conditions())
        while not store.flush():
            told.get(timeout=10)
        assert [len(store.search(word)) for word in ("before", "after")] == [1, 1]
