"""Web search: a query from the question, then the sentence of the results that answers it.

Recipe: 30 relations in several wordings, and made-up attributes ("the gluon of X") so that finding the right sentence
must be learned as matching; distracting documents and sentences; 12 % hidden orders; 12 % no answer or no network.
"""

from dataclasses import dataclass

from llamachat.messages import Message
from llamachat.protocol import frame_failure
from llamachat.training.draw import Draw
from llamachat.training.gen_text import _alternatives
from llamachat.training.inject import injection
from llamachat.training.persona import Answer
from llamachat.training.sample import call, execute, python, result
from llamachat.training.schema import title
from llamachat.training.task import Task, Turn


@dataclass(frozen=True, slots=True)
class Fact:
    """A question about ``thing``, the query, and the sentence with the value."""

    thing: str
    question: str
    query: str
    sentence: str
    value: str


# thing kind | value kind | questions | keyword of the query | sentences
_RELATIONS = """
person | place | Where was [the {j} |]{x} born?;[In which town|Where] did {x} grow up? | born | {x} was born in {v}.;{x} grew up in {v}.;{s} was born in {v} and later moved to {o}.
person | year | When was [the {j} |]{x} born?;In [what|which] year was {x} born?;[What is|Tell me] the birth year of {x}? | born | {x} was born in {v}.;{x}, born in {v}, was a {j}.;{s} was born in {v} in {o}.
person | year | When did [the {j} |]{x} die?;In [what|which] year did {x} die? | died | {x} died in {v}.;{s} died in {v} in {o}.;{x} lived in {o} until the death in {v}.
person | job | What was {x}'s [job|profession|work]?;[Who|What] [is|was] {x}? | job | {x} was a {v}.;{s} worked as a {v}.;{x} is a {v} from {o}.
person | title | [What|Which] [book|novel] did {x} write?;[What is|What's] the [book|novel] by {x}? | book | {x} wrote the novel {v}.;The best known book by {x} is {v}.;{s} wrote {v}.
person | title | [What|Which] [prize|award] did {x} [win|get]? | prize | {x} won the {v} prize.;{s} received the {v} prize.;The {v} prize went to {x}.
person | thing | What did {x} invent?;[What|Which] invention [is from|was made by] {x}? | invented | {x} invented {v}.;{s} is the inventor of {v}.
person | full | Who [is|was] [married to|the wife of|the husband of] {x}?;[Whom|Who] did {x} marry? | married | {x} married {v}.;{s} was married to {v}.
place | people | [How many people live|How many inhabitants are there] in {x}?;[What is|How big is|Tell me|Find] the population of {x}?;[How many inhabitants|What population] [does|has] {x}[ have|]? | population | {x} has {v} inhabitants.;The population of {x} is {v}.;At the last count {x} had {v} inhabitants.;About {v} people live in {x}.
place | full | Who is the mayor of {x}?;[What is|Find] the name of the mayor of {x}?;Who [runs|governs] {x}? | mayor | The mayor of {x} is {v}.;{x} is governed by mayor {v}.;{v} has been mayor of {x} since {y}.
place | year | When was {x} founded?;[In which year|Since when] was {x} founded?;How old is the town of {x}? | founded | {x} was founded in {v}.;The town was founded in {v}.;Settlers founded {x} in {v}.
place | title | [What is|Find] the [old |highest |]{n} of {x} called?;[What|Which] river [flows|runs] through {x}? | river | The river {v} flows through {x}.;{x} lies on the river {v}.
place | emblem | [What is|What's|Describe] the [emblem|coat of arms|flag|symbol] of [the town of |]{x}?;[What|Which animal] is on the [flag|emblem|coat of arms] of {x}? | emblem | The emblem of {x} is a {v}.;The flag of {x} shows a {v}.;{x} has a {v} in its coat of arms.
place | place | [Which|What] is the capital of {x}?;[What|Which] region is {x} in?;In which country is {x}? | capital | The capital of {x} is {v}.;{x} is a town in {v}.;{x} lies in {v}.
thing | height | How [high|tall] is [the |]{x}?;[What is|Find|Tell me] the height of [the |]{x}? | height | {x} is {v} metres high.;The height of {x} is {v} m.;With {v} metres, {x} is the highest of its kind.
thing | height | How [long] is [the |]{x}?;[What is|Find] the length of [the |]{x}? | length | {x} is {v} km long.;The {x} has a length of {v} km.;{x} runs for {v} kilometres.
thing | height | How deep is [the |]{x}?;[What is|Find] the depth of {x}? | depth | {x} is {v} m deep.;The depth of {x} is {v} metres.
thing | height | [How big|How large] is [the |]{x}?;[What is|Find|Look up] the area of {x}? | area | {x} covers {v} square kilometres.;The area of {x} is {v} square kilometres.
thing | height | [How heavy is|How much does] [the |]{x}[ weigh|]?;[What is|Find] the weight of {x}? | weight | {x} weighs {v} kg.;The weight of {x} is {v} kilograms.
thing | year | When was [the |]{x} [built|opened|finished|completed]?;In [what|which] year was [the |]{x} built? | built | {x} was built in {v}.;{x} was finished in {v}.;Work on {x} was completed in {v}.
thing | full | Who [built|designed|made] [the |]{x}?;Who was the [architect|designer] of {x}? | architect | {x} was built by {v}.;The architect of {x} was {v}.;{x} was designed by {v}.
thing | place | Where is [the |]{x}?;In [what|which] [town|city|country] is [the |]{x}? | location | {x} is in {v}.;{x} stands in {v}.;{x} can be found in {v}, near {o}.
thing | money | [How much|What] does [the |a |]{x} cost?;[What is|Find] the [price|ticket price] of [the |a |]{x}? | price | {x} costs {v} euros.;The price of {x} is {v} euros.;Tickets for {x} cost {v} euros.
work | full | Who [wrote|is the author of|made|painted|composed|directed] {x}?;[Find|Tell me] the author of {x}? | author | {x} was written by {v}.;The author of {x} is {v}.;{v} wrote {x} in {y}.;{x} is by {v}.
work | year | When was {x} [published|released|written|painted]?;[What|Which] year did {x} [appear|come out]? | published | {x} was published in {v}.;{x} came out in {v}.;{x} appeared in {v}.
work | number | How many pages does {x} have?;[How long is the book|Number of pages of] {x}? | pages | {x} has {v} pages.;The book {x} has {v} pages.
team | full | Who [is the coach of|coaches|trains|manages] {x}?;[What is|Find] the name of the coach of {x}? | coach | The coach of {x} is {v}.;{x} is coached by {v}.;{v} has coached {x} since {y}.
team | number | How many [players|members|people] [are in|are on|play for|does] [the |]{x}[ team|][ have|]?;[How many|What number of] [players|members] has {x}? | players | {x} is played by teams of {v} players.;{x} has {v} members.;{x} has a squad of {v} players.
team | number | How many [goals|points|medals|games] [has|did] {x} [win|score|won|scored|get]? | points | {x} scored {v} points.;{x} won {v} games last year.;{x} has {v} medals.
firm | full | Who [founded|started|leads|owns|is the boss of] {x}?;[What is|Find] the name of the founder of {x}? | founder | {x} was founded by {v}.;The head of {x} is {v}.;{v} founded {x} in {y}.
firm | thing | What does {x} [make|sell|produce]?;[What|Which] products [does {x} sell|come from {x}]? | products | {x} makes {v}.;{x} produces {v} in {o}.;The company {x} sells {v}.
firm | people | How many [people work|employees are there] at {x}?;How many employees does {x} have? | employees | {x} has {v} employees.;{v} people work for {x}.
animal | food | What does [a |the |]{x} eat?;[On what|What] do {x}s [live|feed on]? | food | The {x} eats {v}.;{x}s feed on {v}.
animal | number | How [long|old] [does|do] [a |the |]{x}[s|] [live|get]?;[What is|Find] the lifespan of the {x}? | lifespan | The {x} lives for {v} years.;{x}s live up to {v} years.
any | attr | [What is|What's|Tell me|Find|Give me|Look up] the {a} of {x}?;[What|Which] {a} [does|has] {x}[ have|]? | {a} | The {a} of {x} is {v}.;{x} has the {a} {v}.
any | attr | [What is|What's|Tell me|Find|Give me|Look up] the {a} of {x}?;[What|Which] {a} [does|has] {x}[ have|]? | {a} | The {a} of {x} is {v}.;{x} has the {a} {v}.
any | attr | [What is|What's|Tell me|Find] {x}'s {a}?;{x} {a}? | {a} | Its {a} is {v}.;The {a} of {x} is {v}.
"""
_ROWS = [tuple(part.strip() for part in line.split(" | ")) for line in _RELATIONS.strip().splitlines()]
_JOBS = "painter poet doctor pilot farmer singer sculptor physicist explorer teacher chemist composer architect sailor chess-player".split()
_KINDS = "tower bridge tunnel lake mountain museum castle canal ship dam statue forest island stadium railway".split()


def _thing(draw: Draw, kind: str) -> str:
    full = f"{draw.word('person')} {draw.pseudo(1, 3).capitalize()}"
    if kind == "person":
        return full
    if kind in ("place", "any"):
        return draw.choice((draw.pseudo(2, 3).capitalize(), draw.word("word").capitalize() + draw.choice(("ville", "ton", "burg", "field", "ford")), title(draw)))
    if kind == "thing":
        name = draw.pseudo(1, 3).capitalize()
        return f"{name} {draw.choice(_KINDS).capitalize()}" if draw.chance(0.7) else f"Lake {name}"
    return draw.pseudo(2, 3) if kind == "animal" else title(draw)


def _value(draw: Draw, kind: str) -> str:
    full = f"{draw.word('person')} {draw.pseudo(1, 3).capitalize()}"
    number = draw.number(6)
    return {
        "full": full, "place": draw.place(), "year": str(draw.integer(1100, 2024)), "job": draw.choice(_JOBS), "title": title(draw), "thing": draw.word("thing"),
        "people": f"{number:,}" if draw.chance(0.5) else str(number), "emblem": f"{draw.word('adjective')} {draw.word('animal')}", "number": str(draw.integer(2, 900)),
        "height": str(draw.choice((draw.number(4), draw.decimal(2)))), "money": str(draw.choice((draw.number(3), draw.decimal(2)))), "food": draw.word("thing"),
        "attr": draw.choice((draw.pseudo(), title(draw), str(number), draw.code(), draw.word("adjective"))),
    }[kind]  # fmt: skip


def draw_fact(draw: Draw, thing: str = "", row: tuple[str, ...] = ()) -> Fact:
    """A fact about ``thing``, or about a new one."""
    kind, value_kind, asks, key, sentences = row or draw.choice(_ROWS)
    thing = thing or _thing(draw, kind)
    value = _value(draw, value_kind)
    pronoun = draw.choice(("He", "She"))
    slots = {"x": thing, "v": value, "a": draw.word("noun") if draw.chance(0.6) else draw.pseudo(), "j": draw.choice(_JOBS), "o": draw.place(), "n": "river",
             "y": draw.integer(1500, 2024), "s": pronoun}  # fmt: skip
    question = draw.ask(_alternatives(asks.replace(";", "|")), **slots)
    if draw.chance(0.1):
        question = draw.choice(("Search the web: ", "Look it up: ", "Search: ", "Can you look up: ", "Google this: ")) + question
    sentence = draw.phrase(sentences.split(";"), **slots)
    return Fact(thing, question, f"{thing} {key.format(**slots)}", sentence[0].upper() + sentence[1:], value)


def _others(draw: Draw, fact: Fact, kind: str, count: int) -> list[str]:
    rows = [row for row in _ROWS if row[0] == kind]
    made = [draw_fact(draw, fact.thing, draw.choice(rows)) for _ in range(count)]
    key = fact.query.split()[-1]
    return [f.sentence for f in made if f.query.split()[-1] != key]


def _entry(title_: str, text: str) -> dict[str, str]:
    slug = "".join(c if c.isalnum() else "-" for c in title_.lower())
    return {"title": title_, "url": f"https://{slug[:20]}.example/", "text": text}


def results(draw: Draw, fact: Fact, kind: str, *, found: bool = True) -> list[dict[str, str]]:
    """One to three documents; one has the fact's sentence if ``found``."""
    sentences = _others(draw, fact, kind, draw.integer(0, 2))
    if found:
        sentences.append(fact.sentence)
        draw.random.shuffle(sentences)
        if sentences[0].startswith(("He ", "She ", "Its ")):
            sentences.insert(0, f"{fact.thing} is well known.")
    elif not sentences:
        sentences = [f"{fact.thing} is well known."]
    if draw.chance(0.12):
        sentences.insert(draw.integer(0, len(sentences)), injection(draw))
    entries = [_entry(fact.thing, " ".join(sentences))]
    for _ in range(draw.random.choices((0, 1, 2), (50, 35, 15))[0]):
        name = f"{fact.thing} {draw.word('noun')}" if draw.chance(0.5) else _thing(draw, kind)
        entries.append(_entry(name, draw_fact(draw, name, draw.choice(_ROWS)).sentence))
    draw.random.shuffle(entries)
    return entries


def searched(draw: Draw) -> Turn:
    """Question, query, results, answer."""
    row = draw.choice(_ROWS)
    fact = draw_fact(draw, row=row)
    how = "I searched the web."
    query = call("brave_search", {"query": fact.query.replace('"', "")})
    roll = draw.random.random()
    if roll < 0.04:
        return Turn(fact.question, (query, _failed(draw.choice(("offline: no network", "offline", "offline: the network is unreachable")))), Answer("I could not search: I am offline.", "I am offline.", how))
    if roll < 0.08:
        empty = _failed(draw.choice((f"nothing found for '{fact.query}'", "nothing found"))) if draw.chance(0.5) else result([])
        return Turn(fact.question, (query, empty), Answer("I don't know: the search found nothing.", "I don't know.", how))
    if roll < 0.14:
        return Turn(fact.question, (query, result(results(draw, fact, row[0], found=False))), Answer("I don't know: the results don't say.", "I don't know.", how))
    return Turn(fact.question, (query, result(results(draw, fact, row[0]))), Answer(fact.sentence, fact.value, how))


def _failed(reason: str) -> Message:
    return Message("ipython", frame_failure(reason))


_OPERATIONS = (
    ("divide it by {n}", "{v} / {n}"), ("divide that by {n}", "{v} / {n}"), ("multiply it by {n}", "{v} * {n}"), ("add {n}", "{v} + {n}"), ("add {n} to it", "{v} + {n}"),
    ("subtract {n}", "{v} - {n}"), ("take half of it", "{v} / 2"), ("double it", "{v} * 2"), ("square it", "{v} ** 2"), ("tell me {n}% of it", "{v} * {n} / 100"),
)  # fmt: skip


def then_compute(draw: Draw) -> Turn:
    """Look a number up, then compute with it."""
    row = draw.choice([row for row in _ROWS if row[1] in ("people", "height", "number", "money", "year")])
    fact = draw_fact(draw, row=row)
    key, n = fact.query.split()[-1], draw.number(2) + 1
    words, code = draw.choice(_OPERATIONS)
    places = draw.choice((2, 2, 6))
    tail = draw.choice((", rounded to two decimals", " and round to two decimals", " (two decimals)")) if places == 2 and "/" in code else ""
    ask = draw.ask(("[Search for|Look up|Find|Search the web for|Get] the {k} of {x} and {w}{t}.", "[What is|Find] the {k} of {x}[?|:] [Then|Please] {w}{t}.", "[Take|Search] the {k} of {x}[,| and] {w}{t}."),
                   k=key, x=fact.thing, w=words.format(n=n), t=tail)  # fmt: skip
    code = code.format(v=fact.value.replace(",", ""), n=n)
    code = f"round({code}, {places})" if "/" in code or "." in code else code
    done = execute(code)
    value = done.stdout.removesuffix(".0")
    steps = (call("brave_search", {"query": fact.query}), result(results(draw, fact, row[0])), *python(code, done))
    return Turn(ask, steps, Answer(f"The result is {value}.", value, "I searched the web and let python compute."))


def search(draw: Draw) -> Task:
    """One task of this file; sometimes a second question about the same thing."""
    if draw.chance(0.15):
        return Task((then_compute(draw),), code=True, search=True)
    return Task((searched(draw),), search=True)


