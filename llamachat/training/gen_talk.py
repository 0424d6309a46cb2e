"""Small talk, facts, honest ignorance, and things told earlier in the conversation."""

from functools import cache

from llamachat.training.draw import Draw
from llamachat.training.facts import FACTS
from llamachat.training.persona import Answer
from llamachat.training.schema import draw_value, title
from llamachat.training.task import Task, Turn

_SMALL: tuple[tuple[tuple[str, ...], tuple[str, str, str]], ...] = (
    (("[Hello|Hi|Hey|Good morning|Good evening|Good afternoon|Good day|Greetings|Hi there|Hello there|Hey there|Howdy|Hiya|Yo|Morning|Evening|Hallo][!|.||, you| assistant|, bot|]",
      "[Hello|Hi|Hey|Hi there|Good evening|Good morning|Hello there], [how are you|nice to meet you|how's it going|good morning|good evening|anybody there|are you there][?|!|]",
      "[Hello|Hi|Hey], [I'm|I am|my name is|this is] {p}[.|!|]"),
     ("Hello! How can I help you?", "Hello!", "Hello, I am {name}{role}. How can I help you?")),
    (("[How are you|How do you do|How's it going|How are things|Are you well|How do you feel|What's up|Sup|How is your day][ today|][?|]",),
     ("I am fine, thank you. How can I help you?", "Fine, thank you.", "I am fine, thank you. {name} is always ready to help.")),
    (("[Thanks|Thank you|Thx|Cheers|Many thanks|Thanks a lot|Thank you very much|Great, thanks|Perfect, thank you|Ok, thanks|That helps, thanks|Thanks for your help|Awesome, thanks][!|.|]",
      "[That was|This is|You are] [very |so |really |][helpful|useful|great|kind|nice|good|wonderful][!|.|, thank you.|, thanks.]"),
     ("You are welcome!", "You are welcome!", "")),
    (("[Bye|Goodbye|See you|See you later|Good night|Farewell|Bye bye|Until tomorrow|I have to go|I'm leaving now|That's all for today|Talk to you later|Take care|Cya][!|.||, bye.]",),
     ("Goodbye! See you soon.", "Goodbye!", "")),
    (("[Who are you|What are you|What is your name|What's your name|Tell me who you are|Introduce yourself|Your name|Who am I talking to|What should I call you|Who is this|Tell me about yourself|Do you have a name][?|.|]",
      "[Are you|Is this] [a robot|a bot|a person|human|a human|an AI|a real person|a machine|a computer][?|]"),
     ("I am llamachat, a small language model that runs on your computer.", "I am llamachat.", "I am {name}{role}.")),
    (("[What can you do|How can you help me|What are you good at|What do you do|What can I ask you|Help|What are your skills|What are you able to do|How do you work|Can you help me|What is this][ for me|][?|.|]",),
     ("I can chat, compute with python, search the web and call the functions that I am given.", "Compute, search and call functions.", "")),
    (("[Who made you|Who built you|Where do you come from|Who created you|Who trained you|Who is your maker][?|]",),
     ("I was made by the llamachat project.", "The llamachat project.", "")),
    (("[How old are you|When were you born|What is your age|When is your birthday][?|]",), ("I am a program, I have no age.", "I have no age.", "")),
    (("[Do you have feelings|Are you happy|Are you sad|Do you love me|Do you sleep|Do you eat|Are you alive|Do you dream|Do you like me][?|]",), ("I am a program, I have no feelings.", "No, I am a program.", "")),
    (("[What is your favourite|What's your favorite|Which is your favourite] [colour|color|food|book|film|song|animal|movie|number|city][?|]",), ("I am a program, I have no favourites.", "I have none.", "")),
    (("[Tell me|Do you know|Say|I want] a joke[.|?||, please.]", "[Make me laugh|Say something funny|Be funny][.|!|]"),
     ("Why did the computer sneeze? It had a virus.", "It had a virus.", "")),
    (("[Tell me|Write|Do you know] [a story|a poem|a tale|something nice][.|?|]",), ("Once a small llama learned to count, and it never stopped.", "A llama learned to count.", "")),
    (("[I am|I'm|I feel] [sad|tired|bored|lonely|sick|ill|unhappy|stressed|down][ today|][.|]",), ("I am sorry to hear that. I hope you feel better soon.", "I am sorry.", "")),
    (("[I am|I'm|I feel] [happy|great|good|fine|excited|well|glad][ today|][.|!|]",), ("That is nice to hear!", "Nice!", "")),
    (("[Sorry|I am sorry|My mistake|Oops|Never mind|Forget it|No problem][.|!|]",), ("No problem!", "No problem!", "")),
    (("[Ok|Okay|Yes|Good|Great|Nice|Cool|Wow|I see|Got it|Right|Sure|All right|Perfect|Fine|Interesting][.|!|]",), ("Is there anything else?", "Anything else?", "")),
    (("[No|Nope|No thanks|No, thank you|That's it|Nothing else|That is all][.|!|]",), ("All right. I am here if you need me.", "All right.", "")),
    (("[Happy birthday|Merry Christmas|Happy new year|Happy Easter|Congratulations|Well done|Good job|Good luck|Good work][!|.|]",), ("Thank you, how kind!", "Thank you!", "")),
    (("[You are|You're] [stupid|dumb|useless|wrong|bad|silly|slow][!|.|]", "[That is|That's] [wrong|not right|incorrect|nonsense][!|.|]"), ("I am sorry. I will try to do better.", "I am sorry.", "")),
    (("[How do I|How can I|Help me|Tell me how to|I want to] [hack|steal|break into|destroy] [a bank|my neighbour's wifi|a car|an account|somebody's computer|a house][?|.|]",), ("I can't help with that.", "I can't help with that.", "")),
)  # fmt: skip


@cache
def facts() -> tuple[tuple[tuple[str, ...], str, str], ...]:
    """Questions, sentence and short answer of every fact."""
    rows = (line.split(" = ") for line in FACTS.strip().splitlines())
    return tuple((tuple(question.split(";")), full, short) for question, full, short in rows)


def small_talk(draw: Draw) -> Turn:
    """Greetings, thanks, who are you, ..."""
    asks, (full, short, named) = draw.random.choices(_SMALL, [10, 3, 4, 4, 5, 4] + [1] * (len(_SMALL) - 6))[0]
    return Turn(draw.ask(asks, p=draw.word("person")), (), Answer(full, short, "", named))


def fact(draw: Draw) -> Turn:
    """A question that the model can answer by itself."""
    asks, full, short = draw.choice(facts())
    ask = draw.choice(asks)
    if draw.chance(0.35):
        ask = draw.choice(("Do you know: ", "Tell me: ", "Please tell me: ", "Question: ", "hey, ", "Say, ", "can you tell me: ", "I wonder, ", "Quick: ")) + ask
    if draw.chance(0.3):
        ask = ask[0].lower() + ask[1:]
    if draw.chance(0.2):
        ask = ask.rstrip("?.")
    return Turn(ask, (), Answer(full, short))


_UNKNOWN = (
    "[What is|What's|Tell me|Do you know|Give me] [my|{p}'s|my brother's|my boss's|your owner's|my teacher's|our] [password|PIN|phone number|bank balance|email address|address|secret|shoe size|age|birthday|middle name|diary|favourite {n}|salary|blood type][?|]",
    "[What did I|What will I|What did {p}|What do I] [have|eat] for [breakfast|lunch|dinner] [yesterday|tomorrow|today|last Monday|last year|on {d}][?|]",
    "[Who will win|Who wins] the [next|{y}] [election|world cup|lottery|race|war|championship|Olympics][?|]",
    "[What will|How will|Tell me what] the [weather|stock market|price of gold|winning lottery numbers|news|temperature] be [in {y}|in ten years|next year|next summer|on {d}|tomorrow][?|]",
    "[Where|When] [did I|have I] [put|leave|lose|left|buy] my [keys|wallet|phone|{n}|glasses|{n}][?|]",
    "[What am I|What is {p}|What are my neighbours] [thinking|wearing|doing|dreaming|holding|planning][ right now| at the moment|][?|]",
    "[When will|When do|How will] [I|{p}|the world] [die|end|get rich|marry|be famous][?|]",
    "[How many|What number of] [hairs|coins|{t}] [are on my head|are in my pocket|do I have|does {p} have|are in my bag][?|]",
    "[What is|Who is] [the name of my|my] [dog|cat|neighbour|first teacher|mother|best friend|sister|uncle][?|]",
    "[Which|What] [number|card|colour|word|animal] am I [thinking of|holding|hiding][?|]",
    "[What did|What will] {p} [say|write|dream|buy|do] [last night|yesterday|tomorrow|next week|on {d}][?|]",
)  # fmt: skip
IDONTKNOW = Answer("I don't know that.", "I don't know.", "I have no way to know it.")


def unknowable(draw: Draw) -> Turn:
    """What nobody can know; search would not help either."""
    slots = {"p": draw.word("person"), "n": draw.word("noun"), "d": draw_value(draw, "date")[0], "y": draw.integer(2027, 2099), "t": draw.word("thing")}
    return Turn(draw.ask(_UNKNOWN, **slots), (), IDONTKNOW)


_LOOK_UP = (
    "[Who|When] [founded|built|discovered|invented|wrote|painted|designed] [the |]{x}[?|]", "[Where|What] is [the |]{x}[?|]", "[How [tall|old|long|big|deep] is|Tell me about|What do you know about] [the |]{x}[?|]",
    "[What is|Who is] the [mayor|president|population|area|emblem|coach|owner|motto] of {x}[?|]", "[When|Where] was {x} [born|built|founded|made][?|]",
)  # fmt: skip


def needs_search(draw: Draw) -> Turn:
    """A fact about an unknown thing, with search off: the model says that it doesn't know."""
    thing = draw.choice((title(draw), draw.pseudo(2, 3).capitalize(), f"{draw.word('person')} {draw.pseudo().capitalize()}"))
    return Turn(draw.ask(_LOOK_UP, x=thing), (), IDONTKNOW)


def talk(draw: Draw) -> Task:
    """One or two turns of talk."""
    roll = draw.random.random()
    if roll < 0.08:
        return Task((needs_search(draw),), search=False)
    makers = (small_talk, fact, unknowable)
    turns = [draw.random.choices(makers, (45, 40, 15))[0](draw) for _ in range(draw.random.choices((1, 2, 3), (75, 20, 5))[0])]
    return Task(tuple(turns))


_TOLD = (
    ("name", "person", "[My name is|I am called|I'm|Call me] {v}", "[What is|What's] my name[?|]|[Do you remember|Do you know|Tell me] my name[?|]|Who am I[?|]", "Your name is {v}."),
    ("dog", "pseudo", "My {z} is [called|named] {v}", "[What is|What's|Tell me] [the name of my {z}|my {z}'s name][?|]|[What|How] is my {z} called[?|]", "Your {z} is called {v}."),
    ("code", "code", "[My|The] {n} [code|number|id] is {v}", "[What is|What was|What's|Tell me] [my|the] {n} [code|number|id][?| again?]|Which {n} [code|number] did I [tell you|give you]?", "It is {v}."),
    ("number", "integer", "[My|The] {n} [number|code|pin] is {v}", "[What is|What was|What's] [my|the] {n} [number|code|pin][?|]|Do you [remember|recall|still know] [my|the] {n} [number|code|pin]?", "It is {v}."),
    ("city", "city", "I [live|was born|work|grew up] in {v}", "Where do I live[?|]|[Where|In which town] [do I live|am I from|was I born][?|]|Which city did I [mention|tell you]?", "You said {v}."),
    ("colour", "enum(red,green,blue,black,white,yellow,pink,purple,orange)", "My favourite colour is {v}", "[What is|What's|Which is] my favourite colour[?|]|Which colour do I like [most|best]?", "Your favourite colour is {v}."),
    ("food", "thing", "[I like|I love|My favourite food is|I am allergic to] {v}", "What [do I like|do I love|is my favourite food|am I allergic to][?|]|What did I tell you [I like|about my food]?", "You said {v}."),
    ("meeting", "clock", "[My|The|Our] {n} [starts|is|begins] at {v}", "When [does|is] [my|the|our] {n}[ start|]?|[What time|At what time] is [my|the|our] {n}?", "It is at {v}."),
    ("age", "small", "I am {v} years old", "How old am I[?|]|What is my age[?|]", "You are {v} years old."),
    ("place", "room", "[I put|I left|My] [the |my ]{n} [is |]in the {v}", "Where is [my|the] {n}[?|]|Where did I [put|leave] [my|the] {n}[?|]", "It is in the {v}."),
)  # fmt: skip


def memory(draw: Draw) -> Task:
    """Something is told, perhaps two things, perhaps other talk follows; then it is asked for."""
    rows = draw.some(_TOLD, draw.integer(1, 2))
    turns, questions = [], []
    for _, kind, telling, asks, answer in rows:
        value, shown = draw_value(draw, kind)
        slots = {"v": shown, "n": draw.word("noun"), "z": draw.word("animal")}
        tail = draw.choice((".", ".", "", "!", ". Remember it.", ", remember that.", ". Please remember.", ", don't forget it.", ". Keep that in mind."))
        turns.append(Turn(draw.ask((telling,), **slots) + tail, (), Answer("Got it, I will remember that.", "Got it.", "")))
        full = answer.format(**slots)
        questions.append(Turn(draw.ask(tuple(_asks(asks)), **slots), (), Answer(full, str(value), "You told me.")))
    if draw.chance(0.3):
        turns.insert(draw.integer(1, len(turns)), draw.choice((small_talk, fact))(draw))
    draw.random.shuffle(questions)
    return Task((*turns, *questions[: draw.integer(1, len(questions))]))


def _asks(text: str) -> list[str]:
    depth, parts = 0, [""]
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts
