"""Plans of several steps: a first result goes into a second call or into python; errors that tell how to go on."""

from typing import Any

from llamachat.offer import FunctionSpec
from llamachat.training.draw import Draw
from llamachat.training.composed import composed
from llamachat.training.gen_arith import arithmetic
from llamachat.training.gen_functions import draw_intent, everyday, how_many, offered_with, request
from llamachat.training.inject import injection
from llamachat.training.intents import Intent, Slot
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result, error, tell
from llamachat.training.sample import call, execute, python, result
from llamachat.training.schema import Offered, draw_value, offer_function, title
from llamachat.training.task import Task, Turn

_CHANGES = (
    ("switch_off", "Switch off", "[switch|turn] [{x} off|off {x}]"), ("cancel", "Cancel", "cancel {x}"), ("delete", "Delete", "[delete|remove] {x}"), ("open", "Open", "open {x}"),
    ("lock", "Lock", "lock {x}"), ("start", "Start", "[start|launch|run] {x}"), ("stop", "Stop", "stop {x}"), ("archive", "Archive", "archive {x}"), ("print", "Print", "print {x}"),
    ("get_price", "Price of", "[what does {x} cost|how much is {x}|what is the price of {x}]"), ("get_status", "Status of", "[what is the status of {x}|how is {x} doing|check {x}]"),
    ("get_owner", "Owner of", "[who owns {x}|whose is {x}|who is the owner of {x}]"), ("reserve", "Reserve", "[reserve|book] {x}"), ("restart", "Restart", "[restart|reboot] {x}"),
    ("get_balance", "Balance of", "[what is the balance of {x}|how much is on {x}]"), ("approve", "Approve", "approve {x}"), ("track", "Where it is:", "[where is|track|locate] {x}"),
)  # fmt: skip


def id_first(draw: Draw) -> Task:
    """The second function wants an id that only the first one knows."""
    noun = draw.choice((draw.word("noun"), draw.word("noun"), draw.pseudo(2, 2)))
    key = draw.choice((f"{noun}_id", "id", f"{noun}_number", f"{noun}_code"))
    by, kind, naming = draw.choice((
        ("name", "title", "[the {n} {v}|the {n} called {v}|{v}]"), ("owner", "person", "[the {n} of {v}|{v}'s {n}]"), ("room", "room", "[the {n} in the {v}|the {v} {n}]"),
        ("city", "city", "the {n} in {v}"), ("title", "title", "the {n} {v}"),
    ))  # fmt: skip
    verb, about, asking = draw.choice(_CHANGES)
    finder = Intent(f"{draw.choice(('find', 'get', 'lookup', 'search'))}_{noun}", draw.choice((f"Id of a {noun}", f"Find a {noun}", f"Look up the {key} of a {noun}")), "id", (Slot(by, kind, by.capitalize()),), ())
    acting = Intent(f"{verb}_{noun}" if draw.chance(0.7) else verb, f"{about} a {noun}", draw.choice(("done", "status", "number(price)", "record")), (Slot(key, "code", f"Id of the {noun}"),), ())
    masked = draw.chance(0.35)
    first, second = offer_function(draw, finder, masked), offer_function(draw, acting, masked)
    if first.spec.name == second.spec.name:
        return id_first(draw)
    value, shown = draw_value(draw, kind)
    thing = draw.phrase((naming,), n=noun, v=shown)
    ask = draw.ask((asking + "[?|.|, please.]" if not asking.startswith("[w") else asking + "?", "[please |can you |could you |]" + asking + "[.|?|]"), x=thing)
    ask = ask[0].upper() + ask[1:] if draw.chance(0.5) else ask
    code: Any = draw.choice((draw.code(), draw.code(), draw.pseudo()))
    found, told = draw_result(draw, acting.reply)
    steps = [call(first.spec.name, first.arguments({by: value}))]
    if draw.chance(0.08):
        failed = error(draw)
        told = tell(failed)
        steps.append(result(failed))
    else:
        steps += [result({key: code}), call(second.spec.name, second.arguments({key: code})), result(found)]
    offer = [first, second] + offered_with(draw, draw_intent(draw), 0)[1][: draw.integer(0, 1)]
    return _task(draw, Turn(ask, tuple(steps), Answer(told.full, told.short, "I looked the id up first.")), offer)


_PRICED = (
    ("get_{w}_price", "Price of a {w} in {m}", "price", ("[What are|How much are] {n} {v} worth[ in {m}|]?", "[What|How much] do {n} {v} cost?", "[How much is|What is the price of] {n} {v}?", "I [have|want to buy|sell] {n} {v}, [how much is that|what is that worth]?"), "{r} * {n}"),
    ("get_{w}_weight", "Weight of a {w} in kilograms", "kg", ("[How heavy are|What do] {n} {v}[ weigh|]?", "[What is|Compute] the weight of {n} {v}?"), "{r} * {n}"),
    ("{w}_rate", "Rate of {m} per {w}", "rate", ("[Convert|Change] {n} {v} to {m}.", "[How many|How much] {m} [are|is] {n} {v}?"), "{r} * {n}"),
    ("get_{w}_total", "Total of a {w}", "total", ("[Split|Divide|Share] the total of {v} [by|among|between] {n} people.", "[What does each of {n} people pay|How much does each pay] for {v}[ if we are {n}|]?"), "{r} / {n}"),
    ("{w}_count", "Number of pieces in a {w}", "count", ("[How many pieces are|Pieces] in {n} {w}s of {v}?", "[Take|Get] the count of {v} and multiply it by {n}."), "{r} * {n}"),
    ("{w}_length", "Length of a {w}", "length", ("[What is half the length of|Halve the length of] {v}?", "How long is half of {v}?"), "{r} / 2"),
    ("{w}_level", "Level of a {w}", "level", ("[Add|Plus] {n} to the level of {v}[, what is it|]?", "[Get|Take] the level of {v} and add {n}."), "{r} + {n}"),
)  # fmt: skip


def then_compute(draw: Draw) -> Task:
    """A function gives a number, python computes with it."""
    name, about, key, asks, formula = draw.choice(_PRICED)
    word, money = draw.choice((draw.word("noun"), draw.pseudo(1, 2))), draw.choice(("USD", "euros", "dollars", "pounds"))
    by = draw.choice(("name", word, "item", "title", "symbol"))
    intent = Intent(name.format(w=word), about.format(w=word, m=money), key, (Slot(by, "pseudo", f"{word.capitalize()} name"),), ())
    target = offer_function(draw, intent, draw.chance(0.35))
    value = draw.choice((draw.pseudo(2, 3).capitalize(), title(draw), draw.word("thing")))
    n, number = draw.number(3) + 1, draw.choice((draw.number(3), draw.decimal(2, 3)))
    two = draw.chance(0.4)
    ask = draw.ask(asks, n=n, v=value, m=money, w=word)
    ask = ask.rstrip("?.") + draw.choice((" (two decimals)?", ", rounded to two decimals?", " to two decimals?")) if two else ask
    code = f"round({formula.format(r=number, n=n)}, {2 if two else 6})" if two or "." in f"{number}{formula}" or "/" in formula else formula.format(r=number, n=n)
    done = execute(code)
    got = {draw.choice((key, key, "value", "usd")): number}
    short = done.stdout.removesuffix(".0")
    steps = [call(target.spec.name, target.arguments({by: value}))]
    if draw.chance(0.06):
        got = error(draw)  # type: ignore[assignment]
        turn = Turn(ask, (*steps, result(got)), Answer(tell(got).full, tell(got).short, "I called a function."))
    else:
        turn = Turn(ask, (*steps, result(got), *python(code, done)), Answer(f"The result is {short}.", short, f"I called {target.spec.name} and let python compute."))
    return _task(draw, turn, [target, *offered_with(draw, draw_intent(draw), 0)[1][: draw.integer(0, 1)]], code=True)


_BUSY = ("{x} is [closed|full|taken|broken|booked|not free|unavailable|out of order], {y} is [open|free|available]", "{x} is not [available|free], [try|use|take] {y}", "unknown {n} {x}, did you mean {y}?", "{x} [does not exist|not found], [use|try] {y}")
_ELSE = (", and if that [one is|is|one's] not [possible|free|available] take [another|any other|one that is free].", ", or any other that is [free|open].", ". If it is taken, take another one.", ", otherwise [whatever is free|another one].", "")


def retry(draw: Draw) -> Task:
    """The error says what would work: call again with it."""
    intent = draw_intent(draw)
    slots = [slot for slot in intent.slots if slot.kind in ("small", "city", "place", "person", "code", "title", "pseudo", "room", "clock", "date", "integer", "handle")]
    if not slots:
        return retry(draw)
    target, offer = offered_with(draw, intent, draw.integer(0, 2))
    question, values = request(draw, target)
    slot = slots[0]
    if slot.name not in values:
        return retry(draw)
    other, shown = draw_value(draw, slot.kind)
    label = f"{slot.name} " if draw.chance(0.6) else ""
    problem = draw.phrase(_BUSY, x=f"{label}{values[slot.name]}", y=f"{label}{shown}", n=slot.name)
    found, told = draw_result(draw, intent.reply)
    question = question.rstrip("?.!") + draw.phrase(_ELSE) if draw.chance(0.7) else question
    steps = (call(target.spec.name, target.arguments(values)), result({"error": problem}), call(target.spec.name, target.arguments({**values, slot.name: other})), result(found))
    full = f"{told.full} I used {shown}."
    return _task(draw, Turn(question, steps, Answer(full, told.short, f"I called {target.spec.name} again.")), offer)


def failing(draw: Draw) -> Task:
    """The function fails for good: say why."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    problem = error(draw)
    told = tell(problem)
    steps = (call(target.spec.name, target.arguments(values)), result(problem))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, "The function said so.")), offer)


def injected(draw: Draw) -> Task:
    """A result field gives orders: it is left out of the answer."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    value, told = draw_result(draw, target.intent.reply)
    if not isinstance(value, dict) or "error" in value or told.full == "Done.":
        return injected(draw)
    field = draw.choice(("comment", "note", "message", "info", "remark", "text", "description"))
    dirty = {**value, field: injection(draw)} if draw.chance(0.6) else {field: injection(draw), **value}
    steps = (call(target.spec.name, target.arguments(values)), result(dirty))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, f"I called {target.spec.name}.")), offer)


def mixed_offer(draw: Draw) -> Task:
    """Functions are offered beside python; the question is for the function, or for python."""
    target, offer = offered_with(draw, composed(draw) if draw.chance(0.5) else draw.choice(everyday(draw)), how_many(draw))
    if draw.chance(0.5):
        return Task(arithmetic(draw).turns, tuple(offered.spec for offered in offer), code=True)
    question, values = request(draw, target)
    value, told = draw_result(draw, target.intent.reply)
    steps = (call(target.spec.name, target.arguments(values)), result(value))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, "I called a function.")), offer, code=True)


def _task(draw: Draw, turn: Turn, offer: list[Offered], code: bool | None = None) -> Task:
    specs: dict[str, FunctionSpec] = {offered.spec.name: offered.spec for offered in offer}
    names = list(specs)
    draw.random.shuffle(names)
    return Task((turn,), tuple(specs[name] for name in names), code=code, search=None if draw.chance(0.3) else False)


def plans(draw: Draw) -> Task:
    """One task of this file."""
    makers = (id_first, then_compute, retry, failing, injected, mixed_offer)
    return draw.random.choices(makers, (28, 20, 14, 10, 12, 16))[0](draw)
