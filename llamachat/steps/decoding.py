"""Ids from a decoder, the host one step behind: step n + 1 is under way before id n is looked at. Knows no device.

A guess from what was said before is verified by one step over several ids, for which the host catches up first. What
comes out is what step after step would choose: a seed's random numbers belong to positions, not to steps.
"""

from collections.abc import Iterator
from typing import Any

from llamachat.errors import EngineError
from llamachat.speculation import Drafter
from llamachat.steps import Decoder


def decode(decoder: Decoder, token_id: int, position: int, room: int, lookup: Drafter | None = None) -> Iterator[int]:
    """At most ``room`` ids behind ``token_id``, which is read behind ``position`` positions; there is place for them.

    When an id is given out, all before it have been read. Steps under way when the caller leaves have written behind
    what counts. ``lookup`` guesses, and hears of each id. Raises EngineError if logits are not finite.
    """
    under_way: Any = None
    while room > 0:
        most = decoder.most(room) if lookup else 0
        if under_way is None and lookup and most > 1 and (guess := lookup.draft(most - 1)):
            for chosen, guessed in zip(decoder.verify([token_id, *guess], position), [*guess, None], strict=True):
                token_id, position, room = checked(chosen), position + 1, room - 1
                lookup.add(token_id)
                yield token_id
                if token_id != guessed:
                    break
            continue
        if under_way is None:
            decoder.place(token_id, position)
            under_way = decoder.launch()
        wait = room == 1 or (lookup is not None and most > 1 and lookup.hopeful)
        following = None if wait else decoder.launch()
        token_id, position, room = checked(decoder.read(under_way)), position + 1, room - 1
        if lookup:
            lookup.add(token_id)
        yield token_id
        under_way = following


def checked(token_id: int) -> int:
    """``token_id``, unless it stands for logits that are not finite. Raises EngineError."""
    if token_id < 0:
        raise not_finite()
    return token_id


def not_finite() -> EngineError:
    """What to say of a model that computes NaN."""
    return EngineError("The model computed numbers that are not finite.", "Its checkpoint is damaged; fetch it again.")
