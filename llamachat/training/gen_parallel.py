"""Several calls for one question: a function for several values, in a sentence with one verb, or two functions."""

from typing import Any

from llamachat.messages import Message
from llamachat.training.draw import Draw, lower_first
from llamachat.training.offering import NAMES, draw_intent, new, offered_with, request, rival, task_of
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result
from llamachat.training.sample import call, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, join

Runs = list[tuple[Offered, dict[str, Any]]]


def two_calls(draw: Draw) -> Task:
    """Independent requests in one sentence, two as a rule, called one after the other."""
    first, offer = offered_with(draw, draw_intent(draw), draw.integer(0, 1))
    maker = draw.weighted((_values, _twice, _elliptic, _two_functions), (27, 12, 19, 42))
    turn = _turn(draw, *maker(draw, first, offer))
    return task_of([turn], offer) if turn else two_calls(draw)


def several_calls(draw: Draw, first: Offered, offer: list[Offered]) -> Turn | None:
    """A turn of several calls of ``first``, or of it and another one of ``offer``, within a longer dialog."""
    return _turn(draw, *draw.weighted((_values, _twice, _elliptic, _two_offered), (35, 12, 18, 35))(draw, first, offer))


def _turn(draw: Draw, question: str, runs: Runs) -> Turn | None:
    if not runs or any(runs.count(run) > 1 for run in runs):
        return None
    steps: list[Message] = []
    tellings = []
    for offered, arguments in runs:
        value, told = draw_result(draw, offered.intent.reply)
        steps += [call(offered.spec.name, offered.arguments(arguments)), result(value)]
        tellings.append(told)
    full = " ".join(dict.fromkeys(told.full for told in tellings))
    short = "; ".join(dict.fromkeys(told.short for told in tellings))
    return Turn(question, tuple(steps), Answer(full, short, "I called the functions for that."))


_PAIRS = (
    "{a} and {b}", "{a} and {b}", "both {a} and {b}", "{a} and also {b}", "{a} as well as {b}", "{a} & {b}", "{a}, {b}",
)  # fmt: skip


def _values(draw: Draw, first: Offered, offer: list[Offered]) -> tuple[str, Runs]:
    """``the weather in A and B``, or in three places."""
    question, values = request(draw, first, among=offer)
    slot = next((slot for slot in first.intent.slots if slot.name in values and slot.kind in NAMES), None)
    if slot is None:
        return "", []
    more = [draw_value(draw, slot.kind)[0] for _ in range(draw.weighted((1, 2), (75, 25)))]
    every = [values[slot.name], *more]
    body = question.rstrip("?.!")
    if len(every) > 2:
        said = join(every)
    elif draw.chance(0.3):
        said = f"{every[0]} and {'in ' if ' in ' in body else 'for '}{every[1]}"
    else:
        said = draw.choice(_PAIRS).format(a=every[0], b=every[1])
    start = body.find(every[0])
    text = body[:start] + said + body[start + len(every[0]) :] + question[len(body) :]
    return text, [(first, {**values, slot.name: value}) for value in every]


_JOINERS = (", and ", " and ", " and then ", ". Also, ", ". And ", ", then ", " and also ", ". After that, ", " plus ")


def _twice(draw: Draw, first: Offered, _: list[Offered]) -> tuple[str, Runs]:
    """Two requests for the same function."""
    (one, values), (two, others) = request(draw, first), request(draw, first)
    return one.rstrip("?.!") + draw.choice(_JOINERS) + lower_first(two), [(first, values), (first, others)]


_LEADS = frozenset("the a in for to of on my at from room with by".split())


def _elliptic(draw: Draw, first: Offered, _: list[Offered]) -> tuple[str, Runs]:
    """``wake room 12 at 7:00, room 14 at 8:00 and room 15 at 9:00``: the verb is said once."""
    text = draw.ask(first.intent.requests)
    if "{" not in text:
        return "", []
    before = text[: text.index("{")].split()
    lead = f"{before[-1]} " if before and before[-1].lower() in _LEADS else ""
    rest = lead + text[text.index("{") :].rstrip("?.!")
    if set(rest) & set(".?!"):  # two sentences
        return "", []
    asked = [request(draw, first, text), *(request(draw, first, rest) for _ in range(draw.weighted((1, 2), (75, 25))))]
    said = [part.rstrip("?.!") for part, _ in asked]
    last = draw.choice((" and ", " and ", " and also ", ", and "))
    mark = text[len(text.rstrip("?.!")) :]
    return ", ".join(said[:-1]) + last + said[-1] + mark, [(first, values) for _, values in asked]


def _two_functions(draw: Draw, first: Offered, offer: list[Offered]) -> tuple[str, Runs]:
    """Requests for two functions; the second joins ``offer``."""
    intent = rival(draw, first.intent) if draw.chance(0.4) else draw_intent(draw)
    second = offer_function(draw, intent, masked=draw.chance(0.2))
    if not all(new(second, o) for o in offer):
        return "", []
    offer.insert(draw.integer(0, len(offer)), second)
    (one, values), (two, others) = request(draw, first), request(draw, second)
    return one.rstrip("?.!") + draw.choice(_JOINERS) + lower_first(two), [(first, values), (second, others)]


def _two_offered(draw: Draw, first: Offered, offer: list[Offered]) -> tuple[str, Runs]:
    """Requests for two functions of ``offer``."""
    second = draw.choice(offer)
    (one, values), (two, others) = request(draw, first), request(draw, second)
    if second is first:
        return "", []
    return one.rstrip("?.!") + draw.choice(_JOINERS) + lower_first(two), [(first, values), (second, others)]
