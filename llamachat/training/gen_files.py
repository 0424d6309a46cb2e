"""Questions about csv and txt files that python opens: look at the start of a csv first, then compute."""

import io
from typing import Any

from llamachat.training.draw import Draw
from llamachat.training.gen_arith import clean
from llamachat.training.gen_text import _alternatives
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.sample import Run, execute, python
from llamachat.training.schema import phrase
from llamachat.training.task import Task, Turn

_HOW = "I read the file with python."
_TABLES = (
    (("city", "town", "place"), "place", ("km", "visitors", "population", "temperature", "distance", "rain_mm", "height")),
    (("name", "student", "player", "member", "employee", "person"), "person", ("score", "age", "points", "grade", "salary", "hours", "goals", "weight", "steps")),
    (("item", "product", "article", "thing"), "thing", ("price", "quantity", "stock", "sold", "cost", "weight", "units")),
    (("what", "category", "type", "kind"), "word", ("amount", "cost", "total", "spent", "minutes", "euros")),
    (("date", "day"), "date", ("amount", "visits", "hours", "temperature", "sales", "steps", "calls")),
)  # fmt: skip


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
    key = draw.choice(keys)
    number = draw.choice(numbers) if draw.chance(0.8) else draw.pseudo()
    category = draw.choice(("what", "category", "team", "colour", "type", "region", "status", "shop")) if draw.chance(0.45) else ""
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
        lines.insert(draw.integer(2, len(lines)), injection(draw).replace("\n", " ").replace(",", "") + ",0" * (1 + bool(category)))
    return "\n".join(lines) + "\n", key, category, number, rows


_ON_TABLE = (
    ("round(sum(float(r['{n}']) for r in rows), 2)", "[What is|Compute|Find|Give me|What's] the [sum|total] of [the |][column |]{n}[ column|] in {f}[?|]|[Add up|Sum up|Sum|Total] [the |]{n}[ column|] [in|of] {f}.|[Total|Overall|How much is the total] {n} in {f}[?|]|How much {n} is [there |]in {f} [in total|altogether]?|[According to|In|From] {f}, what is the total {n}?", "The total is {v}."),
    ("round(sum(float(r['{n}']) for r in rows) / len(rows), 2)", "[What is|Compute|Find|Give me|What's] the [average|mean] [of the |of |]{n}[ column|] in {f}[?|]|[Average|Mean] [of the |of |]{n}[ column|] in {f}[?|]|[In|According to] {f}, what is the [average|mean] {n}?", "The average is {v}."),
    ("max(float(r['{n}']) for r in rows)", "[What is|Find|Give me|What's] the [highest|largest|biggest|maximum|greatest] {n} in {f}[?|]|[Maximum|Highest|Biggest] {n} in {f}[?|]|In {f}, [what is|what's] the [biggest|highest|largest] [single |]{n}?", "The highest is {v}."),
    ("min(float(r['{n}']) for r in rows)", "[What is|Find|Give me|What's] the [lowest|smallest|minimum|least] {n} in {f}[?|]|[Minimum|Lowest|Smallest] {n} in {f}[?|]|In {f}, [what is|what's] the [lowest|smallest] {n}?", "The lowest is {v}."),
    ("max(rows, key=lambda r: float(r['{n}']))['{k}']", "[Which|What] {k} [has|had] the [highest|largest|most|biggest] {n} in {f}[?|]|[Which|What] {k} in {f} [has|had] the [highest|most|largest] {n}?|[In|According to] {f}, [which|what] {k} has the [most|highest] {n}?", "It is {v}."),
    ("min(rows, key=lambda r: float(r['{n}']))['{k}']", "[Which|What] {k} [has|had] the [lowest|smallest|least] {n} in {f}[?|]|[In|According to] {f}, [which|what] {k} has the [least|lowest] {n}?", "It is {v}."),
    ("len(rows)", "How many [rows|entries|records|lines of data|{k}s] [are there in|are in|does] {f}[ have|]?|[Count|Number of] [the |]rows [in|of] {f}[?|.]", "There are {v} rows."),
    ("sum(float(r['{n}']) > {t} for r in rows)", "How many [rows|entries|{k}s] in {f} have [a|an] {n} [above|over|greater than|more than|larger than] {t}?", "{v} rows."),
    ("next(r['{n}'] for r in rows if r['{k}'] == '{x}')", "[What is|What's|Find|Give me|Look up] the {n} [of|for] {x} in {f}[?|]|How [much|many] {n} [has|does|did] {x} [have |]in {f}?|[In|According to] {f}, what is the {n} of {x}?", "It is {v}."),
    ("', '.join(r['{k}'] for r in sorted(rows, key=lambda r: float(r['{n}'])))", "[Sort|Order|List] the {k}s in {f} by {n}.", "They are {v}."),
)  # fmt: skip
_ON_GROUP = (
    ("round(sum(float(r['{n}']) for r in rows if r['{c}'] == '{g}'), 2)", "[What is|Compute|Find|Give me|What's] the [total|sum of the] {n} [of|for] [{c} |]{g} in {f}[?|]|How much {n} [belongs to|is for|is there for|has] {g} in {f}[?| in total?]|What did [I|we] [spend|pay] [on|for] {g} [in total |altogether |][according to|in] {f}[?|]|[Total|Sum of] {n} [of|for] {g} in {f}[?|]", "The total for {g} is {v}."),
    ("sum(r['{c}'] == '{g}' for r in rows)", "How many [rows|entries|{k}s] in {f} [are|have the {c}|belong to|are of the {c}] {g}?|[How often|How many times] does {g} [occur|appear] in {f}?", "There are {v}."),
    ("len(set(r['{c}'] for r in rows))", "How many [different|distinct] {c}s [are there in|are in|does] {f}[ have|]?", "There are {v}."),
    ("round(sum(float(r['{n}']) for r in rows if r['{c}'] == '{g}') / sum(r['{c}'] == '{g}' for r in rows), 2)", "[What is|Compute|Find] the average {n} [of|for] [{c} |]{g} in {f}[?|]", "The average for {g} is {v}."),
)  # fmt: skip


def on_table(draw: Draw) -> Turn:
    """A csv: look at its start, then compute."""
    text, key, category, number, rows = table(draw)
    name = file_name(draw, "csv")
    choices = _ON_GROUP if category and draw.chance(0.6) else _ON_TABLE
    code, asks, told = draw.random.choices(choices, [4] + [2] * (len(choices) - 1))[0]
    row = draw.choice(rows)
    slots = {"n": number, "k": key, "c": category, "f": name, "t": draw.number(3), "x": row[0], "g": row[1]}
    look = f"print(open({name!r}).read()[:150])"
    full = f"import csv\nrows = list(csv.DictReader(open({name!r})))\n{code.format(**slots)}"
    seen, done = run(look, {name: text}), run(full, {name: text})
    if done.status == "error":
        return on_table(draw)
    value = clean(done.stdout)
    steps = (*python(look, seen), *python(full, done))
    return Turn(draw.ask(_alternatives(asks), **{**slots, "n": number.replace("_", " ")}), steps, Answer(told.format(v=value, g=row[1]), value, _HOW))


_ON_TEXT = (
    ("len(open({f!r}).read().split())", "How many words [are in|are there in|does|has] {f}[ have| contain|]?|[Count|Give me|Tell me] the [number of |]words in {f}[.|]|Word count of {f}[?|, please]|[What is|What's] the word count of {f}?", "It has {v} words."),
    ("len(open({f!r}).read().splitlines())", "How many lines [are in|are there in|does|has] {f}[ have| contain|]?|[Count|Give me|Tell me] the [number of |]lines in {f}[.|]|[Number of lines|Lines] in {f}[?|]", "It has {v} lines."),
    ("len(open({f!r}).read())", "How many characters [are in|are there in|does|has] {f}[ have|]?|[How long is|What is the length of] {f}[ in characters|]?", "It has {v} characters."),
    ("sum({w!r} in line.lower() for line in open({f!r}))", "How many lines [in|of] {f} [contain|have|mention] [the word |]{w}?|[Count|Find] the lines [in|of] {f} [with|that contain] {w}.", "{v} lines."),
    ("open({f!r}).read().lower().count({w!r})", "How [often|many times] does [the word |]{w} [occur|appear] in {f}?|[Count|Find] [the word |]{w} in {f}.", "It occurs {v} times."),
    ("open({f!r}).readline().strip()", "What [is|does] the first line [of|in] {f}[ say|]?|[Show|Give|Read] me the first line of {f}.", "The first line is: {v}"),
    ("open({f!r}).read().splitlines()[-1]", "What [is|does] the last line [of|in] {f}[ say|]?|[Show|Give|Read] me the last line of {f}.", "The last line is: {v}"),
    ("max(open({f!r}).read().splitlines(), key=len)", "[Which|What] is the longest line [of|in] {f}[?|]|[Show|Find|Give me] the longest line [of|in] {f}.", "The longest line is: {v}"),
    ("max(open({f!r}).read().split(), key=len)", "[Which|What] is the longest word [of|in] {f}[?|]|[Show|Find|Give me] the longest word [of|in] {f}.", "The longest word is {v}"),
    ("print(open({f!r}).read())", "[Show|Print|Read|Open|Display] [me |][the file |]{f}[.|]|What [is|stands|does it say] in {f}[?|]", "It says: {v}"),
)  # fmt: skip
_ON_NUMBERS = (
    ("sum(float(x) for x in open({f!r}).read().split())", "[Add up|Sum|Sum up] the numbers in {f}.|[What is|Find] the [sum|total] of [all |]the numbers in {f}?", "The sum is {v}."),
    ("max(float(x) for x in open({f!r}).read().split())", "[What is|Find] the [largest|biggest|highest] number in {f}[?|]", "The largest is {v}."),
    ("min(float(x) for x in open({f!r}).read().split())", "[What is|Find] the [smallest|lowest] number in {f}[?|]", "The smallest is {v}."),
)  # fmt: skip


def on_text(draw: Draw) -> Turn:
    """A txt: one expression."""
    name = file_name(draw, draw.choice(("txt", "txt", "txt", "md", "log")))
    numbers = draw.chance(0.2)
    lines = [str(draw.number(4)) if numbers else phrase(draw) + "." for _ in range(draw.integer(2, 6))]
    text = "\n".join(lines) + "\n"
    code, asks, told = draw.choice(_ON_NUMBERS) if numbers else draw.random.choices(_ON_TEXT, [4, 4] + [1] * (len(_ON_TEXT) - 2))[0]
    word = draw.choice(text.lower().replace(".", " ").replace("'", " ").split())
    code = code.format(f=name, w=word)
    done = run(code, {name: text})
    value = clean(done.stdout)
    return Turn(draw.ask(_alternatives(asks), f=name, w=word), python(code, done), Answer(told.format(v=value), value, _HOW))


def no_such_file(draw: Draw) -> Turn:
    """The file isn't there: say so."""
    turn = on_text(draw)
    code = turn.steps[0].tool_calls[0].arguments["code"]
    name = next(word for word in code.replace('"', "'").split("'") if "." in word and " " not in word)
    return Turn(turn.question, python(code, run(code, {})), Answer(f"There is no file {name}.", f"No file {name}.", _HOW))


def file_questions(draw: Draw) -> Task:
    """One task of this file."""
    maker = draw.random.choices((on_table, on_text, no_such_file), (62, 32, 6))[0]
    return Task((maker(draw),), code=True)


