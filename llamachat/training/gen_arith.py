"""Arithmetic that python computes: expressions in symbols and in words, percentages, roots, sums, units, stories.

Recipe: numbers of 1 to 6 digits with every length equally likely, thousands separators, decimals; the call is the bare
expression, in ``round(..., 6)`` when a decimal or a division is in it, and the answer repeats expression and result.
"""

import re

from llamachat.training.draw import Draw, expand
from llamachat.training.persona import Answer
from llamachat.training.sample import Run, execute, python
from llamachat.training.task import Task, Turn
from llamachat.training.values import ordinal
from llamachat.training.words import NUMBERS

HOW = "I let python compute it."
LONGEST = 24  # characters of a result; longer ones are rare in questions, and every digit is to be copied


def solved(question: str, code: str, told: str = "The result is {value}.") -> Turn:
    """The turn that runs ``code`` and answers with ``told``, its ``{value}`` filled in."""
    run = execute(code)
    value = clean(run)
    return Turn(question, python(code, run), Answer(told.replace("{value}", value), value, HOW))


def clean(run: Run) -> str:
    """A printed value as people write it: no ``.0``, no quotes, no brackets."""
    value = run.stdout
    if value.endswith(".0"):
        return value[:-2]
    if value[:1] == "[" and value[-1:] == "]":
        return value[1:-1] or "none"
    return value[1:-1] if value[:1] in "'\"" and value[:1] == value[-1:] else value


def yes_or_no(question: str, code: str, claim: str, run: Run | None = None) -> Turn:
    """The turn that runs a test; ``claim`` has a ``{not}`` where the negation goes."""
    run = run or execute(code)
    yes = run.stdout == "True"
    told = claim.replace("{not}", "" if yes else " not")
    return Turn(question, python(code, run), Answer(f"{'Yes' if yes else 'No'}, {told}", "Yes" if yes else "No", HOW))


_DECIMAL = re.compile(r"\d\.\d")


def safe(expression: str) -> str:
    """``expression``, rounded to 6 places if it can be a fraction."""
    fraction = "/" in expression.replace("//", "") or _DECIMAL.search(expression)
    return f"round({expression}, 6)" if fraction and "round(" not in expression else expression


def written(draw: Draw, value: float) -> str:
    """A number as a user types it: with thousands commas now and then."""
    return f"{value:,}" if draw.chance(0.12) and value >= 1000 else str(value)


def number(draw: Draw) -> float:
    """Mostly an integer."""
    return draw.decimal() if draw.chance(0.12) else draw.number(draw.choice((2, 3, 4, 4, 5, 6)))


_SYMBOLS = {
    "*": "***x×",
    "+": "+",
    "-": "-",
    "/": "//÷",
    "//": ("//",),
    "%": ("%", "%", " mod "),
    "**": ("**", "**", "^"),
}
_SPOKEN = {
    "*": ("times", "times", "multiplied by"), "+": ("plus",), "-": ("minus", "minus", "less"),
    "/": ("divided by", "over"), "//": ("//",), "%": ("modulo", "mod"), "**": ("to the power of", "to the power"),
}  # fmt: skip
_SHARES = (30, 20, 17, 12, 3, 6, 12)


def expression(draw: Draw) -> tuple[str, str]:
    """An expression as asked and as python: 1 to 4 operators, parentheses now and then."""
    count = draw.weighted((1, 2, 3, 4), (40, 38, 16, 6))
    operators = [draw.weighted(tuple(_SYMBOLS), _SHARES) for _ in range(count)]
    values = [number(draw) for _ in range(count + 1)]
    for i, operator in enumerate(operators):
        if operator == "**":  # keep powers small, and alone
            values[i], values[i + 1] = draw.integer(2, 99), draw.integer(2, 12)
            if draw.chance(0.4):
                values[i], values[i + 1] = draw.integer(2, 10), draw.integer(2, 40)
            operators[i + 1 :] = [draw.choice("+-*") for _ in operators[i + 1 :]]
            break
    group = draw.integer(0, count - 1) if count > 1 and draw.chance(0.3) else None
    return _asked(draw, values, operators, group), _coded(values, operators, group)


def _coded(values: list[float], operators: list[str], group: int | None) -> str:
    texts = [str(value) for value in values]
    if group is not None:
        texts[group], texts[group + 1] = f"({texts[group]}", f"{texts[group + 1]})"
    return " ".join([texts[0], *(f"{op} {text}" for op, text in zip(operators, texts[1:], strict=True))])


def _asked(draw: Draw, values: list[float], operators: list[str], group: int | None) -> str:
    texts = [written(draw, value) for value in values]
    if group is not None:
        texts[group], texts[group + 1] = f"({texts[group]}", f"{texts[group + 1]})"
    names = _SYMBOLS if draw.chance(0.75) else _SPOKEN
    gap = "" if names is _SYMBOLS and draw.chance(0.35) else " "
    shown = [str(draw.choice(names[operator])).strip() for operator in operators]
    gaps = [" " if name[0].isalpha() and name != "x" else gap for name in shown]
    return texts[0] + "".join(f"{g}{n}{g}{t}" for g, n, t in zip(gaps, shown, texts[1:], strict=True))


def plain_expression(draw: Draw) -> Turn:
    """``What is 173 * 29 + 4?``"""
    for _ in range(50):
        asked, code = expression(draw)
        run = execute(code)
        if run.status == "completed" and len(run.stdout) < LONGEST:
            break
    return solved(draw.ask(draw.block("expressions").asks, e=asked), safe(code), code + " is {value}.")


def small_sum(draw: Draw) -> Turn:
    """``What is 3 + 3?``: nobody's arithmetic is so small that it is said by heart."""
    operator = draw.weighted("+-*/", (45, 20, 25, 10))
    values: list[float] = [draw.integer(0, 12), draw.integer(1, 12)]
    code = _coded(values, [operator], None)
    asked = _asked(draw, values, [operator], None)
    if draw.chance(0.25):
        asked = f"{NUMBERS[int(values[0])]} {draw.choice(_SPOKEN[operator])} {NUMBERS[int(values[1])]}"
    return solved(draw.ask(draw.block("expressions").asks, e=asked), safe(code), code + " is {value}.")


def percentage(draw: Draw) -> Turn:
    """Percent of, plus, minus, share and change."""
    block = draw.block("percentages")
    p = draw.choice((draw.integer(1, 100), draw.integer(1, 95), draw.integer(1, 99) + 0.5, draw.decimal(2, 1)))
    a, sign = number(draw), draw.choice(("%", "%", " percent", " per cent"))
    slots = {"p": p, "s": sign, "a": a, "b": draw.number(4), "t": draw.word("noun")}
    ask = draw.ask(block.asks, **{**slots, "a": written(draw, a)})
    return solved(ask, safe(block.code.format(**slots)), block.full.replace("{value}", "{{value}}").format(**slots))


_FRAMES = (
    "[What is|What's|Compute|Calculate|Find|Work out|Determine|Give me|Tell me|Show me] {e}[.|?||, please.]",
    "[Can|Could|Would] you [compute|calculate|find|tell me|give me|work out] {e}[?| please?]",
    "[I need|I want|I'd like|I would like to know] {e}[.|, please.]",
    "{e}[?| is what?|, please]",
)


def named_operation(draw: Draw) -> Turn:
    """``the product of a and b``, roots, number theory, geometry, bases."""
    block = draw.block("calculations")
    a, b = draw.number(draw.choice((3, 5, 6))), draw.integer(2, draw.choice((20, 99, 999)))
    c, d, e = draw.integer(2, 99), draw.integer(2, 9), draw.integer(10, 20)
    slots = {
        "a": a, "b": b, "c": c, "d": d, "e": e, "p": draw.number(5) + 3, "k": draw.integer(1, 3),
        "cth": ordinal(c), "bth": ordinal(b), "r": draw.integer(1, 2999), "bin2": bin(c)[2:],
        "bin": bin(b)[2:], "hex": hex(a)[2:], "oct": oct(b)[2:], "f": round(draw.random.random() * 1000, 5),
    }  # fmt: skip
    code = (
        safe(block.code.format(**slots))
        if "import" not in block.code and "\n" not in block.code
        else block.code.format(**slots)
    )
    names = [ask for ask in block.asks if ask[0] != "?"]
    questions = tuple(ask[1:] for ask in block.asks if ask[0] == "?")
    if questions and draw.chance(0.5):
        ask = draw.ask(questions, **slots)
    else:
        ask = draw.ask(_FRAMES, e=expand(draw.random, draw.choice(names)).format(**slots))
    turn = solved(ask, code)
    return turn if len(turn.answer.short) < 3 * LONGEST else named_operation(draw)


def test(draw: Draw) -> Turn:
    """Is n prime, even, divisible by d?"""
    block = draw.block("tests")
    slots = {"n": draw.number(4) + 2, "d": draw.integer(2, 30), "m": draw.number(5), "not": "{not}"}
    return yes_or_no(draw.ask(block.asks, **slots), block.code.format(**slots), block.full.format(**slots))


_UNITS = (
    ("km", "kilometres", "miles", 0.621371), ("miles", "mi", "kilometres", 1.609344),
    ("kg", "kilograms", "pounds", 2.20462),
    ("pounds", "lb", "kilograms", 0.453592), ("inches", "inch", "centimetres", 2.54),
    ("cm", "centimetres", "inches", 0.393701),
    ("feet", "ft", "metres", 0.3048), ("metres", "m", "feet", 3.28084), ("litres", "l", "gallons", 0.264172),
    ("gallons", "gal", "litres", 3.78541), ("ounces", "oz", "grams", 28.3495), ("hours", "h", "minutes", 60),
    ("hours", "hrs", "seconds", 3600), ("days", "d", "hours", 24), ("weeks", "weeks", "days", 7),
    ("minutes", "min", "seconds", 60), ("yards", "yd", "metres", 0.9144), ("km", "kilometres", "metres", 1000),
    ("days", "days", "minutes", 1440), ("grams", "g", "ounces", 0.035274), ("metres", "m", "yards", 1.09361),
    ("kg", "kilograms", "grams", 1000), ("stone", "st", "kilograms", 6.35029), ("knots", "kn", "km/h", 1.852),
)  # fmt: skip
FACTORS = frozenset(str(factor) for *_, factor in _UNITS)
"""Factors that the model is to know by heart."""
_ROUNDINGS = (("", 4), ("", 4), (" Round to one decimal.", 1), (" Round to two decimals.", 2), (", to two decimals", 2),
              (" Round it to 3 decimals.", 3), (" (two decimals)", 2), (" Round to a whole number.", 0))  # fmt: skip


def units(draw: Draw) -> Turn:
    """Conversions, with a factor known or given, and temperatures."""
    value = draw.choice((draw.integer(1, 999), draw.decimal(2)))
    if draw.chance(0.25):
        return _degrees(draw, draw.integer(-40, 250))
    unit, short, target, factor = draw.choice(_UNITS)
    unit = draw.choice((unit, unit, short))
    given = ""
    if draw.chance(0.35):
        factor = draw.decimal(1, draw.integer(1, 5))
        given = draw.phrase(_GIVEN, f=factor, t=target, u=unit)
    rounding, places = draw.choice(_ROUNDINGS)
    ask = draw.ask(draw.block("units").asks, v=value, u=unit, t=target, n=draw.word("noun"))
    if rounding.startswith((",", " (")):  # it belongs to the sentence, before the mark
        ask, rounding = ask.rstrip("?.") + rounding + "?", ""
    ask += given + rounding
    code = f"round({value} * {factor}, {places})" if places else f"round({value} * {factor})"
    return solved(ask, code, f"{value} {unit} is {{value}} {target}.")


_GIVEN = (
    " [Use|Take|Assume|Calculate with] {f} {t} per {u}.", " [One|1|A] {u} is {f} {t}.",
    " ([use|with|at] {f} {t} per {u})",
    " [The factor is|Multiply by] {f}.",
)  # fmt: skip


def _degrees(draw: Draw, value: int) -> Turn:
    here, there, code = ("Celsius", "Fahrenheit", f"round({value} * 9 / 5 + 32, 2)")
    if draw.chance(0.5):
        here, there, code = (there, here, f"round(({value} - 32) * 5 / 9, 2)")
    letters = draw.chance(0.2)
    slots = {"v": value, "a": here[0] if letters else here, "b": there[0] if letters else there}
    ask = draw.ask(draw.block("degrees").asks, **slots)
    return solved(ask, code, f"{value} degrees {here} is {{value}} degrees {there}.")


def story(draw: Draw) -> Turn:
    """Word problems of one or two operations."""
    block = draw.block("stories")
    slots = {
        "p": draw.word("person"), "a": draw.number(4) + 10, "b": draw.integer(2, 99), "c": draw.integer(2, 30),
        "n": draw.word("noun"), "d": draw.integer(2, 12), "t": draw.word("thing"), "x": draw.decimal(3),
        "y": draw.decimal(2),
    }  # fmt: skip
    return solved(draw.ask(block.asks, **slots), safe(block.code.format(**slots)), "The answer is {value}.")


_THEN = (("times", "*"), ("plus", "+"), ("minus", "-"), ("divided by", "/"), ("multiplied by", "*"))


def follow_up(draw: Draw) -> tuple[Turn, ...]:
    """A question, then one that goes on from its result, or the same kind of question with other numbers."""
    first = draw.weighted((plain_expression, percentage, story), (70, 15, 15))(draw)
    value = first.answer.short
    if not value.replace(".", "").replace("-", "").isdigit() or len(value) > 12:
        return follow_up(draw)
    if draw.chance(0.45):
        second = plain_expression(draw)
        told = second.answer.full.partition(" is ")[0]
        ask = draw.ask(
            ("[and|And|what about|how about|And what is|and what's|What about] {e}[?|]", "[Now|Then] {e}[.|?|]"), e=told
        )
        return first, Turn(ask, second.steps, second.answer)
    word, operator = draw.choice(_THEN)
    slots = {"w": word, "n": draw.number(3), "p": draw.integer(1, 90)}
    if draw.chance(0.15):
        return first, solved(draw.ask(_PERCENT_OF_THAT, **slots), safe(f"{value} * {slots['p']} / 100"))
    code = f"{value} {operator} {slots['n']}"
    return first, solved(draw.ask(_GO_ON, **slots), safe(code), code + " is {value}.")


_PERCENT_OF_THAT = ("[And|Now|What is|How much is] {p}[%| percent] of [that|it|the result][?|]",)
_GO_ON = (
    "[And |Now |and |][that|the result|this|it] {w} {n}[?|]",
    "[What is|What's|How much is] [that|the result|it] {w} {n}?",
    "[and|And|now|And now] {w} {n}[?|]",
)


def arithmetic(draw: Draw) -> Task:
    """One task of this file."""
    if draw.chance(0.07):
        return Task(follow_up(draw), code=True)
    makers = (plain_expression, small_sum, percentage, named_operation, test, units, story)
    return Task((draw.weighted(makers, (29, 9, 12, 29, 4, 9, 8))(draw),), code=True)
