"""run_turn(): the one loop. Knows messages, protocol and tools; no UI, no torch, no disk.

A turn: generate → parse → to the user, or to ipython and again. TUI, one-shot, evaluation and replay all consume it.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol, TypeVar

from llamachat.calls import Offered, Part
from llamachat.errors import LlamaChatError
from llamachat.messages import (
    Dialog,
    Event,
    Message,
    MessageEnd,
    StopReason,
    ToolCall,
    ToolEnd,
    ToolResult,
    ToolStart,
    TurnEnd,
    Usage,
)
from llamachat.offer import Offer, open_dialog
from llamachat.protocol import CODE_INTERPRETER, Dialect, Reply, ReplyParser, encode_dialog, explain, frame_failure
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.tokenizer import Tokenizer
from llamachat.tools import Toolbox

MAX_STEPS = 10  # Meta's agent: max_infer_iters
MAX_REPEATS = 2  # an identical call is run this often in a turn; models that loop rarely stop by themselves
REPEATED = "You made this call before; answer with what it returned."
DECLINED = "The user declined this call."

T = TypeVar("T")
Approve = Callable[[ToolCall], Awaitable[str | None]]
"""Asks the user about a call: None lets it run, a string is the reason why not, and goes to the model."""


class Runtime(Protocol):
    """What the loop needs of an engine: ids in, ids out."""

    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def name(self) -> str: ...
    @property
    def context(self) -> int:
        """Longest prompt plus reply, in tokens."""

    @property
    def sampling(self) -> SamplingParams:
        """How the model's makers want it sampled."""

    @property
    def notice(self) -> str:
        """What the user should know about this engine, in a sentence; mostly nothing."""

    @property
    def stats(self) -> GenerationStats:
        """Of the latest ``generate``."""

    def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        """Sampled ids that ``constraint`` allows, the stop id included. Closing it cancels between tokens."""


@dataclass(slots=True)
class _Turn:
    """What a turn adds up: the growing dialog, its cost, and which calls were made or declined."""

    dialog: Dialog
    begun: tuple[int, ...] = ()
    """Ids that the first reply begins with."""
    start: float = field(default_factory=time.perf_counter)
    usage: Usage = Usage()
    steps: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    declined: set[str] = field(default_factory=set)
    reply: Reply | None = None
    limited: bool = False
    """Whether the latest reply was as long as one may be, and the context holds another."""
    told: bool = False
    """Whether the model was told that a call was cut."""

    @property
    def actions(self) -> list[Part]:
        """The calls and broken calls of the latest reply, in order."""
        return [part for part in self.reply.parts if part.to == "ipython"] if self.reply else []

    def may_go_on(self) -> bool:
        """Whether the model is told that a call of its was cut, and may write it again: once a turn, if there is as
        much room again as the limit left it."""
        told, self.told = self.told, True
        return self.limited and not told and any(part.error or part.cut for part in self.actions)

    def count(self, stats: GenerationStats, first_id_at: float | None) -> None:
        """Add one generation."""
        old = self.usage
        self.usage = replace(
            old,
            prompt_tokens=stats.prompt_tokens,
            cached_tokens=old.cached_tokens + stats.cached_tokens,
            prefilled_tokens=old.prefilled_tokens + stats.prefilled_tokens,
            generated_tokens=old.generated_tokens + stats.generated_tokens,
            decode_seconds=old.decode_seconds + stats.decode_seconds,
            first_token_seconds=old.first_token_seconds or ((first_id_at or self.start) - self.start),
        )

    def end(self, stop: StopReason, note: str = "") -> TurnEnd:
        """The closing event."""
        usage = replace(self.usage, seconds=time.perf_counter() - self.start)
        return TurnEnd(stop, usage, self.steps, note)


async def run_turn(  # noqa: PLR0913 what a turn depends on, nearly all by name
    dialog: Dialog,
    runtime: Runtime,
    toolbox: Toolbox = Toolbox(),
    *,
    sampling: SamplingParams | None = None,
    max_steps: int = MAX_STEPS,
    approve: Approve | None = None,
    stop: asyncio.Event | None = None,
    today: date | None = None,
    constrained: bool | None = None,
    begun: Sequence[int] = (),
) -> AsyncGenerator[Event, None]:
    """Answer ``dialog``: generate, run the calls, feed the results back, until the model speaks to the user.

    ``dialog`` holds what was said, with the instruction as its leading system message; what the toolbox offers is added
    on the wire only. Every new message comes as a MessageEnd; TurnEnd is last. Setting ``stop`` ends the turn between
    two ids or tools and keeps what was said. ``sampling`` defaults to the model's own; ``constrained``, whether calls
    are held to the names and schemas of the toolbox, to what its dialect says. ``begun`` are ids that the first reply
    begins with: the model goes on behind them.
    Raises LlamaChatError if the runtime fails; the partial reply comes first.
    """
    turn = _Turn(dialog, tuple(begun))
    halt = stop or asyncio.Event()
    offer = toolbox.offer() if runtime.tokenizer.variant != "3.0" else Offer()  # 3.0 was never trained on tools
    from llamachat.constrain import Grammar  # late: with jsonschema 0.06 s, which the first frame would wait for

    held = runtime.dialect.constrained if constrained is None else constrained  # to nothing, if nothing is offered
    while turn.steps < max_steps:
        turn.steps += 1
        wire = open_dialog(turn.dialog, offer, runtime.dialect, today)
        prompt = encode_dialog(runtime.tokenizer, wire, runtime.dialect).ids
        grammar = Grammar(runtime.tokenizer, offer, turn.dialog.said if held and runtime.dialect.quotes else None)
        constraint = grammar.constraint() if held else None
        async with aclosing(
            _speak(turn, runtime, prompt, grammar.offered, sampling or runtime.sampling, halt, constraint)
        ) as speech:
            async for event in speech:
                yield event
        end = _ending(turn, halt)
        if end is None:
            async with aclosing(_act(turn, toolbox, approve, halt)) as acts:
                async for event in acts:
                    yield event
            end = _ending(turn, halt, acted=True)
        if end is not None:
            yield end
            return
    yield turn.end(StopReason.max_steps, f"The model used all its {max_steps} steps; say “go on” to let it continue.")


def _ending(turn: _Turn, halt: asyncio.Event, *, acted: bool = False) -> TurnEnd | None:
    """Whether the turn is over after a reply, or after its calls have run."""
    if halt.is_set():
        return turn.end(StopReason.cancelled)
    if acted:
        looping = any(count > MAX_REPEATS + 1 for count in turn.calls.values())
        return turn.end(StopReason.max_steps, "The model kept repeating the same call.") if looping else None
    stop = turn.reply.message.stop if turn.reply else None
    if stop is StopReason.out_of_tokens:
        if not turn.may_go_on():
            return turn.end(stop, "The reply was cut by the token limit.")
        return None
    more = turn.actions or stop is StopReason.end_of_message  # eom without a call: the message goes on in the next one
    return None if more else turn.end(StopReason.end_of_turn)


async def _speak(
    turn: _Turn,
    runtime: Runtime,
    prompt: list[int],
    offered: Offered,
    sampling: SamplingParams,
    halt: asyncio.Event,
    constraint: Constraint | None,
) -> AsyncGenerator[Event, None]:
    """One generation: its deltas, then its message, also when the runtime fails or the user stops half way."""
    parser = ReplyParser(runtime.tokenizer, offered)
    failure: LlamaChatError | None = None
    first_id_at: float | None = None
    begun, turn.begun = turn.begun, ()
    for delta in _begin(parser, begun, constraint):
        yield delta
    prompt = [*prompt, *begun]
    try:
        async with aclosing(runtime.generate(prompt, sampling, runtime.tokenizer.stop_ids, constraint)) as ids:
            while (token_id := await _next(ids, halt, racing=first_id_at is None)) is not None:
                first_id_at = first_id_at or time.perf_counter()
                for delta in parser.feed(token_id):
                    yield delta
                if parser.done:  # at a stop id, and where the model begins to write somebody else's turn
                    break
    except LlamaChatError as error:
        failure = error
    turn.count(runtime.stats, first_id_at)
    room = runtime.context - runtime.stats.prompt_tokens - runtime.stats.generated_tokens
    turn.limited = runtime.stats.generated_tokens >= sampling.max_tokens <= room
    turn.reply = reply = parser.finish(StopReason.cancelled if (failure or halt.is_set()) and not parser.done else None)
    for delta in reply.deltas:
        yield delta
    if len(reply.message.token_ids or ()) > len(begun):
        turn.dialog += reply.message
        yield MessageEnd(reply.message)
    if failure:
        raise failure


def _begin(parser: ReplyParser, begun: Sequence[int], constraint: Constraint | None) -> Iterator[Event]:
    """Read the ids that are there before the model speaks."""
    for token_id in begun:
        if constraint:
            constraint.accept(token_id)
        yield from parser.feed(token_id)


async def _next(ids: AsyncGenerator[int, None], halt: asyncio.Event, *, racing: bool) -> int | None:
    """The next id, or None at the end or once ``halt`` is set. Only the first id is raced: prefill may take long,
    and a task for each of 300 ids a second would cost more than the check between them."""
    if halt.is_set():
        return None
    if not racing:
        return await anext(ids, None)
    return await _unless(halt, anext(ids, None))


async def _unless(halt: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of ``work``, or None if ``halt`` is set first; then ``work`` is cancelled and has ended."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(halt.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    return None if task.cancelled() else task.result()


async def _act(
    turn: _Turn, toolbox: Toolbox, approve: Approve | None, halt: asyncio.Event
) -> AsyncGenerator[Event, None]:
    """Run the calls of the latest reply in order; each result becomes an ipython message."""
    for part in turn.actions:
        call = _call(part)
        yield ToolStart(call)
        start = time.perf_counter()
        result = await _answer(turn, part, call, toolbox, approve, halt)
        yield ToolEnd(result, time.perf_counter() - start)
        message = Message("ipython", result.output)
        turn.dialog += message
        yield MessageEnd(message)


async def _answer(
    turn: _Turn, part: Part, call: ToolCall, toolbox: Toolbox, approve: Approve | None, halt: asyncio.Event
) -> ToolResult:
    """What the model is told about one call of its own."""
    if part.kind == "error" or part.cut:
        return ToolResult(call, frame_failure(explain(part)), ok=False)
    key = json.dumps([call.name, dict(call.arguments)], sort_keys=True)
    turn.calls[key] += 1
    if turn.calls[key] > MAX_REPEATS:
        return ToolResult(call, frame_failure(REPEATED), ok=False)
    if halt.is_set():
        return ToolResult(call, frame_failure("The user interrupted before this call ran."), ok=False)
    if key in turn.declined:  # nobody is asked twice
        return ToolResult(call, frame_failure(DECLINED), ok=False)
    if approve and (refusal := await _unless(halt, approve(call))) is not None:
        turn.declined.add(key)
        return ToolResult(call, frame_failure(f"{DECLINED} {refusal}".strip()), ok=False)
    result = None if halt.is_set() else await _unless(halt, toolbox.run(call))
    return result or ToolResult(call, frame_failure("The user interrupted this call."), ok=False)


def _call(part: Part) -> ToolCall:
    """The call that a part asks for; for an error part as much as is known of it."""
    if part.kind == "code":
        return ToolCall(CODE_INTERPRETER, {"code": part.text})
    return ToolCall(part.name or "?", part.arguments or {})
