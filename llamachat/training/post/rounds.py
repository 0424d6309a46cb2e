"""Iterative rounds: sample, reward model, SFT, DPO, average, evaluate; and again with what came out.

Llama 3 report §4.1.6 (six rounds, each with new samples of the latest model). Every stage leaves a folder and is not
done twice, so a killed run goes on. Evaluation is on a generated split that training never sees; what does
best there goes on, so report the final model on other tasks.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError
from llamachat.evaluation.report import Report
from llamachat.evaluation.run import GREEDY
from llamachat.evaluation.tasks import Task
from llamachat.training.data import draw_sample
from llamachat.training.post.crew import Crew
from llamachat.training.post.dpo import DPO
from llamachat.training.post.harvest import PAIRS_FILE, REPORT_FILE, SFT_FILE, Harvest, draw, rewarded, write
from llamachat.training.post.merging import merge
from llamachat.training.post.prompts import training_tasks
from llamachat.training.post.reading import Line, dialogs, fitting, preferences, ranked, read_lines
from llamachat.training.post.reject import sample
from llamachat.training.post.reward import HEAD, Reward
from llamachat.training.post.rows import Reply, Row
from llamachat.training.post.run import default_rate, default_step, learn, split
from llamachat.training.post.sft import SFT
from llamachat.training.post.start import Start, begin
from llamachat.training.post.trainer import Objective, Recipe
from llamachat.training.post.watch import bar
from llamachat.training.sample import NANO
from llamachat.training.splits import split_tasks

EVALUATION, TABLE = "evaluation.json", "rounds"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds of what size. ``replay``: generated dialogs for each sampled one, so that nothing is forgotten.
    ``format_mask``, ``nll``, ``averaging`` and ``hard`` are what ablations switch off."""

    rounds: int = 2
    prompts: int = 520
    k: int = 8
    temperature: float = 0.8
    replay: float = 2.0
    runs: int = 2
    """DPO runs that are averaged, with different seeds; every other one at half the learning rate."""
    tested: int = 195
    split: str = "unseen-both"
    seed: int = 1
    lr: float | None = None
    dpo_lr: float | None = None
    format_mask: bool = True
    nll: bool = True
    averaging: bool = True
    hard: bool = True
    device: str | None = None


def run_rounds(plan: Plan, model: Path, out: Path) -> list[dict[str, Any]]:
    """All rounds; ``out``/rounds.json and rounds.md grow with each. Returns the table."""
    out.mkdir(parents=True, exist_ok=True)
    tested = split_tasks(plan.split, plan.tested, plan.seed + 1000)
    rows: list[dict[str, Any]] = []
    start = evaluated(model, out / "start", tested, plan)
    for number in range(1, plan.rounds + 1):
        row, model = Round(plan, number, out, tested).run(model, start)
        rows.append(row)
        start = row[row["goes on"]]
        tabulate(rows, out)
    return rows


@dataclass(frozen=True, slots=True)
class Round:
    """One of them."""

    plan: Plan
    number: int
    out: Path
    tested: Sequence[Task]

    def run(self, model: Path, start: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        """The row of the table, and the model that goes on; ``start`` is the evaluation of ``model``."""
        report = self.samples(model)
        stages = {"sft": self.sft(model)}
        runs = [self.dpo(stages["sft"], run) for run in range(self.plan.runs if self.plan.averaging else 1)]
        stages["dpo"] = runs[0]
        if self.plan.averaging:
            stages["averaged"] = self.average(runs)
        scores = {name: evaluated(path, path, self.tested, self.plan) for name, path in stages.items()}
        sampled = {"yield": report["yield"], "rate": report["rate"], **report["reward"]}
        row = {"round": self.number, **sampled, "start": start, **scores}
        best = max(stages, key=lambda name: scores[name]["macro"])
        if scores[best]["macro"] < start["macro"]:
            return {**row, "goes on": "start"}, model
        return {**row, "goes on": best}, stages[best]

    def samples(self, model: Path) -> dict[str, Any]:
        """Replies of ``model``, the reward model of all pairs so far, and what it picked."""
        folder = self.folder("samples")
        if (folder / REPORT_FILE).exists():
            return dict(json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")))
        plan = self.plan
        harvest = Harvest(plan.k, plan.temperature, hard=plan.hard, seed=plan.seed + self.number)
        tasks = training_tasks(plan.prompts, plan.seed + 7 * self.number)
        start = self.begin(model)
        every = asyncio.run(draw(start, tasks, harvest))
        write(every, harvest, folder / "before")
        accuracy = self.reward(model)
        if accuracy:
            rewarded(every, start.speech, self.folder("reward"), plan.device)
        report = {**write(every, harvest, folder), "reward": accuracy}
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        return report

    def reward(self, model: Path) -> dict[str, float]:
        """The reward model's accuracy on pairs held out; empty if there are too few pairs for one."""
        folder, start = self.folder("reward"), self.begin(model)
        pairs = preferences(self.lines(PAIRS_FILE, "samples/before"), start.speech)
        rows, test = split(ranked(fitting(pairs, start.speech.context)), 0.2)
        if not test:
            return {}
        objective = Reward(start.checkpoint.config.dim, start.model.output.weight.device)
        if (folder / HEAD).exists():
            start = self.begin(folder)
            objective = Reward.load(folder, start.checkpoint.config.dim, start.model.output.weight.device)
        else:
            (folder / "config.json").unlink(missing_ok=True)  # a kill came between the model and its head
            self.learn(start, objective, rows, folder, "reward", 2)
            objective.save(folder)
        return {"reward accuracy": round(objective.accuracy(start.model, test), 4), "reward pairs": len(test)}

    def sft(self, model: Path) -> Path:
        """Learn from the best replies of all rounds so far, and from generated dialogs."""
        start = self.begin(model)
        rows = dialogs(self.lines(SFT_FILE, "samples"), start.speech)
        rows += replayed(start, round(self.plan.replay * len(rows)), self.plan.seed + self.number)
        return self.learn(start, SFT(), rows, self.folder("sft"), "sft", 1)

    def dpo(self, model: Path, run: int) -> Path:
        """Learn from the pairs of this round and the one before: older ones are of models that are gone."""
        start = self.begin(model)
        ends = start.speech.tokenizer.stop_ids if self.plan.format_mask else frozenset()
        objective = DPO(ends, nll=0.2 if self.plan.nll else 0.0)
        lines = self.lines(PAIRS_FILE, "samples", latest=2)
        rows = objective.referred(start.model, fitting(preferences(lines, start.speech), start.speech.context))
        return self.learn(start, objective, rows, self.folder(f"dpo-{run}"), "dpo", 1, run)

    def average(self, runs: Sequence[Path]) -> Path:
        """The mean of the runs."""
        folder = self.folder("averaged")
        if not (folder / "config.json").exists():
            merge(runs, folder)
        return folder

    def learn(
        self, start: Start, objective: Objective, rows: Sequence[Row], out: Path, method: str, epochs: int, run: int = 0
    ) -> Path:
        """Train, unless that was done."""
        if not (out / "config.json").exists():
            given = {"sft": self.plan.lr, "dpo": self.plan.dpo_lr}.get(method)
            rate = (given or default_rate(start, method)) * (0.5 if run % 2 else 1.0)
            rows = fitting(rows, start.speech.context)
            step = default_step(rows)
            recipe = Recipe(rate, epochs, step, min(step, 4096), seed=self.plan.seed + 10 * self.number + run)
            learn(start, objective, rows, recipe, out, title=f"{out.parent.name} {method}")
        return out

    def begin(self, model: Path) -> Start:
        """Open a checkpoint, to train all of it."""
        return begin(model, device=self.plan.device, lora=0, seed=self.plan.seed)

    def folder(self, name: str, number: int = 0) -> Path:
        """Where a stage's things are."""
        return self.out / f"round-{number or self.number}" / name

    def lines(self, file: str, stage: str, latest: int = 0) -> list[Line]:
        """The lines of a stage's file, of the ``latest`` rounds (0 is all). Raises ConfigError if there are none."""
        numbers = range(max(1, self.number - latest + 1 if latest else 1), self.number + 1)
        paths = [self.folder(stage, number) / file for number in numbers]
        found = [line for path in paths if path.stat().st_size for line in read_lines(path)]
        if not found:
            hint = "Give more --prompts or --samples, or a model that is right now and then."
            raise ConfigError(f"Sampling left nothing in {file}.", hint)
        return found


def replayed(start: Start, count: int, seed: int) -> list[Row]:
    """Generated dialogs, if the model speaks the dialect that they are written in."""
    if start.checkpoint.dialect != NANO:
        return []
    encoded = (draw_sample(10_000 + seed, i, "train").encode(start.speech.tokenizer) for i in range(count))
    return [Row((), (Reply(tuple(e.ids), tuple(e.learn)),)) for e in encoded]


def evaluated(model: Path, folder: Path, tasks: Sequence[Task], plan: Plan) -> dict[str, Any]:
    """Pass rates of ``model``, greedy, many dialogs at a time; kept in ``folder``."""
    file = folder / EVALUATION
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    start = begin(model, device=plan.device, lora=0)
    crew = Crew(start.model, start.speech.tokenizer, start.speech.dialect, name=start.checkpoint.name)
    done: list[float] = []
    with bar(f"evaluation {folder.parent.name} {folder.name}") as tell:

        def count(samples: Any) -> None:
            done.append(samples.rate)
            tell(len(done), len(tasks), f"{sum(done) / len(done):.1%} passed")

        sampling = replace(GREEDY, max_tokens=256)
        every = asyncio.run(sample(crew, tasks, k=1, tables=32, sampling=sampling, done=count))
    report = Report([outcome for samples in every for outcome in samples.outcomes])
    scores = {name: round(rate.share, 4) for name, rate in report.categories.items()}
    found = {"macro": round(report.macro, 4), "categories": scores, "tasks": len(tasks)}
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def tabulate(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the table as JSON and as Markdown."""
    (out / f"{TABLE}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    names = ("round", "yield", "rate", "reward accuracy", "start", "sft", "dpo", "averaged", "goes on")
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_cell(row.get(name, "")) for name in names) for row in rows]
    (out / f"{TABLE}.md").write_text("".join(f"| {line} |\n" for line in lines), encoding="utf-8")


def _cell(value: Any) -> str:
    value = value["macro"] if isinstance(value, dict) else value
    return f"{value:.1%}" if isinstance(value, float) else str(value)
