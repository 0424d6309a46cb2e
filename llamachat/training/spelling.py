"""Values of calls in the ids in which they were read. Knows tokens and calls; no wire format.

" den" is read as two ids and "den" is one, so that a copy has to be spelled anew, as with a third of unknown words. Ids
are bytes to whoever reads a call: training spells what a call copies as its source did, and copying is repeating.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from llamachat.messages import Message
from llamachat.protocol import CODE_INTERPRETER
from llamachat.tokenizer import Tokenizer

_WORD = re.compile(r"[^\W\d_]+")


def as_read(tokenizer: Tokenizer, ids: list[int], said: Message, before: Sequence[Message]) -> list[int]:
    """``ids`` of what was ``said``, the first word of each copied value as it is behind a space; others have one."""
    sources = [text for message in before for text in (message.text, message.context or "")]
    for value in _copied(said, sources):
        word = _WORD.match(value)
        if word is None:
            continue
        plain, read = tokenizer.encode(word[0]), behind_a_space(tokenizer, word[0])
        if plain == read:
            continue
        for at in range(1, len(ids) - len(plain) + 1):
            if ids[at : at + len(plain)] == plain and tokenizer.decode(ids[at - 1 : at]).endswith('"'):
                ids = [*ids[:at], *read, *ids[at + len(plain) :]]
                break
    return ids


def behind_a_space(tokenizer: Tokenizer, word: str) -> list[int]:
    """``word`` in the ids of " word", without the space."""
    first, *rest = tokenizer.encode(f" {word}")
    return [*tokenizer.encode(tokenizer.decode([first])[1:]), *rest]


def _copied(said: Message, sources: Sequence[str]) -> Iterator[str]:
    """The texts in arguments of functions that stand behind a space in one of ``sources``."""
    calls = (call for call in said.tool_calls if call.name != CODE_INTERPRETER)
    values = (value for call in calls for argument in call.arguments.values() for value in _texts(argument))
    return (value for value in values if any(f" {value}" in source for source in sources))


def _texts(argument: Any) -> Iterator[str]:
    if isinstance(argument, str):
        yield argument
    elif isinstance(argument, list):
        for item in argument:
            yield from _texts(item)
