"""Full-text search of the user's own folder, offline: SQLite FTS5, brought up to date with each search. Knows no web.

Files are read again when their size or time of change is another. Hidden files and folders, links, binary files and
those that are too large are left out. The index is a cache: a torn one is built anew, and where no file can be
written it is kept in memory.
"""

import asyncio
import hashlib
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from llamachat.errors import PageError, SearchError
from llamachat.tools.search import Found
from llamachat.tools.search.readable import decode
from llamachat.tools.search.reader import Reader
from llamachat.tools.shorten import printable

MAX_BYTES = 4_000_000  # of a file
MAX_FILES = 20_000
_PASSAGE = 2000  # characters that are ranked as one
_BUDGET = 4.0  # seconds of indexing in one search; the next one goes on
_VERSION = 1
_SCHEMA = f"""
    CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT UNIQUE, time INTEGER, size INTEGER);
    CREATE VIRTUAL TABLE passages USING fts5 (name, text, tokenize = "porter unicode61 remove_diacritics 2");
    PRAGMA user_version = {_VERSION};
"""
_ROWS = 10_000  # rowids of passages per file: its id times that, and on
_BEST = f"""
    SELECT path, snippet(passages, 1, '', '', '…', 40) FROM passages JOIN files ON files.id = passages.rowid / {_ROWS}
    WHERE passages MATCH ? ORDER BY bm25(passages, 3, 1) LIMIT 100
"""
_PAGES = (".html", ".htm", ".xhtml")


class FolderIndex:
    """A provider of passages from files below ``folder``. ``cache`` is where indexes may be written.

    ``clock`` counts seconds. Not for use in a thread with an event loop.
    """

    def __init__(self, folder: Path, cache: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = "folder"
        self._folder, self._clock = folder.expanduser().resolve(), clock
        self._file = cache / f"{hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:20]}.sqlite"
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider. ``url`` is the path of the file, ``text`` the passage around the words."""
        if not self._lock.acquire(timeout=_BUDGET):
            raise SearchError("the search failed: the folder is still being read.", "Try again in a minute.")
        try:
            return self._with(lambda index: self._look_up(index, query, limit))
        finally:
            self._lock.release()

    def _with(self, use: Callable[[sqlite3.Connection], list[Found]]) -> list[Found]:
        """``use`` with the index on disk; or a new one, if it is torn; or one in memory, if it can't be written."""
        for _ in range(0 if self._memory else 2):
            try:
                return _using(self._open(), use)
            except (sqlite3.OperationalError, OSError):
                break  # read-only, full, locked
            except (sqlite3.DatabaseError, MemoryError):  # the latter: a damaged length
                self._discard()
        if self._memory is None:
            self._memory = _with_schema(sqlite3.connect(":memory:", check_same_thread=False))
        return use(self._memory)

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        index = sqlite3.connect(self._file, timeout=0.5)
        try:
            if index.execute("PRAGMA user_version").fetchone() == (_VERSION,):
                return index
            if index.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise sqlite3.DatabaseError("another version's")
            return _with_schema(index)
        except (sqlite3.Error, MemoryError):
            index.close()
            raise

    def _discard(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self._file}{suffix}").unlink()

    def _look_up(self, index: sqlite3.Connection, query: str, limit: int) -> list[Found]:
        try:
            asyncio.run(self._refresh(index))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise  # else another llamachat brings it up to date just now
        words = [f'"{word}"' for word in re.findall(r"\w+", query)[:20]]
        found: dict[str, str] = {}
        for together in (" ".join(words), " OR ".join(words)):  # all of them, else any
            if words and not found:
                for path, text in index.execute(_BEST, (together,)):
                    found.setdefault(path, text)
        return [Found(Path(path).name, path, " ".join(text.split())) for path, text in list(found.items())[:limit]]

    async def _refresh(self, index: sqlite3.Connection) -> None:
        """Bring the index up to date, or nearer to it in the time there is."""
        deadline = self._clock() + _BUDGET
        known = {path: (time, size) for path, time, size in index.execute("SELECT path, time, size FROM files")}
        here: set[str] = set()
        async with Reader() as reader:
            with index:  # one transaction: a sync to disk for each file would take longer than reading it
                for path, changed, size in _files(self._folder):
                    here.add(path)
                    if known.get(path) != (changed, size) and self._clock() < deadline:
                        _replace(index, path, changed, size, await _text(reader, Path(path), size))
                for path in known.keys() - here:
                    _remove(index, path)


def _using(index: sqlite3.Connection, use: Callable[[sqlite3.Connection], list[Found]]) -> list[Found]:
    try:
        return use(index)
    finally:
        index.close()


def _with_schema(index: sqlite3.Connection) -> sqlite3.Connection:
    index.executescript(_SCHEMA)
    return index


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Path, time of change in ns and size of what is there, in order; at most MAX_FILES."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(place, name)
            with suppress(OSError, UnicodeError):
                path.encode()  # a name that is no text can't be told to a model
                state = os.lstat(path)
                if not name.startswith(".") and _is_file(state.st_mode) and count < MAX_FILES:
                    count += 1
                    yield path, state.st_mtime_ns, state.st_size


def _is_file(mode: int) -> bool:
    return mode & 0o170000 == 0o100000  # no link, whose target may be anywhere, no pipe, which may never end


async def _text(reader: Reader, path: Path, size: int) -> str:
    """What a file says; nothing, if it is no text or can't be read."""
    if size > MAX_BYTES:
        return ""
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES)
        if body.startswith(b"%PDF-"):
            return (await reader.pdf(body)).text
        if path.suffix.lower() in _PAGES:
            return (await reader.html(body)).text
    except (OSError, PageError):
        return ""
    wide = body.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16 is full of zeros
    return decode(body) if wide or b"\0" not in body[:8192] else ""


def _replace(index: sqlite3.Connection, path: str, changed: int, size: int, text: str) -> None:
    _remove(index, path)
    file = index.execute("INSERT INTO files (path, time, size) VALUES (?, ?, ?)", (path, changed, size)).lastrowid
    assert file is not None
    name = re.sub(r"[_\W]+", " ", Path(path).stem)
    passages = [text[start : start + _PASSAGE] for start in range(0, max(len(text), 1), _PASSAGE)]
    rows = ((file * _ROWS + number, name, printable(passage)) for number, passage in enumerate(passages))
    index.executemany("INSERT INTO passages (rowid, name, text) VALUES (?, ?, ?)", rows)


def _remove(index: sqlite3.Connection, path: str) -> None:
    for (file,) in index.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchall():
        index.execute("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (file * _ROWS, (file + 1) * _ROWS - 1))
        index.execute("DELETE FROM files WHERE id = ?", (file,))
