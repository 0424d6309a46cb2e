"""Questions about csv and txt files that python opens: look at the start of a csv first, then compute."""

import io
from typing import Any

from llamachat.training.draw import Draw
from llamachat.training.gen_arith import clean
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.sample import Run, execute, python
from llamachat.training.task import Task, Turn
from llamachat.training.values import phrase

HOW = "I read the file with python."
_TABLES = (
    ("city town place page", "place", "km visitors population temperature distance rain_mm height visits"),
    ("name student player member employee person", "person", "score age points grade salary hours goals weight steps"),
    ("item product article thing", "thing", "price quantity stock sold cost weight units"),
    ("what category type kind", "word", "amount cost total spent minutes euros"),
    ("date day", "date", "amount visits hours temperature sales steps calls"),
)
"""Names of the key column, kind of its values, names of the number column."""


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


def table(draw: Draw) -> tuple[str, str, str, str, list[list[str]]]:
    """Text of a csv file, its key column, its category column ('' if none), its number column, and the rows."""
    keys, kind, numbers = draw.choice(_TABLES)
    key = draw.choice(keys.split())
    number = draw.choice(numbers.split()) if draw.chance(0.8) else draw.pseudo()
    category = (
        draw.choice(("what", "category", "team", "colour", "type", "region", "status", "shop"))
        if draw.chance(0.45)
        else ""
    )
    category = category if category != key else "group"
    decimals = draw.chance(0.4)
    groups = draw.words("word", 3)
    rows = []
    for _ in range(draw.integer(3, 7)):
        value = f"{draw.number(3)}.{draw.integer(0, 99):02}" if decimals else str(draw.number(3) + 1)
        rows.append([_cell(draw, kind), *([draw.choice(groups)] if category else []), value])
    header = ",".join([key, *([category] if category else []), number])
    lines = [header, *(",".join(row) for row in rows)]
    if draw.chance(0.06):
        lines.insert(
            draw.integer(2, len(lines)),
            injection(draw).replace("\n", " ").replace(",", "") + ",0" * (1 + bool(category)),
        )
    return "\n".join(lines) + "\n", key, category, number, rows


def on_table(draw: Draw) -> Task:
    """A csv: look at its start, then compute."""
    text, key, category, number, rows = table(draw)
    name = file_name(draw, "csv")
    block = draw.block("groups" if category and draw.chance(0.6) else "tables")
    row = draw.choice(rows)
    slots = {"n": number, "k": key, "c": category, "f": name, "t": draw.number(3), "x": row[0], "g": row[1]}
    look = f"print(open({name!r}).read()[:150])"
    full = f"import csv\nrows = list(csv.DictReader(open({name!r})))\n{block.code.format(**slots)}"
    seen, done = run(look, {name: text}), run(full, {name: text})
    if done.status == "error":
        return on_table(draw)
    value = clean(done)
    ask = draw.ask(block.asks, **{**slots, "n": number.replace("_", " ")})
    told = block.full.format(v=value, g=row[1])
    turn = Turn(ask, (*python(look, seen), *python(full, done)), Answer(told, value, HOW))
    return Task((turn,), code=True, files={name: text})


def on_text(draw: Draw) -> Task:
    """A txt: one expression."""
    name = file_name(draw, draw.choice(("txt", "txt", "txt", "md", "log")))
    numbers = draw.chance(0.2)
    lines = [str(draw.number(4)) if numbers else phrase(draw) + "." for _ in range(draw.integer(2, 6))]
    text = "\n".join(lines) + "\n"
    block = draw.block("numberfiles" if numbers else "textfiles")
    word = draw.choice(text.lower().replace(".", " ").replace("'", " ").split())
    code = block.code.format(f=name, w=word)
    done = run(code, {name: text})
    value = clean(done)
    ask = draw.ask(block.asks, f=name, w=word)
    turn = Turn(ask, python(code, done), Answer(block.full.format(v=value), value, HOW))
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
    maker = draw.weighted((on_table, on_text, no_such_file), (62, 32, 6))
    return maker(draw)
