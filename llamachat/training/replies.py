"""What functions return, and the sentence that tells a result: one rule for every value, so that it carries over to
functions never seen. Knows nothing of calls."""

from typing import Any

from llamachat.training.draw import Draw
from llamachat.training.persona import Answer
from llamachat.training.schema import join, title

NO_FUNCTION = "I can't do that: none of my functions fits."
DONE = ("ok", "done", "success", "sent", "created", "accepted")
_SKY = ("sunny", "cloudy", "rain", "light snow", "fog", "clear", "thunderstorms", "windy", "drizzle", "heavy rain", "hail", "overcast")
_ERRORS = (
    "the {n} is [closed|full|broken|busy|locked|out of order|sold out]", "no {n} [available|found|left]", "service [is down|unavailable|is offline]", "[connection lost|time out|timeout|no connection]",
    "[unknown|invalid] {n}", "[not enough|too little] {n}", "permission denied", "[access|payment] denied", "{n} not found", "[card|payment] was [declined|refused]", "the {n} [ran out of|needs] {m}",
)  # fmt: skip


def tell(value: Any) -> Answer:
    """``value`` in words: fields by name, lists as what was found, errors as failures."""
    if isinstance(value, dict):
        return _tell_fields(value)
    if isinstance(value, list):
        return _tell_list(value)
    if isinstance(value, bool):
        return Answer("Yes." if value else "No.", "Yes" if value else "No")
    return Answer(f"The result is {value}.", str(value))


def _tell_fields(value: dict[str, Any]) -> Answer:
    if "error" in value:
        return Answer(f"That did not work: {value['error']}.", f"Error: {value['error']}")
    if value.get("status") in DONE and len(value) == 1:
        return Answer("Done.", "Done")
    value = {key: item for key, item in value.items() if not (key == "status" and item in DONE)}
    parts = [_tell_field(key, item) for key, item in value.items()]
    text = join(parts)
    return Answer(f"{text[0].upper()}{text[1:]}.", join([_plain(item) for item in value.values()], ","))


def _tell_field(key: str, item: Any) -> str:
    words = key.replace("_", " ")
    if isinstance(item, bool):
        return f"it is {'' if item else 'not '}{words}"
    return f"the {words} is {_plain(item)}"


def _plain(item: Any) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, list):
        return join(item)
    return str(item)


def _tell_list(value: list[Any]) -> Answer:
    if not value:
        return Answer("Nothing was found.", "Nothing")
    items = [_tell_item(item) for item in value]
    return Answer(f"I found {join(items)}.", join(items, ","))


def _tell_item(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    first, *rest = item.items()
    extra = ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in rest)
    return f"{_plain(first[1])} ({extra})" if extra else _plain(first[1])


def draw_result(draw: Draw, reply: str) -> tuple[Any, Answer]:
    """A value of ``reply``'s kind and what is said of it; an error in one of twenty."""
    value = error(draw) if draw.chance(0.05) else _draw(draw, reply)
    return value, tell(value)


def error(draw: Draw) -> dict[str, str]:
    """What a function says when it failed for good."""
    return {"error": draw.phrase(_ERRORS, n=draw.word("noun"), m=draw.word("thing"))}


def _draw(draw: Draw, reply: str) -> Any:
    if draw.chance(0.15):
        return random_record(draw)
    key = reply[7:-1] if reply.startswith("number(") else ""
    if key:
        return {key: draw.choice((draw.number(4), draw.decimal()))}
    if reply == "done":
        return {"status": draw.choice(DONE)}
    return _MAKERS[reply](draw)


def random_record(draw: Draw) -> dict[str, Any]:
    keys = draw.words("noun", draw.integer(1, 2))
    if draw.chance(0.3):
        keys = [f"{draw.word('adjective')}_{key}" for key in keys]
    values = (draw.number(4), draw.decimal(), draw.pseudo(), title(draw), draw.code(), draw.word("adjective"), draw.chance(0.5))
    return {key: draw.choice(values) for key in keys}


def _places(draw: Draw) -> Any:
    if draw.chance(0.1):
        return []
    field = draw.choice(("price", "rating", "stars", "address", "seats", "distance_km"))
    return [{"name": title(draw), field: draw.choice((draw.integer(1, 90), draw.decimal(1, 1)))} for _ in range(draw.integer(1, 2))]


def _clock(draw: Draw) -> str:
    return f"{draw.integer(0, 23):02}:{draw.integer(0, 59):02}"


_MAKERS: dict[str, Any] = {
    "weather": lambda d: {d.choice(("temperature", "celsius", "degrees", "temp_c")): d.integer(-20, 40), d.choice(("sky", "conditions", "summary", "weather")): d.choice(_SKY)},
    "id": lambda d: {d.choice(("id", "booking_id", "reservation", "reference", "ticket", "number", "confirmation")): d.choice((d.code(), d.number(5)))},
    "places": _places,
    "translation": lambda d: {"translation": " ".join(d.pseudo() for _ in range(d.integer(1, 4)))},
    "status": lambda d: {"status": d.choice(("shipped", "delayed", "on the way", "delivered", "waiting", "cancelled", "running", "down", "landed", "on time")), **({} if d.chance(0.5) else {d.choice(("eta", "since", "gate", "time", "expected")): d.choice((_clock(d), d.integer(1, 60)))})},
    "times": lambda d: [_clock(d) for _ in range(d.integer(1, 3))],
    "route": lambda d: {d.choice(("distance_km", "km", "distance")): d.number(4), d.choice(("minutes", "duration", "hours")): d.integer(5, 700)},
    "events": lambda d: [] if d.chance(0.2) else [{"time": _clock(d), "title": title(d)} for _ in range(d.integer(1, 2))],
    "titles": lambda d: [] if d.chance(0.12) else [title(d) for _ in range(d.integer(1, 3))],
    "meaning": lambda d: {"meaning": f"a {d.word('adjective')} {d.word('noun')}"},
    "record": lambda d: {"name": title(d), d.choice(("year", "age", "city", "director", "phone", "points")): d.choice((d.number(4), title(d)))},
    "score": lambda d: {"score": f"{d.integer(0, 9)}{d.choice(('-', ':'))}{d.integer(0, 9)}", **({} if d.chance(0.6) else {"opponent": d.place()})},
    "rolls": lambda d: {"rolls": [d.integer(1, 6) for _ in range(d.integer(1, 4))]},
    "sun": lambda d: {"sunrise": _clock(d), "sunset": _clock(d)},
    "clock": lambda d: {d.choice(("time", "local_time")): _clock(d)},
    "code": lambda d: {d.choice(("code", "number", "value", "password")): d.choice((d.code(), d.number(6)))},
    "paid": lambda d: {"paid": d.chance(0.5)}, "free": lambda d: {d.choice(("free", "available")): d.chance(0.5)},
    "errors": lambda d: {"errors": d.integer(0, 9)}, "summary": lambda d: {"summary": f"{d.word('adjective')} {d.word('noun')} for {d.word('thing')}"},
    "question": lambda d: {"question": f"Who found the {d.word('adjective')} {d.word('noun')}?"}, "side": lambda d: {d.choice(("side", "result")): d.choice(("heads", "tails"))},
    "colour": lambda d: {"colour": d.choice(("red", "teal", "pink", "brown", d.pseudo()))}, "phase": lambda d: {"phase": d.choice(("full moon", "new moon", "first quarter", "last quarter"))},
    "language": lambda d: {"language": d.choice(("French", "Latin", "Welsh", d.pseudo().capitalize()))}, "emoji": lambda d: {"emoji": d.choice("🌲🍎🐶🚀🌙⭐🔥🎵📚☂")},
    "coupon": lambda d: {"valid": d.chance(0.6), **({} if d.chance(0.5) else {"discount": f"{d.integer(5, 60)}%"})},
}  # fmt: skip
