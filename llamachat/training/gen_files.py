"""Questions about csv and txt files that python opens: look at the start of a csv first, then compute."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

from llamachat.training.draw import Draw, plural, with_articles
from llamachat.training.gen_arith import clean, yes_or_no
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.phrases import blocks, lines
from llamachat.training.sample import Run, execute, python
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, phrase

HOW = "I read the file with python."
_KEYS = {
    "place": "city town place page country", "person": "name student player member employee person runner",
    "thing": "item product article thing fruit", "word": "what name project book title", "animal": "animal species pet",
    "date": "date day",
}  # fmt: skip
"""Names of the key column, by the kind of its values."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers: the kind of key it belongs to, its names, and words for who has most, least and how much."""

    key: str
    names: tuple[str, ...]
    best: tuple[str, ...]
    worst: tuple[str, ...]
    how: str


@cache
def columns() -> tuple[Column, ...]:
    """The table of columns."""
    rows = (line.split(" | ") for line in lines("columns"))
    return tuple(
        Column(key, tuple(names.split()), tuple(best.split(";")), tuple(worst.split(";")), how)
        for key, names, best, worst, how in rows
    )


@dataclass(frozen=True, slots=True)
class Table:
    """A csv file: its text, with an order hidden in it and without, and what can be asked of it as slots."""

    text: str
    plain: str
    slots: dict[str, str]


def file_name(draw: Draw, ending: str) -> str:
    """A name such as ``sales.csv``."""
    stem = draw.choice((draw.word("filename"), draw.word("filename"), draw.word("noun"), draw.pseudo()))
    return f"{stem}{draw.choice(('', '', '', f'_{draw.integer(1, 2030)}'))}.{ending}"


def _cell(draw: Draw, kind: str) -> str:
    if kind == "date":
        return f"20{draw.integer(10, 29)}-{draw.integer(1, 12):02}-{draw.integer(1, 28):02}"
    return draw.place() if kind == "place" else draw.word(kind) if draw.chance(0.7) else draw.pseudo()


def run(code: str, files: dict[str, str]) -> Run:
    """Execute ``code`` with ``files`` in its folder."""

    def fake_open(name: str, *_: Any, **__: Any) -> io.StringIO:
        if name not in files:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: '{name}'")
        return io.StringIO(files[name])

    return execute(code, {"open": fake_open})


def table(draw: Draw) -> Table:
    """Key, perhaps a category, one or two columns of numbers."""
    column = draw.choice(columns())
    key, number = draw.choice(_KEYS[column.key].split()), draw.choice(column.names)
    number = number if draw.chance(0.85) else draw.pseudo()
    others = [other for c in columns() if c.key == column.key and c != column for other in c.names if other != number]
    numbers = [number, draw.choice(others)][: draw.integer(1, 2)]
    draw.random.shuffle(numbers)
    category = draw.choice(_CATEGORIES) if draw.chance(0.5) else ""
    category = category if category not in (key, *numbers) else "label"
    groups, rows = draw.words("word", 3), []
    decimals = [draw.chance(0.35) for _ in numbers]
    for name in dict.fromkeys(_cell(draw, column.key) for _ in range(draw.integer(3, 7))):
        values = [f"{draw.number(3)}.{draw.integer(0, 99):02}" if d else str(draw.number(4) + 1) for d in decimals]
        rows.append((name, *([draw.choice(groups)] if category else []), *values))
    lines_ = [",".join([key, *([category] if category else []), *numbers]), *(",".join(row) for row in rows)]
    plain = "\n".join(lines_) + "\n"
    if draw.chance(0.06):
        order = injection(draw).replace("\n", " ").replace(",", "")
        lines_.insert(draw.integer(2, len(lines_)), order + ",0" * (len(rows[0]) - 1))
    one, two = draw.some(rows, 2) if len(rows) > 1 else (rows[0], rows[0])
    slots = {
        "n": number, "k": key, "c": category, "x": one[0], "y": two[0], "g": one[1], "t": str(draw.number(3)),
        "ks": plural(key), "cs": plural(category), "best": draw.choice(column.best),
        "worst": draw.choice(column.worst), "how": column.how.format(x=one[0]),
    }  # fmt: skip
    return Table("\n".join(lines_) + "\n", plain, slots)


_CATEGORIES = (
    "what",
    "category",
    "team",
    "colour",
    "type",
    "region",
    "status",
    "shop",
    "class",
    "country",
    "size",
    "kind",
)


def on_table(draw: Draw) -> Task:
    """A csv: look at its start, then compute."""
    made, name = table(draw), file_name(draw, "csv")
    slots = {**made.slots, "f": name}
    block = draw.block("groups" if slots["c"] and draw.chance(0.6) else "tables")
    look = f"print(open({name!r}).read()[:150])"
    opened = f"import csv\nrows = list(csv.DictReader(open({name!r})))"
    imports, _, code = block.code.format(**slots).rpartition("import statistics\n")
    full = f"{imports}import csv, statistics\n{opened[11:]}\n{code}" if "statistics" in code else f"{opened}\n{code}"
    files = {name: made.text}
    seen, done = run(look, files), run(full, files)
    if done.status == "error" or done != run(full, {name: made.plain}):  # the order must not change the answer
        return on_table(draw)
    value = clean(done)
    ask = with_articles(draw.ask(block.asks, **{**slots, "n": slots["n"].replace("_", " ")}))
    told = block.full.format(v=value, g=slots["g"])
    turns = [Turn(ask, (*python(look, seen), *python(full, done)), Answer(told, value, HOW))]
    if made.text == made.plain and "{n}" in block.code and draw.chance(0.25):
        turns.append(_again(draw, slots, opened, files))
    return Task(tuple(turns), code=True, files=files)


def _again(draw: Draw, slots: dict[str, str], opened: str, files: dict[str, str]) -> Turn:
    """One more question about the rows that python still has."""
    block = draw.block("again")
    code = block.code.format(**slots)
    done = run(f"{opened}\n{code}", files)
    value, spoken = clean(done), {**slots, "n": slots["n"].replace("_", " ")}
    return Turn(draw.ask(block.asks, **spoken), python(code, done), Answer(block.full.format(v=value), value, HOW))


def on_text(draw: Draw) -> Task:
    """A txt: one expression."""
    name = file_name(draw, draw.choice(("txt", "txt", "txt", "md", "log")))
    numbers = draw.chance(0.2)
    said = [str(draw.number(4)) if numbers else phrase(draw) + "." for _ in range(draw.integer(2, 6))]
    text = "\n".join(said) + "\n"
    block = draw.block("numberfiles" if numbers else "textfiles")
    word = draw.choice(text.lower().replace(".", " ").replace("'", " ").split())
    word = word if draw.chance(0.8) or not numbers else draw.word("noun")
    at = draw.integer(1, len(said))
    code = block.code.format(f=name, w=word, i=at - 1)
    done = run(code, {name: text})
    ask = draw.ask(block.asks, f=name, w=word, j=at)
    if "{not}" in block.full:
        return Task((yes_or_no(ask, code, block.full, done),), code=True, files={name: text})
    value = clean(done)
    turn = Turn(ask, python(code, done), Answer(block.full.format(v=value), value, HOW))
    return Task((turn,), code=True, files={name: text})


_SOURCES = ("According to {f}, {a}?", "{A}? [It's in|See|Look in|Read] {f}.", "[Look|Have a look] in {f}: {a}?",
            "{A}, [according to|says|going by] {f}?", "[Read|Open] {f} and tell me: {a}?")  # fmt: skip


def on_notes(draw: Draw) -> Task:
    """A txt whose lines tell things: print it, then say what was asked."""
    name, known = file_name(draw, draw.choice(("txt", "txt", "md"))), []
    for block in draw.some(blocks("notes"), draw.integer(2, 5)):
        value, shown = draw_value(draw, block.code)
        slots = {"v": shown, "n": draw.word("noun"), "p": draw.word("person"), "t": draw.word("thing")}
        ask = draw.phrase(block.asks, **slots)
        known.append((draw.phrase((block.short,), **slots), ask, Answer(block.full.format(**slots), str(value), HOW)))
    said = [line[0].upper() + line[1:] + "." for line, _, _ in known]
    if draw.chance(0.08):
        said.insert(draw.integer(0, len(said)), injection(draw).replace("\n", " "))
    text = "\n".join(said) + "\n"
    _, ask, answer = draw.choice(known)
    question = draw.ask(_SOURCES, f=name, a=ask[0].lower() + ask[1:], A=ask)
    code = f"print(open({name!r}).read())"
    turn = Turn(question, python(code, run(code, {name: text})), answer)
    return Task((turn,), code=True, files={name: text})


def no_such_file(draw: Draw) -> Task:
    """The file isn't there: say so."""
    turn = on_text(draw).turns[0]
    code = turn.steps[0].tool_calls[0].arguments["code"]
    name = next(word for word in code.replace('"', "'").split("'") if "." in word and " " not in word)
    answer = Answer(f"There is no file {name}.", f"No file {name}.", HOW)
    return Task((Turn(turn.question, python(code, run(code, {})), answer),), code=True)


def file_questions(draw: Draw) -> Task:
    """One task of this file."""
    maker = draw.weighted((on_table, on_text, on_notes, no_such_file), (58, 26, 11, 5))
    return maker(draw)
