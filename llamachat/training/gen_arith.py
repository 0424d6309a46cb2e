"""Arithmetic that python computes: expressions in symbols and in words, percentages, roots, sums, units.

Recipe: numbers of 1 to 6 digits with every length equally likely, thousands separators, decimals; the call is the bare
expression, in ``round(..., 6)`` when a decimal or a division is in it, and the answer repeats expression and result.
"""

from llamachat.training.draw import Draw
from llamachat.training.persona import Answer
from llamachat.training.sample import execute, python
from llamachat.training.task import Task, Turn

_HOW = "I let python compute it."


def solved(question: str, code: str, told: str = "") -> Turn:
    """The turn that runs ``code`` and answers "``told`` is <result>." """
    run = execute(code)
    value = clean(run.stdout)
    full = told.format(value=value) if "{value}" in told else f"{told or 'The result'} is {value}."
    return Turn(question, python(code, run), Answer(full, value, _HOW))


def clean(value: str) -> str:
    """A printed value as people write it: no ``.0``, no quotes."""
    if value.endswith(".0"):
        return value[:-2]
    return value[1:-1] if value[:1] in "'\"" and value[:1] == value[-1:] else value


def safe(expression: str) -> str:
    """``expression``, rounded to 6 places if it can be a fraction."""
    fraction = "/" in expression.replace("//", "") or "." in expression
    return f"round({expression}, 6)" if fraction else expression


def written(draw: Draw, value: float) -> str:
    """A number as a user types it: with thousands commas now and then."""
    return f"{value:,}" if draw.chance(0.12) and value >= 1000 else str(value)


def number(draw: Draw) -> float:
    """Mostly an integer."""
    return draw.decimal() if draw.chance(0.12) else draw.number(draw.choice((2, 3, 4, 4, 5, 6)))


_OPERATORS = {
    "*": ("*", "*", "*", "x", "×", "times", "multiplied by"),
    "+": ("+", "+", "+", "plus", "added to"),
    "-": ("-", "-", "-", "minus", "less"),
    "/": ("/", "/", "÷", "divided by", "over"),
    "//": ("//",),
    "%": ("%", "mod", "modulo"),
    "**": ("**", "^", "**", "to the power of", "to the power"),
}


def expression(draw: Draw) -> tuple[str, str]:
    """An expression as asked and as python: 1 to 4 operators, parentheses now and then."""
    count = draw.random.choices((1, 2, 3, 4), (40, 38, 16, 6))[0]
    symbols = draw.chance(0.75)
    tight = symbols and draw.chance(0.35)
    asked, code = [], []
    group = draw.integer(0, count - 1) if count > 1 and draw.chance(0.3) else -1
    for i in range(count + 1):
        value = number(draw)
        shown = written(draw, value)
        operator = draw.random.choices(tuple(_OPERATORS), (34, 24, 20, 12, 2, 4, 4))[0]
        if i and code[-1] == "**":
            value, operator = draw.integer(2, 12), draw.choice("+-*")
            shown = str(value)
        before, after = "(" * (i == group), ")" * (i == group + 1 and group >= 0)
        if operator == "**" and i < count:
            value = draw.integer(2, 99)
            shown = str(value)
        asked.append(before + shown + after)
        code.append(before + str(value) + after)
        if i < count:
            names = _OPERATORS[operator]
            spoken = draw.choice([n for n in names if not n.isalpha() and " " not in n] or names[:1]) if symbols else names[-1]
            spoken = draw.choice([n for n in names if n[0].isalpha() and n != "x"] or [spoken]) if not symbols else spoken
            spoken = "x" if operator == "*" and symbols and not tight and draw.chance(0.12) else spoken
            asked.append(spoken)
            code.append(operator)
    return ("" if tight else " ").join(asked), " ".join(code)


_ASK_EXPRESSION = (
    "[What is|What's|Whats|What does|How much is|How much does] {e}[?||, please?]",
    "[Compute|Calculate|Work out|Evaluate|Solve|Find|Determine|Do] {e}[.||, please.| for me.]",
    "{e}[?| =| = ?|=?|]",
    "[Can|Could] you [compute|calculate|work out|tell me|evaluate] {e}[?| for me?| please?]",
    "[Tell me|Give me|Show me|I need|I want to know|I'd like to know] [what {e} is|the [result|value|answer] of {e}].",
    "What [do I|do you|would I|does one] get [if I compute|for|from|when you compute|out of] {e}?",
    "[What|Which number] [equals|comes out of|is the result of|is the value of] {e}?",
    "{e} [is|equals|makes|gives] [what|how much]?",
    "[I have to|Help me] [compute|calculate|solve] {e}[.|, can you help?|, how much is it?]",
    "[Use python to compute|Use python for|With python:|Let python compute] {e}[.|]",
)


def plain_expression(draw: Draw) -> Turn:
    """``What is 173 * 29 + 4?``"""
    for _ in range(50):
        asked, code = expression(draw)
        run = execute(code)
        if run.status == "completed" and len(run.stdout) < 24:
            break
    return solved(draw.ask(_ASK_EXPRESSION, e=asked), safe(code), code)


def _percent(draw: Draw) -> tuple[str, str, str]:
    p = draw.choice((draw.integer(1, 100), draw.integer(1, 250), draw.integer(1, 99) + 0.5, draw.decimal(2, 1)))
    a, b = number(draw), draw.number(4)
    s = written(draw, a)
    percent = draw.choice(("%", "%", " percent", " per cent"))
    kind = draw.integer(0, 6)
    if kind <= 2:
        ask = draw.ask(("[What is|What's|How much is|Compute|Calculate|Find|Give me|Tell me] {p}{s} of {a}[?|]",
                        "[Can|Could] you [compute|find|work out] {p}{s} of {a}?", "{p}{s} of {a}[?| =]",
                        "[I need|I want] {p}{s} of {a}."), p=p, s=percent, a=s)  # fmt: skip
        return ask, f"{a} * {p} / 100", f"{p}% of {a}"
    if kind == 3:
        ask = draw.ask(("[What is|How much is|Compute] {a} [plus|increased by|raised by|with] {p}{s}[?| more?| tax?| VAT?]",
                        "[Add|Put] {p}{s} [to|on top of] {a}.", "[Increase|Raise] {a} by {p}{s}."),
                       p=p, s=percent, a=s)  # fmt: skip
        return ask, f"{a} * (1 + {p} / 100)", f"{a} plus {p}%"
    if kind == 4:
        p = draw.integer(1, 95)
        ask = draw.ask(("[What is|How much is|Compute] {a} [minus|less|reduced by|decreased by] {p}{s}?",
                        "[A|The] {t} costs {a}[ euros| dollars|]. [What is the price|How much is it] with {p}{s} off?",
                        "[Take|Subtract] {p}{s} [off|from] {a}.", "[Reduce|Decrease|Lower] {a} by {p}{s}.",
                        "[What does|How much does] a {t} of {a} cost with a [discount|rebate] of {p}{s}?"),
                       p=p, s=percent, a=s, t=draw.word("noun"))  # fmt: skip
        return ask, f"{a} * (1 - {p} / 100)", f"{a} minus {p}%"
    if kind == 5:
        ask = draw.ask(("[What percentage|How many percent|What percent] of {a} is {b}?", "{b} is [what|which] percent of {a}?",
                        "[Express|Give] {b} as a [percentage|percent] of {a}."), a=a, b=b)  # fmt: skip
        return ask, f"{b} / {a} * 100", "{value}% of " + f"{a} is {b}."
    ask = draw.ask(("[What is|How big is|Compute] the percent[age|] [change|increase] from {a} to {b}?",
                    "[It|The price|The value] went from {a} to {b}. [How many percent|By what percent] is that?"),
                   a=a, b=b)  # fmt: skip
    return ask, f"({b} - {a}) / {a} * 100", "The change is {value}%."


def percentage(draw: Draw) -> Turn:
    """Percent of, plus, minus, share and change."""
    ask, code, told = _percent(draw)
    return solved(ask, safe(code), told)


_TWO = (
    ("[product]", "{a} * {b}", "the product of {a} and {b}"), ("", "{a} + {b}", "the sum of {a} and {b}"),
    ("", "{a} - {b}", "the difference between {a} and {b}"), ("", "{a} / {b}", "the quotient of {a} and {b}"),
    ("", "{a} % {b}", "the remainder of {a} divided by {b}"), ("", "{a} % {b}", "the remainder when {a} is divided by {b}"),
    ("", "{a} // {b}", "the integer part of {a} divided by {b}"), ("", "{a} * {b}", "{a} times {b}"),
    ("", "{a} // {b}", "{a} divided by {b} without remainder"), ("", "{a} ** 2", "{a} squared"),
    ("", "{a} ** 2", "the square of {a}"), ("", "{c} ** 3", "{c} cubed"), ("", "{c} ** 3", "the cube of {c}"),
    ("", "{c} ** {d}", "{c} to the power of {d}"), ("", "{c} ** {d}", "{c} raised to the power {d}"),
    ("", "{c} ** {d}", "the {d}th power of {c}"), ("", "{a} / 2", "half of {a}"), ("", "{a} * 2", "twice {a}"),
    ("", "{a} * 2", "double {a}"), ("", "{a} * 3", "three times {a}"), ("", "{a} / 4", "a quarter of {a}"),
    ("", "{a} / 3", "a third of {a}"), ("", "({a} + {b}) / 2", "the average of {a} and {b}"),
    ("", "{c} ** {d} % {b}", "the remainder of {c} to the power of {d} divided by {b}"),
    ("", "{a} * {b} % {c}", "the remainder of {a} times {b} divided by {c}"),
    ("", "({a} + {b}) * {c}", "the sum of {a} and {b}, times {c}"), ("", "({a} - {b}) * {c}", "{c} times the difference of {a} and {b}"),
    ("", "{a} * {b} + {c}", "{c} more than {a} times {b}"), ("", "{a} * {b} - {c}", "{c} less than the product of {a} and {b}"),
)  # fmt: skip
_CALLS = (
    ("import math\nround(math.sqrt({a}), 6)", "the square root of {a}"), ("import math\nround(math.sqrt({a}), 6)", "sqrt({a})"),
    ("round({a} ** (1 / 3), 6)", "the cube root of {a}"),
    ("import math\nmath.factorial({e})", "the factorial of {e}"), ("import math\nmath.factorial({e})", "{e}!"),
    ("import math\nmath.factorial({e})", "{e} factorial"),
    ("import math\nmath.gcd({a}, {b})", "the greatest common divisor of {a} and {b}"), ("import math\nmath.gcd({a}, {b})", "the gcd of {a} and {b}"),
    ("import math\nmath.lcm({a}, {b})", "the least common multiple of {a} and {b}"), ("import math\nmath.lcm({a}, {b})", "the lcm of {a} and {b}"),
    ("import math\nround(math.log10({a}), 6)", "the base 10 logarithm of {a}"), ("import math\nround(math.log({a}), 6)", "the natural logarithm of {a}"),
    ("import math\nround(math.sin(math.radians({c})), 6)", "the sine of {c} degrees"),
    ("import math\nround(math.cos(math.radians({c})), 6)", "the cosine of {c} degrees"),
    ("import math\nround(math.pi * {c} ** 2, 6)", "the area of a circle with radius {c}"),
    ("import math\nround(2 * math.pi * {c}, 6)", "the circumference of a circle with radius {c}"),
    ("import math\nround(math.hypot({a}, {b}), 6)", "the hypotenuse of a right triangle with legs {a} and {b}"),
    ("{a} * {b}", "the area of a rectangle of {a} by {b}"), ("2 * ({a} + {b})", "the perimeter of a rectangle of {a} by {b}"),
    ("import math\nmath.comb({e}, {d})", "the number of ways to choose {d} out of {e}"),
    ("sum(range(1, {b} + 1))", "the sum of all numbers from 1 to {b}"), ("sum(range(1, {b} + 1))", "the sum of the integers from 1 to {b}"),
    ("sum(range(1, {b} + 1, 2))", "the sum of all odd numbers from 1 to {b}"), ("sum(range(2, {b} + 1, 2))", "the sum of all even numbers up to {b}"),
    ("sum(i ** 2 for i in range(1, {b} + 1))", "the sum of the squares from 1 to {b}"),
    ("sum(i for i in range(1, {b} + 1) if i % {d} == 0)", "the sum of the multiples of {d} up to {b}"),
    ("sum(int(d) for d in str({a}))", "the digit sum of {a}"), ("sum(int(d) for d in str({a}))", "the sum of the digits of {a}"),
    ("bin({b})[2:]", "{b} in binary"), ("hex({b})[2:]", "{b} in hexadecimal"), ("hex({b})[2:]", "{b} in hex"), ("oct({b})[2:]", "{b} in octal"),
    ("int('{bin}', 2)", "the binary number {bin} in decimal"), ("int('{hex}', 16)", "the hexadecimal number {hex} in decimal"),
    ("int('{oct}', 8)", "the octal number {oct} in decimal"),
    ("[d for d in range(1, {b} + 1) if {b} % d == 0]", "the list of all divisors of {b}"),
    ("sum(1 for d in range(1, {b} + 1) if {b} % d == 0)", "the number of divisors of {b}"),
    ("a, b = 0, 1\nfor i in range({e}):\n    a, b = b, a + b\na", "Fibonacci number {e}"),
    ("a, b = 0, 1\nfor i in range({e}):\n    a, b = b, a + b\na", "the {e}th Fibonacci number"),
    ("n, factors, d = {p}, [], 2\nwhile n > 1:\n    while n % d == 0:\n        factors.append(d)\n        n //= d\n    d += 1\nfactors", "the prime factorisation of {p}"),
    ("n, factors, d = {p}, [], 2\nwhile n > 1:\n    while n % d == 0:\n        factors.append(d)\n        n //= d\n    d += 1\nfactors", "the list of prime factors of {p}"),
    ("[n for n in range(2, {c} + 1) if all(n % d for d in range(2, n))]", "the list of primes up to {c}"),
    ("sum(1 for n in range(2, {c} + 1) if all(n % d for d in range(2, n)))", "the number of primes up to {c}"),
    ("abs({a} - {b})", "the absolute difference between {a} and {b}"), ("round({f}, {k})", "{f} rounded to {k} decimals"),
)  # fmt: skip


def named_operation(draw: Draw) -> Turn:
    """``the product of a and b``, roots, number theory, bases."""
    a, b = draw.number(draw.choice((3, 5, 6))), draw.integer(2, draw.choice((20, 99, 999)))
    slots = {
        "a": a, "b": b, "c": draw.integer(2, 99), "d": draw.integer(2, 9), "e": draw.integer(4, 20), "p": draw.integer(4, 3000),
        "bin": bin(b)[2:], "hex": hex(a)[2:], "oct": oct(b)[2:], "f": round(draw.random.random() * 1000, 5), "k": draw.integer(1, 3),
    }  # fmt: skip
    if slots["d"] > slots["e"]:
        slots["e"] = slots["d"] + 3
    if draw.chance(0.45):
        _, code, told = draw.choice(_TWO)
        code = safe(code.format(**slots))
    else:
        code, told = draw.choice(_CALLS)
        code = code.format(**slots)
    told = told.format(**slots)
    spoken = told
    if "{" not in told and draw.chance(0.5):
        spoken = told.replace("the list of ", "").replace("the number of ways", "how many ways") if "ways" not in told else told
    ask = draw.ask((
        "[What is|What's|Compute|Calculate|Find|Work out|Determine|Give me|Tell me|Show me] {e}[.|?||, please.]",
        "[Can|Could|Would] you [compute|calculate|find|tell me|give me|work out] {e}[?| please?]",
        "[I need|I want|I'd like|I would like to know] {e}[.|, please.]", "{e}[?| is what?|, please]",
    ), e=spoken)  # fmt: skip
    return solved(ask, code, told[0].upper() + told[1:])


def prime_check(draw: Draw) -> Turn:
    """Is n prime, even, divisible by d?"""
    n, d = draw.number(4) + 2, draw.integer(2, 30)
    kind = draw.integer(0, 2)
    if kind == 0:
        code, claim = f"all({n} % d for d in range(2, {n}))", f"{n} is{{}} a prime number."
        ask = draw.ask(("Is {n} [a prime|prime|a prime number][?|]", "[Check|Tell me|Test] whether {n} is [prime|a prime number].",
                        "[Can you check|Do you know] if {n} is prime?"), n=n)  # fmt: skip
    elif kind == 1:
        code, claim = f"{n} % {d} == 0", f"{n} is{{}} divisible by {d}."
        ask = draw.ask(("Is {n} [divisible by|a multiple of] {d}[?|]", "[Can {n} be divided by|Does {d} divide] {d}[ evenly|]?".replace("[Can {n} be divided by|Does {d} divide] {d}", "Can {n} be divided by {d}"),
                        "[Check|Tell me|Test] whether {n} is divisible by {d}."), n=n, d=d)  # fmt: skip
    else:
        m = draw.number(5)
        code, claim = f"{n} > {m}", f"{n} is{{}} larger than {m}."
        ask = draw.ask(("Is {n} [larger|bigger|greater|more] than {m}[?|]", "[Check|Tell me] whether {n} is [larger|bigger] than {m}."), n=n, m=m)
    run = execute(code)
    yes = run.stdout == "True"
    full = ("Yes, " if yes else "No, ") + claim.format("" if yes else " not")
    return Turn(ask, python(code, run), Answer(full, "Yes" if yes else "No", _HOW))


_UNITS = (
    ("km", "kilometres", "miles", 0.621371), ("miles", "mi", "kilometres", 1.609344), ("kg", "kilograms", "pounds", 2.20462),
    ("pounds", "lb", "kilograms", 0.453592), ("inches", "inch", "centimetres", 2.54), ("cm", "centimetres", "inches", 0.393701),
    ("feet", "ft", "metres", 0.3048), ("metres", "m", "feet", 3.28084), ("litres", "l", "gallons", 0.264172),
    ("gallons", "gal", "litres", 3.78541), ("ounces", "oz", "grams", 28.3495), ("hours", "h", "minutes", 60),
    ("hours", "hrs", "seconds", 3600), ("days", "d", "hours", 24), ("weeks", "weeks", "days", 7), ("minutes", "min", "seconds", 60),
    ("yards", "yd", "metres", 0.9144), ("km", "kilometres", "metres", 1000), ("days", "days", "minutes", 1440),
)  # fmt: skip


def units(draw: Draw) -> Turn:
    """Conversions, with a factor known or given, and temperatures."""
    value = draw.choice((draw.integer(1, 999), draw.decimal(2)))
    if draw.chance(0.3):
        to_f = draw.chance(0.5)
        here, there = ("Celsius", "Fahrenheit") if to_f else ("Fahrenheit", "Celsius")
        value = draw.integer(-40, 250)
        code = f"round({value} * 9 / 5 + 32, 2)" if to_f else f"round(({value} - 32) * 5 / 9, 2)"
        ask = draw.ask(("[Convert|Turn|Change] {v} [degrees |°|]{a} [to|into] {b}.", "[What is|How much is] {v} [degrees |]{a} in {b}?",
                        "{v} [degrees |]{a} in {b}[?|]", "How many degrees {b} [is|are] {v} degrees {a}?"), v=value, a=here, b=there)  # fmt: skip
        return solved(ask, code, f"{value} degrees {here} is {{value}} degrees {there}.")
    unit, other, target, factor = draw.choice(_UNITS)
    unit = draw.choice((unit, unit, other))
    given = ""
    if draw.chance(0.25):
        factor = draw.decimal(1, 4)
        given = draw.phrase((" [Use|Take|Assume] {f} {t} per {u}.", " [One|1] {u} is {f} {t}."), f=factor, t=target, u=unit)
    places = draw.integer(0, 3) if draw.chance(0.3) else 4
    rounding = {0: "", 1: " Round to one decimal.", 2: " Round to two decimals.", 3: " Round to three decimals.", 4: ""}[places]
    ask = draw.ask(("[Convert|Turn|Change] {v} {u} [to|into] {t}.", "[What is|What's|How much is] {v} {u} in {t}?", "{v} {u} in {t}[?|]",
                    "How many {t} [are|is|are there in] {v} {u}?", "[A {n}|My {n}|The {n}] [is|has|measures|weighs|takes] {v} {u}. [How much|What] is that in {t}?",
                    "[I have|There are|We need] {v} {u}. How many {t} is [that|it]?"), v=value, u=unit, t=target, n=draw.word("noun"))  # fmt: skip
    code = f"round({value} * {factor}, {places or 4})"
    return solved(ask + given + rounding, code, f"{value} {unit} is {{value}} {target}.")


_STORIES = (
    ("{p} [has|owns|buys] {a} {t} and [gets|receives|finds|buys] {b} more. How many {t} does {p} have[ now| in all| altogether|]?", "{a} + {b}"),
    ("{p} [has|had] {a} {t} and [loses|sells|gives away|eats|uses] {b}[ of them|]. How many [{t} |]are left?", "{a} - {b}"),
    ("[There are|We have|I have] {a} boxes with {b} {t} [each|in each]. How many {t} [are there|is that][ in all| in total|]?", "{a} * {b}"),
    ("{p} buys {b} {t} [for|at] {x} [euros|dollars] each. [How much is that|What does {p} pay|What is the total]?", "{b} * {x}"),
    ("[A|One] {n} costs {x} [euros|dollars|]. [How much|What] do {b} [of them |{n}s |]cost?", "{b} * {x}"),
    ("[Share|Split|Divide] {a} {t} [among|between] {b} [people|children|friends]. How many does each [one |]get?", "{a} / {b}"),
    ("A [car|train|bus] [drives|goes|travels] {a} km in {d} hours. What is its [average |]speed?", "{a} / {d}"),
    ("A [car|train|bus|ship] [goes|travels|moves] at {b} km/h for {d} hours. How far does it [get|go|travel]?", "{b} * {d}"),
    ("{p} [earns|makes] {b} [euros|dollars] an hour and works {d} hours. How much [is that|does {p} earn]?", "{b} * {d}"),
    ("{p} pays with {a} [euros|dollars] for a {n} of {x}. How much change does {p} get?", "{a} - {x}"),
    ("[Three|3] [tickets|meals|items] cost {x}, {y} and {b}. [What is the total|How much is that together]?", "{x} + {y} + {b}"),
    ("A [pack|crate|bag] [holds|contains] {b} {t}. How many {t} are in {a} [packs|crates|bags]?", "{a} * {b}"),
    ("[The bill|Dinner|Lunch] is {x} and [we are|there are] {d} [people|of us]. [How much does each pay|What does everyone pay]?", "{x} / {d}"),
)  # fmt: skip


def story(draw: Draw) -> Turn:
    """Word problems of one operation."""
    asked, code = draw.choice(_STORIES)
    slots = {
        "p": draw.word("person"), "a": draw.number(4) + 10, "b": draw.integer(2, 99), "d": draw.integer(2, 12), "t": draw.word("thing"),
        "n": draw.word("noun"), "x": draw.decimal(3), "y": draw.decimal(2),
    }  # fmt: skip
    return solved(draw.ask((asked,), **slots), safe(code.format(**slots)), "The answer")


def follow_up(draw: Draw) -> tuple[Turn, ...]:
    """An expression, then one that goes on from it or repeats it with another number."""
    asked, code = expression(draw)
    run = execute(code)
    if run.status != "completed" or len(run.stdout) > 12 or "e" in run.stdout:
        return follow_up(draw)
    first = solved(draw.ask(_ASK_EXPRESSION, e=asked), safe(code), code)
    value, other = first.answer.short, draw.number(3)
    if draw.chance(0.4):
        asked, code = expression(draw)
        if len(execute(code).stdout) > 24 or execute(code).status != "completed":
            return follow_up(draw)
        ask = draw.ask(("[and|And|what about|how about|And what is|and what's] {e}[?|]", "[Now|Then] {e}[.|?|]"), e=asked)
        return first, solved(ask, safe(code), code)
    word, operator = draw.choice((("times", "*"), ("plus", "+"), ("minus", "-"), ("divided by", "/"), ("multiplied by", "*")))
    ask = draw.ask((
        "[And |Now |and |][that|the result|this|it] {w} {n}[?|]", "[What is|What's|How much is] [that|the result|it] {w} {n}?", "[and|And|now] {w} {n}[?|]",
    ), w=word, n=other)  # fmt: skip
    code = f"{value} {operator} {other}"
    return first, solved(ask, safe(code), code)


def arithmetic(draw: Draw) -> Task:
    """One task of this file."""
    makers = (plain_expression, percentage, named_operation, prime_check, units, story)
    if draw.chance(0.07):
        return Task(follow_up(draw), code=True)
    maker = draw.random.choices(makers, (44, 12, 22, 4, 9, 9))[0]
    return Task((maker(draw),), code=True)
