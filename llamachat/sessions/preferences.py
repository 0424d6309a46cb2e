"""Which reply was liked better than which, as retries, edits and the way taken tell: pairs to learn from by DPO.

An edited reply is better than the one that the dialog went on with, and that than those it left behind
(arXiv 2305.18290 has the method, the Llama 3 paper §4.1 the order edited > chosen > rejected).
"""

from collections.abc import Iterator
from typing import Any

from llamachat.sessions.codec import message_data
from llamachat.sessions.records import Node
from llamachat.sessions.tree import Tree


def pairs(tree: Tree) -> Iterator[dict[str, Any]]:
    """``{"prompt", "chosen", "rejected"}``, each a list of messages with their sampled ids, the names of the ``tools``
    that were on, and what was ``preferred``.
    Replies that were cut short, or mended after a crash, compare with nothing."""
    for parent in (None, *tree.nodes):
        replies = [node for node in tree.children(parent) if node.message.role == "assistant" and _whole(tree, node)]
        ranked = sorted(replies, key=lambda node: -_rank(tree, node))
        for place, better in enumerate(ranked):
            for worse in ranked[place + 1 :]:
                if _rank(tree, better) > _rank(tree, worse) and _comparable(tree, better, worse):
                    yield _pair(tree, better, worse)


def _rank(tree: Tree, node: Node) -> int:
    """2 for edited, 1 for the one that the dialog went on with, 0 for the others."""
    return 2 if node.kind == "edit" else int(tree.chosen.get(node.parent) == node.id)


def _whole(tree: Tree, node: Node) -> bool:
    return not any(step.cut or step.kind == "repair" or step.flag == "drop" for step in tree.reply(node.id))


def _comparable(tree: Tree, better: Node, worse: Node) -> bool:
    """Whether they say different things, asked for under the same instruction."""
    instructions = [conditions and conditions.system for n in (better, worse) for conditions in [tree.conditions(n.id)]]
    return better.message != worse.message and instructions[0] == instructions[1]


def _pair(tree: Tree, better: Node, worse: Node) -> dict[str, Any]:
    opening, conditions = tree.dialog(better.id).messages[:-1], tree.conditions(better.id)
    return {
        "prompt": [message_data(message) for message in opening],
        "chosen": [message_data(step.message) for step in tree.reply(better.id)],
        "rejected": [message_data(step.message) for step in tree.reply(worse.id)],
        "tools": list(conditions.tools) if conditions else [],
        "preferred": "edited" if better.kind == "edit" else "chosen",
        "ids": [better.id, worse.id],
    }
