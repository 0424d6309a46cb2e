"""Two functions in a row, of everyday ones: what the user names, the first turns into the id that the second wants."""

from dataclasses import replace
from typing import Any

from llamachat.training.draw import Draw
from llamachat.training.intents import Intent, Slot
from llamachat.training.naming import noun_beside
from llamachat.training.offering import draw_everyday, draw_intent, new, offered_with, request
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result, error, tell
from llamachat.training.sample import call, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title

_NAMED = frozenset(
    "title person fullname noun thing room handle pseudo word topic filename device place animal".split()
)
_KEYS = ("{n}_id", "{n}_id", "{n}_id", "id", "{n}_number", "{n}_code", "{n}_key", "{n}_ref")
_FINDERS = (
    "find_{n}", "get_{n}", "lookup_{n}", "search_{n}", "get_{k}", "find_{k}", "{n}_lookup", "which_{n}", "resolve_{n}",
    "{n}_by_{b}", "get_{n}_by_{b}", "list_{n}s", "search_{n}s", "find_{n}s", "{n}_search",
)  # fmt: skip
_ABOUTS = (
    "[Id|Identifier|Number|Code] of [a|the] {n}", "[Find|Look up|Get|Search] [a|the] {n}", "{N} [id|code|number]",
    "[Find|Look up|Get|Tells] the {k} of [a|the] {n}", "[Find|Search] {n}s by {b}", "{N} {b} to {k}",
    "[Find|Get] a {n}'s [id|number]", "Id of the {n} with [this|a] {b}",
)  # fmt: skip
_KEYED = ("{N} id", "Id of the {n}", "Identifier", "{N} [code|number]", "Id", "Which {n}, by id", "The {n}'s id")


def chained(draw: Draw) -> Task:
    """An everyday function that wants an id instead of a name, and a function that knows the id."""
    act = draw_everyday(draw)
    slot = next((slot for slot in act.slots if slot.kind in _NAMED and slot.required), None)
    if slot is None:
        return chained(draw)
    noun = noun_beside(slot) or slot.name
    by = draw.choice(("name", "name", "title", "query", noun))
    key = draw.choice(_KEYS).format(n=noun)
    words = {"n": noun.replace("_", " "), "N": noun.replace("_", " ").capitalize(), "k": key.replace("_", " "), "b": by}
    name = draw.choice(_FINDERS).format(n=noun, k=key, b=by)
    find = Intent(name, draw.phrase(_ABOUTS, **words), "id", (Slot(by, slot.kind, by.capitalize()),), ())
    kind = draw.choice(("code", "code", "integer"))
    keyed = Slot(key, kind, draw.phrase(_KEYED, **words))
    acting = replace(act, slots=tuple(keyed if one is slot else one for one in act.slots), key=f"{act.key} by id")
    masked = draw.chance(0.2)
    first, second = offer_function(draw, find, masked), offer_function(draw, acting, masked)
    question, values = request(draw, replace(second, intent=act))
    if slot.name not in values or key in values or not new(first, second):
        return chained(draw)
    value = values.pop(slot.name)
    steps, told = _steps(draw, (first, {by: value}), (second, values), key, kind)
    turn = Turn(question, steps, Answer(told.full, told.short, "I looked the id up first."))
    offer = [first, second, *(other for other in _others(draw) if new(other, first) and new(other, second))]
    draw.random.shuffle(offer)
    return Task((turn,), tuple(offered.spec for offered in offer), search=None if draw.chance(0.6) else False)


Run = tuple[Offered, dict[str, Any]]


def _steps(draw: Draw, find: Run, act: Run, key: str, kind: str) -> tuple[tuple[Any, ...], Answer]:
    (first, sought), (second, values) = find, act
    asked = call(first.spec.name, first.arguments(sought))
    if draw.chance(0.07):
        failed = error(draw)
        return (asked, result(failed)), tell(failed)
    code = draw_value(draw, kind)[0]
    record = {draw.choice((key, key, "id")): code}
    if draw.chance(0.25):
        more = draw.choice(("name", "owner", "state", "since"))
        record = {**record, more: draw.choice((title(draw), draw.word("city")))}
    found, told = draw_result(draw, second.intent.reply)
    steps = (asked, result(record), call(second.spec.name, second.arguments({**values, key: code})), result(found))
    return steps, told


def _others(draw: Draw) -> list[Offered]:
    return offered_with(draw, draw_intent(draw), draw.integer(0, 1))[1] if draw.chance(0.5) else []
