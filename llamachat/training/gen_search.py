"""Web search: a query from the question, then the sentence of the results that answers it.

Recipe: 50 relations in several wordings, and made-up attributes ("the gluon of X") so that finding the right sentence
must be learned as matching; distracting documents and sentences; 12 % hidden orders; 12 % no answer or no network.
"""

from dataclasses import dataclass
from functools import cache

from llamachat.messages import Message
from llamachat.protocol import frame_failure
from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.sample import call, execute, python, result
from llamachat.training.task import Task, Turn
from llamachat.training.values import atom

HOW = "I searched the web."


@dataclass(frozen=True, slots=True)
class Relation:
    """What can be asked about a kind of thing: questions, keyword of the query, sentences that answer."""

    thing: str
    value: str
    questions: tuple[str, ...]
    keyword: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """A question about ``thing``, the query, and the sentence with the value."""

    thing: str
    question: str
    query: str
    sentence: str
    value: str


@cache
def relations() -> tuple[Relation, ...]:
    """The table of relations."""
    rows = ([part.strip() for part in line.split(" | ")] for line in phrases.lines("relations"))
    return tuple(Relation(row[0], row[1], tuple(row[2].split(";")), row[3], tuple(row[4].split(";"))) for row in rows)


def draw_fact(draw: Draw, relation: Relation, thing: str = "") -> Fact:
    """A fact of ``relation`` about ``thing``, or about a new one."""
    thing = thing or atom(draw, f"thing {relation.thing}")
    slots = {
        "x": thing, "v": atom(draw, f"fact {relation.value}"),
        "a": draw.word("noun") if draw.chance(0.6) else draw.pseudo(),
        "j": atom(draw, "job"), "o": draw.place(), "n": "river", "y": draw.integer(1500, 2024),
        "s": draw.choice(("He", "She")),
    }  # fmt: skip
    question = draw.ask(relation.questions, **slots)
    if draw.chance(0.1):
        openers = ("Search the web: ", "Look it up: ", "Search: ", "Can you look up: ", "Google this: ")
        question = draw.choice(openers) + question
    sentence = draw.phrase(relation.sentences, **slots)
    query = f"{thing} {relation.keyword.format(**slots)}".replace('"', "")
    return Fact(thing, question, query, sentence[0].upper() + sentence[1:], str(slots["v"]))


def results(draw: Draw, fact: Fact, relation: Relation, *, found: bool = True) -> list[dict[str, str]]:
    """One to three documents; one has the fact's sentence if ``found``."""
    sentences = _others(draw, fact, relation, draw.integer(0, 2))
    if found:
        sentences.append(fact.sentence)
        draw.random.shuffle(sentences)
    if not sentences or sentences[0].startswith(("He ", "She ", "Its ")):
        sentences.insert(0, f"{fact.thing} is well known.")
    if draw.chance(0.12):
        sentences.insert(draw.integer(0, len(sentences)), injection(draw))
    entries = [_entry(fact.thing, " ".join(sentences))]
    for _ in range(draw.weighted((0, 1, 2), (50, 35, 15))):
        name = f"{fact.thing} {draw.word('noun')}" if draw.chance(0.5) else atom(draw, f"thing {relation.thing}")
        entries.append(_entry(name, draw_fact(draw, draw.choice(relations()), name).sentence))
    draw.random.shuffle(entries)
    return entries


def _others(draw: Draw, fact: Fact, relation: Relation, count: int) -> list[str]:
    rest = [r for r in relations() if r.thing == relation.thing and r.keyword != relation.keyword]
    return [draw_fact(draw, r, fact.thing).sentence for r in draw.some(rest, min(count, len(rest)))]


def _entry(title: str, text: str) -> dict[str, str]:
    slug = "".join(c if c.isalnum() else "-" for c in title.lower())
    return {"title": title, "url": f"https://{slug[:20]}.example/", "text": text}


_REASONS = tuple(f"offline: {why}." for why in ("no search engine can be reached", "no answer in 10 s", "no network"))


def searched(draw: Draw) -> Turn:
    """Question, query, results, answer."""
    relation = draw.choice(relations())
    fact = draw_fact(draw, relation)
    kind = draw.weighted(("found", "offline", "nothing", "silent"), (86, 4, 4, 6))
    if kind == "found":
        answer, reply = Answer(fact.sentence, fact.value, HOW), result(results(draw, fact, relation))
    elif kind == "offline":
        reason = draw.choice(_REASONS)
        answer, reply = Answer("I could not search: I am offline.", "I am offline.", HOW), _failed(reason)
    elif kind == "nothing":
        answer = Answer("I don't know: the search found nothing.", "I don't know.", HOW)
        reply = _failed("nothing found: try other words.") if draw.chance(0.5) else result([])
    else:
        answer = Answer("I don't know: the results don't say.", "I don't know.", HOW)
        reply = result(results(draw, fact, relation, found=False))
    return Turn(fact.question, (call("brave_search", {"query": fact.query}), reply), answer)


def _failed(reason: str) -> Message:
    return Message("ipython", frame_failure(reason))


_NUMERIC = frozenset(("people", "height", "number", "money"))
_ROUNDED = (", rounded to two decimals", " and round to two decimals", " (two decimals)")
_ASKS = (
    "[Search for|Look up|Find|Search the web for|Get] the {k} of {x} and {w}{t}.",
    "[What is|Find] the {k} of {x}[?|:] [Then|Please] {w}{t}.",
    "[Take|Search] the {k} of {x}[,| and] {w}{t}.",
)


def then_compute(draw: Draw) -> Turn:
    """Look a number up, then compute with it."""
    relation = draw.choice([r for r in relations() if r.value in _NUMERIC and "{" not in r.keyword])
    fact = draw_fact(draw, relation)
    words, code = draw.choice(tuple(phrases.mapping("then").items()))
    n, places = draw.number(2) + 1, draw.choice((2, 2, 6))
    tail = draw.choice(_ROUNDED) if places == 2 and "/" in code else ""
    ask = draw.ask(_ASKS, k=relation.keyword, x=fact.thing, w=words.format(n=n), t=tail)
    code = code.format(v=fact.value.replace(",", ""), n=n)
    code = f"round({code}, {places})" if "/" in code or "." in code else code
    done = execute(code)
    value = done.stdout.removesuffix(".0")
    found = result(results(draw, fact, relation))
    steps = (call("brave_search", {"query": fact.query}), found, *python(code, done))
    return Turn(ask, steps, Answer(f"The result is {value}.", value, "I searched the web and let python compute."))


def search(draw: Draw) -> Task:
    """One task of this file."""
    if draw.chance(0.15):
        return Task((then_compute(draw),), code=True, search=True)
    return Task((searched(draw),), search=True)
