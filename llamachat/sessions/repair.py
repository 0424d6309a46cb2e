"""What a program that ended half way left behind, made a dialog that can go on. Pure: nodes in, nodes out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from llamachat.messages import Message, StopReason, ToolCall
from llamachat.protocol import frame_failure
from llamachat.sessions.records import Node, Outcome, new_id
from llamachat.sessions.tree import Tree

INTERRUPTED = "llamachat ended before this call returned, so it is not known how far it came."


def interrupted(call: ToolCall, parent: str | None, created: float) -> Node:
    """The message that stands for the result of a call that never came."""
    message = Message("ipython", frame_failure(INTERRUPTED))
    return Node(new_id(), parent, message, created, "repair", outcome=Outcome(call, ok=False))


def finish_drafts(tree: Tree, drafts: Iterable[tuple[Node, str]]) -> Iterator[Node]:
    """Nodes for what was being written: replies marked as cancelled, with the text that had come; running tools with
    an interrupted result. They are added to ``tree``, under new ids: should the draft be another program's that still
    runs, what it writes at last finds its own id free."""
    for draft, text in drafts:
        if draft.id in tree.nodes or (draft.parent is not None and draft.parent not in tree.nodes):
            continue
        node = replace(draft, id=new_id())
        if node.message.role == "assistant":
            node = replace(node, message=replace(node.message, content=text, stop=StopReason.cancelled))
        tree.add(node)
        yield node


def answer_calls(tree: Tree, now: float) -> Iterator[Node]:
    """Interrupted results for the calls that have none, at the end of every branch whose turn did not end."""
    for leaf in [node for node in tree.nodes.values() if not tree.children(node.id)]:
        parent = leaf.id
        for call in open_calls(tree, leaf):
            node = interrupted(call, parent, now)
            tree.add(node)
            yield node
            parent = node.id


def open_calls(tree: Tree, leaf: Node) -> tuple[ToolCall, ...]:
    """The calls at the end of a branch that wait for a result. A reply that was cut, and a turn that ended as the user
    wanted, leave none."""
    answered, node = 0, leaf
    while node.message.role == "ipython" and node.parent is not None:
        answered, node = answered + 1, tree.nodes[node.parent]
    over = leaf.turn is not None or node.message.role != "assistant" or node.cut
    return () if over else node.message.tool_calls[answered:]
