"""A session as text: Markdown to read, JSON to take in again, lines of preferences to learn from. Writes no file."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from llamachat.messages import ToolCall
from llamachat.sessions.bundle import to_bundle
from llamachat.sessions.preferences import pairs
from llamachat.sessions.records import Info, Node
from llamachat.sessions.rows import plain
from llamachat.sessions.tree import Tree

_WHO = {"system": "System", "user": "You", "assistant": "Assistant", "ipython": "Result"}


def to_json(info: Info, tree: Tree) -> str:
    """All of it, as ``bundle`` describes."""
    return json.dumps(to_bundle(info, tree)) + "\n"


def to_dpo(info: Info, tree: Tree) -> str:
    """A JSON object on a line for each pair of replies, as ``preferences`` describes."""
    return "".join(json.dumps(pair) + "\n" for pair in pairs(tree))


def to_markdown(info: Info, tree: Tree) -> str:
    """The dialog up to the head. What was said is given verbatim; ids and other branches are not."""
    when = datetime.fromtimestamp(info.created, UTC)
    lines = [f"# {info.title or 'Untitled'}", "", f"Session {info.id}, begun {when:%Y-%m-%d %H:%M} UTC."]
    system = None
    for node in tree.path(info.head):
        if node.conditions and node.conditions.system != system:
            system = node.conditions.system
            lines += ["", "## System", "", system or "(none)"]
        lines += ["", f"## {_heading(tree, node)}", "", *_body(node)]
    return plain("\n".join(lines).rstrip() + "\n")


def _heading(tree: Tree, node: Node) -> str:
    index, count = tree.place(node.id)
    words = [_WHO[node.message.role]]
    if node.outcome:
        words.append(f"of {node.outcome.call.name}" + ("" if node.outcome.ok else ", failed"))
    if count > 1:
        words.append(f"‹{index}/{count}›")
    if node.cut:
        words.append("(cut)")
    if node.kind not in ("said", "copy"):
        words.append(f"({node.kind})")
    return " ".join(words)


def _body(node: Node) -> list[str]:
    """The paragraphs of a message."""
    said = node.message
    text = fenced(said.text) if said.role == "ipython" else said.text.strip()
    blocks = [text] if text else []
    blocks += [fenced(said.context)] if said.context else []
    blocks += [_call(call) for call in said.tool_calls]
    blocks += [f"File: {artifact.name} ({artifact.media_type})" for artifact in node.artifacts]
    return "\n\n".join(blocks or ["(nothing)"]).splitlines()


def _call(call: ToolCall) -> str:
    code: Any = call.arguments.get("code")
    if isinstance(code, str) and len(call.arguments) == 1:
        return fenced(code, "python")
    return fenced(f"{call.name}({json.dumps(dict(call.arguments), ensure_ascii=False, default=str)})", "json")


def fenced(text: str, language: str = "") -> str:
    """``text`` in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
