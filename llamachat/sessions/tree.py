"""A tree of messages in memory: paths, siblings, the leaf that was last visited, the dialog of a path. No disk.

A root is a node without a parent; the roots are siblings of each other. Ids that the tree doesn't hold are KeyErrors.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from llamachat.messages import Dialog, Message
from llamachat.sessions.records import Conditions, Node


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree as it is drawn. ``depth`` counts the forks above, so that a dialog without any stays flat."""

    node: Node
    depth: int
    index: int
    count: int
    """Place among its siblings, from 1, and their number."""


class Tree:
    """Nodes by id in the order of their making, and which child of each was visited last."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: dict[str, Node] = {}
        self.chosen: dict[str | None, str] = {}
        self._children: dict[str | None, list[str]] = {}
        for node in nodes:
            self.add(node)

    def add(self, node: Node) -> None:
        """Hang ``node`` below its parent and visit it."""
        if node.id in self.nodes or (node.parent is not None and node.parent not in self.nodes):
            raise KeyError(node.id)
        self.nodes[node.id] = node
        self._children.setdefault(node.parent, []).append(node.id)
        self.chosen[node.parent] = node.id

    def change(self, node: Node) -> None:
        """Put ``node`` in the place of the one with its id."""
        self.nodes[self.nodes[node.id].id] = node

    def children(self, id: str | None) -> list[Node]:
        """The nodes right below, oldest first; of None, the roots."""
        return [self.nodes[child] for child in self._children.get(id, ())]

    def siblings(self, id: str) -> list[Node]:
        """The versions of this place in the dialog, the node itself among them, oldest first."""
        return self.children(self.nodes[id].parent)

    def place(self, id: str) -> tuple[int, int]:
        """Which of how many siblings: (2, 3) for ‹2/3›."""
        family = self._children[self.nodes[id].parent]
        return family.index(id) + 1, len(family)

    def path(self, id: str | None) -> list[Node]:
        """From the root to ``id``; nothing for None."""
        found: list[Node] = []
        while id is not None:
            found.append(self.nodes[id])
            id = found[-1].parent
        return found[::-1]

    def leaf(self, id: str | None) -> str | None:
        """The end of the branch below ``id`` that was visited last; of None, of the whole tree."""
        while id in self._children:
            id = self.chosen.get(id) or self._children[id][-1]
        return id

    def visit(self, id: str | None) -> list[str]:
        """Remember the path to ``id`` as the one visited last; gives the ids whose place among siblings is new."""
        fresh = [node.id for node in self.path(id) if self.chosen.get(node.parent) != node.id]
        self.chosen.update({self.nodes[node].parent: node for node in fresh})
        return fresh

    def question(self, id: str) -> Node | None:
        """The user's message that ``id`` belongs to: itself, or the nearest one above; None if there is none."""
        return next((node for node in reversed(self.path(id)) if node.message.role == "user"), None)

    def reply(self, id: str) -> list[Node]:
        """``id`` and what followed in the same turn, along the branch visited last: up to the next user message."""
        found = [self.nodes[id]]
        while below := self._children.get(found[-1].id):
            node = self.nodes[self.chosen.get(found[-1].id) or below[-1]]
            if node.message.role == "user":
                break
            found.append(node)
        return found

    def walk(self) -> Iterator[Row]:
        """The whole tree, depth first, oldest first."""
        stack = [(node, 0) for node in reversed(self.children(None))]
        while stack:
            node, above = stack.pop()
            index, count = self.place(node.id)
            depth = above + (count > 1)
            yield Row(node, depth, index, count)
            stack += [(child, depth) for child in reversed(self.children(node.id))]

    def conditions(self, id: str | None) -> Conditions | None:
        """Those in force at ``id``."""
        return next((node.conditions for node in reversed(self.path(id)) if node.conditions), None)

    def dialog(self, id: str | None, model: str | None = None) -> Dialog:
        """The dialog up to ``id`` as it was said: the system message in force there, then the path, sampled ids
        included. Messages that the user dropped are left out. With ``model``, ids of other models are left out too:
        they mean nothing to its tokenizer."""
        conditions = self.conditions(id)
        opening = Dialog() if conditions is None or conditions.system is None else Dialog((_system(conditions),))
        said: list[Message] = []
        speaker = ""
        for node in self.path(id):
            speaker = node.conditions.model if node.conditions else speaker
            foreign = model is not None and node.message.token_ids is not None and speaker != model
            said.append(replace(node.message, token_ids=None) if foreign else node.message)
        dropped = self.dropped(id)
        return opening + (m for m, node in zip(said, self.path(id), strict=True) if node.id not in dropped)

    def dropped(self, id: str | None) -> set[str]:
        """The ids on the path that the model is not shown. A call and its results are only ever dropped together."""
        groups: list[list[Node]] = []
        for node in self.path(id):
            if node.message.role == "ipython" and groups:
                groups[-1].append(node)
            else:
                groups.append([node])
        return {node.id for group in groups if any(node.flag == "drop" for node in group) for node in group}


def _system(conditions: Conditions) -> Message:
    return Message("system", conditions.system or "")
