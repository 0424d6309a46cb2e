"""All sessions of a user in one SQLite file: opened, listed, searched, taken in, removed. The only door to the disk.

Durable: after kill -9 everything is there but at most the last quarter second of a reply (``writer.FLUSH``). Several
processes may use one store.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection, Row

from filelock import FileLock, Timeout

from llamachat.errors import ConfigError, StorageError
from llamachat.paths import data_dir
from llamachat.sessions.artifacts import Artifacts
from llamachat.sessions.database import AGAIN, connect, prepare, suspect, transaction, translated
from llamachat.sessions.records import SHORTEST, Hit, Info, Node, new_id, short
from llamachat.sessions.repair import answer_calls, finish_drafts, open_calls
from llamachat.sessions.rows import SENSELESS, drop_draft, plain, read_drafts, read_nodes, save_info, save_node
from llamachat.sessions.session import Session, Unsaved
from llamachat.sessions.tree import Tree
from llamachat.sessions.writer import Tell, Writer

_INFO = """
SELECT sessions.*, (SELECT count(*) FROM nodes WHERE session = sessions.id) AS messages FROM sessions
"""
_SEARCH = """
SELECT nodes.session, sessions.title, nodes.id, nodes.role, nodes.created,
    snippet(words, 0, char(2), char(3), '…', 16) AS snippet
FROM words JOIN nodes ON nodes.seq = words.rowid JOIN sessions ON sessions.id = nodes.session
WHERE words MATCH ? ORDER BY rank LIMIT ?
"""


def unsaved(clock: Callable[[], float] = time.time) -> Session:
    """A session that nobody keeps, for a chat whose store can't be had."""
    now = clock()
    return Session(Info(new_id(), "", "", now, now), Tree(), Unsaved(), clock=clock)


class Store:
    """The sessions in ``path``. Every method may raise StorageError, whose hint says what to do.

    ``notice`` is an error to show, if the store was found damaged and set aside. ``tell`` hears, in another thread, of
    trouble with writing, and with None of its end.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        tell: Tell = lambda trouble: None,
        busy: float = 5.0,
    ) -> None:
        self.path = path or data_dir() / "sessions.db"
        self.clock, self.busy = clock, busy
        self.notice = prepare(self.path, clock())
        self.writer = Writer(self.path, tell, busy=busy, clock=clock)
        self.files = Artifacts(self.path.with_name("artifacts"))

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self, limit: int = -1) -> list[Info]:
        """The latest first; all by default."""
        with self._reading() as db:
            rows = db.execute(f"{_INFO} ORDER BY updated DESC, rowid DESC LIMIT ?", (limit,))
            return [_info(row) for row in rows]

    def latest(self, cwd: str | None = None) -> Info | None:
        """The session that was last written to, of those begun in the folder ``cwd`` if given."""
        with self._reading() as db:
            where, values = ("WHERE cwd = ?", (plain(cwd),)) if cwd is not None else ("", ())
            row = db.execute(f"{_INFO} {where} ORDER BY updated DESC, rowid DESC LIMIT 1", values).fetchone()
            return row and _info(row)

    def find(self, prefix: str) -> Info:
        """The session whose id begins with ``prefix``. Raises ConfigError if there is none, or more than one."""
        with self._reading() as db:
            rows = db.execute(f"{_INFO} WHERE substr(id, 1, ?) = ? LIMIT 9", (len(prefix), plain(prefix.lower())))
            found = [_info(row) for row in rows] if prefix else []
        exact = [info for info in found if info.id == prefix] or found
        if not exact:
            raise ConfigError(f"There is no session {prefix!r}.", "llamachat sessions list shows them.")
        if len(exact) > 1:
            candidates = ", ".join(f"{info.id[: max(SHORTEST, len(prefix) + 2)]} ({info.title})" for info in exact)
            raise ConfigError(f"{prefix!r} fits more than one session.", f"Give more of the id: {candidates}.")
        return exact[0]

    def search(self, words: str, limit: int = 20) -> list[Hit]:
        """Messages that hold all ``words`` (the last may be the beginning of one), the best first. The words mean
        themselves: nothing in them is query syntax."""
        query = _query(words)
        if not query:
            return []
        with self._reading() as db:
            return [_hit(row) for row in db.execute(_SEARCH, (query, limit))]

    def read(self, id: str) -> tuple[Info, Tree]:
        """A session as it is on the disk, to look at, with what a program that ended was writing. Raises ConfigError if
        there is none."""
        with self._holding(id) as mine, self._reading() as db:
            info, tree, _ = self._load(db, id)
            for node in finish_drafts(tree, read_drafts(db, id) if mine else ()):
                info = replace(info, head=node.id if node.parent == info.head else info.head)
        return info, tree

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, cwd: str = "") -> Session:
        """A new session. It is not on the disk before its first message."""
        now = self.clock()
        info = Info(new_id(), "", cwd, now, now)
        held = ExitStack()
        held.enter_context(self._holding(info.id))
        return self._opened(info, Tree(), 0, held)

    def open(self, id: str) -> Session:
        """Go on with a session. What the end of a program cut off is mended, unless another llamachat has it open: then
        it is ``shared``, and the head goes back to where nothing is under way. Raises ConfigError if there is none."""
        with ExitStack() as held:
            mine = held.enter_context(self._holding(id, 0.2))  # seconds: others hold it for a moment when they look
            with self._reading() as db:
                info, tree, visits = self._load(db, id)
                drafts = read_drafts(db, id) if mine else []
            session = self._opened(info, tree, visits, held.pop_all())
        session.shared = not mine
        if mine:
            self._repair(session, drafts)
        else:
            session.info = replace(info, head=_settled(tree, info.head))
        return session

    def _opened(self, info: Info, tree: Tree, visits: int, held: ExitStack) -> Session:
        session = Session(info, tree, self.writer, clock=self.clock, files=self.files, visits=visits)
        self.writer.sources.append(session)
        session.held.push(held)
        session.held.callback(self.writer.sources.remove, session)
        session.held.callback(self.writer.flush)
        return session

    @contextmanager
    def _holding(self, id: str, timeout: float = 0.0) -> Iterator[bool]:
        """Whether the session is ours alone inside the block. The system lets go of it however the program ends."""
        folder = self.path.with_name("locks")
        lock = FileLock(folder / f"{id}.lock", mode=0o600, thread_local=False)
        with translated(self.path):
            folder.mkdir(mode=0o700, exist_ok=True)
            with suppress(Timeout):
                lock.acquire(timeout=timeout)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def _repair(self, session: Session, drafts: list[tuple[Node, str]]) -> None:
        tree, head = session.tree, session.head
        mended = [*finish_drafts(tree, drafts), *answer_calls(tree, self.clock())]
        drops = (drop_draft(session.id, node.id) for node, _ in drafts)
        self.writer.put(*(save_node(session.info, node, 0) for node in mended), *drops)  # at once, or not at all
        session.repaired = tuple(mended)
        session.info = replace(session.info, messages=len(tree.nodes))
        below = {node.parent: node.id for node in mended}
        while head in below:
            head = below[head]
        if head != session.head:
            session.go(head)

    def _load(self, db: Connection, id: str) -> tuple[Info, Tree, int]:
        row = db.execute(f"{_INFO} WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise ConfigError(f"There is no session {id!r}.", "llamachat sessions list shows them.")
        try:
            rows = read_nodes(db, id)
            tree = Tree(replace(n, artifacts=tuple(map(self.files.located, n.artifacts))) for n, _ in rows)
        except SENSELESS as error:
            suspect(self.path)
            raise StorageError(f"Session {id} can't be read: {error!r}.", AGAIN) from error
        ranks = sorted(((visited, place, node) for place, (node, visited) in enumerate(rows)), key=lambda r: r[:2])
        tree.chosen = {node.parent: node.id for _, _, node in ranks}
        info = _info(row)
        return replace(info, head=info.head or tree.leaf(None)), tree, max((rank for rank, _, _ in ranks), default=0)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def rename(self, id: str, title: str) -> None:
        """Give a session another title."""
        with self._writing() as db:
            db.execute("UPDATE sessions SET title = ? WHERE id = ?", (plain(short(title, 200)), id))

    def insert(self, info: Info, tree: Tree) -> None:
        """Take in a whole session. Raises ConfigError if its id is taken."""
        session = Session(info, tree, Unsaved(), clock=self.clock, files=self.files, visits=1)
        with self._writing() as db:
            if db.execute("SELECT 1 FROM sessions WHERE id = ?", (info.id,)).fetchone():
                raise ConfigError(f"Session {info.id} is here already.", "Give --copy to take it in under a new id.")
            for write in (*session.everything(), save_info(info)):
                write(db)

    def remove(self, id: str) -> None:
        """Remove a session for good, with the files that no other has. Raises ConfigError if it is open somewhere."""
        with self._holding(id) as mine, self._writing() as db:
            if not mine:
                raise ConfigError(f"Session {id} is open in a llamachat.", "Close it there first.")
            for table in ("nodes", "drafts", "chunks"):
                db.execute(f"DELETE FROM {table} WHERE session = ?", (id,))
            db.execute("DELETE FROM sessions WHERE id = ?", (id,))
            db.execute("DELETE FROM conditions WHERE id NOT IN (SELECT conditions FROM nodes WHERE conditions NOTNULL)")
            db.execute("INSERT INTO words (words) VALUES ('optimize')")  # else removed words stay in old segments
            files = "SELECT json_extract(value, '$[2]') FROM nodes, json_each(nodes.artifacts)"
            self.files.remove_all_but({name for (name,) in db.execute(files)})
        with self._reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all is on the disk; False if that is not possible now."""
        return self.writer.flush(timeout)

    def close(self) -> bool:
        """Write what is left and let go of all sessions; False if something could not be written."""
        for session in list(self.writer.sources):
            session.close()
        return self.writer.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """What was put is on the disk first, if the disk takes it soon."""
        self.writer.flush(1.0)
        with translated(self.path), closing(connect(self.path, busy=self.busy)) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._reading() as db, transaction(db):
            yield db


def _info(row: Row) -> Info:
    return Info(*(row[key] for key in ("id", "title", "cwd", "created", "updated", "head", "messages")))


def _query(words: str) -> str:
    """Every word as a quoted string, which FTS5 takes for nothing else; the last may go on."""
    quoted = ['"' + word.replace('"', '""') + '"' for word in plain(words).replace("\0", " ").split()]
    return f"{' '.join(quoted)}*" if any(char.isalnum() for char in words) else ""


def _hit(row: Row) -> Hit:
    pieces: list[tuple[str, bool]] = []
    for number, piece in enumerate(row["snippet"].split("\x02")):
        marked, _, rest = piece.partition("\x03") if number else ("", "", piece)
        pieces += [(text, found) for text, found in ((marked, True), (rest, False)) if text]
    return Hit(row["session"], row["title"], row["id"], row["role"], row["created"], tuple(pieces))


def _settled(tree: Tree, head: str | None) -> str | None:
    """The head, or the nearest message above where no call waits for its result."""
    while head is not None and open_calls(tree, tree.nodes[head]):
        head = tree.nodes[head].parent
    return head
