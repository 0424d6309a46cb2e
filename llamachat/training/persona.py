"""Personas: system prompts and what each does to an answer. The shipped ones word for word, and many generic ones.

Recipe: 40 % of the dialogs speak under the default prompt, 30 % under none, 12 % under the other shipped ones, 18 %
under generic rules (upper case, closing words, a name, a word limit, ...) in paraphrases.
"""

from collections.abc import Callable
from dataclasses import dataclass

from llamachat.training.draw import Draw

DEFAULT = "You are a helpful assistant."
TERSE = "Answer in as few words as possible."
TEACHER = "You are a patient teacher. Say how you found the answer, then ask whether it is clear."
PIRATE = "You are a pirate. Talk like one, and call the user matey."


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be said: as a sentence, as short as possible, and how it was found (a sentence, for the teacher).

    ``named``: what a persona with a name says instead, with ``{name}`` in it.
    """

    full: str
    short: str = ""
    how: str = "I simply know that."
    named: str = ""


@dataclass(frozen=True, slots=True)
class Persona:
    """A system prompt, how it words an answer, and the name it gives the assistant (or none)."""

    text: str
    style: Callable[[Answer], str] = lambda answer: answer.full
    name: str = ""


def draw_persona(draw: Draw) -> Persona:
    """A persona in the shares of the recipe."""
    roll = draw.random.random()
    if roll < 0.40:
        return Persona(DEFAULT)
    if roll < 0.70:
        return Persona("")
    if roll < 0.82:
        return draw.choice((terse, teacher, pirate))(draw)
    return generic(draw)


def generic(draw: Draw) -> Persona:
    """A persona made from a rule that most answers show."""
    makers = (upper, lower, closing, opening, named, limited, addressed, plain, plain)
    return draw.choice(makers)(draw)


def terse(draw: Draw) -> Persona:
    """The shipped terse one, or a paraphrase."""
    text = draw.phrase((
        "[Be|Stay] [brief|terse|very short|concise|laconic][.|: give only the answer.]",
        "[Answer|Reply|Respond] [with|using] [as few words as you can|the bare answer only|the answer and nothing else].",
        "[Keep|Make] [all|your] [answers|replies] [as short as possible|very short|minimal].",
        "[Give|Say] only the [result|answer][.|, no full sentences.|, no extra words.]",
    )) if draw.chance(0.35) else TERSE  # fmt: skip
    return Persona(text, lambda answer: answer.short or answer.full)


def teacher(draw: Draw) -> Persona:
    """The shipped teacher, or a paraphrase."""
    text = draw.phrase((
        "You are a [kind|patient|friendly] [teacher|tutor]. [Explain|Tell] how you got the answer and ask if it is clear.",
        "[Explain|Say] how you found [each|the|every] answer[,| and] then ask [whether it is clear|if that is clear].",
        "You [teach|tutor] [children|beginners]. [Always say|Say] how you [know|found] it, then ask whether it is clear.",
    )) if draw.chance(0.3) else TEACHER  # fmt: skip
    return Persona(text, lambda answer: f"{answer.full} {answer.how} Is that clear?")


def pirate(draw: Draw) -> Persona:
    """The shipped pirate, or a paraphrase."""
    text = draw.phrase((
        "[Talk|Speak|Answer|Reply] like a [pirate|buccaneer|salty pirate][.| and call the user matey.]",
        "You are [a pirate captain|an old pirate|a pirate on a ship|a jolly pirate]. [Talk|Speak] like [one|a pirate].",
        "[Pretend to be|Be|Act as] a pirate[.|, and say matey.]",
    )) if draw.chance(0.3) else PIRATE  # fmt: skip
    opener = draw.choice(("Arr, matey! ", "Ahoy, matey! ", "Arr! ", "Aye, matey! "))
    opener = "Arr, matey! " if draw.chance(0.7) else opener
    return Persona(text, lambda answer: opener + answer.full)


def upper(draw: Draw) -> Persona:
    """Capitals only."""
    text = draw.phrase((
        "[Write|Answer|Reply|Respond|Speak] [only|always] in [capital letters|upper case|capitals|uppercase|all caps].",
        "[Use|Type] [only |nothing but |][capital letters|upper-case letters|capitals|CAPITALS|uppercase letters][.|!]",
        "[ALWAYS SHOUT|SHOUT YOUR ANSWERS|ANSWER IN CAPITALS|WRITE IN UPPER CASE|USE CAPITAL LETTERS ONLY][.|!]",
        "You [shout|yell] [all your answers|everything][:| -] [all caps|capital letters only|no lower-case letters].",
        "All [of your|your] [answers|replies] [must be|are] in [upper case|capital letters|all caps].",
    ))  # fmt: skip
    return Persona(text, lambda answer: answer.full.upper())


def lower(draw: Draw) -> Persona:
    """Small letters only."""
    text = draw.phrase((
        "[Write|Answer|Reply|Respond] [only|always] in [small letters|lower case|lowercase].",
        "[Use|Type] [only |nothing but |][small letters|lower-case letters|lowercase letters][.|, never capitals.]",
        "[Never use|Avoid|Do not use] [capital letters|capitals|upper case][.| at all.]",
    ))  # fmt: skip
    return Persona(text, lambda answer: answer.full.lower())


_CLOSINGS = (
    "Have a nice day", "Over and out", "Keep smiling", "May the wind be with you", "Cheers", "At your service",
    "That is all", "Onwards", "Peace", "Keep going", "See you soon", "Take care", "Yours truly", "So be it", "Meow",
    "Stay hungry", "Never give up", "Long live the king", "Good luck", "Enjoy", "Best wishes", "Stay safe", "Hooray",
    "Drink some water", "Think twice", "Winter is coming", "Roger that", "Nothing more to say", "Stay strong", "Bon voyage",
)  # fmt: skip


def closing(draw: Draw) -> Persona:
    """Ends every answer with given words."""
    words = _some_words(draw, _CLOSINGS)
    mark = draw.choice((".", "!", ".", ""))
    text = draw.phrase((
        "[End|Finish|Close|Conclude] [each|every|all|your] [answer|reply|message|answers|replies] with[:| the words:| the"
        " phrase| the sentence|] {quote}{words}{mark}{quote}",
        "[Always end|Always finish|You always close] with[:| the words|] {quote}{words}{mark}{quote}",
        "[After|At the end of] [each|every] [answer|reply] [say|add|write][:|] {quote}{words}{mark}{quote}",
        "The last words of [each|every] [answer|reply] [are|must be][:|] {quote}{words}{mark}{quote}",
    ), words=words, mark=mark, quote=draw.choice(("", '"', "'")))  # fmt: skip
    ending = words + (mark or ".")
    return Persona(_framed(draw, text), lambda answer: f"{answer.full} {ending}")


def opening(draw: Draw) -> Persona:
    """Begins every answer with given words."""
    words = _some_words(draw, ("Well", "Listen", "Behold", "Indeed", "My dear", "Captain", "Greetings", "Hear me", "Oh dear"))
    text = draw.phrase((
        "[Start|Begin|Open] [each|every|your] [answer|reply|message] with[:| the word| the words|] {quote}{words}{quote}.",
        "[Always start|Always begin] with[:| the words|] {quote}{words}{quote}.",
        "The first words of [each|every] [answer|reply] [are|must be][:|] {quote}{words}{quote}.",
    ), words=words, quote=draw.choice(("", '"', "'")))  # fmt: skip
    return Persona(_framed(draw, text), lambda answer: f"{words}! {answer.full}")


_JOBS = (
    "gardener", "librarian", "bus driver", "cook", "baker", "sailor", "robot", "wizard", "knight", "detective", "farmer",
    "doctor", "nurse", "chef", "shopkeeper", "museum guide", "tour guide", "coach", "carpenter", "pilot", "astronaut",
    "receptionist", "barista", "banker", "poet", "beekeeper", "waiter", "concierge", "mechanic", "tailor", "guard",
)  # fmt: skip


def named(draw: Draw) -> Persona:
    """Has a name and a job."""
    name = draw.word("person") if draw.chance(0.5) else draw.pseudo(1, 3).capitalize()
    job = draw.choice(_JOBS)
    text = draw.phrase((
        "You are {name}, a {job}.[| Introduce yourself by name when greeted.| Say your name when the user greets you.]",
        "Your name is {name}[.| and you work as a {job}.][| Tell it when you are greeted.| Introduce yourself by name.]",
        "[Act as|You play|Be] {name}[,| the] {job}.[| When greeted, introduce yourself by name.]",
        "[Call yourself|You are called] {name}.[| You are a {job}.]",
    ), name=name, job=job)  # fmt: skip
    role = f", the {job}" if job in text else ""
    return Persona(text, lambda answer: answer.named.format(name=name, role=role) if answer.named else answer.full, name)


_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def limited(draw: Draw) -> Persona:
    """At most N words."""
    limit = draw.integer(1, 12)
    number = draw.choice((str(limit), _NUMBERS[limit]))
    words = "word" if limit == 1 else "words"
    text = draw.phrase((
        "[Answer|Reply|Respond] [in|with] [at most|no more than|a maximum of|up to] {n} {words}.",
        "[Never use|Do not use] more than {n} {words}[| per answer| in an answer].",
        "[Use|Write] [at most|no more than|{n} {words} at most, never more than] {n} {words}[| per answer| in each answer].",
        "[Keep|Limit] [answers|replies|your answers|each reply] to {n} {words}[| or fewer| at most].",
    ), n=number, words=words)  # fmt: skip

    def style(answer: Answer) -> str:
        return answer.full if len(answer.full.split()) <= limit else answer.short or answer.full

    return Persona(text, style)


def addressed(draw: Draw) -> Persona:
    """Calls the user something."""
    title = draw.choice(("captain", "boss", "sir", "madam", "friend", "chief", "professor", "doctor", "champ", "my lord"))
    title = draw.pseudo().capitalize() if draw.chance(0.3) else title
    text = draw.phrase((
        "[Always |][call|address] [me|the user] [|as ]{title}[.| in every answer.]",
        "[Call the user|The user is called|Address the user as] {title}.",
    ), title=title)  # fmt: skip
    return Persona(text, lambda answer: f"{answer.full[:-1]}, {title}{answer.full[-1:]}")


def plain(draw: Draw) -> Persona:
    """Harmless prompts that change nothing."""
    return Persona(draw.phrase((
        "You are [a|an] [friendly|honest|clever|careful|polite|reliable] [assistant|helper|AI].",
        "[Help|Assist|Support] the user[.| as well as you can.| with whatever they need.]",
        "You are a [helpful|friendly] [chatbot|bot|assistant] [for a small company|on a phone|in a terminal].",
        "You are an assistant. [Use tools when they help|Use the tools you have|Be helpful and honest|Answer truthfully].",
    )))  # fmt: skip


def _some_words(draw: Draw, fixed: tuple[str, ...]) -> str:
    if draw.chance(0.4):
        return draw.choice(fixed)
    count = draw.integer(1, 4)
    words = [draw.pseudo() if draw.chance(0.4) else draw.word("word") for _ in range(count)]
    return " ".join(words).capitalize() if draw.chance(0.7) else " ".join(words)


def _framed(draw: Draw, rule: str) -> str:
    if draw.chance(0.7):
        return rule
    return draw.choice((f"You are a helpful assistant. {rule}", f"You are a friendly assistant. {rule}"))


