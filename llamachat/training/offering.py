"""An offer of functions, a request for one of them, and the turn that answers it. Knows no kinds of tasks."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from llamachat.offer import FunctionSpec
from llamachat.training.composed import composed, rivals
from llamachat.training.draw import Draw
from llamachat.training.intents import Intent, intents, taught, worded
from llamachat.training.naming import pointed
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result
from llamachat.training.sample import call, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.terse import terse
from llamachat.training.values import asked_value
from llamachat.training.wear import otherwise, worn
from llamachat.training.words import Split, stems

NAMES = frozenset((
    "city", "place", "person", "code", "title", "pseudo", "topic", "room", "handle", "flight", "ticker", "thing",
    "country", "host", "domain", "filename", "language",
))  # fmt: skip
"""Kinds of values that another value of the kind may stand in for."""

OTHERWISE = 0.4
"""How often a request is in words that stand for others, whatever is wanted."""

STRANGE = (0.5, 0.2)
"""How often a request has strange words, under an offer of one function and of more. So must those that no function
fits, or strange words by themselves would tell that a call is due."""


def draw_intent(draw: Draw) -> Intent:
    """An everyday intent or a composed one."""
    return draw_everyday(draw) if draw.chance(0.72) else composed(draw)


def draw_everyday(draw: Draw) -> Intent:
    """An everyday intent, in words. An eighth of them are for val only."""
    return worded(draw, draw.choice(everyday(draw.split)))


@cache
def everyday(split: Split, area: str = "") -> Sequence[Intent]:
    """The intents, or those of one area: val has all of intents*.txt, train seven of eight of them, and taught.txt."""
    known = (*(intent for i, intent in enumerate(intents()) if i % 8 != 5), *taught())
    return tuple(intent for intent in (intents() if split == "val" else known) if area in ("", intent.area))


def rival(draw: Draw, intent: Intent) -> Intent:
    """A hard distractor of ``intent``: of its area, or made of its words."""
    if intent.area and draw.chance(0.7):
        return worded(draw, draw.choice(everyday(draw.split, intent.area)))
    return rivals(draw, intent)


def offered_with(draw: Draw, intent: Intent, others: int) -> tuple[Offered, list[Offered]]:
    """``intent`` and the whole offer in random order: it and ``others`` distractors, half of them hard."""
    masked = draw.chance(0.25)
    target = offer_function(draw, intent, masked)
    offer = [target]
    while len(offer) <= others:
        other = offer_function(draw, rival(draw, intent) if draw.chance(0.65) else draw_intent(draw), masked)
        if all(new(other, old) for old in offer):
            offer.append(other)
    draw.random.shuffle(offer)
    return target, offer


def new(one: Offered, other: Offered) -> bool:
    """Whether two functions differ in kind, in name and in description."""
    pairs = zip(*((o.intent.key or o.intent.name, o.spec.name, o.intent.about) for o in (one, other)), strict=True)
    return all(mine != theirs for mine, theirs in pairs)


def akin(one: Offered, other: Offered) -> bool:
    """Whether two functions are of an area, or share a word of their names and descriptions."""
    mine, its = (stems(f"{o.intent.name.replace('_', ' ')} {o.intent.about}") for o in (one, other))
    return bool((one.intent.area and one.intent.area == other.intent.area) or mine & its)


def request(draw: Draw, offered: Offered, text: str = "", among: Sequence[Offered] = ()) -> tuple[str, dict[str, Any]]:
    """What the user says for ``offered``, as ``text`` if given, and the values of the slots that it names; in strange
    words now and then where ``among`` is the offer, and has no other function that could be meant by them."""
    text = text or (terse(draw, offered.intent) if draw.chance(0.1) else "")
    text = text or pointed(draw, draw.ask(offered.intent.requests), offered.intent.slots)
    text = otherwise(draw, text) if draw.rough(OTHERWISE) else text
    if among and not any(akin(offered, other) for other in among if other is not offered):
        text = worn(draw, text) if draw.rough(STRANGE[len(among) > 1]) else text
    values, shown = {}, {}
    for slot in offered.intent.slots:
        if "{" + slot.name + "}" in text:
            values[slot.name], shown[slot.name] = asked_value(draw, slot.kind, slot.about)
    return text.format(**shown), values


def answered(draw: Draw, offered: Offered, values: dict[str, Any], question: str) -> Turn:
    """The turn that calls ``offered`` with ``values`` and tells the result."""
    value, told = draw_result(draw, offered.intent.reply)
    steps = (call(offered.spec.name, offered.arguments(values)), result(value))
    return Turn(question, steps, Answer(told.full, told.short, f"I called {offered.spec.name} for that."))


def how_many(draw: Draw) -> int:
    """The number of distractors."""
    return draw.weighted((0, 1, 2, 3), (26, 32, 26, 16))


def unrelated(draw: Draw) -> tuple[FunctionSpec, ...]:
    """Functions to be offered beside talk that needs none."""
    return tuple(offered.spec for offered in offered_with(draw, draw_intent(draw), how_many(draw))[1])


def task_of(turns: list[Turn], offer: list[Offered], *, alone: bool = False) -> Task:
    """``alone``: with neither python nor search beside the functions."""
    bare = False if alone else None
    return Task(tuple(turns), tuple(offered.spec for offered in offer), code=bare, search=bare)
