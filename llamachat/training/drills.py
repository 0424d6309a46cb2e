"""Copy and key-value drills: the circuits that tool calls need, in their purest form. Used most in the warm-up."""

import json

from llamachat.training.draw import Draw
from llamachat.training.persona import Answer
from llamachat.training.replies import random_record, tell
from llamachat.training.sample import call, execute, python, result
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title

_KINDS = "integer number code email host pseudo title date clock phrase filename place word any any any city person"
_REPEAT = (
    "[Repeat|Say|Copy|Echo|Write]: {x}", "[Repeat|Say|Copy] after me: {x}", "[Say|Write] exactly this: {x}",
    '[Say|Repeat|Copy] "{x}"',
)  # fmt: skip
_LOOK_UP = (
    "{s}. [What is|What's|Give me] {k}?", "[Given|Here is|Look at|Read] {s}. [What is|Which value has] {k}?",
    "[What is|Find] {k} in {s}?",
)  # fmt: skip


def _anything(draw: Draw) -> str:
    return draw_value(draw, draw.choice(_KINDS.split()))[1]


def repeat(draw: Draw) -> Turn:
    """Say this after me."""
    text = " ".join(_anything(draw) for _ in range(draw.integer(1, 5)))
    return Turn(draw.phrase(_REPEAT, x=text), (), Answer(text, text, ""))


def look_up(draw: Draw) -> Turn:
    """Keys and values, one is asked for."""
    keys = [draw.pseudo() if draw.chance(0.5) else draw.word("noun") for _ in range(draw.integer(2, 7))]
    keys = list(dict.fromkeys(keys))
    values = [_anything(draw) for _ in keys]
    at = draw.integer(0, len(keys) - 1)
    style = draw.integer(0, 3)
    if style == 0:
        shown = json.dumps(dict(zip(keys, values, strict=True)))
    else:
        mark, gap = ((": ", "; "), (" = ", ", "), (" is ", ". "))[style - 1]
        shown = gap.join(f"{key}{mark}{value}" for key, value in zip(keys, values, strict=True))
    ask = draw.phrase(_LOOK_UP, s=shown, k=keys[at])
    return Turn(ask, (), Answer(values[at], values[at], ""))


def read_back(draw: Draw) -> Turn:
    """A tool result is read back, with no question to understand."""
    if draw.chance(0.5):
        code = f"print({_anything(draw)!r})"
        run = execute(code)
        ask = draw.phrase(("[Run|Execute|Do]: {c}", "[Run|Execute] this [code|python]: {c}"), c=code)
        return Turn(ask, python(code, run), Answer(f"The output is {run.stdout}.", run.stdout, ""))
    value, query = random_record(draw), title(draw)
    ask = draw.phrase(("[Look up|Search|Find|Search for] {q}", "[Search|Look] for {q} on the web"), q=query)
    return Turn(ask, (call("brave_search", {"query": query}), result(value)), tell(value))


def drills(draw: Draw) -> Task:
    """One drill."""
    turn = draw.weighted((repeat, look_up, read_back), (55, 30, 15))(draw)
    tool = turn.steps[0].tool_calls[0].name if turn.steps else ""
    return Task((turn,), code=tool == "code_interpreter" or None, search=tool == "brave_search" or None)
