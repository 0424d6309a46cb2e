"""A session that is open: a tree in memory that writes down every change. Knows no SQL, and never waits for the disk.

Edits, retries and compactions are siblings of what they replace; nothing is overwritten or removed.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from sqlite3 import Connection
from typing import Any, Protocol

from llamachat.messages import Artifact, Dialog, Message, StopReason, TurnEnd
from llamachat.sessions.artifacts import Artifacts
from llamachat.sessions.records import Conditions, Flag, Info, Kind, Node, new_id, short
from llamachat.sessions.rows import Write, save_draft, save_info, save_node, save_notes, save_visits
from llamachat.sessions.tree import Tree


class Sink(Protocol):
    """Where a session writes: the store's Writer, or nowhere."""

    def put(self, *writes: Write) -> None: ...
    def put_text(self, session: str, draft: str, text: str) -> None: ...


class Unsaved:
    """Where a session writes that nobody keeps: for a chat whose store can't be had."""

    def put(self, *writes: Write) -> None:
        """Nothing."""

    def put_text(self, session: str, draft: str, text: str) -> None:
        """Nothing."""


class Session:
    """A tree, its head, and where changes go. Use from one thread.

    ``shared``: another llamachat has this session open too; both may write, what they add become siblings.
    ``repaired``: nodes that stand for what the end of the program cut off; say so to the user.
    """

    def __init__(
        self,
        info: Info,
        tree: Tree,
        sink: Sink,
        *,
        clock: Callable[[], float],
        files: Artifacts | None = None,
        visits: int = 0,
    ) -> None:
        self.info, self.tree = info, tree
        self.shared = False
        self.repaired: tuple[Node, ...] = ()
        self.held = ExitStack()
        """What to let go of at ``close``."""
        self._sink, self._visits, self._files = sink, visits, files
        self.now = clock
        """Seconds since 1970, UTC."""
        self._changing = threading.Lock()  # of nodes that are in the tree: by the user, and by the writing thread

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        """Of the session."""
        return self.info.id

    @property
    def head(self) -> str | None:
        """The message that is shown last; None before the first."""
        return self.info.head

    @property
    def path(self) -> list[Node]:
        """From the root to the head."""
        return self.tree.path(self.head)

    def dialog(self, id: str | None = None, model: str | None = None) -> Dialog:
        """The dialog up to ``id``, by default up to the head; see ``Tree.dialog``."""
        return self.tree.dialog(id or self.head, model)

    def artifacts(self, id: str) -> tuple[Artifact, ...]:
        """The files of a message, where they can be read now: at first where the tool made them, then in the store."""
        return self.tree.nodes[id].artifacts

    # ── saying ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, message: Message, conditions: Conditions, attachments: Iterable[Artifact] = ()) -> Node:
        """The user's next message, below the head. The first one gives the session its title."""
        if not self.info.title:
            self.info = replace(self.info, title=short(message.text))
        return self.add(self.make(message, conditions=conditions, artifacts=tuple(attachments)))

    def make(
        self,
        message: Message,
        kind: Kind = "said",
        *,
        below: str | None = "head",
        origin: str | None = None,
        conditions: Conditions | None = None,
        artifacts: tuple[Artifact, ...] = (),
    ) -> Node:
        """A node that is not in the tree yet; ``below`` is its parent's id, None for a root."""
        parent = self.head if below == "head" else below
        now = self.now()
        return Node(new_id(), parent, message, now, kind, origin, conditions, artifacts=artifacts)

    def add(self, node: Node, *, visit: bool = True) -> Node:
        """Put ``node`` into the tree; the head goes there, unless ``visit`` is False (for replies to choose from)."""
        before = self.tree.chosen.get(node.parent)
        self.tree.add(node)
        self._visits += 1
        fresh = self.tree.visit(node.id) if visit and node.parent != self.head else []  # the head's path is visited
        if before and not visit:
            self.tree.chosen[node.parent] = before
        head = node.id if visit else self.head
        self.info = replace(self.info, head=head, updated=node.created, messages=len(self.tree.nodes))
        self._sink.put(self._saving(node, self._visits if self.tree.chosen[node.parent] == node.id else 0))
        if fresh:
            self._sink.put(save_visits(self.id, fresh, self._visits))
        return node

    def draft(self, node: Node) -> None:
        """Write down what shall stand there if the program ends before ``node`` is added."""
        self._sink.put(save_draft(self.info, node))

    def draft_text(self, node: Node, text: str) -> None:
        """More text of a draft."""
        self._sink.put_text(self.id, node.id, text)

    def end_turn(self, id: str, end: TurnEnd) -> None:
        """Note at its last message how a turn ended."""
        self._note(id, turn=end)

    # ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def go(self, id: str | None) -> None:
        """Make ``id`` the head; None goes before the first message."""
        self._visits += 1
        fresh = self.tree.visit(id)
        self.info = replace(self.info, head=id)
        self._sink.put(save_visits(self.id, fresh, self._visits), save_info(self.info))

    def turn_to(self, id: str, step: int) -> Node:
        """Show the sibling ``step`` places on (alt+←/→), with the branch below it that was visited last; the same node
        at either end."""
        family = self.tree.siblings(id)
        index = self.tree.place(id)[0] - 1 + step
        node = family[min(max(index, 0), len(family) - 1)]
        self.go(self.tree.leaf(node.id))
        return node

    def edit(self, id: str, content: str | Message) -> Node:
        """Another version of any message beside it, as the new head. A text replaces an assistant's calls and sampled
        ids as well, since it is no longer what the model said; a Message is taken as it is."""
        old = self.tree.nodes[id]
        message = content if isinstance(content, Message) else _rewritten(old.message, content)
        node = self.make(message, "edit", below=old.parent, origin=id, conditions=old.conditions)
        return self.add(replace(node, artifacts=self.artifacts(id), outcome=old.outcome))

    def retry(self, id: str) -> Node | None:
        """Go back to the question that ``id`` belongs to; what is recorded next becomes a sibling of the old reply."""
        question = self.tree.question(id)
        self.go(question.id if question else None)
        return question

    def compact(self, summary: Message, conditions: Conditions, keep: Sequence[str] = ()) -> Node:
        """Begin anew with ``summary`` as another root, followed by copies of the messages ``keep``, word for word. It
        refers to the head, where the whole dialog stays: ``go`` there takes it back."""
        node = self.add(self.make(summary, "compaction", below=None, origin=self.head, conditions=conditions))
        for old in [self.tree.nodes[id] for id in keep]:
            copy = self.make(old.message, "copy", origin=old.id, conditions=old.conditions or conditions)
            node = self.add(replace(copy, artifacts=self.artifacts(old.id), outcome=old.outcome, flag=old.flag))
        return node

    def name(self, id: str, name: str) -> None:
        """Bookmark a branch; an empty name takes the bookmark away."""
        self._note(id, name=name)

    def flag(self, id: str, flag: Flag) -> None:
        """Pin a message, drop it from what the model sees, or neither."""
        self._note(id, flag=flag)

    def rename(self, title: str) -> None:
        """Give the session another title."""
        self.info = replace(self.info, title=short(title, 200))
        self._sink.put(save_info(self.info))

    # ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def everything(self) -> list[Write]:
        """All of the session as writes, for a store that has lost it."""
        nodes, chosen = list(self.tree.nodes.values()), list(self.tree.chosen.values())
        return [*(self._saving(node, 0) for node in nodes), save_visits(self.id, chosen, self._visits)]

    def close(self) -> None:
        """Wait a moment until all is written, and let others have it."""
        self.held.close()

    def _note(self, id: str, **changes: Any) -> None:
        self._sink.put(save_notes(self.id, self._change(id, **changes)))

    def _change(self, id: str, **changes: Any) -> Node:
        with self._changing:
            node = replace(self.tree.nodes[id], **changes)
            self.tree.change(node)
        return node

    def _saving(self, node: Node, visited: int) -> Write:
        """The write of ``node``, its files first: in the writing thread, since they may be large."""
        files, info = self._files, self.info
        if files is None or not node.artifacts:
            return save_node(info, node, visited)

        def write(db: Connection) -> None:
            kept = tuple(files.keep(artifact) for artifact in self.artifacts(node.id))
            self._change(node.id, artifacts=kept)
            save_node(info, replace(node, artifacts=tuple(map(files.named, kept))), visited)(db)

        return write


def _rewritten(message: Message, content: str) -> Message:
    """``message`` with other words."""
    if message.role != "assistant":
        return replace(message, content=content)
    return Message("assistant", content, stop=StopReason.end_of_turn)
