"""A session as one JSON object, files included, and back: nothing is lost on the way. Knows no store.

    {"format": "llamachat session", "version": 1, "session": {…}, "conditions": [{…}], "nodes": [{…}],
     "chosen": [ids that were visited last], "files": {sha256: base64}}

Nodes come in the order of their making, each after its parent; their "conditions" are places in that list.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llamachat.errors import StorageError
from llamachat.messages import Artifact
from llamachat.sessions.codec import conditions_data, dump, each, node_data, take, to_node
from llamachat.sessions.records import Info, Node
from llamachat.sessions.tree import Tree

FORMAT, VERSION = "llamachat session", 1
_ID = re.compile(r"[0-9a-zA-Z_-]{1,64}")
_HINT = "It must be what llamachat sessions export wrote."


def to_bundle(info: Info, tree: Tree) -> dict[str, Any]:
    """The session as JSON data. Files that can't be read any more are left out."""
    places: dict[str, int] = {}
    files: dict[str, str] = {}
    nodes = []
    for node in tree.nodes.values():
        kept = tuple(_packed(artifact, files) for artifact in node.artifacts)
        key = node.conditions and dump(conditions_data(node.conditions))
        place = places.setdefault(key, len(places)) if key else None
        nodes.append({**node_data(replace(node, artifacts=kept)), "conditions": place})
    return {
        "format": FORMAT,
        "version": VERSION,
        "session": asdict(info),
        "conditions": [json.loads(key) for key in places],
        "nodes": nodes,
        "chosen": list(tree.chosen.values()),
        "files": files,
    }


def from_bundle(data: Any, folder: Path) -> tuple[Info, Tree]:
    """The session of a bundle; its files are written into ``folder``. Raises StorageError if it is no bundle."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise StorageError("This is no session.", _HINT)
    if take(data, "version", int) > VERSION:
        raise StorageError("This session is of a newer llamachat.", "Update llamachat.")
    paths = _unpacked(take(data, "files", dict), folder)
    conditions = each(data, "conditions", dict)
    tree = Tree()
    for entry in each(data, "nodes", dict):
        place = take(entry, "conditions", int, type(None))
        if place is not None and not 0 <= place < len(conditions):
            raise StorageError("A message refers to conditions that are not there.", _HINT)
        node = to_node({**entry, "conditions": None if place is None else conditions[place]})
        _hang(tree, replace(node, artifacts=tuple(replace(a, path=paths.get(a.path, "")) for a in node.artifacts)))
    info = _info(take(data, "session", dict), tree)
    for id in each(data, "chosen", str):
        if id in tree.nodes:
            tree.chosen[tree.nodes[id].parent] = id
    return info, tree


def _packed(artifact: Artifact, files: dict[str, str]) -> Artifact:
    """With the hash of its bytes for a path, under which ``files`` holds them."""
    path = Path(artifact.path)
    if not path.is_file():
        return replace(artifact, path="")
    raw = path.read_bytes()
    name = hashlib.sha256(raw).hexdigest()
    files[name] = base64.b64encode(raw).decode("ascii")
    return replace(artifact, path=name)


def _unpacked(files: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Where the files lie now. Their names are foreign, so they get numbers."""
    paths = {}
    for number, name in enumerate(files):
        path = folder / str(number)
        try:
            path.write_bytes(base64.b64decode(take(files, name, str), validate=True))
        except (binascii.Error, ValueError) as error:
            raise StorageError(f"The file {name[:40]!r} in it is not base64.", _HINT) from error
        paths[name] = str(path)
    return paths


def _hang(tree: Tree, node: Node) -> None:
    if not (_ID.fullmatch(node.id) and math.isfinite(node.created)):
        raise StorageError(f"{node.id[:40]!r} is no id of a message, or its time is none.", _HINT)
    try:
        tree.add(node)
    except KeyError as error:
        raise StorageError(f"Message {node.id} is there twice, or its parent is not there before it.", _HINT) from error


def _info(data: Mapping[str, Any], tree: Tree) -> Info:
    id, head = take(data, "id", str), take(data, "head", str, type(None))
    created, updated = take(data, "created", float), take(data, "updated", float)
    if not (_ID.fullmatch(id) and math.isfinite(created) and math.isfinite(updated)):
        raise StorageError(f"{id[:40]!r} is no id of a session, or its times are none.", _HINT)
    if head is not None and head not in tree.nodes:
        raise StorageError("Its head is none of its messages.", _HINT)
    return Info(id, take(data, "title", str), take(data, "cwd", str), created, updated, head, len(tree.nodes))
