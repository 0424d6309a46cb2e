"""Strings, lists and dates that python answers. One expression, or an import and one expression."""

import datetime
from collections.abc import Sequence

from llamachat.training.draw import Draw
from llamachat.training.gen_arith import solved, yes_or_no
from llamachat.training.task import Task, Turn
from llamachat.training.values import join, spoken_date


def some_text(draw: Draw, low: int = 1, high: int = 4) -> str:
    """A word or a few, made up or not, with a number now and then."""
    kinds = ("word", "noun", "adjective", "thing", "animal")
    count = draw.integer(low, high)
    words = [odd(draw) if draw.chance(0.4) else draw.word(draw.choice(kinds)) for _ in range(count)]
    if draw.chance(0.12):
        words.append(str(draw.number(3)))
    text = " ".join(words)
    return text.capitalize() if draw.chance(0.2) else text.upper() if draw.chance(0.04) else text


def odd(draw: Draw) -> str:
    """A word made up, or of no list."""
    return draw.pseudo() if draw.chance(0.6) else draw.any_word()


def text(draw: Draw) -> Turn:
    """A question about one string."""
    block = draw.block("strings")
    several = "split()" in block.code
    s = some_text(draw, 3 if several else 1, 7 if several or draw.chance(0.25) else 4)
    if "sorted({r})" in block.code:
        s = draw.pseudo()
    if "{n}" in block.code and "ord" in block.code:
        s = s.lower()
    if "palindrome" in block.full:
        s = draw.pseudo()
        s = s + s[::-1][draw.integer(0, 1) :] if draw.chance(0.5) else s
    letter, other = draw.choice(s.replace(" ", "").lower()), draw.choice("abcdefghijklmnopqrstuvwxyz")
    quote, wrap = draw.choice(("''", "''", '""', '""', "“”", "")), draw.choice(("", "", "'", '"'))
    index = draw.integer(1, min(4, len(s)))
    second = "".join(draw.some(s, len(s))) if draw.chance(0.5) else draw.pseudo()
    second = second if "sorted({r})" in block.code else draw.word("word")
    word, mark = draw.choice(s.split()) if draw.chance(0.7) else draw.word("word"), draw.choice(("'", '"'))
    slots = {
        "q": quote[:1] + s + quote[1:], "c": letter, "d": other, "k": wrap + letter + wrap, "l": wrap + other + wrap,
        "j": index, "i": index - 1, "z": quote[:1] + second + quote[1:], "r": repr(second), "n": draw.integer(1, 25),
        "w": repr(word), "k2": mark + word + mark, "m": draw.integer(65, 122),
    }  # fmt: skip
    code, ask = block.code.format(s=repr(s), **slots), draw.ask(block.asks, **slots)
    if "{not}" in block.full:
        return yes_or_no(ask, code, block.full)
    return solved(ask, code, block.full.replace("{c}", letter))


def listing(draw: Draw) -> Turn:
    """A question about a list of numbers, or the sorting of words."""
    if draw.chance(0.12):
        return _words(draw)
    block = draw.block("lists")
    code, whole = block.code, "%" in block.code or draw.chance(0.85)
    items: list[float] = [draw.number(draw.choice((2, 2, 3, 4))) for _ in range(draw.integer(3, 8))]
    if not whole:
        items = [draw.decimal() for _ in items]
    if "mode" in code or "set(" in code:
        items += [items[0], items[1], items[0]][: draw.integer(1, 3)]
        draw.random.shuffle(items)
    if not whole and code.startswith(("sum({s})", "max({s}) -")):
        code = f"round({code}, 6)"
    elif not whole and "prod" in code:
        code = "import math\nround(math.prod({s}), 6)"
    bound = draw.number(2)
    ask = draw.ask(block.asks, q=spoken(draw, items), k=bound)
    return solved(ask, code.format(s=str(items), k=bound), block.full)


_ORDERS = (
    "[alphabetically|by alphabet|in alphabetical order|from a to z]",
    "[in reverse alphabetical order|from z to a]",
)


def _words(draw: Draw) -> Turn:
    items = draw.words(draw.choice(("thing", "animal", "person", "city", "word")), draw.integer(3, 6))
    backwards = draw.chance(0.25)
    tail = draw.phrase((_ORDERS[backwards],))
    ask = draw.ask(
        ("[Sort|Order|Arrange] [the words |the list |]{q} {t}.", "[Put|Bring] {q} into order {t}."),
        q=spoken(draw, items), t=tail,
    )  # fmt: skip
    code = f"', '.join(sorted({items!r}{', reverse=True' if backwards else ''}))"
    return solved(ask, code, "Sorted, they are {value}.")


def spoken(draw: Draw, items: Sequence[object]) -> str:
    """A list as users write it."""
    style, words = draw.integer(0, 4), [str(item) for item in items]
    if style < 3:
        return (str(items), " ".join(words), ",".join(words))[style]
    return join(words, "and" if style == 3 else ",")


def some_date(draw: Draw, after: datetime.date | None = None) -> tuple[str, str, datetime.date]:
    """A date as users write it, as python, and itself; shortly after another one if that is given."""
    if after:
        day = after + datetime.timedelta(days=draw.integer(1, draw.choice((60, 365, 900))))
    else:
        years = (1900, 2060) if draw.chance(0.4) else (2015, 2030)
        day = datetime.date(draw.integer(*years), 1, 1) + datetime.timedelta(days=draw.integer(0, 364))
    shown = day.isoformat() if draw.chance(0.3) else spoken_date(draw, day)
    return shown, f"date({day.year}, {day.month}, {day.day})", day


_IMPORT = "from datetime import date\n"


def weekday(draw: Draw) -> Turn:
    """Which weekday a date is."""
    shown, code, _ = some_date(draw)
    return solved(draw.ask(draw.block("weekdays").asks, d=shown), f"{_IMPORT}{code}.strftime('%A')", "It is a {value}.")


def distance(draw: Draw) -> Turn:
    """Days between two dates."""
    shown, code, day = some_date(draw)
    other, code2, _ = some_date(draw, day)
    ask = draw.ask(draw.block("distances").asks, a=shown, b=other)
    return solved(ask, f"{_IMPORT}({code2} - {code}).days", "It is {value} days.")


_SHIFTS = (
    "[What|Which] [date|day] is {n} {u} {w} {d}[?|]",
    "[What is the date|Give me the date|Tell me the date] {n} {u} {w} {d}[?|.]",
    "{n} {u} {w} {d} [is|falls on] [what|which] date?",
)
_ADDITIONS = (
    "[Add|Please add] {n} {u} to {d}.",
    "[It starts|The loan starts|I start] on {d} and [takes|lasts] {n} {u}. When [does it end|is the end]?",
)  # fmt: skip


def shifted(draw: Draw) -> Turn:
    """A date some days or weeks before or after another."""
    shown, code, _ = some_date(draw)
    n, back, unit = (
        draw.integer(1, draw.choice((30, 100, 1000))),
        draw.chance(0.3),
        draw.choice(("days", "days", "weeks")),
    )
    word = draw.choice(("before", "earlier than") if back else ("after", "from", "past", "later than"))
    asks = _SHIFTS if back or draw.chance(0.7) else _ADDITIONS
    ask = draw.ask(asks, n=n, w=word, d=shown, u=unit)
    code = f"from datetime import date, timedelta\nstr({code} {'-' if back else '+'} timedelta({unit}={n}))"
    return solved(ask, code, "It is {value}.")


def calendar(draw: Draw) -> Turn:
    """Leap years, weeks and days of the year, clock times."""
    shown, code, day = some_date(draw)
    kind = draw.choice(("leap", "week", "day", "clock"))
    if kind == "leap":
        y = day.year
        ask = draw.ask(("[Is|Was] {y} a leap year[?|]", "[Check|Tell me] whether {y} [is|was] a leap year."), y=y)
        return yes_or_no(ask, f"{y} % 4 == 0 and ({y} % 100 != 0 or {y} % 400 == 0)", f"{y} is{{not}} a leap year.")
    if kind == "week":
        ask = draw.ask(
            ("[What|Which] [ISO week|calendar week|week number] is {d}[ in|]?", "Give me the week number of {d}."),
            d=shown,
        )
        return solved(ask, f"{_IMPORT}{code}.isocalendar()[1]", "It is week {value}.")
    if kind == "day":
        ask = draw.ask(
            ("[What|Which] day of the year is {d}?", "[Give me|Find] the day number of {d} in its year."), d=shown
        )
        return solved(ask, f"{_IMPORT}{code}.timetuple().tm_yday", "It is day {value} of the year.")
    return _clock(draw)


def dated(draw: Draw) -> Turn:
    """Ages, ends of months and years, forms of a date, spans of time."""
    block = draw.block("dates")
    (d, x, day), early = some_date(draw), draw.integer(0, 12)
    e, y, _ = some_date(draw, day + datetime.timedelta(days=draw.integer(0, draw.choice((0, 20000)))))
    slots = {
        "d": d, "x": x, "e": e, "y": y, "Y": day.year, "M": day.month, "Z": day.year + draw.integer(2, 60),
        "month": f"{day:%B}", "n": draw.integer(2, 99), "p": draw.word("person"), "g": early, "j": draw.integer(0, 59),
        "h": early + draw.integer(1, 11), "i": draw.integer(0, 59), "s": draw.integer(100, 20000),
    }  # fmt: skip
    code = block.code.format(**slots)
    needs = [name for name in ("date", "timedelta") if f"{name}(" in code]
    code = f"from datetime import {', '.join(needs)}\n{code}" if needs else code
    ask = draw.ask(block.asks, **slots)
    return yes_or_no(ask, code, block.full) if "{not}" in block.full else solved(ask, code, block.full)


def _clock(draw: Draw) -> Turn:
    h, m, plus = draw.integer(0, 23), draw.integer(0, 59), draw.integer(5, 600)
    ask = draw.ask(
        ("[What time is it|Which time is it|What is the time] {n} minutes after {t}?",
         "[A|The] [film|train|meeting] starts at {t} and takes {n} minutes. When does it end?"),
        n=plus, t=f"{h}:{m:02}",
    )  # fmt: skip
    return solved(ask, f"t = {h} * 60 + {m} + {plus}\nf'{{t // 60 % 24}}:{{t % 60:02}}'", "It is {value}.")


def go_on(draw: Draw, days: str) -> Turn:
    """A number of days in other units."""
    unit, code = draw.choice((
        ("weeks", f"{days} // 7"), ("full weeks", f"{days} // 7"), ("complete weeks", f"{days} // 7"),
        ("hours", f"{days} * 24"),
    ))  # fmt: skip
    ask = draw.ask(
        ("[And how|How|how] many {u} is that[?|]", "[And in|in] {u}?", "[What|How much] is that in {u}?"), u=unit
    )
    return solved(ask, code, f"That is {{value}} {unit}.")


def text_and_dates(draw: Draw) -> Task:
    """One task of this file."""
    maker = draw.weighted((text, listing, weekday, distance, shifted, calendar, dated), (42, 24, 7, 8, 6, 4, 12))
    turn = maker(draw)
    if maker is distance and draw.chance(0.2):
        return Task((turn, go_on(draw, turn.answer.short)), code=True)
    return Task((turn,), code=True)
