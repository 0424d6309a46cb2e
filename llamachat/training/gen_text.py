"""Strings, lists and dates that python answers. One expression, or an import and one expression."""

import datetime

from llamachat.training.draw import Draw
from llamachat.training.gen_arith import clean, solved
from llamachat.training.persona import Answer
from llamachat.training.sample import execute, python
from llamachat.training.task import Task, Turn


def some_text(draw: Draw, low: int = 1, high: int = 4) -> str:
    """A word or a few, made up or not, with a number now and then."""
    kinds = ("word", "noun", "adjective", "thing", "animal")
    words = [draw.pseudo() if draw.chance(0.3) else draw.word(draw.choice(kinds)) for _ in range(draw.integer(low, high))]
    if draw.chance(0.12):
        words.append(str(draw.number(3)))
    text = " ".join(words)
    return text.capitalize() if draw.chance(0.2) else text.upper() if draw.chance(0.04) else text


_ON_TEXT = (
    ("{s}[::-1]", "[Reverse|Turn around|Flip] [the |][string|word|text|letters of|] {q}[.|]|[What is|What's|Give me|Show me] {q} [backwards|reversed|spelled backwards|in reverse][?|]|[Can|Could] you [reverse|spell backwards] {q}?|[Write|Spell|Print|Say] {q} [backwards|in reverse order|from right to left].", "Reversed, it is {value}."),
    ("len({s})", "How [long is|many characters are in|many characters has] [the |][string|word|text|phrase|] {q}[?|]|[Count|Give me] the [characters|number of characters] [in|of] {q}.|What is the length of [the string |]{q}?", "It has {value} characters."),
    ("sum(c.isalpha() for c in {s})", "How many letters [are in|does] [the |][string|word|text|phrase|] {q}[ have|]?|[Count|Give me] the [letters|number of letters] [in|of] {q}.", "It has {value} letters."),
    ("{s}.lower().count('{c}')", "How [many times|often] does [the letter |]{k} [occur|appear|come|show up] in [the |][string|word|text|phrase|] {q}?|[Count|Find] [the letter {k}|the {k}s|how often {k} occurs] in {q}.|How many {k}s [are in|are there in|does] {q}[| have|]?|In [the |][phrase|word|text] {q}, how [often|many times] does [the letter |]{k} [occur|appear]?|How many [letters|times the letter] {k} [are in|are there in|in] {q}?", "The letter {c} occurs {value} times."),
    ("len({s}.split())", "How many words [are in|are there in|has|does] [the |][sentence|text|phrase|] {q}[ have|]?|[Count|Give me] the [words|number of words] [in|of] {q}.", "It has {value} words."),
    ("sum(c in 'aeiou' for c in {s}.lower())", "How many vowels [are in|are there in|has|does] [the |][word|text|phrase|] {q}[ have|]?|[Count|Give me] the [vowels|number of vowels] [in|of] {q}.", "It has {value} vowels."),
    ("sum(c.isalpha() and c not in 'aeiou' for c in {s}.lower())", "How many consonants [are in|are there in] [the |][word|text|phrase|] {q}?|Count the consonants [in|of] {q}.", "It has {value} consonants."),
    ("{s}.upper()", "[Write|Put|Convert|Turn|Change] {q} [in|to|into] [capitals|capital letters|upper case|uppercase].|[Make|Uppercase] {q}[ upper case| all caps].|[What is|Give me] {q} in [capitals|upper case]?", "It is {value}."),
    ("{s}.title()", "[Write|Put|Convert] {q} in title case.|Capitalise [every|each] word [of|in] {q}.", "It is {value}."),
    ("' '.join(sorted({s}.split()))", "[Sort|Order|Put] the words [in|of] {q} [alphabetically|by alphabet|in alphabetical order].|[Sort|Order] the words {q}.", "Sorted, it is {value}."),
    ("' '.join({s}.split()[::-1])", "[Reverse|Flip|Turn around] the [order of the words|word order] [in|of] {q}.|[Write|Give me] the words [of|in] {q} in reverse order.", "In reverse order, it is {value}."),
    ("''.join(sorted({s}))", "[Sort|Order|Put] the letters [in|of] {q} [alphabetically|in alphabetical order].", "Sorted, the letters are {value}."),
    ("len(set(c for c in {s}.lower() if c.isalpha()))", "How many [different|distinct|unique] letters [are in|are there in|does] {q}[ have|]?", "It has {value} different letters."),
    ("max({s}.split(), key=len)", "[What is|Which is|Find|Give me] the longest word [in|of] {q}[?|]|Which word [in|of] {q} is [the |]longest?", "The longest word is {value}."),
    ("{s}.replace('{c}', '{d}')", "[Replace|Change|Swap] [every|each|all] {k} [in|of] {q} [with|by|to|for] {l}.|[What is|Give me] {q} with [every|each] {k} replaced by {l}?", "It is {value}."),
    ("{s}.replace('{c}', '')", "[Remove|Delete|Drop] [every|each|all] [letter |]{k} [in|from|of] {q}.|[What is|Give me] {q} without the letter {k}?", "It is {value}."),
    ("{s}.lower() == {s}.lower()[::-1]", "Is {q} a palindrome[?|]|[Check|Tell me|Test] whether {q} is a palindrome.", "bool:It is{not} a palindrome."),
    ("''.join(w[0] for w in {s}.split()).upper()", "[What are|Give me|Take] the [first letters|initials] of {q}[?|]|[Make|Build] an acronym [from|of] {q}.", "The first letters are {value}."),
    ("{s}[{i}]", "[What is|Which is|Give me] [letter|character] [number |]{j} of {q}?", "It is {value}."),
    ("{s}[:{j}]", "[What are|Give me|Take] the first {j} [letters|characters] of {q}[?|]", "They are {value}."),
    ("{s}[-{j}:]", "[What are|Give me|Take] the last {j} [letters|characters] of {q}[?|]", "They are {value}."),
    ("{s} * {j}", "Repeat {q} {j} times.|[Write|Print|Say] {q} {j} times [in a row|without spaces].", "It is {value}."),
    ("[len(w) for w in {s}.split()]", "[How long is|What is the length of] each word [in|of] {q}?", "The lengths are {value}."),
    ("{s}.swapcase()", "[Swap|Switch] upper and lower case [in|of] {q}.", "It is {value}."),
)  # fmt: skip


def text(draw: Draw) -> Turn:
    """A question about one string."""
    code, asks, told = draw.random.choices(_ON_TEXT, [4, 2, 2, 4] + [1.5] * (len(_ON_TEXT) - 4))[0]
    several = "split()" in code
    s = some_text(draw, 3 if several else 1, 7 if several else 4)
    if "palindrome" in asks:
        s = draw.pseudo()
        s = s + s[::-1][draw.integer(0, 1) :] if draw.chance(0.5) else s
    letter, other = draw.choice(s.replace(" ", "").lower()), draw.choice("abcdefghijklmnopqrstuvwxyz")
    quote = draw.choice(("'", "'", '"', '"', "", "“”"))
    shown = quote[0] + s + quote[-1] if quote else s
    wrap = draw.choice(("", "", "'", '"'))
    index = draw.integer(1, min(4, len(s)))
    slots = {"q": shown, "c": letter, "d": other, "k": wrap + letter + wrap, "l": wrap + other + wrap, "j": index, "i": index - 1}
    code = code.format(s=repr(s), **slots)
    ask = draw.ask(_alternatives(asks), **slots)
    if not told.startswith("bool:"):
        return solved(ask, code, told.replace("{c}", letter))
    return _yes_no(ask, code, told[5:])


def _alternatives(asks: str) -> tuple[str, ...]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(asks):
        depth += (char == "[") - (char == "]")
        if char == "|" and depth == 0:
            parts.append(asks[start:at])
            start = at + 1
    return (*parts, asks[start:])


def _yes_no(ask: str, code: str, told: str) -> Turn:
    run = execute(code)
    yes = run.stdout == "True"
    claim = told.format(**{"not": "" if yes else " not"})
    full = ("Yes, " if yes else "No, ") + claim[0].lower() + claim[1:]
    return Turn(ask, python(code, run), Answer(full, "Yes" if yes else "No", "I let python check it."))


_ON_LIST = (
    ("sum({s})", "[What is|Compute|Find|Give me] the [sum|total] of {q}[?|]|[Add|Add up|Sum|Sum up|Total] {q}.|[What do|How much do] {q} add up to?", "The sum is {value}."),
    ("import statistics\nround(statistics.mean({s}), 6)", "[What is|Compute|Find|Give me|Calculate] the [mean|average|arithmetic mean] of {q}[?|]|[Average|Take the average of] {q}.", "The mean is {value}."),
    ("import statistics\nstatistics.median({s})", "[What is|Compute|Find|Give me|Calculate] the median of {q}[?|]|[Median of|median:] {q}", "The median is {value}."),
    ("import statistics\nstatistics.mode({s})", "[What is|Find|Give me] the [mode|most common number|most frequent value] of {q}[?|]", "The mode is {value}."),
    ("import statistics\nround(statistics.stdev({s}), 6)", "[What is|Compute|Find|Give me] the [sample |]standard deviation of {q}[?|]", "The standard deviation is {value}."),
    ("max({s})", "[What is|Find|Give me|Which is] the [largest|biggest|highest|greatest|maximum] [number |value |]of {q}[?|]|[Which|What] number is [the |]largest: {q}?", "The largest is {value}."),
    ("min({s})", "[What is|Find|Give me|Which is] the [smallest|lowest|least|minimum] [number |value |]of {q}[?|]|[Which|What] number is [the |]smallest: {q}?", "The smallest is {value}."),
    ("sorted({s})", "[Sort|Order|Arrange] [the numbers |the list |these numbers: |]{q}[.|]|[Put|Bring] {q} in [ascending |increasing |]order.", "Sorted, they are {value}."),
    ("sorted({s}, reverse=True)", "[Sort|Order|Arrange] {q} [from largest to smallest|in descending order|descending|in decreasing order].", "Sorted, they are {value}."),
    ("max({s}) - min({s})", "[What is|Compute|Find] the [range|spread] of {q}[?|]", "The range is {value}."),
    ("import math\nmath.prod({s})", "[What is|Compute|Find|Give me] the product of {q}[?|]|Multiply {q}[ together|].", "The product is {value}."),
    ("len({s})", "How many numbers are [in|there in] {q}?|Count [the numbers|how many numbers there are]: {q}.", "There are {value} numbers."),
    ("{s}[::-1]", "[Reverse|Turn around] the list {q}.", "Reversed, it is {value}."),
    ("sum(n % 2 == 0 for n in {s})", "How many [of the numbers |of |]{q} are even?|Count the even numbers in {q}.", "{value} of them are even."),
    ("sum(n % 2 == 1 for n in {s})", "How many [of the numbers |of |]{q} are odd?|Count the odd numbers in {q}.", "{value} of them are odd."),
    ("[n for n in {s} if n > {k}]", "Which [of the numbers |of |]{q} are [larger|greater|bigger|more] than {k}?", "They are {value}."),
    ("sum(n > {k} for n in {s})", "How many [of the numbers |of |]{q} are [larger|greater|above|more] than {k}?".replace("|above", ""), "{value} of them are larger."),
    ("sorted(set({s}))", "[Remove|Drop] [the |]duplicates from {q}.|[What|Which] are the [distinct|unique|different] numbers in {q}?", "They are {value}."),
)  # fmt: skip


def listing(draw: Draw) -> Turn:
    """A question about a list of numbers, or the sorting of words."""
    if draw.chance(0.12):
        items = draw.words(draw.choice(("thing", "animal", "person", "city", "word")), draw.integer(3, 6))
        backwards = draw.chance(0.25)
        tail = "[in reverse alphabetical order|from z to a]" if backwards else "[alphabetically|by alphabet|in alphabetical order|from a to z]"
        ask = draw.ask(("[Sort|Order|Arrange] [the words |the list |]{q} " + tail + ".", "[Put|Bring] {q} " + tail.replace("alphabetically|by alphabet|", "") + "."),
                       q=_spoken(draw, items))  # fmt: skip
        run = execute(f"sorted({items!r}{', reverse=True' if backwards else ''})")
        value = ", ".join(sorted(items, reverse=backwards))
        code = f"sorted({items!r}{', reverse=True' if backwards else ''})"
        return Turn(ask, python(code, run), Answer(f"Sorted, they are {value}.", value, "I let python sort them."))
    code, asks, told = draw.random.choices(_ON_LIST, [3, 3, 3] + [1] * (len(_ON_LIST) - 3))[0]
    draw_one = draw.decimal if draw.chance(0.15) and "%" not in code else lambda: draw.number(draw.choice((2, 2, 3, 4)))
    items = [draw_one() for _ in range(draw.integer(3, 8))]
    if "mode" in code or "set(" in code:
        items += [items[0], items[1], items[0]][: draw.integer(1, 3)]
        draw.random.shuffle(items)
    if any(isinstance(i, float) for i in items) and code.startswith(("sum(", "max({s}) -", "import math")):
        code = "import math\nround(math.prod({s}), 6)" if "prod" in code else f"round({code}, 6)"
    ask = draw.ask(_alternatives(asks), q=_spoken(draw, items), k=(k := draw.number(2)))
    turn = solved(ask, code.format(s=str(items), k=k), told)
    if not turn.answer.short.startswith("["):
        return turn
    value = turn.answer.short[1:-1] or "none"
    return Turn(turn.question, turn.steps, Answer(told.format(value=value), value, turn.answer.how))


def _spoken(draw: Draw, items: list[object] | list[str] | list[float]) -> str:
    style, words = draw.integer(0, 4), [str(i) for i in items]
    if style == 0:
        return str(items)
    if style == 1:
        return " ".join(words)
    if style == 2:
        return ",".join(words)
    return ", ".join(words[:-1]) + (" and " if style == 3 else ", ") + words[-1]


_MONTHS = "January February March April May June July August September October November December".split()


def _date(draw: Draw, near: datetime.date | None = None) -> tuple[str, str, datetime.date]:
    if near is None:
        day = datetime.date(draw.integer(1900, 2060), 1, 1) + datetime.timedelta(days=draw.integer(0, 364))
        day = day if draw.chance(0.5) else day.replace(year=draw.integer(2015, 2030), day=min(day.day, 28))
    else:
        day = near + datetime.timedelta(days=draw.integer(1, draw.choice((60, 365, 900))))
    month, d, y = _MONTHS[day.month - 1], day.day, day.year
    ordinal = f"{d}{'th' if 10 < d < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(d % 10, 'th')}"
    shown = draw.choice((
        day.isoformat(), day.isoformat(), day.isoformat(), f"{d} {month} {y}", f"{d} {month} {y}", f"{month} {d}, {y}", f"{month} {d} {y}",
        f"{ordinal} of {month} {y}", f"{ordinal} {month} {y}", f"the {ordinal} of {month} {y}", f"{month} {ordinal}, {y}", f"{d} {month[:3]} {y}",
    ))  # fmt: skip
    return shown, f"date({y}, {day.month}, {d})", day


def dates(draw: Draw) -> Turn:
    """Weekdays, distances, shifts, leap years, ISO weeks."""
    shown, code, day = _date(draw)
    start = "from datetime import date\n"
    kind = draw.random.choices(range(7), (5, 5, 4, 1, 1, 1, 1))[0]
    if kind == 0:
        ask = draw.ask((
            "[What|Which] [day of the week|weekday|day] [was|is|will be] {d}[?|]", "On [what|which] [day of the week|weekday|day] [does|did|will] {d} fall?",
            "[Tell me|Find|Give me] the [weekday|day of the week] of {d}.", "{d} [is|was] [what|which] [weekday|day of the week]?",
        ), d=shown)  # fmt: skip
        return solved(ask, f"{start}{code}.strftime('%A')", shown + " is a {value}.")
    if kind == 1:
        other, code2, _ = _date(draw, day)
        ask = draw.ask((
            "How many days [are there |are |lie |]between {a} and {b}[?|]", "[What is|Give me] the number of days [between|from] {a} [and|to] {b}[?|]".replace("[between|from] {a} [and|to]", "between {a} and"),
            "How many days [are there |is it |]from {a} [to|until] {b}[?|]", "[Number of days|Days] [between|separating] {a} and {b}[?|]", "[How long|How many days] is it from {a} [to|till|until] {b}[ in days|]?",
            "[Count|Compute|Calculate] the days [from {a} to {b}|between {a} and {b}].",
        ), a=shown, b=other)  # fmt: skip
        return solved(ask, f"{start}({code2} - {code}).days", f"From {shown} to {other} it is {{value}} days.")
    if kind == 2:
        n, back = draw.integer(1, draw.choice((30, 100, 1000))), draw.chance(0.3)
        ask = draw.ask((
            "[What|Which] [date|day] is {n} days {w} {d}[?|]", "[What is the date|Give me the date|Tell me the date] {n} days {w} {d}[?|.]",
            "{n} days {w} {d} [is|falls on] [what|which] date?",
        ), n=n, w=draw.choice(("before", "earlier than") if back else ("after", "from", "past", "later than")), d=shown)  # fmt: skip
        sign = "-" if back else "+"
        return solved(ask, f"from datetime import date, timedelta\nstr({code} {sign} timedelta(days={n}))", "It is {value}.")
    if kind == 3:
        y = draw.integer(1800, 2100)
        ask = draw.ask(("[Is|Was] {y} a leap year[?|]", "[Check|Tell me] whether {y} [is|was] a leap year.", "{y} - leap year or not?"), y=y)
        return _yes_no(ask, f"import calendar\ncalendar.isleap({y})", f"{y} is{{not}} a leap year.") if False else _yes_no(
            ask, f"{y} % 4 == 0 and ({y} % 100 != 0 or {y} % 400 == 0)", f"{y} is{{not}} a leap year.")  # fmt: skip
    if kind == 4:
        ask = draw.ask(("[What|Which] [ISO week|calendar week|week of the year|week number] is {d}[ in|]?", "[Give me|Find] the [ISO |]week number of {d}."), d=shown)
        return solved(ask, f"{start}{code}.isocalendar()[1]", "It is week {value}.")
    if kind == 5:
        ask = draw.ask(("[What|Which] day of the year is {d}?", "[Give me|Find] the day number of {d} in its year."), d=shown)
        return solved(ask, f"{start}{code}.timetuple().tm_yday", "It is day {value} of the year.")
    h, m, plus = draw.integer(0, 23), draw.integer(0, 59), draw.integer(5, 600)
    ask = draw.ask(("[What time is it|Which time is it|What is the time] {n} minutes after {t}?", "[A|The] [film|train|meeting] starts at {t} and takes {n} minutes. When does it end?"),
                   n=plus, t=f"{h}:{m:02}")  # fmt: skip
    code = f"t = {h} * 60 + {m} + {plus}\nf'{{t // 60 % 24}}:{{t % 60:02}}'"
    return solved(ask, code, "It is {value}.")


def text_and_dates(draw: Draw) -> Task:
    """One task of this file."""
    maker = draw.random.choices((text, listing, dates), (45, 30, 25))[0]
    turn = maker(draw)
    if draw.chance(0.06) and maker is dates and clean(turn.answer.short).isdigit():
        days = turn.answer.short
        unit, size = draw.choice((("weeks", 7), ("full weeks", 7), ("hours", -24)))
        ask = draw.ask(("[And how|How|how] many {u} is that[?|]", "[And in|in] {u}?"), u=unit)
        code = f"{days} * 24" if size < 0 else f"{days} // 7"
        return Task((turn, solved(ask, code, f"That is {{value}} {unit}.")), code=True)
    return Task((turn,), code=True)
