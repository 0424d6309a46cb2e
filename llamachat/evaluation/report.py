"""What an evaluation found: pass rates with intervals, as text and as JSON. Knows outcomes, no models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.evaluation.run import Outcome
from llamachat.messages import Message, MessageEnd, StopReason

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Rate:
    """``passed`` of ``total``."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 of nothing is 0."""
        return self.passed / max(1, self.total)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true rate lies with 95 % confidence (Wilson, JASA 22, 1927): sane for few tasks, and at 0 and 1."""
        p, n = self.share, max(1, self.total)
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of some tasks."""

    outcomes: Sequence[Outcome]

    @property
    def categories(self) -> dict[str, Rate]:
        """Rates by category, in the order of their names."""
        by: dict[str, list[bool]] = {}
        for outcome in self.outcomes:
            by.setdefault(outcome.task.category, []).append(outcome.passed)
        return {name: Rate(sum(passed), len(passed)) for name, passed in sorted(by.items())}

    @property
    def macro(self) -> float:
        """The unweighted mean of the categories; 0 if there are none."""
        shares = [rate.share for rate in self.categories.values()]
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def protocol(self) -> Rate:
        """The messages of the model that keep to the protocol."""
        ends = (event for outcome in self.outcomes for event in outcome.events if isinstance(event, MessageEnd))
        kept = [well_formed(end.message) for end in ends if end.message.role == "assistant"]
        return Rate(sum(kept), len(kept))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rates = self.categories.items()
        return {
            "categories": {name: {"passed": r.passed, "total": r.total, "rate": r.share} for name, r in rates},
            "macro": self.macro,
            "protocol": {"passed": self.protocol.passed, "total": self.protocol.total, "rate": self.protocol.share},
            "tasks": [_task(outcome) for outcome in self.outcomes],
        }

    def to_text(self) -> str:
        """A table, and under it the tasks that failed."""
        width = max(map(len, ("macro average", *self.categories)))
        lines = [f"{'':{width}}  {'passed':>7}  {'rate':>6}   95 %"]
        for name, rate in self.categories.items():
            low, high = rate.interval
            count = f"{rate.passed}/{rate.total}"
            lines.append(f"{name:{width}}  {count:>7}  {rate.share:6.1%}   {low:.0%} … {high:.0%}")
        lines.append(f"{'macro average':{width}}  {'':7}  {self.macro:6.1%}")
        kept = self.protocol
        lines.append(f"\nMessages that keep to the protocol: {kept.passed} of {kept.total} ({kept.share:.1%})")
        failed = [outcome for outcome in self.outcomes if not outcome.passed]
        lines += [f"\nFailed: {len(failed)} of {len(self.outcomes)}"] if failed else []
        lines += [f"  {o.task.id}: {'; '.join(turn.reason for turn in o.turns if turn.reason)}" for o in failed]
        return "\n".join(lines)


def well_formed(message: Message) -> bool:
    """Whether a message of the model is a call that could be read, or a reply that ends with eot and says something."""
    if message.tool_calls:
        return message.stop in (StopReason.end_of_message, StopReason.end_of_turn)
    return message.stop is StopReason.end_of_turn and bool(message.text.strip())


def _task(outcome: Outcome) -> dict[str, Any]:
    turns = [
        {
            "passed": turn.passed,
            "reason": turn.reason,
            "reply": turn.reply,
            "calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in turn.calls],
        }
        for turn in outcome.turns
    ]
    return {
        "id": outcome.task.id,
        "category": outcome.task.category,
        "passed": outcome.passed,
        "turns": turns,
    }
