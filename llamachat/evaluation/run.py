"""Holds the dialogs of tasks through ``run_turn`` and judges each turn. Knows no files, no figures and no model."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from llamachat.agent import Runtime, run_turn
from llamachat.errors import LlamaChatError
from llamachat.evaluation.scoring import problem
from llamachat.evaluation.stubs import place_files, plain_name, toolbox
from llamachat.evaluation.tasks import Call, Task, Turn
from llamachat.messages import Dialog, Event, Message, MessageEnd, ToolStart
from llamachat.sampling import SamplingParams
from llamachat.tools import Toolbox
from llamachat.tools.python import PythonSession

GREEDY = SamplingParams(temperature=0.0, max_tokens=512)


@dataclass(frozen=True, slots=True)
class Judged:
    """One turn: what was said and called, and why it fails (empty if it passes)."""

    reply: str
    calls: tuple[Call, ...]
    reason: str

    @property
    def passed(self) -> bool:
        """Whether all expectations hold."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """One task: its turns judged, the dialog and all events that made it."""

    task: Task
    turns: tuple[Judged, ...]
    dialog: Dialog
    events: tuple[Event, ...]

    @property
    def passed(self) -> bool:
        """A task passes when every turn does."""
        return all(turn.passed for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model is asked. ``constrained`` as in ``run_turn``."""

    sampling: SamplingParams = GREEDY
    constrained: bool | None = None
    jobs: int = 1
    """Tasks held at the same time, for a runtime that gains by it."""


@dataclass(slots=True)
class _Stage:
    """A dialog under way."""

    dialog: Dialog
    events: list[Event] = field(default_factory=list)


async def evaluate(
    tasks: Sequence[Task], runtime: Runtime, settings: Settings, done: Callable[[Outcome], None]
) -> None:
    """Hold all dialogs; ``done`` gets each outcome as soon as it is there.

    A runtime that fails fails its task only. Raises ConfigError or StorageError if python can't run here at all.
    """
    waiting = iter(tasks)

    async def work() -> None:
        for task in waiting:
            done(await hold(task, runtime, settings))

    spare = PythonSession()  # held to the end, so that workers are forked from one zygote
    workers: list[asyncio.Task[None]] = []
    try:
        if any("python" in task.tools for task in tasks):
            await spare.look()
        workers = [asyncio.create_task(work()) for _ in range(places(runtime, settings.jobs))]
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await spare.close()


def places(runtime: Runtime, jobs: int) -> int:
    """How many of ``jobs`` tasks to hold at a time: as many as the runtime says, by ``parallel``, that it answers at
    once. One that says nothing answers one prompt after another, and keeps the keys and values of one dialog."""
    return min(jobs, getattr(runtime, "parallel", 1))


async def hold(task: Task, runtime: Runtime, settings: Settings = Settings()) -> Outcome:
    """The dialog of one task, with a python of its own."""
    python = PythonSession()
    try:
        place_files(task, python)
        return await converse(task, runtime, toolbox(task, python.tool), settings)
    finally:
        await python.close()


async def converse(task: Task, runtime: Runtime, tools: Toolbox, settings: Settings = Settings()) -> Outcome:
    """The dialog of one task, to its end: a turn that fails does not spare the ones behind it."""
    stage = _Stage(Dialog((Message("system", task.persona),) if task.persona else ()))
    judged = [await _turn(stage, task, turn, runtime, tools, settings) for turn in task.turns]
    return Outcome(task, tuple(judged), stage.dialog, tuple(stage.events))


async def _turn(stage: _Stage, task: Task, turn: Turn, runtime: Runtime, tools: Toolbox, settings: Settings) -> Judged:
    stage.dialog += Message("user", turn.user)
    start = len(stage.events)
    events = run_turn(stage.dialog, runtime, tools, sampling=settings.sampling, constrained=settings.constrained)
    failure = ""
    try:
        async with aclosing(events):
            async for event in events:
                stage.events.append(event)
                if isinstance(event, MessageEnd):
                    stage.dialog += event.message
    except LlamaChatError as error:
        failure = error.message
    reply, calls = read(stage.events[start:])
    return Judged(reply, calls, failure or problem(task, turn, reply, calls))


def read(events: Sequence[Event]) -> tuple[str, tuple[Call, ...]]:
    """The final reply of a turn, empty if it ended in calls, and all calls in order."""
    said = [e.message.text for e in events if isinstance(e, MessageEnd) and e.message.role == "assistant"]
    calls = (event.call for event in events if isinstance(event, ToolStart))
    return said[-1] if said else "", tuple(Call(plain_name(call.name), dict(call.arguments)) for call in calls)
