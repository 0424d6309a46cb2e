"""What can still be read of a damaged store, taken over into a new one, row by row. Knows tables, no sessions.

Simpler than SQLite's own .recover, which Python's module lacks: tables that can be walked from either end up to the
damage are; pages that nothing refers to any more are not searched.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from llamachat.sessions.rows import unreadable
from llamachat.sessions.schema import TABLES

_MEND = """
INSERT OR IGNORE INTO sessions SELECT session, 'Salvaged', '', min(created), max(created), NULL FROM nodes
    WHERE session NOT IN (SELECT id FROM sessions) GROUP BY session;
UPDATE sessions SET head = NULL WHERE NOT EXISTS (SELECT * FROM nodes WHERE session = sessions.id AND id = head);
UPDATE nodes SET parent = NULL WHERE parent IS NOT NULL
    AND NOT EXISTS (SELECT * FROM nodes AS above WHERE above.session = nodes.session AND above.id = nodes.parent);
UPDATE nodes SET conditions = NULL WHERE conditions NOT IN (SELECT id FROM conditions);
DELETE FROM drafts WHERE session NOT IN (SELECT id FROM sessions);
DELETE FROM chunks WHERE (session, draft) NOT IN (SELECT session, id FROM drafts);
DELETE FROM sessions WHERE id NOT IN (SELECT session FROM nodes) AND id NOT IN (SELECT session FROM drafts);
"""

# Of a message that makes no sense, the text may still.
_BARE = """
UPDATE nodes SET kind = 'said', exact = NULL, calls = NULL, stop = NULL, token_ids = NULL, context = NULL,
    outcome = NULL, artifacts = NULL, turn = NULL, flag = '' WHERE seq = ?
"""


def salvage(damaged: Path, fresh: Path) -> int:
    """Copy rows from ``damaged``, which stays as it is, into the new store ``fresh``; how many messages came over."""
    with tempfile.TemporaryDirectory(dir=fresh.parent, prefix="salvage-") as folder:
        copy = Path(folder) / "store.db"
        for suffix in ("", "-wal"):
            if (file := damaged.with_name(damaged.name + suffix)).exists():
                shutil.copyfile(file, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(fresh)) as new:
            new.row_factory = sqlite3.Row
            old.text_factory = lambda raw: raw.decode("utf-8", "replace")
            old.execute("PRAGMA writable_schema = ON")  # a file that is cut may be read as far as it goes
            for table in TABLES:
                _copy(old, new, table)
            for table, place in unreadable(new):
                new.execute(_BARE if table == "nodes" else f"DELETE FROM {table} WHERE rowid = ?", (place,))
            for table, place in unreadable(new):
                new.execute(f"DELETE FROM {table} WHERE rowid = ?", (place,))
            new.commit()
            new.executescript(_MEND)
            return int(new.execute("SELECT count(*) FROM nodes").fetchone()[0])


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    """All rows of ``table`` that can be read and that the new table takes."""
    names = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    places = ", ".join("?" * len(names))
    for row in _rows(old, table, names):
        try:
            new.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({places})", row)
        except sqlite3.IntegrityError:  # a value that no row of ours has
            continue


def _rows(old: sqlite3.Connection, table: str, names: list[str]) -> Iterator[tuple[object, ...]]:
    """From the first to the damage, then from the last down to it."""
    for order in ("ASC", "DESC"):
        try:
            yield from old.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid {order}")
        except (sqlite3.DatabaseError, MemoryError):  # the latter: a damaged length
            continue
        return
