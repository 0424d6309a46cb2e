"""Nodes as rows of the store, and the writes that a session consists of. Knows SQL, no threads and no files.

A write is a function of a connection that may run again: done twice it does what it does once.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable
from sqlite3 import Connection, Row
from typing import Any, get_args

from llamachat.errors import StorageError
from llamachat.messages import Message, Role
from llamachat.sessions.codec import (
    call_data,
    conditions_data,
    dump,
    node_data,
    outcome_data,
    to_artifact,
    to_call,
    to_conditions,
    to_node,
    to_outcome,
    to_stop,
    to_turn,
    turn_data,
)
from llamachat.sessions.records import Conditions, Flag, Info, Kind, Node

SENSELESS = (ValueError, KeyError, TypeError, struct.error, StorageError)
"""What reading a row raises whose bytes were changed."""
Write = Callable[[Connection], object]

NODE = (
    "session id parent kind origin created role content exact calls stop token_ids context conditions outcome "
    "artifacts turn name flag visited"
).split()
_INSERT = f"INSERT INTO nodes ({', '.join(NODE)}) VALUES ({', '.join('?' * len(NODE))}) ON CONFLICT DO NOTHING"
_SESSION = "INSERT INTO sessions (id, title, cwd, created, updated) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


def save_info(info: Info) -> Write:
    """The session itself: made if it is not there, title and head renewed."""

    def write(db: Connection) -> None:
        db.execute(_SESSION, (info.id, plain(info.title), plain(info.cwd), info.created, info.updated))
        changed = (plain(info.title), info.head, info.updated, info.id)
        db.execute("UPDATE sessions SET title = ?, head = ?, updated = max(updated, ?) WHERE id = ?", changed)

    return write


def save_node(info: Info, node: Node, visited: int) -> Write:
    """A node, after the session that it belongs to; a draft of it is done with."""
    values = _values(info.id, node, visited)  # now, so that nothing but SQL can fail in the writing thread
    conditions = node.conditions and (_hash(node.conditions), dump(conditions_data(node.conditions)))

    def write(db: Connection) -> None:
        save_info(info)(db)
        if conditions:
            db.execute("INSERT INTO conditions (id, data) VALUES (?, ?) ON CONFLICT DO NOTHING", conditions)
        db.execute(_INSERT, values)
        for table, column in (("drafts", "id"), ("chunks", "draft")):
            db.execute(f"DELETE FROM {table} WHERE session = ? AND {column} = ?", (info.id, node.id))

    return write


def save_draft(info: Info, node: Node) -> Write:
    """What shall stand there if the program ends now."""
    row = (info.id, node.id, dump(node_data(node)))

    def write(db: Connection) -> None:
        db.execute(_SESSION, (info.id, plain(info.title), plain(info.cwd), info.created, info.updated))
        db.execute("INSERT INTO drafts (session, id, node) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)

    return write


def drop_draft(session: str, id: str) -> Write:
    """Nothing came of it."""

    def write(db: Connection) -> None:
        db.execute("DELETE FROM drafts WHERE session = ? AND id = ?", (session, id))
        db.execute("DELETE FROM chunks WHERE session = ? AND draft = ?", (session, id))

    return write


def save_notes(session: str, node: Node) -> Write:
    """What may change of a node: its name, its flag, how the turn ended."""
    values = (plain(node.name), node.flag, node.turn and dump(turn_data(node.turn)), session, node.id)
    return lambda db: db.execute("UPDATE nodes SET name = ?, flag = ?, turn = ? WHERE session = ? AND id = ?", values)


def save_visits(session: str, ids: Iterable[str], visited: int) -> Write:
    """These were looked at."""
    rows = [(visited, session, id) for id in ids]
    return lambda db: db.executemany("UPDATE nodes SET visited = ? WHERE session = ? AND id = ?", rows)


def _values(session: str, node: Node, visited: int) -> tuple[Any, ...]:
    """In the order of ``NODE``."""
    said = node.message
    readable = plain(said.text)
    return (
        session, node.id, node.parent, node.kind, node.origin, node.created, said.role, readable,
        None if readable == said.content else dump(said.content),
        dump([call_data(call) for call in said.tool_calls]) if said.tool_calls else None,
        said.stop,
        None if said.token_ids is None else struct.pack(f"<{len(said.token_ids)}I", *said.token_ids),
        None if said.context is None else dump(said.context),
        node.conditions and _hash(node.conditions),
        node.outcome and dump(outcome_data(node.outcome)),
        dump([[a.name, a.media_type, a.path] for a in node.artifacts]) if node.artifacts else None,
        node.turn and dump(turn_data(node.turn)),
        plain(node.name), node.flag, visited,
    )  # fmt: skip


def _hash(conditions: Conditions) -> str:
    return hashlib.sha256(dump(conditions_data(conditions)).encode()).hexdigest()[:16]


def read_nodes(db: Connection, session: str) -> list[tuple[Node, int]]:
    """The nodes of a session in the order of their making, and when each was visited."""
    known = {row["id"]: to_conditions(json.loads(row["data"])) for row in db.execute(
        "SELECT id, data FROM conditions WHERE id IN (SELECT conditions FROM nodes WHERE session = ?)", (session,)
    )}  # fmt: skip
    rows = db.execute("SELECT * FROM nodes WHERE session = ? ORDER BY seq", (session,))
    return [(_node(row, known), row["visited"]) for row in rows]


def read_drafts(db: Connection, session: str) -> list[tuple[Node, str]]:
    """What was being written, and the text that came of it so far."""
    rows = db.execute("SELECT id, node FROM drafts WHERE session = ? ORDER BY seq", (session,)).fetchall()
    chunks = "SELECT text FROM chunks WHERE session = ? AND draft = ? ORDER BY seq"
    return [
        (to_node(json.loads(row["node"])), "".join(json.loads(t) for (t,) in db.execute(chunks, (session, row["id"]))))
        for row in rows
    ]


def unreadable(db: Connection) -> list[tuple[str, int]]:
    """Rows that SQLite reads but that make no sense to us: their table and rowid."""
    readers: dict[str, Callable[[Row], object]] = {
        "conditions": lambda row: to_conditions(json.loads(row["data"])),
        "nodes": lambda row: _node(row, {}),
        "drafts": lambda row: to_node(json.loads(row["node"])),
        "chunks": lambda row: json.loads(row["text"]),
    }
    found = []
    for table, read in readers.items():
        for row in db.execute(f"SELECT rowid AS place, * FROM {table}"):
            try:
                read(row)
            except SENSELESS:
                found.append((table, row["place"]))
    return found


def _node(row: Row, known: dict[str, Any]) -> Node:
    for column, values in (("role", Role), ("kind", Kind), ("flag", Flag)):
        if row[column] not in get_args(values):
            raise ValueError(f"{column} {row[column]!r}")
    ids, stop = row["token_ids"], row["stop"]
    exact = None if row["exact"] is None else json.loads(row["exact"])
    message = Message(
        row["role"],
        row["content"] if exact is None else exact if isinstance(exact, str) else tuple(exact),
        tuple(to_call(call) for call in json.loads(row["calls"] or "[]")),
        None if stop is None else to_stop(stop),
        None if ids is None else struct.unpack(f"<{len(ids) // 4}I", ids),
        None if row["context"] is None else json.loads(row["context"]),
    )
    return Node(
        row["id"], row["parent"], message, row["created"], row["kind"], row["origin"],
        known.get(row["conditions"]),
        None if row["outcome"] is None else to_outcome(json.loads(row["outcome"])),
        tuple(to_artifact(dict(zip(("name", "media_type", "path"), a, strict=True)))
              for a in json.loads(row["artifacts"] or "[]")),
        None if row["turn"] is None else to_turn(json.loads(row["turn"])),
        row["name"], row["flag"],
    )  # fmt: skip


def plain(text: str) -> str:
    """``text`` as SQLite can hold it: lone surrogates are no Unicode."""
    return text.encode("utf-8", "replace").decode()
