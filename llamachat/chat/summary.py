"""Summary: what a model says when it is asked to sum a dialog up. Knows windows and their limits; knows no session.

A dialog that the window can't hold, of a larger model perhaps, is read in parts: each is summed up together with the
summary of what came before it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from itertools import accumulate

from llamachat.agent import Runtime, run_turn
from llamachat.anatomy import shares
from llamachat.errors import ContextOverflow, EngineError
from llamachat.messages import Dialog, Message, MessageEnd, StopReason
from llamachat.sampling import SamplingParams

SO_FAR = "What was said before, in short:\n"
_REQUEST = Message(
    "user",
    "Sum up this conversation for yourself, so that you can go on without it. Keep names, numbers, decisions, "
    "open questions and what the user wants. Write only the summary.",
)
_ROOM = 1 / 8  # of the window, at least, for the summary


async def sum_up(
    dialog: Dialog, runtime: Runtime, sampling: SamplingParams, stop: asyncio.Event, tell: Callable[[float], object]
) -> str:
    """All of ``dialog`` in short; ``tell`` hears which share of its messages was read, from 0 to 1.

    Raises EngineError if the model gives no whole summary, ContextOverflow if one message alone is too long.
    """
    sizes = _sizes(dialog, runtime)
    begun = 1 if len(dialog) and dialog[0].role == "system" else 0
    head, said, at = dialog[:begun], "", begun
    while True:
        end = _fitting(dialog, at, sizes, _room(head, runtime))
        said = await _ask(head + dialog[at:end] + _REQUEST, runtime, sampling, stop)
        tell(end / max(len(dialog), 1))
        if end == len(dialog):
            return said
        head, at = dialog[:begun] + Message("user", SO_FAR + said), end


def _sizes(dialog: Dialog, runtime: Runtime) -> list[int]:
    """Tokens of each message."""
    return [share.tokens for share in shares(runtime.tokenizer, dialog, runtime.dialect)]


def _room(head: Dialog, runtime: Runtime) -> int:
    """Tokens that the window has for messages between ``head`` and the request."""
    return int(runtime.context * (1 - _ROOM)) - sum(_sizes(head + _REQUEST, runtime))


def _fitting(dialog: Dialog, at: int, sizes: list[int], room: int) -> int:
    """Where the part ends that begins ``at``: all of the rest, or so much as has ``room``, whole turns if one has."""
    longest = max(sizes[at:], default=0)
    if longest > room:  # said at once, before anything more is read
        raise ContextOverflow(
            f"One message has {longest:,} tokens, too many to be summed up in the model's window.",
            "Nothing was changed; /context shows what could be dropped.",
        )
    fits = sum(1 for total in accumulate(sizes[at:]) if total <= room)
    end = at + fits
    turns = [i for i in range(at + 1, end) if dialog[i].role == "user"]
    return turns[-1] if end < len(dialog) and turns else end


async def _ask(dialog: Dialog, runtime: Runtime, sampling: SamplingParams, stop: asyncio.Event) -> str:
    """What the model says to ``dialog``, without tools."""
    reply: Message | None = None
    async with aclosing(run_turn(dialog, runtime, sampling=sampling, max_steps=1, stop=stop)) as events:
        async for event in events:
            reply = event.message if isinstance(event, MessageEnd) else reply
    if reply is None or reply.stop is not StopReason.end_of_turn or not reply.text.strip():
        raise EngineError("The model gave no whole summary.", "Nothing was changed; /context shows what to drop.")
    return reply.text.strip()
