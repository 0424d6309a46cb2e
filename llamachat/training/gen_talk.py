"""Small talk, facts, honest ignorance, and things told earlier in the conversation."""

from functools import cache

from llamachat.training import phrases
from llamachat.training.draw import Draw, expand, with_articles
from llamachat.training.persona import Answer, Persona, asks, generic
from llamachat.training.phrases import Block
from llamachat.training.task import Task, Turn
from llamachat.training.values import draw_value, title


def small_talk(draw: Draw) -> Turn:
    """Greetings, thanks, who are you, ..."""
    block = draw.block("talk")
    return Turn(draw.ask(block.asks, p=draw.word("person")), (), Answer(block.full, block.short, "", block.named))


_ORDERS = ("Tell", "Give", "Name", "Can", "Explain", "Define", "Do you", "Mix", "Translate", "Say", "Put", "If")
_BEFORE = (
    "Do you know: ", "Tell me: ", "Please tell me: ", "Question: ", "hey, ", "Say, ",
    "can you tell me: ", "I wonder, ", "Quick: ",
)  # fmt: skip


@cache
def pairs() -> tuple[tuple[Block, tuple[tuple[str, str], ...]], ...]:
    """The table of pairs: what is asked of each, and the pairs."""
    parted = ((block, (pair.split(": ") for pair in block.code.split("; "))) for block in phrases.blocks("pairs"))
    return tuple((block, tuple((a, b) for a, b in items)) for block, items in parted)


def paired(draw: Draw) -> Block:
    """A fact of a kind that many things have, such as the capital of a country."""
    block, items = draw.weighted(pairs(), [block.weight for block, _ in pairs()])
    a, b = draw.choice(items)
    number, _, unit = b.partition(" ")
    slots = {"a": a, "b": b, "n": number, "u": unit, "q": draw.choice(("", "", "'", '"'))}
    full, short = with_articles(block.full.format(**slots)), with_articles(block.short.format(**slots))
    asked = with_articles(expand(draw.random, draw.choice(block.asks)).format(**slots))
    return Block((asked[0].upper() + asked[1:],), full=full[0].upper() + full[1:], short=short)


def fact(draw: Draw) -> Turn:
    """A question that the model can answer by itself."""
    if draw.chance(0.7):
        block = paired(draw)
        ask = block.asks[0]
    else:
        block = draw.choice(phrases.blocks("facts"))
        ask = expand(draw.random, draw.choice(block.asks))
    if draw.chance(0.3) and not ask.startswith(_ORDERS):
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
    """One to three turns of talk."""
    if draw.chance(0.08):
        return Task((needs_search(draw),), search=False)
    return Task(tuple(_anything(draw) for _ in range(draw.weighted((1, 2, 3), (75, 20, 5)))))


def _anything(draw: Draw) -> Turn:
    return draw.weighted((small_talk, fact, unknowable), (40, 46, 14))(draw)


def steered(draw: Draw) -> tuple[Persona, Task]:
    """Talk under a rule that every answer must show."""
    return generic(draw), Task(tuple(_anything(draw) for _ in range(draw.weighted((1, 2, 3, 4), (62, 22, 11, 5)))))


def informed(draw: Draw) -> tuple[Persona, Task]:
    """The system prompt says who speaks and what is so; then it is asked for."""
    name, known = draw.name(), []
    for block in draw.some(phrases.blocks("briefings"), draw.integer(1, 3)):
        _, shown = draw_value(draw, block.code)
        slots = {"v": shown, "n": draw.word("noun"), "z": draw.word("animal"), "name": name}
        ask = draw.ask(block.asks, **slots)
        known.append((draw.phrase((block.short,), **slots), Turn(ask, (), Answer(block.full.format(**slots), shown))))
    who = draw.phrase(phrases.lines("roles"), name=name, job=draw.choice(asks("jobs")))
    text = " ".join([with_articles(who), *(said for said, _ in known)])
    turns = [turn for _, turn in known]
    if draw.chance(0.3):
        turns.append(small_talk(draw))
    draw.random.shuffle(turns)
    called = Persona(text, lambda answer: (answer.named or answer.full).format(name=name, role=""))
    return called, Task(tuple(turns[: draw.integer(1, 2)]))


def personas(draw: Draw) -> tuple[Persona, Task]:
    """A system prompt that matters, and talk under it."""
    return draw.weighted((steered, informed), (75, 25))(draw)


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
        slots = {"v": shown, "n": draw.word("noun"), "z": draw.word("animal"), "t": draw.word("thing")}
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
