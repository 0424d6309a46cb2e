"""What an evaluation found: pass rates with intervals, as text and as JSON. Knows outcomes, no models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.evaluation.run import Outcome

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Rate:
    """``passed`` of ``total``."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.passed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true rate lies with 95 % confidence (Wilson, JASA 22, 1927): sane for few tasks, and at 0 and 1."""
        p, n = self.share, self.total
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

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rates = self.categories.items()
        return {
            "categories": {name: {"passed": r.passed, "total": r.total, "rate": r.share} for name, r in rates},
            "macro": self.macro,
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
        failed = [outcome for outcome in self.outcomes if not outcome.passed]
        lines += [f"\nFailed: {len(failed)} of {len(self.outcomes)}"] if failed else []
        lines += [f"  {o.task.id}: {'; '.join(turn.reason for turn in o.turns if turn.reason)}" for o in failed]
        return "\n".join(lines)


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
