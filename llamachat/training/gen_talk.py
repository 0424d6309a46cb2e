"""Small talk, facts, honest ignorance, and things told earlier in the conversation."""

from llamachat.training import phrases
from llamachat.training.draw import Draw, expand
from llamachat.training.persona import Answer
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title


def small_talk(draw: Draw) -> Turn:
    """Greetings, thanks, who are you, ..."""
    block = draw.block("talk")
    return Turn(draw.ask(block.asks, p=draw.word("person")), (), Answer(block.full, block.short, "", block.named))


_BEFORE = (
    "Do you know: ", "Tell me: ", "Please tell me: ", "Question: ", "hey, ", "Say, ",
    "can you tell me: ", "I wonder, ", "Quick: ",
)  # fmt: skip


def fact(draw: Draw) -> Turn:
    """A question that the model can answer by itself."""
    block = draw.choice(phrases.blocks("facts"))
    ask = expand(draw.random, draw.choice(block.asks))
    if draw.chance(0.35):
        ask = draw.choice(_BEFORE) + ask
    if draw.chance(0.3):
        ask = ask[0].lower() + ask[1:]
    if draw.chance(0.2):
        ask = ask.rstrip("?.")
    return Turn(ask, (), Answer(block.full, block.short))


IDONTKNOW = Answer("I don't know that.", "I don't know.", "I have no way to know it.")


def unknowable(draw: Draw) -> Turn:
    """What nobody can know; search would not help either."""
    slots = {
        "p": draw.word("person"),
        "n": draw.word("noun"),
        "d": draw_value(draw, "date")[0],
        "y": draw.integer(2027, 2099),
        "t": draw.word("thing"),
    }
    return Turn(draw.ask(phrases.lines("unknown"), **slots), (), IDONTKNOW)


def needs_search(draw: Draw) -> Turn:
    """A fact about an unknown thing, with search off: the model says that it doesn't know."""
    thing = draw.choice((title(draw), draw.proper(), f"{draw.word('person')} {draw.proper()}"))
    return Turn(draw.ask(phrases.lines("lookups"), x=thing), (), IDONTKNOW)


def talk(draw: Draw) -> Task:
    """One or two turns of talk."""
    roll = draw.random.random()
    if roll < 0.08:
        return Task((needs_search(draw),), search=False)
    makers = (small_talk, fact, unknowable)
    turns = [
        draw.random.choices(makers, (45, 40, 15))[0](draw)
        for _ in range(draw.random.choices((1, 2, 3), (75, 20, 5))[0])
    ]
    return Task(tuple(turns))


_AFTER = (
    ".", ".", "", "!", ". Remember it.", ", remember that.",
    ". Please remember.", ", don't forget it.", ". Keep that in mind.",
)  # fmt: skip


def memory(draw: Draw) -> Task:
    """Something is told, perhaps two things, perhaps other talk follows; then it is asked for."""
    told = draw.some(phrases.blocks("memory"), draw.integer(1, 2))
    turns, questions = [], []
    for block in told:
        value, shown = draw_value(draw, block.code)
        slots = {"v": shown, "n": draw.word("noun"), "z": draw.word("animal")}
        turns.append(
            Turn(
                draw.ask((block.short,), **slots) + draw.choice(_AFTER),
                (),
                Answer("Got it, I will remember that.", "Got it.", ""),
            )
        )
        questions.append(
            Turn(draw.ask(block.asks, **slots), (), Answer(block.full.format(**slots), str(value), "You told me."))
        )
    if draw.chance(0.3):
        turns.insert(draw.integer(1, len(turns)), draw.choice((small_talk, fact))(draw))
    draw.random.shuffle(questions)
    return Task((*turns, *questions[: draw.integer(1, len(questions))]))
