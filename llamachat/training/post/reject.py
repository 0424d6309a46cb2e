"""Rejection sampling: K replies to each prompt, judged by what they do; the best are learned from, pairs compared.

Llama 3 report §4.2.2 (K = 10 to 30, the reward model picks) and §4.3.5 (what can be executed is judged by execution).
A sample is a whole dialog, tools included, held through the product's own loop.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from llamachat.evaluation.run import Judged, Outcome, Settings, converse
from llamachat.evaluation.stubs import toolbox
from llamachat.evaluation.tasks import BUILTIN, Expect, Task
from llamachat.messages import Message, StopReason, ToolEnd
from llamachat.offer import Offer
from llamachat.sampling import SamplingParams
from llamachat.sessions.codec import message_data
from llamachat.training.post.cells import Notebook
from llamachat.training.post.crew import Branch, Crew

WARM = SamplingParams(temperature=0.8, top_p=1.0, max_tokens=256)


@dataclass(slots=True)
class Samples:
    """The replies to one task. ``rewards``, if a reward model was asked, is parallel to ``outcomes``."""

    task: Task
    offer: Offer
    outcomes: list[Outcome] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The share that passed; 1 - rate is how difficult the task is for this model."""
        return sum(outcome.passed for outcome in self.outcomes) / max(1, len(self.outcomes))

    def reward(self, outcome: Outcome) -> float:
        """Its reward, 0 without a model."""
        return self.rewards[self.outcomes.index(outcome)] if self.rewards else 0.0


async def sample(
    crew: Crew,
    tasks: Sequence[Task],
    *,
    k: int = 16,
    tables: int = 8,
    sampling: SamplingParams = WARM,
    constrained: bool | None = None,
    seed: int = 0,
    done: Callable[[Samples], None] = lambda samples: None,
) -> list[Samples]:
    """``k`` dialogs of each task; ``done`` gets those of a task as soon as they are there.

    Raises ConfigError or StorageError if python can't run here at all.
    """
    notebook = Notebook()
    settings = Settings(sampling, constrained)
    found = {task.id: Samples(task, toolbox(task, notebook.tool(task)).offer()) for task in tasks}

    async def hold(task: Task, branch: Branch) -> None:
        outcome = await converse(task, branch, toolbox(task, notebook.tool(task)), settings)
        samples = found[task.id]
        kept[task.id][branch.number] = outcome
        if len(kept[task.id]) == k:
            samples.outcomes = [kept[task.id][number] for number in range(k)]
            done(samples)

    kept: dict[str, dict[int, Outcome]] = {task.id: {} for task in tasks}
    try:
        if any("python" in task.tools for task in tasks):
            await notebook.open()
        await crew.play(tasks, hold, branches=k, tables=tables, seed=f"{seed}")
    finally:
        await notebook.close()
    return list(found.values())


def fault(outcome: Outcome) -> str:
    """What is wrong with a failed dialog: ``function``, ``argument``, ``undue``, ``missing`` (its calls: the hard
    negatives), ``answer``, or ``broken`` for what no reader would take for a reply."""
    turn, judged = next((t, j) for t, j in zip(outcome.task.turns, outcome.turns, strict=True) if not j.passed)
    if not judged.reply.strip() or judged.reason in BROKEN:
        return "broken"
    return _wrong_call(turn.expect, judged) or "answer"


BROKEN = ("empty reply", "echo of the question", "special token in the reply")
HARD = ("function", "argument", "undue", "missing")


def _wrong_call(expect: Expect, judged: Judged) -> str:
    if expect.no_call:
        return "undue" if judged.calls else ""
    if expect.calls is None:
        return ""
    wanted = [call.name for call in expect.calls if call.name not in BUILTIN]
    made = [call.name for call in judged.calls if call.name not in BUILTIN]
    if set(made) - set(wanted):
        return "function"
    if len(made) < len(wanted) or judged.reason.endswith("not called"):
        return "missing"
    return "argument" if judged.reason.startswith("no such call") else "undue" if len(made) > len(wanted) else ""


def turns(messages: Sequence[Message]) -> list[tuple[int, int]]:
    """For each user message, where the reply to it begins and ends."""
    starts = [i + 1 for i, message in enumerate(messages) if message.role == "user"]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), len(messages)], strict=True))


def clean(outcome: Outcome) -> bool:
    """Whether no call failed on the way and no reply was cut: what fails first should not be learned."""
    failed = any(isinstance(event, ToolEnd) and not event.result.ok for event in outcome.events)
    cut = any(message.stop is StopReason.out_of_tokens for message in outcome.dialog)
    return not (failed or cut)


def best(samples: Samples, keep: int = 1) -> list[Outcome]:
    """The dialogs to learn from: of those that passed cleanly and differ, the ``keep`` of the highest reward, then
    with the fewest messages and ids."""
    passed = {_said(o): o for o in reversed(samples.outcomes) if o.passed and clean(o)}
    return sorted(passed.values(), key=lambda o: (-samples.reward(o), len(o.dialog), _length(o)))[:keep]


def _said(outcome: Outcome) -> tuple[tuple[int, ...] | None, ...]:
    return tuple(message.token_ids for message in outcome.dialog if message.role == "assistant")


def _length(outcome: Outcome) -> int:
    return sum(len(message.token_ids or ()) for message in outcome.dialog)


def example(samples: Samples, outcome: Outcome) -> dict[str, Any]:
    """A line for SFT, as ``reading`` takes it."""
    return {
        "messages": [message_data(message) for message in outcome.dialog],
        **offered(samples.offer),
        "category": samples.task.category,
        "task": samples.task.id,
        "difficulty": round(1 - samples.rate, 4),
        "reward": samples.reward(outcome),
    }


def offered(offer: Offer) -> dict[str, Any]:
    """What a line says of the tools."""
    tools = (*(("python",) if offer.code else ()), *(("search",) if offer.builtin else ()))
    return {"tools": list(tools), "functions": [asdict(spec) for spec in offer.functions]}


def pairs(samples: Samples, most: int = 2, *, hard: bool = True) -> Iterator[dict[str, Any]]:
    """Lines for DPO: a dialog that passed beside ones that failed at the same question, in the same dialog so far.

    Different faults first; with ``hard`` those of calls before others, without it never those.
    """
    passed = best(samples, len(samples.outcomes))
    failed: dict[tuple[Any, ...], tuple[str, Outcome]] = {}
    for outcome in samples.outcomes:
        if not outcome.passed:
            failed.setdefault(_said(outcome), (fault(outcome), outcome))
    kinds = [kind for kind in (*HARD, "answer", "broken") if hard or kind not in HARD]
    by_kind = [[o for kind_, o in failed.values() if kind_ == kind] for kind in kinds]
    rounds = max(map(len, by_kind), default=0)
    ordered = [(kinds[i], group[n]) for n in range(rounds) for i, group in enumerate(by_kind) if n < len(group)]
    found = (_pair(samples, passed, kind, outcome) for kind, outcome in ordered)
    yield from [pair for pair in found if pair][:most]


def _pair(samples: Samples, passed: Sequence[Outcome], kind: str, bad: Outcome) -> dict[str, Any] | None:
    at = next(i for i, judged in enumerate(bad.turns) if not judged.passed)
    start, end = turns(bad.dialog.messages)[at]
    opening, rejected = bad.dialog.messages[:start], bad.dialog.messages[start:end]
    good = next((o for o in passed if _same(o.dialog.messages[:start], opening)), None)
    if good is None or not rejected or rejected[0].role != "assistant":
        return None
    begin, stop = turns(good.dialog.messages)[at]
    return {
        "prompt": [message_data(message) for message in opening],
        "chosen": [message_data(message) for message in good.dialog.messages[begin:stop]],
        "rejected": [message_data(message) for message in rejected],
        **offered(samples.offer),
        "preferred": "chosen",
        "fault": kind,
        "category": samples.task.category,
        "task": samples.task.id,
    }


def _same(one: Sequence[Message], other: Sequence[Message]) -> bool:
    return [(m.role, m.content, m.token_ids) for m in one] == [(m.role, m.content, m.token_ids) for m in other]
