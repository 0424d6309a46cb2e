"""Zero-shot functions: one call, choice among several, a missing argument, none that fits, and what results say.

Recipe: half everyday intents (intents.py), half made of verb x noun x parameter fragments; 45 % with masked names;
0-3 distractors, half of them hard (same verb or same noun).
"""

from collections.abc import Sequence
from typing import Any

from llamachat.messages import Message
from llamachat.offer import FunctionSpec
from llamachat.training import phrases
from llamachat.training.composed import composed, fragments, rivals
from llamachat.training.draw import Draw, lower_first
from llamachat.training.intents import Intent, intents
from llamachat.training.persona import Answer
from llamachat.training.replies import NO_FUNCTION, draw_result
from llamachat.training.sample import call, result
from llamachat.training.schema import Offered, offer_function
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, join


def draw_intent(draw: Draw) -> Intent:
    """An everyday intent or a composed one. 15 % of the everyday ones are for val only."""
    return draw.choice(everyday(draw)) if draw.chance(0.5) else composed(draw)


def everyday(draw: Draw) -> Sequence[Intent]:
    """The listed intents; val has all, train lacks every eighth."""
    return [intent for i, intent in enumerate(intents()) if draw.split == "val" or i % 8 != 5]


def offered_with(draw: Draw, intent: Intent, others: int) -> tuple[Offered, list[Offered]]:
    """``intent`` and the whole offer in random order: it and ``others`` distractors, half of them hard."""
    masked = draw.chance(0.4)
    target = offer_function(draw, intent, masked)
    offer = [target]
    while len(offer) <= others:
        rival = rivals(draw, intent) if draw.chance(0.5) else draw_intent(draw)
        if rival.name not in [o.intent.name for o in offer] and rival.about not in [o.intent.about for o in offer]:
            offer.append(offer_function(draw, rival, masked))
    draw.random.shuffle(offer)
    return target, offer


def request(draw: Draw, offered: Offered) -> tuple[str, dict[str, Any]]:
    """What the user says for ``offered``, and the values of the slots that it names."""
    text = draw.ask(offered.intent.requests)
    values, shown = {}, {}
    for slot in offered.intent.slots:
        if "{" + slot.name + "}" in text:
            values[slot.name], shown[slot.name] = draw_value(draw, slot.kind)
    return text.format(**shown), values


def answered(draw: Draw, offered: Offered, values: dict[str, Any], question: str) -> Turn:
    """The turn that calls ``offered`` with ``values`` and tells the result."""
    value, told = draw_result(draw, offered.intent.reply)
    steps = (call(offered.spec.name, offered.arguments(values)), result(value))
    return Turn(question, steps, Answer(told.full, told.short, f"I called {offered.spec.name} for that."))


def how_many(draw: Draw) -> int:
    """The number of distractors."""
    return draw.random.choices((0, 1, 2, 3), (38, 30, 20, 12))[0]


def single(draw: Draw) -> Task:
    """One call; now and then a follow-up that changes one value."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    turn = answered(draw, target, values, question)
    turns = [turn]
    texts = [
        slot
        for slot in target.intent.slots
        if slot.name in values and slot.kind in ("city", "place", "person", "code", "title", "pseudo", "topic")
    ]
    if texts and draw.chance(0.12):
        value, shown = draw_value(draw, texts[0].kind)
        again = draw.ask(
            (
                "[and|And|what about|And what about|how about|And] [in|for|] {v}?",
                "[and|now|Then|Also] [the same |]for {v}[?|.|, please.]",
                "{v}?",
            ),
            v=shown,
        )
        turns.append(answered(draw, target, {**values, texts[0].name: value}, again))
    return _task(draw, turns, offer)


def missing(draw: Draw) -> Task:
    """A required parameter that the user didn't give: ask for it, then maybe get it and call."""
    intent = composed(draw)
    if not intent.slots:
        return missing(draw)
    target, offer = offered_with(draw, intent, how_many(draw))
    slots = [slot for slot in target.intent.slots if slot.required]
    gone = draw.choice(slots)
    text = target.intent.requests[0]
    for slot, fragment in fragments():
        if slot.name == gone.name:
            text = (
                text.replace(fragment.replace("{v}", "{" + slot.name + "}"), "")
                .replace("  ", " ")
                .replace(" .", ".")
                .replace(" ?", "?")
                .replace(" [.", "[.")
            )
    if draw.chance(0.5):
        intent = draw.choice([intent for intent in everyday(draw) if any(slot.required for slot in intent.slots)])
        target, offer = offered_with(draw, intent, how_many(draw))
        gone = next(slot for slot in intent.slots if slot.required)
        slots = [slot for slot in intent.slots if slot.required]
        text = (
            "[I need|I want|Please do|Can you do|I'd like] this: " + lower_first(intent.about) + "[.|?|, please.]"
            if draw.chance(0.3)
            else _bare(draw, intent)
        )
    values, shown = {}, {}
    text = draw.ask((text.strip(),))
    for slot in target.intent.slots:
        if "{" + slot.name + "}" in text:
            values[slot.name], shown[slot.name] = draw_value(draw, slot.kind)
    absent = [slot for slot in slots if slot.name not in values]
    if not absent:
        return missing(draw)
    wanted = join([lower_first(slot.about) for slot in absent])
    ask = draw.choice((f"Please tell me the {wanted}.", f"Please tell me the {wanted}.", f"I still need the {wanted}."))
    first = Turn(
        text.format(**shown),
        (),
        Answer(
            f"Please tell me the {wanted}.", ask if draw.chance(0) else f"Which {wanted}?", "The function needs it."
        ),
    )
    if len(absent) > 1 or draw.chance(0.5):
        return _task(draw, [first], offer)
    value, given = draw_value(draw, absent[0].kind)
    reply = draw.ask(("{v}[.|]", "[It is|It's|Take|Use|Make it] {v}[.|]", "[Oh, |Sorry, |]{v}[.|, please.|]"), v=given)
    return _task(draw, [first, answered(draw, target, {**values, absent[0].name: value}, reply)], offer)


_BARE = (
    "[I need|I want|I'd like|Please,|Can you do] a {n}[.|, please.]", "{V} [a|the|my|one] {n}[.|, please.| for me.]",
    "[Can|Could] you {v} [a|the|my] {n}[| for me]?",
    "[I want|I need|I'd like] to {v} [a|the|my|some] {n}.", "{n}[ please|?|, please|]",
)  # fmt: skip


def _bare(draw: Draw, intent: Intent) -> str:
    verb, _, noun = intent.name.partition("_")
    return (
        draw.choice(_BARE)
        .replace("{V}", verb.capitalize())
        .replace("{v}", verb)
        .replace("{n}", (noun or verb).replace("_", " "))
    )


_CHORES = (
    "[Can|Could|Will|Would] you [please |]{c}[ for me| today| now|]?",
    "[Please|I want you to|I'd like you to] {c}[.|, please.]", "{c}[ please|, please|.| for me.]",
    "I need [someone|somebody|you] to {c}.",
)  # fmt: skip


def irrelevant(draw: Draw) -> Task:
    """A request for which none of the offered functions is meant: another function's, or a chore for hands."""
    if draw.chance(0.35):
        _, offer = offered_with(draw, draw_intent(draw), how_many(draw))
        deed = draw.phrase(phrases.lines("chores"), n=draw.word("noun"), z=draw.word("animal"), p=draw.word("city"))
        ask = draw.ask(_CHORES, c=deed)
        return _task(
            draw,
            [Turn(ask[0].upper() + ask[1:], (), Answer(NO_FUNCTION, "I can't do that.", "I looked at my functions."))],
            offer,
            code=False,
        )
    wanted, _ = offered_with(draw, draw_intent(draw), 0)
    _, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    words = set(wanted.intent.name.split("_"))
    if any(
        words & set(o.intent.name.split("_")) - {"get", "set", "find"} or o.intent.about == wanted.intent.about
        for o in offer
    ):
        return irrelevant(draw)
    question, _ = request(draw, wanted)
    return _task(
        draw,
        [Turn(question, (), Answer(NO_FUNCTION, "I can't do that.", "I looked at my functions."))],
        offer,
        code=False,
    )


def two_calls(draw: Draw) -> Task:
    """Two independent requests in one sentence, called one after the other."""
    first, offer = offered_with(draw, draw_intent(draw), draw.integer(0, 1))
    question, values = request(draw, first)
    slot = first.intent.slots[0] if first.intent.slots else None
    if (
        slot
        and draw.chance(0.5)
        and slot.name in values
        and slot.kind in ("city", "place", "person", "code", "title", "pseudo", "room", "handle", "flight", "ticker")
    ):
        other, shown_value = draw_value(draw, slot.kind)
        body = question.rstrip("?.!")
        mark = question[len(body) :]
        question = (
            body.replace(
                str(values[slot.name]), f"{values[slot.name]} and {draw.choice(('', '', 'also '))}{shown_value}"
            )
            + mark
        )
        runs: list[tuple[Offered, dict[str, Any]]] = [(first, values), (first, {**values, slot.name: other})]
    else:
        second, more = offered_with(draw, draw_intent(draw), 0)
        if second.spec.name in [o.spec.name for o in offer] or second.intent.name in [o.intent.name for o in offer]:
            return two_calls(draw)
        offer = draw.some(offer + more, len(offer) + 1)
        text, wanted = request(draw, second)
        joiner = draw.choice((", and ", " and ", " and then ", ". Also, ", ". And ", ", then "))
        question = question.rstrip("?.!") + joiner + lower_first(text)
        runs = [(first, values), (second, wanted)]
    steps: list[Message] = []
    tellings = []
    for offered, arguments in runs:
        value, told = draw_result(draw, offered.intent.reply)
        steps += [call(offered.spec.name, offered.arguments(arguments)), result(value)]
        tellings.append(told)
    same = tellings[0].full == tellings[1].full
    full = tellings[0].full if same else f"{tellings[0].full} {tellings[1].full}"
    short = tellings[0].short if same else f"{tellings[0].short}; {tellings[1].short}"
    return _task(draw, [Turn(question, tuple(steps), Answer(full, short, "I called the functions for that."))], offer)


def which_tool(draw: Draw) -> Task:
    """A drill: only the name of the function that fits, or none."""
    target, offer = offered_with(draw, draw_intent(draw), draw.integer(1, 3))
    question, _ = request(draw, target)
    ask = draw.phrase(
        ("Which function fits: {q}", "Name the function for this request: {q}", "{q} (name the function only)"),
        q=question,
    )
    return _task(draw, [Turn(ask, (), Answer(target.spec.name, target.spec.name, ""))], offer)


def unrelated(draw: Draw) -> tuple[FunctionSpec, ...]:
    """Functions to be offered beside talk that needs none."""
    return tuple(offered.spec for offered in offered_with(draw, draw_intent(draw), how_many(draw))[1])


def _task(draw: Draw, turns: list[Turn], offer: list[Offered], code: bool | None = None) -> Task:
    return Task(
        tuple(turns), tuple(offered.spec for offered in offer), code=code, search=None if draw.chance(0.5) else False
    )


def functions(draw: Draw) -> Task:
    """One task of this file."""
    makers = (single, missing, irrelevant, two_calls, which_tool)
    return draw.random.choices(makers, (54, 11, 17, 12, 6))[0](draw)
