"""Rejection sampling to files: what to learn from and what to compare, cleaned, and figures of both."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llamachat.errors import StorageError
from llamachat.evaluation.tasks import Task
from llamachat.training.post.crew import Crew
from llamachat.training.post.quality import cleaned, scored, without_near_duplicates
from llamachat.training.post.reading import Speech
from llamachat.training.post.reject import WARM, Samples, best, example, pairs, sample, turns
from llamachat.training.post.reward import Reward
from llamachat.training.post.rows import Reply, Row
from llamachat.training.post.start import Start, begin
from llamachat.training.post.watch import bar

SFT_FILE, PAIRS_FILE, REPORT_FILE = "sft.jsonl", "pairs.jsonl", "report.json"


@dataclass(frozen=True, slots=True)
class Harvest:
    """How to sample, and how much of it to take: ``k`` replies to a prompt, of which ``keep`` are learned from and
    ``pairs`` compared; ``hard`` as in ``reject.pairs``; ``tables`` prompts are answered at a time."""

    k: int = 16
    temperature: float = 0.8
    keep: int = 1
    pairs: int = 2
    hard: bool = True
    seed: int = 1
    tables: int = 8


async def draw(start: Start, tasks: Sequence[Task], harvest: Harvest) -> list[Samples]:
    """The samples of all tasks, with a bar."""
    crew = Crew(start.model, start.speech.tokenizer, start.speech.dialect, name=start.checkpoint.name)
    rates: list[float] = []
    with bar("sampling") as tell:

        def done(samples: Samples) -> None:
            rates.append(samples.rate)
            tell(len(rates), len(tasks), f"{sum(rates) / len(rates):.1%} right")

        sampling = replace(WARM, temperature=harvest.temperature)
        return await sample(
            crew, tasks, k=harvest.k, tables=harvest.tables, sampling=sampling, seed=harvest.seed, done=done
        )


def rewarded(every: Sequence[Samples], speech: Speech, folder: Path, device: str | None = None) -> None:
    """Let the reward model in ``folder`` judge all samples. Raises CheckpointError."""
    start = begin(folder, device=device, lora=0, context=speech.context)
    reward = Reward.load(folder, start.checkpoint.config.dim, start.model.output.weight.device)
    for samples in every:
        samples.rewards = rewards_of(samples, start, reward)


def rewards_of(samples: Samples, start: Start, reward: Reward) -> list[float]:
    """The reward of the last turn of each dialog; minus infinity where nothing was said or it is too long."""
    rewards = [float("-inf")] * len(samples.outcomes)
    prompts: dict[tuple[int, ...], list[tuple[int, Reply]]] = {}
    for number, outcome in enumerate(samples.outcomes):
        messages = outcome.dialog.messages
        begins, end = turns(messages)[-1]
        if end > begins and messages[begins].role == "assistant":
            prompt = start.speech.prompt(messages[:begins], samples.offer)
            reply = start.speech.reply(messages[begins:end])
            if len(prompt) + len(reply.ids) <= start.speech.context:
                prompts.setdefault(prompt, []).append((number, reply))
    rows = [Row(prompt, tuple(reply for _, reply in group)) for prompt, group in prompts.items()]
    for group, values in zip(prompts.values(), reward.judge(start.model, rows), strict=True):
        for (number, _), value in zip(group, values, strict=True):
            rewards[number] = value
    return rewards


def write(every: Sequence[Samples], harvest: Harvest, out: Path) -> dict[str, Any]:
    """Choose, clean and write sft.jsonl, pairs.jsonl and report.json. Returns the report. Raises StorageError."""
    lines = [example(samples, outcome) for samples in every for outcome in best(samples, harvest.keep)]
    fit, thrown = cleaned(lines)
    kept = without_near_duplicates(scored(fit))
    compared = [p for samples in every for p in pairs(samples, harvest.pairs, hard=harvest.hard)]
    report = {
        "prompts": len(every),
        "samples": harvest.k,
        "yield": _mean([float(samples.rate > 0) for samples in every]),
        "rate": _mean([samples.rate for samples in every]),
        "categories": _categories(every),
        "dialogs": len(kept),
        "thrown_out": {**thrown, "near duplicate": len(fit) - len(kept)},
        "pairs": len(compared),
        "faults": dict(Counter(pair["fault"] for pair in compared)),
    }
    if any(samples.rewards for samples in every):
        report["best_by_reward"] = _mean([float(_picked(samples)) for samples in every])
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / SFT_FILE).write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        (out / PAIRS_FILE).write_text("".join(json.dumps(pair) + "\n" for pair in compared), encoding="utf-8")
        (out / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"Can't write to {out}: {error.strerror}.", "Make room, or give another --out.") from error
    return report


def _picked(samples: Samples) -> bool:
    """Whether the reply of the highest reward is right."""
    return samples.outcomes[max(range(len(samples.rewards)), key=samples.rewards.__getitem__)].passed


def _categories(every: Sequence[Samples]) -> dict[str, dict[str, float]]:
    by: dict[str, list[float]] = {}
    for samples in every:
        by.setdefault(samples.task.category, []).append(samples.rate)
    return {
        name: {"rate": _mean(rates), "yield": _mean([float(rate > 0) for rate in rates])}
        for name, rates in sorted(by.items())
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / max(1, len(values)), 4)
