"""Calls that come to nothing: declined by the user, made before, or of tools that are gone. Knows no names."""

from llamachat.agent import DECLINED, REPEATED
from llamachat.messages import Message
from llamachat.protocol import frame_failure
from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.gen_talk import talk
from llamachat.training.gen_unmet import unmet
from llamachat.training.offering import answered, draw_intent, how_many, offered_with, request
from llamachat.training.persona import Answer
from llamachat.training.replies import draw_result
from llamachat.training.sample import call, result
from llamachat.training.task import Task, Turn
from llamachat.training.values import asked_value


def declined(draw: Draw) -> Task:
    """The user lets a call not run, says why or what instead, and maybe asks for something else then."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    steps = [call(target.spec.name, target.arguments(values))]
    slot = next((slot for slot in target.intent.slots if slot.name in values), None)
    if slot and draw.chance(0.3):
        value, shown = asked_value(draw, slot.kind, slot.about)
        found, told = draw_result(draw, target.intent.reply)
        why = draw.phrase(phrases.lines("instead"), v=shown)
        steps += [_failure(f"{DECLINED} {why}"), call(target.spec.name, target.arguments({**values, slot.name: value}))]
        steps.append(result(found))
        answer = Answer(told.full, told.short, f"I called {target.spec.name} again, with what you said.")
    else:
        why = draw.phrase(phrases.lines("refusals")) if draw.chance(0.5) else ""
        steps.append(_failure(f"{DECLINED} {why}".strip()))
        answer = Answer("All right, I did not do that.", "Not done.", "You declined the call.")
    turns = [Turn(question, tuple(steps), answer)]
    if draw.chance(0.4):
        other = draw.choice(offer)
        question, values = request(draw, other)
        turns.append(answered(draw, other, values, question))
    return Task(tuple(turns), tuple(o.spec for o in offer))


def repeated(draw: Draw) -> Task:
    """The same call twice: the second is refused, and the answer tells what the first one returned."""
    target, offer = offered_with(draw, draw_intent(draw), how_many(draw))
    question, values = request(draw, target)
    turn = answered(draw, target, values, question)
    turn = Turn(question, (*turn.steps, turn.steps[0], _failure(REPEATED)), turn.answer, slips=2)
    return Task((turn,), tuple(o.spec for o in offer))


def gone(draw: Draw) -> Task:
    """After a call the tools are switched off: talk goes on, and what only they could do is declined."""
    target, _ = offered_with(draw, draw_intent(draw), 0)
    question, values = request(draw, target)
    done = answered(draw, target, values, question)
    before = Turn(question, done.steps, done.answer, slips=1)
    after = talk(draw).turns if draw.chance(0.5) else (unmet(request(draw, target)[0]),)
    return Task((before, *after), code=False, search=False)


def _failure(reason: str) -> Message:
    return Message("ipython", frame_failure(reason))


def refused(draw: Draw) -> Task:
    """One task of this file."""
    return draw.weighted((declined, repeated, gone), (55, 10, 35))(draw)
