"""Copy and key-value drills: the circuits that tool calls need, in their purest form. Used most in the warm-up."""

import json

from llamachat.training.draw import Draw
from llamachat.training.persona import Answer
from llamachat.training.replies import random_record, tell
from llamachat.training.sample import call, execute, python, result
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title


def _anything(draw: Draw) -> str:
    kind = draw.choice(
        (
            "integer",
            "number",
            "code",
            "email",
            "host",
            "pseudo",
            "title",
            "date",
            "clock",
            "phrase",
            "filename",
            "place",
            "word",
        )
    )
    return draw_value(draw, kind)[1]


def repeat(draw: Draw) -> Turn:
    """Say this after me."""
    text = " ".join(_anything(draw) for _ in range(draw.integer(1, 5)))
    ask = draw.phrase(
        (
            "[Repeat|Say|Copy|Echo|Write]: {x}",
            "[Repeat|Say|Copy] after me: {x}",
            "[Say|Write] exactly this: {x}",
            '[Say|Repeat|Copy] "{x}"',
        ),
        x=text,
    )
    return Turn(ask, (), Answer(text, text, ""))


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
    ask = draw.phrase(
        (
            "{s}. [What is|What's|Give me] {k}?",
            "[Given|Here is|Look at|Read] {s}. [What is|Which value has] {k}?",
            "[What is|Find] {k} in {s}?",
        ),
        s=shown,
        k=keys[at],
    )
    return Turn(ask, (), Answer(values[at], values[at], ""))


def read_back(draw: Draw) -> Turn:
    """A tool result is read back, with no question to understand."""
    if draw.chance(0.5):
        code = f"print({_anything(draw)!r})"
        run = execute(code)
        return Turn(
            draw.phrase(("[Run|Execute|Do]: {c}", "[Run|Execute] this [code|python]: {c}"), c=code),
            python(code, run),
            Answer(f"The output is {run.stdout}.", run.stdout, ""),
        )
    value = random_record(draw)
    query = title(draw)
    return Turn(
        draw.phrase(("[Look up|Search|Find|Search for] {q}", "[Search|Look] for {q} on the web"), q=query),
        (call("brave_search", {"query": query}), result(value)),
        tell(value),
    )


def drills(draw: Draw) -> Task:
    """One drill."""
    maker = draw.random.choices((repeat, look_up, read_back), (35, 40, 25))[0]
    turn = maker(draw)
    tool = turn.steps[0].tool_calls[0].name if turn.steps else ""
    return Task(
        (turn,), code=True if tool == "code_interpreter" else None, search=True if tool == "brave_search" else None
    )
