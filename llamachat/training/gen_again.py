"""A second call for *it*: the opposite of the first, or another function of its area for the same thing."""

import re
from dataclasses import replace

from llamachat.training import phrases
from llamachat.training.composed import composed
from llamachat.training.draw import Draw
from llamachat.training.intents import worded
from llamachat.training.offering import answered, draw_everyday, draw_intent, everyday, offered_with, request, task_of
from llamachat.training.schema import offer_function
from llamachat.training.task import Task

_UNDO = (
    "[Now|And now|Ok, now|Then] {v} it[ again|][.|, please.|]", "{V} it [again|now][.|, please.|]",
    "[No|Sorry|Wait|Oh no], {v} it[ again|][.|, please.|]", "[And|Please|Can you] {v} it again[?|.|]",
    "I changed my mind, {v} it[ again|][.|]",
)  # fmt: skip


def undone(draw: Draw) -> Task:
    """A function is called, then its opposite, for *it*."""
    verb, back = draw.choice(phrases.lines("opposites")).split()
    if draw.chance(0.4):
        verb, back = back, verb
    one = composed(draw, verb)
    other = composed(draw, back, one.name.removeprefix(f"{verb}_").replace("_", " "))
    if not one.slots:
        return undone(draw)
    first, second = (offer_function(draw, intent, masked=False) for intent in (one, replace(other, slots=one.slots)))
    offer = [first, second, *(o for o in offered_with(draw, draw_intent(draw), 0)[1] if draw.chance(0.4))]
    draw.random.shuffle(offer)
    question, values = request(draw, first)
    required = {slot.name: values[slot.name] for slot in one.slots if slot.name in values}
    again = draw.ask(_UNDO, v=back, V=back.capitalize())
    return task_of([answered(draw, first, values, question), answered(draw, second, required, again)], offer)


_NAMED = r"(?:(?:the|my|our|this|that) )?(\{\w+\})"
_IT = re.compile(_NAMED + r"(?=$|[.,!?]| (?:in|on|at|to|for|from|with|by|and|please|now|is) )")
_THINGS = ("title", "room", "code", "noun", "handle", "topic", "thing", "device", "filename", "pseudo")


def same_thing(draw: Draw) -> Task:
    """A function is called, then another one of its area for the same thing, which is *it* now."""
    intent = draw_everyday(draw)
    kinds = {slot.kind: slot.name for slot in intent.slots if slot.kind in _THINGS}
    fit = []
    for other in everyday(draw.split, intent.area) if intent.area and kinds else ():
        needed = [slot for slot in other.slots if slot.required]
        if other.key != intent.key and len(needed) == 1 and needed[0].kind in kinds:
            fit.append(other)
    if not fit:
        return same_thing(draw)
    other = worded(draw, draw.choice(fit))
    (slot,) = (slot for slot in other.slots if slot.required)
    first, second = (offer_function(draw, one, masked=False) for one in (intent, other))
    question, values = request(draw, first)
    texts = [text for text in other.requests if "{" + slot.name + "}" in text and text.count("{") == 1]
    again = _IT.sub("it", draw.ask(texts)) if texts else ""
    if kinds[slot.kind] not in values or not again or "{" in again or first.spec.name == second.spec.name:
        return same_thing(draw)
    offer = [first, second, *(o for o in offered_with(draw, draw_intent(draw), 0)[1] if draw.chance(0.4))]
    draw.random.shuffle(offer)
    turns = [answered(draw, first, values, question)]
    return task_of([*turns, answered(draw, second, {slot.name: values[kinds[slot.kind]]}, again)], offer)
