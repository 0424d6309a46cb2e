"""Nodes as JSON data and back, for the store and for export. Reads with checks, since files come from anywhere."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar, get_args

from llamachat.errors import StorageError
from llamachat.messages import Artifact, Message, Role, StopReason, ToolCall, TurnEnd, Usage
from llamachat.sessions.records import Conditions, Flag, Kind, Node, Outcome

Data = Mapping[str, Any]
T = TypeVar("T")


def dump(value: Any) -> str:
    """``value`` as JSON in ASCII, so that lone surrogates survive; what JSON has no form for becomes its text."""
    return json.dumps(value, default=str)


def message_data(message: Message) -> dict[str, Any]:
    """All of ``message``."""
    return {
        "role": message.role,
        "content": message.content if isinstance(message.content, str) else list(message.content),
        "tool_calls": [call_data(call) for call in message.tool_calls],
        "stop": message.stop,
        "token_ids": None if message.token_ids is None else list(message.token_ids),
        "context": message.context,
    }


def call_data(call: ToolCall) -> dict[str, Any]:
    """A call."""
    return {"name": call.name, "arguments": dict(call.arguments)}


def turn_data(turn: TurnEnd) -> dict[str, Any]:
    """How a turn ended."""
    return {"stop": turn.stop, "usage": asdict(turn.usage), "steps": turn.steps, "note": turn.note}


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """What a tool's message answers."""
    return {"call": call_data(outcome.call), "ok": outcome.ok, "seconds": outcome.seconds}


def conditions_data(conditions: Conditions) -> dict[str, Any]:
    """The conditions; equal ones give equal JSON."""
    return {**asdict(conditions), "sampling": dict(sorted(conditions.sampling.items()))}


def node_data(node: Node) -> dict[str, Any]:
    """All of ``node`` but its artifacts' bytes."""
    return {
        "id": node.id,
        "parent": node.parent,
        "kind": node.kind,
        "origin": node.origin,
        "created": node.created,
        "name": node.name,
        "flag": node.flag,
        "message": message_data(node.message),
        "conditions": node.conditions and conditions_data(node.conditions),
        "outcome": node.outcome and outcome_data(node.outcome),
        "turn": node.turn and turn_data(node.turn),
        "artifacts": [asdict(artifact) for artifact in node.artifacts],
    }


def take(data: Data, key: str, *kinds: type[T]) -> T:
    """``data[key]``, if it is of one of ``kinds``. Raises StorageError."""
    value = data.get(key)
    numbers = float in kinds and isinstance(value, int)
    if not (isinstance(value, kinds) or numbers) or (isinstance(value, bool) and bool not in kinds):
        raise StorageError(f'"{key}" can\'t be {str(value)[:40]!r}.', "This is no session that llamachat wrote.")
    return value  # type: ignore[return-value]  # mypy can't see that an int will do as a float


def each(data: Data, key: str, kind: type[T]) -> tuple[T, ...]:
    """The list ``data[key]``, if all in it are of ``kind``. Raises StorageError."""
    return tuple(take({key: value}, key, kind) for value in take(data, key, list, tuple))


def choose(data: Data, key: str, allowed: Any) -> Any:
    """``data[key]``, if it is one of the values of the Literal ``allowed``. Raises StorageError."""
    value = take(data, key, str)
    if value not in get_args(allowed):
        raise StorageError(f'"{key}" can\'t be {value[:40]!r}.', f"Known are: {', '.join(get_args(allowed))}.")
    return value


def to_message(data: Data) -> Message:
    """The reverse of ``message_data``."""
    content = take(data, "content", str, list)
    ids = take(data, "token_ids", list, type(None))
    stop = take(data, "stop", str, type(None))
    return Message(
        choose(data, "role", Role),
        content if isinstance(content, str) else each(data, "content", str),
        tuple(to_call(call) for call in each(data, "tool_calls", dict)),
        None if stop is None else to_stop(stop),
        None if ids is None else to_ids(ids),
        take(data, "context", str, type(None)),
    )


def to_ids(ids: list[Any]) -> tuple[int, ...]:
    """Sampled ids: whole numbers of 32 bits."""
    if not all(type(i) is int and 0 <= i < 2**32 for i in ids):
        raise StorageError("Token ids must be whole numbers, 0 or more.", "This is no session that llamachat wrote.")
    return tuple(ids)


def to_stop(value: str) -> StopReason:
    """A stop reason by its name."""
    try:
        return StopReason(value)
    except ValueError as error:
        raise StorageError(f"{value[:40]!r} is no stop reason.", f"Known are: {', '.join(StopReason)}.") from error


def to_call(data: Data) -> ToolCall:
    """The reverse of ``call_data``."""
    return ToolCall(take(data, "name", str), take(data, "arguments", dict))


def to_turn(data: Data) -> TurnEnd:
    """The reverse of ``turn_data``."""
    usage = take(data, "usage", dict)
    known = {field.name: take(usage, field.name, float) for field in fields(Usage) if field.name in usage}
    return TurnEnd(to_stop(take(data, "stop", str)), Usage(**known), take(data, "steps", int), take(data, "note", str))  # type: ignore[arg-type]


def to_outcome(data: Data) -> Outcome:
    """The reverse of ``outcome_data``."""
    return Outcome(to_call(take(data, "call", dict)), take(data, "ok", bool), take(data, "seconds", float))


def to_conditions(data: Data) -> Conditions:
    """The reverse of ``conditions_data``."""
    return Conditions(
        take(data, "persona", str),
        take(data, "system", str, type(None)),
        take(data, "model", str),
        take(data, "sampling", dict),
        each(data, "tools", str),
    )


def to_artifact(data: Data) -> Artifact:
    """A file that belongs to a message."""
    return Artifact(take(data, "name", str), take(data, "media_type", str), take(data, "path", str))


def to_node(data: Data) -> Node:
    """The reverse of ``node_data``. Raises StorageError."""
    conditions, outcome, turn = (take(data, key, dict, type(None)) for key in ("conditions", "outcome", "turn"))
    return Node(
        take(data, "id", str),
        take(data, "parent", str, type(None)),
        to_message(take(data, "message", dict)),
        take(data, "created", float),
        choose(data, "kind", Kind),
        take(data, "origin", str, type(None)),
        None if conditions is None else to_conditions(conditions),
        None if outcome is None else to_outcome(outcome),
        tuple(to_artifact(artifact) for artifact in each(data, "artifacts", dict)),
        None if turn is None else to_turn(turn),
        take(data, "name", str),
        choose(data, "flag", Flag),
    )
