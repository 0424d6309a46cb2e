"""The file of the store: made, migrated, looked over, set aside when it is damaged. Knows SQLite, no sessions.

The file is only ever read through SQLite: closing another handle of it would drop the process's locks (POSIX).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from llamachat.errors import StorageError
from llamachat.sessions.rows import unreadable
from llamachat.sessions.salvage import salvage
from llamachat.sessions.schema import APPLICATION_ID, MIGRATIONS

FILES = ("", "-wal", "-shm")  # what SQLite keeps side by side
CHECKED = 64 << 20  # bytes; larger files are not looked through at opening (quick_check does 0.4 GB/s)
REFUSED = (sqlite3.Error, MemoryError)
"""What SQLite raises. It has no memory where a damaged number is the length of something: one damaged search index of
fifty asks for gigabytes."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
AGAIN = "Start llamachat again: it sets the store aside, and keeps what can be read."


def connect(path: Path, *, busy: float = 5.0, mode: str = "rw") -> sqlite3.Connection:
    """A connection in autocommit mode that waits ``busy`` seconds for other writers; never makes a file."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=busy, isolation_level=None, uri=True)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # what the user removes is gone from the file
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite rolls back by itself when the disk is full
            db.execute("ROLLBACK")
        raise


def prepare(path: Path, now: float) -> StorageError | None:
    """Make ``path`` a store of our version; a damaged one is set aside first, and the error to show says so.

    ``now`` is seconds since 1970 and names what is set aside. Raises StorageError if there can be no store, or if a
    newer llamachat wrote it: that one is not touched.
    """
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", mode=0o600, timeout=30):
            if not path.exists() and not _beside(path, "-wal").exists():
                os.rename(_create(path), path)
                return None
            why = _damage(path) or _bring_up(path)
            return _set_aside(path, why, now) if why else None


def migrate(db: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, each in one transaction."""
    for number, script in enumerate(MIGRATIONS, 1):
        if number > db.execute("PRAGMA user_version").fetchone()[0]:
            try:
                db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT")
            except REFUSED:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def suspect(path: Path) -> None:
    """Let the next ``prepare`` look the file through, whatever its size: something in it could not be read."""
    with suppress(OSError):  # a disk that is full or read-only has worse troubles
        _beside(path, ".suspect").touch(mode=0o600)


def damaged(error: Exception) -> bool:
    """Whether ``error`` says that the file is not in order, rather than busy, full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, MemoryError) or (isinstance(code, int) and code & 0xFF in _DAMAGE)


def reason(error: Exception) -> str:
    """What ``error`` says, in a few words."""
    if isinstance(error, MemoryError):
        return "something in it claims to be larger than the memory"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and the file system inside become StorageErrors."""
    try:
        yield
    except (*REFUSED, OSError, Timeout, NotImplementedError) as error:  # the last: a file system without locks
        if damaged(error):
            suspect(path)
            raise StorageError(f"The session store {path} is damaged: {reason(error)}.", AGAIN) from error
        hint = "See to its folder and its disk, or give another folder with LLAMACHAT_DATA_DIR."
        raise unusable(path, error, hint) from error


def unusable(path: Path, error: Exception, hint: str) -> StorageError:
    """What to tell the user when the store can't be used just now."""
    return StorageError(f"The session store {path} can't be used: {reason(error)}.", hint)


def _create(path: Path) -> Path:
    """A new store beside ``path``, to be renamed: it appears at once and whole, so that an empty file is a torn one."""
    new = _beside(path, ".new")
    for suffix in FILES:
        _beside(new, suffix).unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite gives -wal and -shm the same mode
    with closing(connect(new)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(db)
    return new


def _damage(path: Path) -> str:
    """Why the file can't be used as it is; nothing if it can. Quick: only files that nobody closed are looked
    through, since their log may be torn, and among these only small ones."""
    mark = _beside(path, ".suspect")
    if not path.exists():
        return "its main file is missing"
    if path.stat().st_size == 0:
        return "its file is empty"  # SQLite would take that for a new one, and delete the log
    log = _beside(path, "-wal")
    unclosed = log.exists() and log.stat().st_size > 0
    try:
        with closing(connect(path, mode="ro")) as db:  # else closing would write the log into the file, and remove it
            if (version := db.execute("PRAGMA user_version").fetchone()[0]) > len(MIGRATIONS):
                raise _newer(path, version)
            if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return "it is not one of llamachat's"
            look = mark.exists() or (unclosed and path.stat().st_size <= CHECKED)
            if look and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                return str(found).splitlines()[-1]
            if mark.exists() and (rows := unreadable(db)):
                return f"{len(rows)} rows make no sense"
            db.execute("SELECT count(*) FROM sqlite_schema")
    except REFUSED as error:
        if not damaged(error):
            raise
        return reason(error)
    return ""


def _bring_up(path: Path) -> str:
    """Migrate, and make the search index anew if something could not be read: quick_check doesn't look into it. Why
    that can't be done, if the file is not in order."""
    mark = _beside(path, ".suspect")
    try:
        with closing(connect(path)) as db:
            migrate(db)
            if mark.exists():
                db.execute("INSERT INTO words (words) VALUES ('rebuild')")
    except REFUSED as error:
        if not damaged(error):
            raise
        return reason(error)
    mark.unlink(missing_ok=True)
    return ""


def _newer(path: Path, version: int) -> StorageError:
    return StorageError(
        f"The session store {path} is of a newer llamachat (version {version}; this one knows {len(MIGRATIONS)}).",
        "Update llamachat, or give another folder with LLAMACHAT_DATA_DIR. Nothing was changed.",
    )


def _set_aside(path: Path, why: str, now: float) -> StorageError:
    """Take over what can be read into a new store, then rename both: until then, an end changes nothing."""
    new = _create(path)
    kept = salvage(path, new) if path.exists() else 0
    base = _beside(path, f".damaged-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}")
    aside, number = base, 1
    while any(_beside(aside, suffix).exists() for suffix in FILES):
        number += 1
        aside = _beside(base, f"-{number}")
    for suffix in FILES:
        if (file := _beside(path, suffix)).exists():
            file.rename(_beside(aside, suffix))
    os.rename(new, path)
    _beside(path, ".suspect").unlink(missing_ok=True)
    return StorageError(
        f"The session store was damaged ({why}); it is set aside as {aside}.",
        f"{kept} messages could be read in it, and are kept." if kept else "No message could be read in it.",
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
