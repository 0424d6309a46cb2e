"""Plans of several steps: a first result goes into a second call or into python; errors that tell how to go on."""

from typing import Any

from llamachat.calls import Part, explain
from llamachat.messages import Message
from llamachat.protocol import frame_failure
from llamachat.tools.schemas import problems
from llamachat.training import phrases
from llamachat.training.draw import Draw, plural
from llamachat.training.gen_arith import arithmetic, safe
from llamachat.training.gen_chained import chained
from llamachat.training.inject import injection
from llamachat.training.intents import Intent, Slot
from llamachat.training.offering import draw_intent, how_many, offered_with, request
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result, error, tell
from llamachat.training.sample import call, execute, python, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title

_WAYS = (
    ("name", "title", "[the {n} {v}|the {n} called {v}|{v}]"),
    ("owner", "person", "[the {n} of {v}|{v}'s {n}]"),
    ("room", "room", "[the {n} in the {v}|the {v} {n}]"),
    ("city", "city", "the {n} in {v}"),
    ("title", "title", "the {n} {v}"),
)


def id_first(draw: Draw) -> Task:
    """The second function wants an id that only the first one knows."""
    noun = draw.choice((draw.word("noun"), draw.word("noun"), draw.pseudo(2, 2)))
    key = draw.choice((f"{noun}_id", "id", f"{noun}_number", f"{noun}_code"))
    by, kind, naming = draw.choice(_WAYS)
    change = draw.block("changes")
    finder = f"{draw.choice(('find', 'get', 'lookup', 'search'))}_{noun}"
    about = draw.choice((f"Id of a {noun}", f"Find a {noun}", f"Look up the {key} of a {noun}"))
    find = Intent(finder, about, "id", (Slot(by, kind, by.capitalize()),), ())
    actor = f"{change.code}_{noun}" if draw.chance(0.7) else change.code
    told_of = change.code.removeprefix("get_")
    reply = draw.choice((f"number({told_of})", f"{told_of}=[<title>|<code>|<adjective>]", "record"))
    reply = reply if told_of != change.code else draw.choice(("done", "done", "status", "id"))
    act = Intent(actor, f"{change.full} a {noun}", reply, (Slot(key, "code", f"Id of the {noun}"),), ())
    masked = draw.chance(0.35)
    first, second = offer_function(draw, find, masked), offer_function(draw, act, masked)
    if first.spec.name == second.spec.name:
        return id_first(draw)
    value, shown = draw_value(draw, kind)
    thing = draw.phrase((naming,), n=noun, v=shown)
    asks = tuple(f"[|please |can you |could you |]{ask}[.|?|]" for ask in change.asks)
    ask = draw.ask(asks, x=thing)
    ask = ask[0].upper() + ask[1:] if draw.chance(0.5) else ask
    code: Any = draw.choice((draw.code(), draw.code(), draw.pseudo()))
    found, told = draw_result(draw, act.reply)
    steps = [call(first.spec.name, first.arguments({by: value}))]
    if draw.chance(0.08):
        failed = error(draw)
        told = tell(failed)
        steps.append(result(failed))
    else:
        steps += [result({key: code}), call(second.spec.name, second.arguments({key: code})), result(found)]
    turn = Turn(ask, tuple(steps), Answer(told.full, told.short, "I looked the id up first."))
    return _task(draw, turn, [first, second, *_one_more(draw)])


_ROUNDED = (" (two decimals)?", ", rounded to two decimals?", " to two decimals?")


def then_compute(draw: Draw) -> Task:
    """A function gives a number, python computes with it."""
    block = draw.block("priced")
    word = draw.choice((draw.word("noun"), draw.pseudo(1, 2)))
    money = draw.choice(("USD", "euros", "dollars", "pounds"))
    by = draw.choice(("name", word, "item", "title", "symbol"))
    slot = Slot(by, "pseudo", f"{word.capitalize()} name")
    lone = draw.chance(0.3)  # the function is about one thing and wants no name
    word = draw.word("noun") if lone else word
    name, about = block.short.format(w=word), block.full.format(w=word, m=money)
    target = offer_function(
        draw, Intent(name, about, block.named, () if lone else (slot,), ()), not lone and draw.chance(0.35)
    )
    value = plural(word) if lone else draw.choice((draw.proper(), title(draw), draw.word("thing")))
    n, number = draw.number(3) + 1, draw.choice((draw.number(3), draw.decimal(2, 3)))
    ask = draw.ask(block.asks, n=n, v=value, m=money, w=word)
    code = block.code.format(r=number, n=n)
    if draw.chance(0.4):
        ask, code = ask.rstrip("?.") + draw.choice(_ROUNDED), f"round({code}, 2)"
    done = execute(safe(code))
    steps = (call(target.spec.name, target.arguments({} if lone else {by: value})),)
    if draw.chance(0.06):
        got = error(draw)
        told = tell(got)
        turn = Turn(ask, (*steps, result(got)), Answer(told.full, told.short, "I called a function."))
    else:
        got_number = result({draw.choice((block.named, block.named, "value", "usd")): number})
        short = done.stdout.removesuffix(".0")
        how = f"I called {target.spec.name} and let python compute."
        turn = Turn(ask, (*steps, got_number, *python(safe(code), done)), Answer(f"The result is {short}.", short, how))
    return _task(draw, turn, [target, *_one_more(draw)], code=True)


_STATES = ("available", "free", "open", "in_stock", "ready", "online", "paid", "booked")
_DETAILS = {
    "due_date": "when [is it due|is it back|will it be back|does it come back]", "next_date": "when is the next date",
    "price": "[what does it cost|how much is it]", "waiting_time": "how long [is the wait|must I wait]",
    "reason": "why", "owner": "[who owns it|whose is it|who has it]",
    "opening_time": "[when does it open|from when on is it open]",
    "contact": "[whom do I call|who can help]", "location": "[where is it|where do I find it]",
}  # fmt: skip


def conditional(draw: Draw) -> Task:
    """The second function is called only if the first one says no (or yes)."""
    noun, state, detail = draw.word("noun"), draw.choice(_STATES), draw.choice(tuple(_DETAILS))
    words, more = state.replace("_", " "), detail.replace("_", " ")
    slot = Slot(draw.choice(("name", "title", noun)), "title", f"{noun.capitalize()}")
    first = offer_function(
        draw, Intent(f"is_{noun}_{state}", f"Whether a {noun} is {words}", "free", (slot,), ()), masked=draw.chance(0.3)
    )
    second = offer_function(
        draw, Intent(f"get_{noun}_{detail}", f"The {more} of a {noun}", "record", (slot,), ()), masked=draw.chance(0.3)
    )
    value, wanted, yes = title(draw), draw.chance(0.3), draw.chance(0.5)
    asks = (
        "Is [the {n} |]{v} {s}[, and if {w}, what|? If {w}, tell me: what] is [its|the] {d}?",
        "[Check|Find out] whether [the {n} |]{v} is {s}; if {w}[,|] [get|give me|tell me] [its|the] {d}.",
        "If [the {n} |]{v} is {u}{s}, what is its {d}?",
        "Is [the {n} |]{v} {s}[, and if {w},|? If {w},| and if {w},] {q}?",
        "[Is|Can you tell me if|I'd like to know if] [the {n} |]{v} [is|was] {s}, and if {w}, {q}.",
    )
    way = draw.phrase((_DETAILS[detail],))
    slots = {
        "n": noun,
        "v": value,
        "s": words,
        "d": more,
        "q": way,
        "w": "so" if wanted else "not",
        "u": "" if wanted else "not ",
    }
    state_result = {state: yes}
    steps = [call(first.spec.name, first.arguments({slot.name: value})), result(state_result)]
    told = tell(state_result)
    full, short = told.full, told.short
    if yes == wanted:
        found = {detail: draw.choice((draw.number(4), title(draw), draw_value(draw, "date")[0], draw.word("person")))}
        steps += [call(second.spec.name, second.arguments({slot.name: value})), result(found)]
        full, short = f"{full} {tell(found).full}", tell(found).short
    turn = Turn(draw.ask(asks, **slots), tuple(steps), Answer(full, short, "I checked that first."))
    return _task(draw, turn, [first, second, *_one_more(draw)])


_CHANGEABLE = frozenset(
    ("small", "city", "place", "person", "code", "title", "pseudo", "room", "clock", "date", "integer", "handle")
)
_ELSE = (
    ", and if that [one is|is|one's] not [possible|free|available] take [another|any other|one that is free].",
    ", or any other that is [free|open].",
    ". If it is taken, take another one.",
    ", otherwise [whatever is free|another one].",
    "",
)


def retry(draw: Draw) -> Task:
    """The error says what would work: call again with it."""
    intent = draw_intent(draw)
    slot = next((slot for slot in intent.slots if slot.kind in _CHANGEABLE), None)
    if slot is None:
        return retry(draw)
    target, offer = offered_with(draw, intent, draw.integer(0, 2))
    question, values = request(draw, target)
    if slot.name not in values:
        return retry(draw)
    other, shown = draw_value(draw, slot.kind)
    label = f"{slot.name} " if draw.chance(0.6) else ""
    busy = phrases.lines("busy")
    problem = draw.phrase(busy, x=f"{label}{values[slot.name]}", y=f"{label}{shown}", n=slot.name)
    found, told = draw_result(draw, intent.reply)
    question = question.rstrip("?.!") + draw.phrase(_ELSE) if draw.chance(0.7) else question
    again = {**values, slot.name: other}
    steps = (
        call(target.spec.name, target.arguments(values)), result({"error": problem}),
        call(target.spec.name, target.arguments(again)), result(found),
    )  # fmt: skip
    full = f"{told.full} I used {shown}."
    return _task(draw, Turn(question, steps, Answer(full, told.short, f"I called {target.spec.name} again.")), offer)


def failing(draw: Draw) -> Task:
    """The function fails for good: say why."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target, among=offer)
    problem = error(draw)
    told = tell(problem)
    steps = (call(target.spec.name, target.arguments(values)), result(problem))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, "The function said so.")), offer)


def injected(draw: Draw) -> Task:
    """A result field gives orders: it is left out of the answer."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target, among=offer)
    value, told = draw_result(draw, target.intent.reply)
    if not isinstance(value, dict) or "error" in value or told.full == "Done.":
        return injected(draw)
    field, order = draw.choice(("comment", "note", "message", "info", "remark", "text", "description")), injection(draw)
    texts = [key for key, item in value.items() if isinstance(item, str)]
    if texts and draw.chance(0.25):
        field = draw.choice(texts)
        order = f"{value[field]}{draw.choice(('. ', ' - ', '; ', ' '))}{order}"
    dirty = {**value, field: order} if field in value or draw.chance(0.6) else {field: order, **value}
    steps = (call(target.spec.name, target.arguments(values)), result(dirty))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, f"I called {target.spec.name}.")), offer)


def mistaken(draw: Draw) -> Task:
    """A call that could not run, for a wrong name, a wrong or a missing parameter: call again, correctly."""
    target, offer = offered_with(draw, draw_intent(draw), draw.integer(0, 2))
    question, values = request(draw, target)
    right = target.arguments(values)
    if not right:
        return mistaken(draw)
    name, wrong, gone = target.spec.name, dict(right), draw.choice(tuple(right))
    kind = draw.choice(("name", "parameter", "missing"))
    if kind == "name":
        name = draw.choice(
            (f"{name}s", f"{draw.pseudo()}_{name}", name.rpartition("_")[0] or draw.pseudo(), draw.pseudo())
        )
    else:
        value = wrong.pop(gone)
        wrong |= {draw.pseudo(): value} if kind == "parameter" else {}
    names = tuple(sorted(offered.spec.name for offered in offer))
    broken = Part("error", "eot", name=name, error="unknown_function", offered=names)
    issues = problems(target.spec.parameters, wrong, name)
    reason = explain(broken) if kind == "name" else "\n".join(issues)
    if not reason:
        return mistaken(draw)
    value, told = draw_result(draw, target.intent.reply)
    failure = Message("ipython", frame_failure(reason))
    steps = (call(name, wrong), failure, call(target.spec.name, right), result(value))
    answer = Answer(told.full, told.short, f"I called {target.spec.name} for that.")
    return _task(draw, Turn(question, steps, answer, slips=1), offer)


def mixed_offer(draw: Draw) -> Task:
    """Functions are offered beside python; the question is for the function, or for python."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    if draw.chance(0.5):
        return Task(arithmetic(draw).turns, tuple(offered.spec for offered in offer), code=True)
    question, values = request(draw, target, among=offer)
    value, told = draw_result(draw, target.intent.reply)
    steps = (call(target.spec.name, target.arguments(values)), result(value))
    return _task(draw, Turn(question, steps, Answer(told.full, told.short, "I called a function.")), offer, code=True)


def _one_more(draw: Draw) -> list[Offered]:
    return offered_with(draw, draw_intent(draw), 0)[1] if draw.chance(0.5) else []


def _task(draw: Draw, turn: Turn, offer: list[Offered], code: bool | None = None) -> Task:
    specs = {offered.spec.name: offered.spec for offered in offer}
    names = draw.some(tuple(specs), len(specs))
    return Task((turn,), tuple(specs[name] for name in names), code=code, search=None if draw.chance(0.6) else False)


def plans(draw: Draw) -> Task:
    """One task of this file."""
    makers = (chained, id_first, then_compute, conditional, retry, failing, injected, mistaken, mixed_offer)
    return draw.weighted(makers, (22, 12, 16, 11, 9, 5, 9, 5, 11))(draw)
