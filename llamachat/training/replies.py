"""What functions return, and the sentence that tells it: one rule for all values, so that it carries over to functions
never seen. Knows nothing of calls."""

import json
from typing import Any

from llamachat.training import phrases
from llamachat.training.draw import Draw
from llamachat.training.persona import Answer
from llamachat.training.values import fill, join, phrase

NO_FUNCTION = "I can't do that: none of my functions fits."
DONE = ("ok", "done", "success", "sent", "created", "accepted")


def tell(value: Any) -> Answer:
    """``value`` in words: fields by name, lists as what was found, errors as failures, sentences as they are."""
    if isinstance(value, dict):
        return _tell_fields(value)
    if isinstance(value, list):
        return _tell_list(value)
    if isinstance(value, bool):
        return Answer("Yes." if value else "No.", "Yes" if value else "No")
    said = str(value).removesuffix(".")
    return Answer(f"{said[0].upper()}{said[1:]}." if said.count(" ") > 1 else f"The result is {said}.", said)


def _tell_fields(value: dict[str, Any]) -> Answer:
    if "error" in value:
        return Answer(f"That did not work: {value['error']}.", f"Error: {value['error']}")
    if len(value) == 1 and (value.get("status") in DONE or any(value.get(key) is True for key in DONE[:3])):
        return Answer("Done.", "Done")
    value = {key: item for key, item in value.items() if not (key == "status" and item in DONE)}
    parts = [_tell_field(key, item) for key, item in value.items()]
    if len(value) == 1 and isinstance(item := next(iter(value.values())), bool):
        parts = [f"{'yes' if item else 'no'}, {parts[0]}"]
    text = join(parts)
    return Answer(f"{text[0].upper()}{text[1:]}.", join([_plain(item) for item in value.values()], ","))


def _tell_field(key: str, item: Any) -> str:
    words = key.replace("_", " ")
    if isinstance(item, bool):
        return f"it is {'' if item else 'not '}{words.removeprefix('is ')}"
    if isinstance(item, dict):
        return join([_tell_field(f"{key}_{inner}", part) for inner, part in item.items()])
    several = isinstance(item, list) or (words.endswith("s") and not words.endswith(("ss", "us", "ews")))
    return f"the {words} {'are' if several else 'is'} {_plain(item)}"


def _plain(item: Any) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, list):
        return join([_tell_item(part) for part in item]) or "none"
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
    if draw.chance(0.35):
        return {"error": phrase(draw)}
    return {"error": draw.phrase(phrases.lines("errors"), n=draw.word("noun"), m=draw.word("thing"))}


def _draw(draw: Draw, reply: str) -> Any:
    if draw.chance(0.22):
        return random_record(draw)
    if reply.startswith("number("):
        return {reply[7:-1]: draw.choice((draw.number(4), draw.decimal()))}
    if reply == "status" and draw.chance(0.5):
        reply = "status2"
    template = phrases.mapping("replies").get(reply, reply)
    if not template.startswith("* "):
        return _record(draw, template)
    count = draw.weighted((0, 1, 2, 3), (10, 40, 30, 20))
    return [_record(draw, template[2:]) for _ in range(count)]


def random_record(draw: Draw) -> Any:
    """A value of unforeseen fields, or a sentence, as functions that people write in a minute return."""
    return _record(draw, phrases.mapping("replies")[draw.weighted(("any", "any2", "text", "lone"), (30, 25, 37, 8))])


def _record(draw: Draw, template: str) -> Any:
    """``key=value; key=value`` as a dict, or a lone value."""
    text = fill(draw, template)
    if "=" not in text:
        return _typed(text)
    return {key: _typed(value) for key, value in (field.split("=", 1) for field in text.split("; ") if field)}


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
