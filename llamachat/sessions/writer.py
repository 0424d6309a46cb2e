"""One thread that writes, so that nobody else waits for the disk. Knows writes, not what they mean.

What can't be written is kept in order and tried again; the chat goes on meanwhile.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from llamachat.errors import StorageError
from llamachat.sessions.codec import dump
from llamachat.sessions.database import REFUSED, connect, damaged, prepare, suspect, transaction, unusable
from llamachat.sessions.rows import Write

FLUSH = 0.25  # seconds that text of a reply may wait: far below the second that may be lost
_LATER = "The chat goes on, and is saved as soon as that works again."
RETRY = 1.0  # seconds between two attempts while the store can't be written

Tell = Callable[[StorageError | None], None]
"""Told, in the writing thread, when the store can't be written or was set aside, and with None when it can be written
again. Must not raise."""


class Source(Protocol):
    """Whose writes these are."""

    def everything(self) -> Iterable[Write]:
        """All of it again, for a store that has lost it."""

    def close(self) -> None:
        """There will be no more."""


class Chunk:
    """More text of a draft: a write that grows until it is done."""

    def __init__(self, session: str, draft: str) -> None:
        self.session, self.draft = session, draft
        self.parts: list[str] = []

    def __call__(self, db: sqlite3.Connection) -> None:
        row = (self.session, self.draft, dump("".join(self.parts)))
        db.execute("INSERT INTO chunks (session, draft, text) VALUES (?, ?, ?)", row)


class Writer:
    """Takes writes at any time from any thread and does them in order, several in a transaction.

    Whole messages are synced to the disk at once, text that streams every quarter second without a sync: the system
    keeps it when the program is killed, and the next message's sync covers it (0.02 ms against 0.2 ms and more).
    """

    def __init__(self, path: Path, tell: Tell, *, busy: float = 5.0, clock: Callable[[], float] = time.time) -> None:
        self.path, self.tell, self.busy, self.clock = path, tell, busy, clock
        self.trouble: StorageError | None = None
        self.sources: list[Source] = []
        self._wake = threading.Condition()
        self._pending: list[Write] = []
        self._urgent = self._closing = self._busy = False
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._notice: StorageError | None = None

    def put(self, *writes: Write) -> None:
        """Do these soon. Never waits for the disk."""
        with self._wake:
            self._pending += writes
            self._urgent = True
            self._start()

    def put_text(self, session: str, draft: str, text: str) -> None:
        """More text of a draft, to be written within ``FLUSH`` seconds."""
        with self._wake:
            last = self._pending[-1] if self._pending else None
            if not (isinstance(last, Chunk) and (last.session, last.draft) == (session, draft)):
                last = Chunk(session, draft)
                self._pending.append(last)
                self._start()
            last.parts.append(text)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all is written; False if that is not so after ``timeout`` seconds, or is not possible now."""
        with self._wake:
            self._urgent = bool(self._pending)
            self._wake.notify_all()
            self._wake.wait_for(lambda: self.trouble or not (self._pending or self._busy), timeout)
            return not (self._pending or self._busy)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is left and end; False if it could not be written."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
            thread = self._thread
        if thread:
            thread.join(timeout)
        return not (self._pending or self._busy)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(target=self._run, name="llamachat sessions", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._commit(*batch)
            except (*REFUSED, OSError, StorageError) as error:
                self._keep(batch[0], error)
                if self._closing:
                    break
            else:
                self._done()
        self._disconnect()

    def _next(self) -> tuple[list[Write], bool] | None:
        """Wait for work: what is pending, and whether it must be synced. None at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._pending or self._closing)
            self._wake.wait_for(lambda: self._closing or (self._urgent and not self.trouble), self._pause())
            batch, urgent = self._pending, self._urgent
            self._pending, self._urgent, self._busy = [], False, bool(batch)
            return (batch, urgent) if batch else None

    def _pause(self) -> float:
        return RETRY if self.trouble else FLUSH

    def _commit(self, batch: list[Write], urgent: bool) -> None:
        """One transaction, into the file that is at the path now."""
        db = self._connected()
        db.execute(f"PRAGMA synchronous = {'FULL' if urgent else 'NORMAL'}")
        with transaction(db):
            for write in batch:
                write(db)

    def _connected(self) -> sqlite3.Connection:
        """The connection; a new one if the file was removed, replaced or found damaged, and then all is sent again."""
        if self._db and self._inode == _inode(self.path):
            return self._db
        again = self._inode != (0, 0)
        self._disconnect()
        self._notice = prepare(self.path, self.clock()) or self._notice
        self._db, self._inode = connect(self.path, busy=self.busy), _inode(self.path)
        if again:
            with transaction(self._db):
                for source in list(self.sources):
                    for write in source.everything():
                        write(self._db)
        return self._db

    def _disconnect(self) -> None:
        if self._db:
            with suppress(sqlite3.Error):
                self._db.close()
        self._db = None

    def _keep(self, batch: list[Write], error: Exception) -> None:
        """Try these again later, and say so once."""
        if damaged(error):
            suspect(self.path)
        if damaged(error) or isinstance(error, sqlite3.IntegrityError):  # rows that ours stand on are gone
            self._disconnect()
        first = self.trouble is None
        with self._wake:
            self._pending[:0] = batch
            self._busy = False
            self.trouble = error if isinstance(error, StorageError) else unusable(self.path, error, _LATER)
            self._wake.notify_all()
        if first:
            self.tell(self.trouble)

    def _done(self) -> None:
        with self._wake:
            was, self.trouble, self._busy = self.trouble, None, False
            notice, self._notice = self._notice, None
            self._wake.notify_all()
        if notice:
            self.tell(notice)
        if was:
            self.tell(None)


def _inode(path: Path) -> tuple[int, int]:
    """Which file is at ``path``."""
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)
