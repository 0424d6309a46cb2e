"""The eval door: how many tasks of a file, or of a generated split, a model solves. Prints; knows no screen."""

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llamachat import config
from llamachat.errors import ConfigError
from llamachat.opening import open_runtime
from llamachat.visible import visible

if TYPE_CHECKING:  # pydantic, jsonschema and torch take seconds, which the chat's first frame need not wait for
    from llamachat.agent import Runtime
    from llamachat.evaluation.run import Outcome, Settings
    from llamachat.evaluation.tasks import Task

Split = Literal["unseen-names", "unseen-templates", "unseen-both", "larger-schemas"]


def evaluate(  # noqa: PLR0913 typer reads the options from the signature
    file: Annotated[Path | None, typer.Argument(metavar="TASKS.jsonl", help="One task a line.")] = None,
    split: Annotated[Split | None, typer.Option(help="Generated tasks instead of a file.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many tasks of the split.")] = 100,
    model: Annotated[Path | None, typer.Option("-m", "--model", help="A checkpoint; without it, nano.")] = None,
    remote: Annotated[str | None, typer.Option(metavar="URL", help="A server that runs this model.")] = None,
    constrained: Annotated[Literal["auto", "on", "off"], typer.Option(help="Hold calls to the schemas.")] = "auto",
    only: Annotated[str | None, typer.Option(metavar="ID,…", help="Only these tasks.")] = None,
    category: Annotated[str | None, typer.Option(metavar="NAME,…", help="Only these categories.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split, and of sampling.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, help="Tasks at a time, if the runtime answers several at once.")] = 1,
    output: Annotated[Literal["text", "json"], typer.Option(help="Form of the report.")] = "text",
    trajectories: Annotated[Path | None, typer.Option(help="A folder for what happened, task by task.")] = None,
) -> None:
    """Let a model do tasks, with the real loop and the real python, and tell how many it solves.

    Ctrl-C tells of those that are done, and exits with 130.
    """
    from llamachat.evaluation.run import GREEDY, Settings
    from llamachat.evaluation.trajectories import Trajectories

    tasks = chosen(load(file, split, count, seed), only, category)
    settings = Settings(
        replace(GREEDY, temperature=temperature, seed=seed),
        {"auto": None, "on": True, "off": False}[constrained],
        jobs,
    )
    keep = Trajectories(trajectories).add if trajectories else lambda outcome: None
    own = config.load().config
    chat, server = replace(own.chat, model=str(model) if model else None, weights=None), replace(own.remote, url=remote)
    runtime = open_runtime(replace(own, chat=chat, remote=server))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on there is something to tell
    try:
        raise typer.Exit(conduct(tasks, runtime, settings, output, keep))
    finally:
        runtime.close()


def load(file: Path | None, split: Split | None, count: int, seed: int) -> "Sequence[Task]":
    """The tasks of a file or of a split. Raises ConfigError."""
    if (file is None) == (split is None):
        raise ConfigError("Give either a file of tasks or a split.", "llamachat eval TASKS.jsonl")
    if file is not None:
        from llamachat.evaluation.tasks import read_tasks

        return read_tasks(file)
    from llamachat.training.splits import split_tasks

    assert split is not None
    return split_tasks(split, count, seed)


def chosen(tasks: "Sequence[Task]", only: str | None, category: str | None) -> "Sequence[Task]":
    """The tasks of these ids and categories. Raises ConfigError on one that isn't there."""
    for wanted, kind, known in (
        (only, "task", {task.id for task in tasks}),
        (category, "category", {task.category for task in tasks}),
    ):
        for name in _names(wanted):
            if name not in known:
                raise ConfigError(f"There is no {kind} {name!r}.", f"For one: {min(known)}.")
    ids, categories = _names(only), _names(category)
    found = [t for t in tasks if (not ids or t.id in ids) and (not categories or t.category in categories)]
    if not found:
        raise ConfigError("None of these tasks is in that category.", "Leave out --only or --category.")
    return found


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def conduct(
    tasks: "Sequence[Task]",
    runtime: "Runtime",
    settings: "Settings",
    output: Literal["text", "json"],
    keep: "Callable[[Outcome], None]",
) -> int:
    """Hold the tasks, show how far it is on stderr, and print the report. Returns the exit code: 0, or 130 after
    Ctrl-C. ``keep`` gets each outcome."""
    from rich.console import Console
    from rich.progress import Progress

    from llamachat.evaluation import run
    from llamachat.evaluation.report import Report

    if run.places(runtime, settings.jobs) < settings.jobs:
        typer.echo(f"{runtime.name} answers one prompt after another: tasks are held one by one.", err=True)
    outcomes: list[Outcome] = []
    console = Console(stderr=True)
    code = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(tasks))

        def done(outcome: "Outcome") -> None:
            keep(outcome)
            outcomes.append(outcome)
            passed = sum(outcome.passed for outcome in outcomes)
            progress.update(bar, advance=1, description=f"{passed} of {len(outcomes)} passed")

        try:
            asyncio.run(run.evaluate(tasks, runtime, settings, done))
        except KeyboardInterrupt:
            code = 130
    report = Report(sorted(outcomes, key=lambda outcome: tasks.index(outcome.task)))
    if code:
        typer.echo(f"Interrupted: {len(outcomes)} of {len(tasks)} tasks are done.", err=True)
    typer.echo(json.dumps(report.to_json()) if output == "json" else visible(report.to_text()))
    return code
