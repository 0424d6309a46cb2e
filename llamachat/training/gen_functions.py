"""Zero-shot functions: one call, choice among several, a follow-up, a missing argument, and what results say.

Recipe: three quarters everyday intents (intents.py), one quarter made of verb x noun x parameter fragments; 25 % with
masked names; 0-4 distractors, two thirds of them hard (same area, same verb or same noun).
"""

from dataclasses import replace

from llamachat.training import phrases
from llamachat.training.composed import composed, fragments
from llamachat.training.draw import Draw, lower_first, with_articles
from llamachat.training.gen_again import same_thing, undone
from llamachat.training.gen_arith import arithmetic
from llamachat.training.gen_parallel import several_calls, two_calls
from llamachat.training.gen_text import text_and_dates
from llamachat.training.gen_unmet import chore, foreign, irrelevant, unmet
from llamachat.training.intents import Intent, worded
from llamachat.training.offering import (
    NAMES,
    answered,
    draw_intent,
    everyday,
    how_many,
    offered_with,
    request,
    task_of,
)  # fmt: skip
from llamachat.training.persona import Answer
from llamachat.training.schema import Offered
from llamachat.training.task import Task, Turn
from llamachat.training.values import asked_value, draw_value, join

_AGAIN = (
    "[and|And|what about|And what about|how about|And|How about] [in|for|] {v}?",
    "[and|now|Then|Also] [the same |]for {v}[?|.|, please.]",
    "{v}?",
    "[And|Now|Ok, now|Then] {v}[?|.|, please.]",
    "[Do|Try|Check] [that|it|the same] for {v}[, too|, please|][.|]",
    "[No|Sorry|Oh|Wait], I [meant|mean|wanted] {v}[.|]",
    "[Sorry|Oops|No], {v}[, I mean|, not that one|][.|]",
)


_TAILS = (
    " and [tell me|say|let me know] [the result|what comes out|how it went|what you get|if it worked][.|]",
    ", [then|and] tell me [the result|what it says|what happened][.|, please.|]", ". [What does it say|Did it work]?",
)  # fmt: skip


def single(draw: Draw) -> Task:
    """One call; now and then a follow-up that changes one value."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target, among=offer)
    if draw.chance(0.1):
        question = question.rstrip("?.!") + draw.phrase(_TAILS)
    turns = [answered(draw, target, values, question)]
    slot = next((slot for slot in target.intent.slots if slot.name in values and slot.kind in NAMES), None)
    if slot and draw.chance(0.2):
        value, shown = draw_value(draw, slot.kind)
        turns.append(answered(draw, target, {**values, slot.name: value}, draw.ask(_AGAIN, v=shown)))
    elif draw.chance(0.08):
        other = draw.choice(offer)
        question, values = request(draw, other)
        turns.append(answered(draw, other, values, question))
    return task_of(turns, offer)


def several(draw: Draw) -> Task:
    """Two to seven questions under one offer, each for any of its functions, now and then for none, or for python.

    The offer is the longest part of a dialog and nothing of it is learned, so each further question is nearly free:
    choices are made twice as often per id that is read.
    """
    _, offer = offered_with(draw, draw_intent(draw), draw.integer(1, 4))
    code = draw.chance(0.25)
    turns: list[Turn] = []
    for _ in range(draw.weighted((2, 3, 4, 5, 6, 7), (25, 25, 20, 15, 10, 5))):
        if code and draw.chance(0.4):
            turns.append(draw.choice((arithmetic, text_and_dates))(draw).turns[0])
            continue
        if draw.chance(0.25) and (asked := _for_none(draw, offer, code)):
            turns.append(unmet(asked))
            continue
        wanted = draw.choice(offer)
        if draw.chance(0.12) and (turn := several_calls(draw, wanted, offer)):
            turns.append(turn)
            continue
        question, values = request(draw, wanted, among=offer)
        turns.append(answered(draw, wanted, values, question))
    task = task_of(turns, offer, alone=any(not turn.steps for turn in turns))
    return replace(task, code=True) if code else task


def _for_none(draw: Draw, offer: list[Offered], code: bool) -> str:
    """A request that no function in ``offer`` fits, nor python if there is ``code``; nothing if it is too near."""
    if draw.chance(0.35):
        return chore(draw, offer)
    asked, deed = foreign(draw, offer)
    return asked if deed or not code else ""


_GIVEN = ("{v}[.|]", "[It is|It's|Take|Use|Make it] {v}[.|]", "[Oh, |Sorry, |]{v}[.|, please.|]")


def missing(draw: Draw) -> Task:
    """A required parameter that the user didn't give: ask for it, then maybe get it and call."""
    text, intent = draw.choice((_cut_short, _bare))(draw)
    target, offer = offered_with(draw, intent, how_many(draw))
    text = draw.ask((text.strip(),))
    named = [slot for slot in intent.slots if "{" + slot.name + "}" in text]
    drawn = {slot.name: asked_value(draw, slot.kind, slot.about) for slot in named}
    absent = [slot for slot in intent.slots if slot.required and slot not in named]
    if not absent:
        return missing(draw)
    wanted = join([_asked_for(slot.about) for slot in absent])
    question = text.format(**{name: shown for name, (_, shown) in drawn.items()})
    answer = Answer(f"Please tell me {wanted}.", f"{wanted[0].upper()}{wanted[1:]}?", "The function needs it.")
    turns = [Turn(question, (), answer)]
    if len(absent) == 1 and draw.chance(0.5):
        value, given = asked_value(draw, absent[0].kind, absent[0].about)
        values = {**{name: value for name, (value, _) in drawn.items()}, absent[0].name: value}
        turns.append(answered(draw, target, values, draw.ask(_GIVEN, v=given)))
    return task_of(turns, offer)


def _asked_for(about: str) -> str:
    """``City`` as ``the city``; ``Who gets it`` as ``who gets it``."""
    plain = about.startswith(("Who", "How", "What", "Which", "Where", "When", "For", "The", "Whose"))
    return lower_first(about) if plain else f"the {lower_first(about)}"


def _cut_short(draw: Draw) -> tuple[str, Intent]:
    """A composed function, and its request without the words for one required parameter."""
    intent = composed(draw)
    text = intent.requests[0]
    gone = draw.choice([slot.name for slot in intent.slots if slot.required] or [""])
    for slot, fragment in fragments():
        if slot.name == gone:
            text = text.replace(fragment.replace("{v}", "{" + gone + "}"), "")
    for wrong, right in (("  ", " "), (" .", "."), (" ?", "?"), (" [.", "[.")):
        text = text.replace(wrong, right)
    return text, intent


_BARE = (
    "[I need|I want|I'd like|Please,|Can you do] a {n}[.|, please.]", "{V} [a|the|my|one] {n}[.|, please.| for me.]",
    "[Can|Could] you {v} [a|the|my] {n}[| for me]?", "[I want|I need|I'd like] to {v} [a|the|my|some] {n}.",
    "{n}[ please|?|, please|]",
)  # fmt: skip
_BY_PURPOSE = (
    "[I need|I want|Please do|Can you do|I'd like|Do] this: {a}[.|?|, please.]", "{A}[.|, please.| for me.| now.]",
    "[I need|I want|Can you do|How about] [one thing|something]: {a}[.|?]",
)  # fmt: skip


def _bare(draw: Draw) -> tuple[str, Intent]:
    """An everyday function, and a request that names nothing but its purpose."""
    needy = [intent for intent in everyday(draw.split) if any(slot.required for slot in intent.slots)]
    intent = worded(draw, draw.choice(needy))
    verb, _, noun = intent.name.partition("_")
    speaks = verb in phrases.mapping("verbs") and {*noun.split("_")} <= set(phrases.mapping("words")["noun"].split())
    text = draw.choice(_BARE if speaks else _BY_PURPOSE).replace("{V}", verb.capitalize()).replace("{v}", verb)
    text = text.replace("{n}", noun.replace("_", " ")).replace("{a}", lower_first(intent.about))
    return with_articles(text.replace("{A}", intent.about)), intent


_WHICH = (
    "Which function fits: {q}", "Name the function for this request: {q}", "{q} (name the function only)",
    "Only the name of the function: {q}", "Which one would you call? {q}",
)  # fmt: skip


def which_tool(draw: Draw) -> Task:
    """A drill: only the name of the function that fits, or none; many questions, since the offer is dear to read."""
    target, offer = offered_with(draw, draw_intent(draw), draw.integer(0, 4))
    gone = [target] if len(offer) > 2 and draw.chance(0.2) else []  # the one that fits is taken away
    left = [offered for offered in offer if offered not in gone]
    turns: list[Turn] = []
    for _ in range(draw.integer(4, 10)):
        question, name = _which(draw, offer, left)
        if question:
            asked = draw.phrase(_WHICH, q=question) if not turns or draw.chance(0.1) else question
            turns.append(Turn(asked, (), Answer(name, name, "")))
    return task_of(turns, left) if turns else which_tool(draw)


def _which(draw: Draw, offer: list[Offered], left: list[Offered]) -> tuple[str, str]:
    """A request, and the name of the one in ``left`` that it is for; "" if none was found that fits nothing."""
    if draw.chance(0.35):
        return _for_none(draw, offer, code=False), "None."
    wanted = draw.choice(offer)
    return request(draw, wanted, among=offer)[0], wanted.spec.name if wanted in left else "None."


def functions(draw: Draw) -> Task:
    """One task of this file."""
    makers = (single, several, missing, irrelevant, two_calls, undone, same_thing, which_tool)
    return draw.weighted(makers, (18, 30, 5, 11, 18, 2, 2, 12))(draw)
