"""Requests that no offered function fits: another function's, a chore for hands, a matter of the user's own."""

from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.offering import (
    OTHERWISE,
    STRANGE,
    draw_intent,
    how_many,
    new,
    offered_with,
    request,
    rival,
    task_of,
)
from llamachat.training.persona import Answer
from llamachat.training.replies import NO_FUNCTION
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import atom
from llamachat.training.wear import otherwise, worn
from llamachat.training.words import stems

_CHORES = (
    "[Can|Could|Will|Would] you [please |]{c}[ for me| today| now|]?",
    "[Please|I want you to|I'd like you to] {c}[.|, please.]", "{c}[ please|, please|.| for me.]",
    "I need [someone|somebody|you] to {c}.",
)  # fmt: skip


def irrelevant(draw: Draw) -> Task:
    """A request for which none of the offered functions is meant: another function's, or a chore for hands."""
    _, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    if draw.chance(0.35):  # nor could python or search do it
        return task_of([unmet(chore(draw, offer))], offer)
    asked, deed = foreign(draw, offer)
    return task_of([unmet(asked)], offer, alone=not deed) if asked else irrelevant(draw)


def unmet(asked: str) -> Turn:
    """A turn that says that no function is meant."""
    return Turn(asked, (), Answer(NO_FUNCTION, "I can't do that.", "I looked at my functions."))


def chore(draw: Draw, offer: list[Offered]) -> str:
    """What no tool in ``offer`` can do, or know: a chore for hands, or a matter of the user's own."""
    words = {"n": draw.word("noun"), "z": draw.word("animal"), "p": draw.word("city"), "q": draw.word("person")}
    slots = {**words, "d": draw.word("weekday"), "t": atom(draw, "clock"), "m": draw.integer(2, 90)}
    if draw.chance(0.25):
        ask = draw.ask(phrases.lines("private"), **slots)
    else:
        ask = draw.ask(_CHORES, c=" ".join(draw.phrase(phrases.lines("chores"), **slots).split()))
    doing = stems(ask)
    if any(doing & stems(o.intent.name + " " + o.intent.about) or _like(doing, o.intent.requests) for o in offer):
        return chore(draw, offer)
    ask = otherwise(draw, ask) if draw.rough(OTHERWISE) else ask
    ask = worn(draw, ask) if draw.rough(STRANGE[len(offer) > 1]) else ask
    return ask[0].upper() + ask[1:]


def _like(doing: frozenset[str], requests: tuple[str, ...]) -> bool:
    return any(len(doing & stems(request)) > 1 for request in requests)


def foreign(draw: Draw, offer: list[Offered]) -> tuple[str, bool]:
    """A request for a function that ``offer`` lacks, and whether it is for a deed, which neither python nor search can
    do; nothing if the one that was drawn is too near."""
    near = offer[0].intent.area and draw.chance(0.6)
    wanted = offer_function(draw, rival(draw, offer[0].intent) if near else draw_intent(draw), masked=False)
    words = set(wanted.intent.name.split("_")) - {"get", "set", "find"}
    if not all(new(wanted, o) and (near or not words & set(o.intent.name.split("_"))) for o in offer):
        return "", False
    return request(draw, wanted, among=() if near else offer)[0], wanted.intent.reply in ("done", "id")
