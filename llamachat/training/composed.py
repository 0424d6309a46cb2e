"""Functions that no list holds, made of verbs, nouns, attributes and parameter fragments, with requests in other words."""

from llamachat.training.draw import Draw
from llamachat.training.intents import Intent, Slot

FRAGMENTS = (
    (Slot("city", "city", "City"), "in {v}"), (Slot("location", "place", "Place"), "in {v}"), (Slot("name", "pseudo", "Name of the {n}"), "[called|named] {v}"),
    (Slot("title", "title", "Title"), '[called|titled|with the title] [{v}|"{v}"]'), (Slot("id", "code", "Identifier of the {n}"), "[with the id|with id|number|id] {v}"),
    (Slot("number", "integer", "Number of the {n}"), "[number|no.|#] {v}"), (Slot("date", "date", "Date as YYYY-MM-DD"), "[on|for] {v}"),
    (Slot("time", "clock", "Time as HH:MM"), "at {v}"), (Slot("person", "person", "Person"), "for {v}"), (Slot("owner", "person", "Who owns it"), "[of|that belongs to] {v}"),
    (Slot("recipient", "person", "Who gets it"), "to {v}"), (Slot("count", "small", "How many"), "[{v} times|, {v} of them|, {v} pieces]"),
    (Slot("max_price", "number", "Highest price"), "[for at most|under|below|for no more than|up to] {v}"), (Slot("minutes", "small", "Duration in minutes"), "for {v} minutes"),
    (Slot("language", "language", "Language"), "in {v}"), (Slot("size", "enum(small,medium,large)", "Size"), "[in size|size|in] {v}"), (Slot("color", "enum(red,green,blue,black,white)", "Colour"), "in {v}"),
    (Slot("room", "room", "Room"), "in the {v}"), (Slot("email", "email", "Email address"), "[for|with the address|with email] {v}"), (Slot("amount", "number", "Amount"), "[of|with] {v}"),
    (Slot("topic", "topic", "Topic"), "[about|on] {v}"), (Slot("note", "phrase", "Remark"), '[with the note|with the remark|saying] [{v}|"{v}"]'), (Slot("format", "enum(pdf,csv,html)", "File format"), "as {v}"),
    (Slot("level", "percent", "Percentage"), "[at|to] {v}[%| percent]"), (Slot("tags", "list", "Tags"), "[tagged|with the tags] {v}"), (Slot("hours", "small", "How many hours"), "for [the next |]{v} hours"),
    (Slot("start", "date", "First day"), "[from|starting] {v}"), (Slot("end", "date", "Last day"), "[until|to|till] {v}"), (Slot("file", "filename", "File name"), "from {v}"), (Slot("host", "host", "Host"), "on {v}"),
)  # fmt: skip
_SAME = {
    "get": "[give me|show me|fetch|I need|bring up]", "find": "[find|look for|search for|search|locate]", "fetch": "[fetch|get|load]", "list": "[list|show me all|what are]", "show": "[show|display|bring up|let me see]",
    "check": "[check|look at|test|have a look at]", "create": "[create|make|set up|add]", "add": "[add|put in|create|insert]", "make": "[make|create|build]", "book": "[book|reserve|get me]", "order": "[order|buy|get me]",
    "send": "[send|mail|deliver]", "start": "[start|begin|launch|run|kick off]", "stop": "[stop|end|halt|finish]", "open": "[open|unlock]", "close": "[close|shut]", "update": "[update|change|edit]", "change": "[change|modify|edit|alter]",
    "delete": "[delete|remove|erase|get rid of|throw away]", "remove": "[remove|delete|take out|take away|drop]", "cancel": "[cancel|call off|drop]", "rename": "[rename|give a new name to]", "move": "[move|shift|put]", "copy": "[copy|duplicate]",
    "count": "[count|how many are]", "track": "[track|follow|where is]", "rate": "[rate|score]", "pay": "[pay|settle]", "share": "[share|pass on]", "save": "[save|store|keep]", "load": "[load|read in|open]", "play": "[play|put on|start]",
    "pause": "[pause|hold|freeze]", "lock": "[lock|secure|bolt]", "unlock": "[unlock|open]", "enable": "[enable|turn on|switch on|activate]", "disable": "[disable|turn off|switch off|deactivate]", "schedule": "[schedule|plan]",
    "register": "[register|sign up|enrol]", "archive": "[archive|put away]", "approve": "[approve|accept|confirm]", "reject": "[reject|refuse|turn down]", "submit": "[submit|hand in|turn in]", "print": "[print|put on paper]",
    "search": "[search|look for|find]", "measure": "[measure|take the measure of]", "reserve": "[reserve|book|hold]", "buy": "[buy|purchase|get|order]", "sell": "[sell|put up for sale]", "return": "[return|give back|bring back|send back]",
    "assign": "[assign|hand]", "invite": "[invite|ask in]", "publish": "[publish|post|put out]", "post": "[post|publish]", "hide": "[hide|make invisible]", "merge": "[merge|join|combine]", "split": "[split|divide]", "reset": "[reset|clear]",
    "restart": "[restart|reboot|start again]", "renew": "[renew|extend]", "upload": "[upload|put up]", "repair": "[repair|fix|mend]", "mute": "[mute|silence|quiet]", "borrow": "[borrow|take out]",
}  # fmt: skip
OPPOSITES = (
    ("start", "stop"), ("open", "close"), ("lock", "unlock"), ("enable", "disable"), ("mute", "unmute"), ("add", "remove"), ("show", "hide"), ("pin", "unpin"), ("borrow", "return"), ("buy", "sell"), ("follow", "unfollow"),
    ("create", "delete"), ("archive", "restore"), ("approve", "reject"), ("pause", "resume"), ("book", "cancel"), ("lend", "borrow"), ("raise", "lower"), ("connect", "disconnect"), ("block", "unblock"),
)  # fmt: skip
_ABOUT = ("{V} [a|the|one] {n}", "{V} {n}s", "[Function to|Use this to] {v} the {n}", "{V} [an existing|the given|some] {n}")
_REQUESTS = (
    "{V} [the|a|my|our] {n} {f}.", "[Please|Can you|Could you|Would you] {v} [the|a|my] {n} {f}[.|?]", "I [want|need|would like] to {v} [the|a|my] {n} {f}.", "{V} [that|this] {n} {f}[.|, please.]",
    "[I'd like you to|You should|Go and] {v} [the|a] {n} {f}.", "{V} {n} {f}", "[Let's|Help me] {v} [the|a|this] {n} {f}.", "[It's time to|We have to|We need to] {v} [the|our] {n} {f}.",
)  # fmt: skip
_ATTRIBUTES = {
    "price": "[what does|how much does] {o} cost?|[what is|what's] the price of {o}?|how much is {o}?", "status": "[what is the status|what's the state] of {o}?|how is {o} doing?", "owner": "who owns {o}?|whose is {o}?|who is the owner of {o}?",
    "size": "how [big|large] is {o}?|what size [has|is] {o}?", "height": "how [high|tall] is {o}?|what is the height of {o}?", "weight": "how heavy is {o}?|what does {o} weigh?|weight of {o}?", "age": "how old is {o}?|what is the age of {o}?",
    "length": "how long is {o}?|length of {o}?", "location": "where is {o}?|where can I find {o}?|what is the location of {o}?", "colour": "what colour [is|has] {o}?|colour of {o}?", "capacity": "how much fits into {o}?|what is the capacity of {o}?",
    "rating": "how good is {o}?|what rating has {o}?|how is {o} rated?", "temperature": "how [warm|hot|cold] is {o}?|what is the temperature of {o}?", "speed": "how fast is {o}?|what is the speed of {o}?", "author": "who [wrote|made] {o}?|who is the author of {o}?",
    "date": "when [is|was] {o}?|what is the date of {o}?", "distance": "how far [is it to|away is] {o}?|distance to {o}?", "balance": "how much is on {o}?|what is the balance of {o}?", "manager": "who [runs|manages|leads] {o}?|who is the manager of {o}?",
    "members": "who [is|belongs to] in {o}?|which people are in {o}?|list the members of {o}.", "version": "which version [is|has] {o}?|version of {o}?", "address": "what is the address of {o}?|where [is|do I find] {o}?", "depth": "how deep is {o}?|depth of {o}?",
    "duration": "how long does {o} [take|last]?|duration of {o}?", "schedule": "when does {o} [run|happen]?|what is the schedule of {o}?", "menu": "what is on the menu of {o}?|what can I eat at {o}?", "stock": "how many {o} are left?|is {o} in stock?",
}  # fmt: skip


def noun_of(draw: Draw) -> str:
    """A thing that functions are about: a noun, two nouns, or a made-up one."""
    roll = draw.random.random()
    return draw.pseudo(2, 3) if roll < 0.22 else draw.word("noun") if roll < 0.82 else f"{draw.word('noun')} {draw.word('noun')}"


def composed(draw: Draw, verb: str | None = None, noun: str | None = None) -> Intent:
    """A function of 0 to 3 parameters: do something with a noun, or tell an attribute of it."""
    noun = noun or noun_of(draw)
    if verb in _ATTRIBUTES or (verb is None and draw.chance(0.3)):
        return attribute(draw, noun, verb)
    verb = verb or draw.word("verb")
    parts = draw.some(FRAGMENTS, draw.random.choices((0, 1, 2, 3), (6, 42, 38, 14))[0])
    slots, fragments = [], []
    for i, (slot, fragment) in enumerate(parts):
        required = i == 0 or draw.chance(0.65)
        slots.append(Slot(slot.name, slot.kind, slot.about.replace("{n}", noun), required))
        if required or draw.chance(0.5):
            fragments.append(fragment.replace("{v}", "{" + slot.name + "}"))
    about = draw.phrase(_ABOUT, V=verb.capitalize(), v=verb, n=noun)
    said = draw.phrase((_SAME.get(verb, verb),)) if draw.chance(0.4) else verb
    request = draw.choice(_REQUESTS).replace("{f}", " ".join(fragments)).replace(" .", ".").replace(" [.", "[.")
    request = request.replace("{V}", said.capitalize()).replace("{v}", said).replace("{n}", noun).replace("{f}", "").rstrip()
    reply = draw.choice(("done", "done", "done", "id", "number(price)", "status", "record", "titles", "places"))
    return Intent(f"{verb}_{noun.replace(' ', '_')}", about, reply, tuple(slots), (request,))


def attribute(draw: Draw, noun: str, name: str | None = None) -> Intent:
    """A function that tells an attribute of a thing."""
    name = name or draw.choice(tuple(_ATTRIBUTES))
    by, kind, naming = draw.choice((
        ("name", "title", "[the {n} {v}|{v}|the {n} called {v}]"), ("id", "code", "[the {n} {v}|{n} {v}|{v}]"), (noun.replace(" ", "_"), "pseudo", "[{n} {v}|the {n} {v}|{v}]"), ("number", "integer", "[{n} {v}|{n} number {v}]"),
        ("city", "city", "the {n} [in|of] {v}"), ("owner", "person", "[{v}'s {n}|the {n} of {v}]"),
    ))  # fmt: skip
    thing = naming.replace("{n}", noun).replace("{v}", "{" + by + "}")
    slot = Slot(by, kind, draw.choice((by.capitalize().replace("_", " "), f"{by.capitalize().replace('_', ' ')} of the {noun}")))
    about = draw.choice((f"{name.capitalize()} of a {noun}", f"Get the {name} of a {noun}", f"Tells the {name} of the {noun}"))
    asks = _ATTRIBUTES[name] + f"|[tell me|give me|show me|I need|what is] the {name} of {{o}}." if draw.chance(0.5) else _ATTRIBUTES[name]
    requests = [part[0].upper() + part[1:] if part[0] not in "[{" else part for part in split(asks.replace("{o}", thing))]
    function = draw.choice((f"get_{name}", f"{noun.replace(' ', '_')}_{name}", f"get_{noun.replace(' ', '_')}_{name}", f"{name}_of_{noun.replace(' ', '_')}"))
    return Intent(function, about, draw.choice((f"number({name})", "record", "code")), (slot,), tuple(requests))


def rivals(draw: Draw, intent: Intent) -> Intent:
    """A hard distractor of ``intent``: the opposite, the same verb or the same noun."""
    verb, _, noun = intent.name.partition("_")
    noun = noun.replace("_", " ") or None  # type: ignore[assignment]
    for one, other in OPPOSITES:
        if verb in (one, other) and draw.chance(0.6):
            return composed(draw, other if verb == one else one, noun)
    return composed(draw, verb=verb) if draw.chance(0.5) and verb in _SAME else composed(draw, noun=noun)


def split(asks: str) -> list[str]:
    """Alternatives of ``asks`` at the ``|`` outside brackets."""
    parts, depth = [""], 0
    for char in asks:
        depth += (char == "[") - (char == "]")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts
