"""Summary: what a model says when it is asked to sum a dialog up. Knows windows and their limits; knows no session.

A dialog that the window can't hold, of a larger model perhaps, is read in parts: each is summed up together with the
summary of what came before it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

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
    dialog: Dialog,
    runtime: Runtime,
    sampling: SamplingParams,
    stop: asyncio.Event,
    tell: Callable[[float], object] = lambda share: None,
) -> str:
    """All of ``dialog`` in short; ``tell`` hears which share of its messages was read, from 0 to 1.

    Raises EngineError if the model gives no whole summary, ContextOverflow if one message alone is too long.
    """
    whole = len(dialog)
    system = dialog[:1] if whole and dialog[0].role == "system" else Dialog()
    while True:
        end = _fitting(dialog, runtime, len(system))
        said = await _ask(dialog[:end] + _REQUEST, runtime, sampling, stop)
        rest = dialog[end:]
        tell(1 - len(rest) / whole)
        if not rest:
            return said
        dialog = system + Message("user", SO_FAR + said) + rest


def _fitting(dialog: Dialog, runtime: Runtime, system: int) -> int:
    """How many messages are summed up next: all, or so many as fit, whole turns if one fits."""
    sizes = [share.tokens for share in shares(runtime.tokenizer, dialog + _REQUEST, runtime.dialect)]
    room = int(runtime.context * (1 - _ROOM)) - sizes.pop()
    begun = system + any(message.text.startswith(SO_FAR) for message in dialog[system : system + 1])
    end = next((i for i in range(len(dialog)) if sum(sizes[: i + 1]) > room), len(dialog))
    longest = max(sizes[begun:], default=0)
    if sum(sizes[:begun]) + longest > room:  # said at once, before anything is read
        raise ContextOverflow(
            f"One message has {longest:,} tokens, too many to be summed up in a window of {runtime.context:,}.",
            "Nothing was changed; /context shows what could be dropped.",
        )
    turns = [i for i in range(begun + 1, end) if dialog[i].role == "user"]
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
