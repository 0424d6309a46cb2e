"""Whether a turn's reply and calls meet a task's expectations. Pure functions of text and JSON; runs no model.

Text needles ignore case; one that starts with a letter starts a word; a number is a whole number of the reply;
thousands commas and trailing zeros do not matter, and a decimal may have more digits if it rounds to the needle.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

BUILTIN = frozenset({"python", "search"})
_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "−": "-"})
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
Call = Mapping[str, Any]


def straight(text: str) -> str:
    """``text`` with plain quotes and minus signs, in compatibility form."""
    return unicodedata.normalize("NFKC", text).translate(_STRAIGHT)


def contains(reply: str, needle: str) -> bool:
    """Whether ``needle`` occurs in ``reply`` by the rules above."""
    reply, needle = straight(reply).lower(), straight(needle).lower()
    head = (
        r"(?<![^\W\d_])"
        if needle[0].isalpha()
        else r"(?<!\d)(?<!\d[.,])(?<![(\s]-)(?<!^-)"
        if needle[0].isdigit()
        else ""
    )
    tail = r"(?!\d)(?![.,]\d)" if needle[-1].isdigit() else ""
    if re.search(head + re.escape(needle) + tail, reply):
        return True
    return bool(_NUMBER.fullmatch(needle)) and any(_equal(found, needle) for found in _numbers(reply))


def _numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?|(?<=[^\w\s.,])\d[\d,]*(?:\.\d+)?", text)


def _equal(found: str, needle: str) -> bool:
    places = len(needle.partition(".")[2])
    slack = 0.5 * 10**-places if places else 0.0
    return abs(float(found.replace(",", "")) - float(needle.replace(",", ""))) <= slack + 1e-9


def same(one: Any, other: Any) -> bool:
    """Equality of JSON values as calls are compared: numbers by value, strings ignoring case, space and final marks."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) < 1e-9
    if isinstance(one, str) and isinstance(other, str):
        return _plain(one) == _plain(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def _plain(text: str) -> str:
    return " ".join(straight(text).split()).rstrip(".!?").casefold()


def completed(functions: Sequence[Mapping[str, Any]], call: Call) -> dict[str, Any]:
    """The arguments of ``call``: defaults of the schema filled in, optional ones that are null or empty left out."""
    arguments = dict(call.get("arguments") or {})
    spec = next((f["parameters"] for f in functions if f["name"] == call["name"]), None)
    if spec is None:
        return arguments
    arguments = {key: value for key, value in arguments.items() if key in spec["required"] or value not in (None, "")}
    defaults = {key: value["default"] for key, value in spec["properties"].items() if "default" in value}
    return {**defaults, **arguments}


def answer_of(functions: Sequence[Mapping[str, Any]], call: Call) -> Any:
    """What the task says that a function returns: the first entry of ``returns`` whose ``when`` matches."""
    spec = next((f for f in functions if f["name"] == call["name"]), None)
    arguments = completed(functions, call)
    for entry in spec["returns"] if spec else ():
        when = entry["when"] or {}
        if all(key in arguments and same(arguments[key], value) for key, value in when.items()):
            return entry["value"]
    return {"error": "nothing found for these arguments"}


def problem(functions: Sequence[Mapping[str, Any]], turn: Mapping[str, Any], reply: str, calls: Sequence[Call]) -> str:
    """Why the turn fails, or an empty string if it passes."""
    expect = turn["expect"]
    if not reply.strip():
        return "empty reply"
    if (
        re.sub(r"\W+", " ", straight(reply)).strip().lower()
        == re.sub(r"\W+", " ", straight(turn["user"])).strip().lower()
    ):
        return "echo of the question"
    if re.search(r"<\|.*\|>", reply):
        return "special token in the reply"
    return _calls_problem(functions, expect, calls) or _text_problem(expect, reply)


def _calls_problem(functions: Sequence[Mapping[str, Any]], expect: Mapping[str, Any], calls: Sequence[Call]) -> str:
    if expect.get("no_call") and calls:
        return "unexpected call"
    if "calls" not in expect:
        return ""
    made = {call["name"] for call in calls}
    for name in (call["name"] for call in expect["calls"] if call["name"] in BUILTIN):
        if name not in made:
            return f"{name} not called"
    wanted = [call for call in expect["calls"] if call["name"] not in BUILTIN]
    got = _without_repeats(functions, [call for call in calls if call["name"] not in BUILTIN])
    if len(got) != len(wanted):
        return f"{len(got)} function calls, not {len(wanted)}"
    for call in wanted:
        candidates = got[:1] if expect.get("ordered") else got
        match = next((other for other in candidates if _same_call(functions, call, other)), None)
        if match is None:
            return f"no call {call['name']}({call['arguments']}), but {got}"
        got.remove(match)
    return ""


def _without_repeats(functions: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> list[Call]:
    kept: list[Call] = []
    for call in calls:
        result = answer_of(functions, call)
        failed = isinstance(result, dict) and "error" in result
        if not (failed and any(_same_call(functions, call, other) for other in kept)):
            kept.append(call)
    return kept


def _same_call(functions: Sequence[Mapping[str, Any]], one: Call, other: Call) -> bool:
    return one["name"] == other["name"] and same(completed(functions, one), completed(functions, other))


def _text_problem(expect: Mapping[str, Any], reply: str) -> str:
    if "answer_any" in expect and not any(contains(reply, needle) for needle in expect["answer_any"]):
        return "answer_any"
    if not all(contains(reply, needle) for needle in expect.get("answer_all", ())):
        return "answer_all"
    if any(straight(needle).lower() in straight(reply).lower() for needle in expect.get("answer_none", ())):
        return "answer_none"
    if len(reply.split()) > expect.get("max_words", len(reply)):
        return "max_words"
    if "regex" in expect and not re.search(expect["regex"], straight(reply).strip()):
        return "regex"
    return ""
