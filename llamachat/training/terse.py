"""Requests of a few words: what a function is called or is for, then its values. Knows templates, no values.

``Weather Rome``, ``price of a share: QRLX``: a word that opens a sentence is another id than the same word behind a
space, and only such requests bring the two together for every function, not for those whose phrasings happen to.
"""

from llamachat.training.draw import Draw, expand
from llamachat.training.intents import Intent, Slot
from llamachat.training.values import DECIMALS, INTEGERS

_ASKING = frozenset("get check find show read look list is are what which who how tell fetch do the my a".split())
_BEFORE = {
    "city": "in", "place": "in", "room": "in", "country": "in", "person": "for", "fullname": "of", "title": "of",
    "date": "on", "weekday": "on", "month": "in", "clock": "at", "topic": "on", "language": "in", "thing": "of",
}  # fmt: skip
"""What may stand before the first value, by its kind."""
_SHAPES = (
    "{W} {s}[|.|, please.| please]", "{w} {s}", "{W}: {s}", "{A}: {s}", "{W}, {s}[, please|].",
    "{s}, {w}[|?|, please.]", "[I need|Need|Now] {w} {s}", "{W} {p}{s}[|?|, please| please]",
    "{w} {p}{s}[|?|, please]", "{A}, {s}[.|]",
)  # fmt: skip
_SHORT = frozenset(("number", "date", "clock", "weekday"))
_MANUAL = ("Function ", "Use ", "Tells ")
"""How descriptions begin that nobody would say."""
_BARE = ("{W}[|.|, please.| please|?]", "{w}[| please|?]", "{A}[.|, please.|]", "[I need|Need] {w}")


def terse(draw: Draw, intent: Intent) -> str:
    """A template of few words for ``intent``, or nothing where it could not be told which value is which."""
    slots = [slot for slot in intent.slots if slot.required or draw.chance(0.15)]
    if len({_class(slot) for slot in slots}) < len(slots):
        return ""
    words = expand(draw.random, intent.key or intent.name).replace("_", " ").split()
    while len(words) > 1 and words[0] in _ASKING:
        words.pop(0)
    name, about = " ".join(words), intent.about.rstrip(".")
    plain = {_class(slot) for slot in slots[1:]} <= _SHORT and draw.chance(0.5)
    said = (" " if plain else ", ").join("{" + slot.name + "}" for slot in slots)
    before = _BEFORE.get(slots[0].kind, "") if slots and words[-1] not in (*_BEFORE.values(), "to", "with") else ""
    marks = {"s": said, "p": f"{before} " if before else "", "A": about, "w": name, "W": name[0].upper() + name[1:]}
    shapes = [shape for shape in (_SHAPES if slots else _BARE) if "{A}" not in shape or not about.startswith(_MANUAL)]
    for mark, text in marks.items():
        shapes = [shape.replace("{" + mark + "}", text) for shape in shapes]
    return draw.ask(shapes)


def _class(slot: Slot) -> str:
    """Kinds whose values look alike are one."""
    return "number" if slot.kind in INTEGERS | DECIMALS else slot.kind if slot.kind in _BEFORE else slot.kind[:4]
