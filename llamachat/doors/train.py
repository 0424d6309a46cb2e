"""The train door: SFT, reward models, rejection sampling, DPO, averages and rounds of them. Prints; knows no screen."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llamachat.errors import ConfigError
from llamachat.visible import visible

if TYPE_CHECKING:  # torch takes seconds, which the chat's first frame need not wait for
    from llamachat.evaluation.tasks import Task
    from llamachat.offer import FunctionSpec
    from llamachat.training.post.reading import Line
    from llamachat.training.post.rows import Row
    from llamachat.training.post.start import Start
    from llamachat.training.post.trainer import Recipe

app = typer.Typer(
    no_args_is_help=True, help="Train a model further: on dialogs, on preferences, on the best of its own replies."
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE.jsonl …", help="One dialog or preference a line.")]
Model = Annotated[Path | None, typer.Option("-m", "--model", help="The checkpoint to begin with; without it, nano.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="A new folder for what is made.")]
Lora = Annotated[
    int | None, typer.Option(min=0, help="Rank of adapters; 0 trains all. Default: 16 from 0.5e9 weights on.")
]
Rate = Annotated[
    float | None, typer.Option("--lr", help="Learning rate. Default: by size and method (docs/training.md).")
]
Epochs = Annotated[int, typer.Option(min=1, help="How often every line is learned from.")]
Step = Annotated[
    int | None, typer.Option(min=64, help="Tokens of an update. Default: an eighth of the data, 512 to 16384.")
]
Context = Annotated[int, typer.Option(min=64, help="The longest dialog, in tokens; longer ones are left out.")]
Seed = Annotated[int, typer.Option(help="Decides the order, and what is drawn.")]
Afresh = Annotated[bool, typer.Option("--afresh", help="Encode the texts anew, though ids are there.")]
Functions = Annotated[list[Path] | None, typer.Option(help="A Python or JSON file of functions that the dialogs name.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if there is one.")]


@app.command()
def sft(  # noqa: PLR0913 typer reads the options from the signature
    files: Files,
    out: Out,
    model: Model = None,
    lora: Lora = None,
    lr: Rate = None,
    epochs: Epochs = 2,
    step: Step = None,
    context: Context = 2048,
    seed: Seed = 1,
    afresh: Afresh = False,
    functions: Functions = None,
    device: Device = None,
) -> None:
    """Learn what the assistant says in dialogs; of preferences, the chosen replies."""
    from llamachat.training.post.reading import dialogs
    from llamachat.training.post.run import learn
    from llamachat.training.post.sft import SFT
    from llamachat.training.post.start import begin

    with _ready(out):
        lines = _lines(files)
        start = begin(model, device=device, lora=lora, context=context, afresh=afresh, seed=seed)
        rows = _fitting(dialogs(lines, start.speech, _known(functions)), start)
        learn(start, SFT(), rows, _recipe(start, "sft", rows, lr, epochs, step, seed), out, title="SFT")
        _tell(f"Learned from {len(rows)} dialogs. Talk to it: llamachat -m {out}")


@app.command()
def dpo(  # noqa: PLR0913
    files: Files,
    out: Out,
    model: Model = None,
    lora: Lora = None,
    lr: Rate = None,
    epochs: Epochs = 1,
    step: Step = None,
    context: Context = 2048,
    seed: Seed = 1,
    beta: Annotated[float, typer.Option(min=0.0, help="How far the model may go from where it began.")] = 0.1,
    nll: Annotated[float, typer.Option(min=0.0, help="Weight of the chosen replies' own loss; 0 is none.")] = 0.2,
    format_mask: Annotated[bool, typer.Option(help="Leave end tokens out of the comparison.")] = True,
    afresh: Afresh = False,
    functions: Functions = None,
    device: Device = None,
) -> None:
    """Learn to prefer the chosen replies to the rejected ones (llamachat sessions export ID --format dpo)."""
    from llamachat.training.post.dpo import DPO
    from llamachat.training.post.reading import preferences
    from llamachat.training.post.run import learn
    from llamachat.training.post.start import begin

    with _ready(out):
        lines = _lines(files)
        start = begin(model, device=device, lora=lora, context=context, afresh=afresh, seed=seed)
        rows = _fitting(preferences(lines, start.speech, _known(functions)), start)
        ends = start.speech.tokenizer.stop_ids if format_mask else frozenset()
        objective = DPO(ends, beta, nll)
        rows = objective.referred(start.model, rows)
        learn(start, objective, rows, _recipe(start, "dpo", rows, lr, epochs, step, seed), out, title="DPO")
        _tell(f"Learned from {len(rows)} pairs. Talk to it: llamachat -m {out}")


@app.command()
def reward(  # noqa: PLR0913
    files: Files,
    out: Out,
    model: Model = None,
    lora: Lora = None,
    lr: Rate = None,
    epochs: Epochs = 1,
    step: Step = None,
    context: Context = 2048,
    seed: Seed = 1,
    held_out: Annotated[float, typer.Option(min=0.0, max=0.9, help="The share of prompts to test on.")] = 0.1,
    afresh: Afresh = False,
    functions: Functions = None,
    device: Device = None,
) -> None:
    """Learn which of several replies to a prompt is liked better; tell how often it is right on pairs held out."""
    from llamachat.training.post.reading import preferences, ranked
    from llamachat.training.post.reward import Reward
    from llamachat.training.post.run import learn, split
    from llamachat.training.post.start import begin

    with _ready(out):
        lines = _lines(files)
        start = begin(model, device=device, lora=lora, context=context, afresh=afresh, seed=seed)
        rows = ranked(_fitting(preferences(lines, start.speech, _known(functions)), start))
        rows, test = split(rows, held_out)
        objective = Reward(start.checkpoint.config.dim, start.model.output.weight.device)
        learn(start, objective, rows, _recipe(start, "reward", rows, lr, epochs, step, seed), out, title="reward model")
        objective.save(out)
        pairs = sum(len(row.better) for row in test)
        _tell(
            f"Right on {objective.accuracy(start.model, test):.1%} of {pairs} pairs held out."
            if test
            else "Too few prompts to hold some out: how good it is was not measured."
        )


@app.command()
def reject(  # noqa: PLR0913
    out: Out,
    tasks: Annotated[
        Path | None, typer.Option(help="Tasks with expectations (docs/evaluation.md); without it, generated ones.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many generated tasks.")] = 500,
    k: Annotated[int, typer.Option("-k", "--samples", min=2, help="Replies to each prompt.")] = 16,
    model: Model = None,
    reward_model: Annotated[
        Path | None, typer.Option(help="What train reward made: picks among the right ones.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of sampling.")] = 0.8,
    keep: Annotated[int, typer.Option(min=1, help="Dialogs of a prompt to learn from.")] = 1,
    pairs: Annotated[int, typer.Option(min=0, help="Preferences of a prompt.")] = 2,
    hard: Annotated[bool, typer.Option("--hard/--no-hard", help="Take wrong calls as rejected replies.")] = True,
    seed: Seed = 1,
    device: Device = None,
) -> None:
    """Let a model answer tasks many times, and write what was right (sft.jsonl) beside what was not (pairs.jsonl)."""
    from llamachat.training.post.harvest import Harvest, draw, rewarded, write
    from llamachat.training.post.start import begin

    found = _tasks(tasks, count, seed)
    with _ready(out):
        start = begin(model, device=device, lora=0)
        harvest = Harvest(k, temperature, keep, pairs, hard, seed)
        samples = asyncio.run(draw(start, found, harvest))
        if reward_model:
            rewarded(samples, start.speech, reward_model, device)
        report = write(samples, harvest, out)
        _tell(
            f"{report['yield']:.1%} of {len(found)} prompts have a right reply, {report['rate']:.1%} of all replies "
            f"are right. {report['dialogs']} dialogs and {report['pairs']} pairs are in {out}."
        )


@app.command()
def average(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL …", help="Checkpoints of one shape.")],
    out: Out,
    weights: Annotated[str | None, typer.Option(metavar="W,…", help="Shares; equal by default.")] = None,
    base: Annotated[
        Path | None, typer.Option(help="What the models were trained from: merges their changes by TIES.")
    ] = None,
    keep: Annotated[float, typer.Option(help="TIES: the share of each model's changes that is kept.")] = 0.2,
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Default: float32 up to 0.5e9 weights.")
    ] = None,
) -> None:
    """Average the weights of models, or their changes from a base; of one model, a copy in another dtype."""
    import torch

    from llamachat.training.post.merging import merge

    shares = _numbers(weights)
    with _ready(out):
        merge(models, out, shares, base, keep, getattr(torch, dtype) if dtype else None)
        _tell(f"Averaged {len(models)} model{'s' * (len(models) > 1)}. Talk to it: llamachat -m {out}")


@app.command("round")
def rounds(  # noqa: PLR0913
    out: Out,
    model: Model = None,
    count: Annotated[int, typer.Option("-n", "--rounds", min=1, help="How many rounds.")] = 2,
    prompts: Annotated[int, typer.Option(min=1, help="Generated tasks of a round.")] = 520,
    k: Annotated[int, typer.Option("-k", "--samples", min=2, help="Replies to each.")] = 8,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of sampling.")] = 0.8,
    replay: Annotated[float, typer.Option(min=0.0, help="Generated dialogs for each sampled one.")] = 2.0,
    runs: Annotated[int, typer.Option(min=1, help="DPO runs to average.")] = 2,
    tested: Annotated[int, typer.Option(min=1, help="Tasks of the evaluation after each stage.")] = 195,
    lr: Annotated[float | None, typer.Option(help="Learning rate of SFT.")] = None,
    dpo_lr: Annotated[float | None, typer.Option(help="Learning rate of DPO.")] = None,
    format_mask: Annotated[bool, typer.Option(help="DPO leaves end tokens out of the comparison.")] = True,
    nll: Annotated[bool, typer.Option(help="DPO keeps the chosen replies likely.")] = True,
    averaging: Annotated[bool, typer.Option(help="Average several DPO runs.")] = True,
    hard: Annotated[bool, typer.Option(help="Take wrong calls as rejected replies.")] = True,
    seed: Seed = 1,
    device: Device = None,
) -> None:
    """Rounds of sampling, reward model, SFT, DPO and averaging, with an evaluation after each stage. Goes on where a
    stopped run was, given the same folder."""
    from llamachat.paths import bundled_model
    from llamachat.training.post.rounds import TABLE, Plan, run_rounds

    plan = Plan(
        count, prompts, k, temperature, replay, runs, tested, seed=seed, lr=lr, dpo_lr=dpo_lr,
        format_mask=format_mask, nll=nll, averaging=averaging, hard=hard, device=device,
    )  # fmt: skip
    with _ready(out):
        run_rounds(plan, model or bundled_model(), out)
        typer.echo((out / f"{TABLE}.md").read_text(encoding="utf-8"))


@contextmanager
def _ready(out: Path) -> Iterator[None]:
    """Under torchrun, join the other processes; tell how to go on if the run is stopped."""
    from llamachat.training.post.run import Interrupted
    from llamachat.training.post.saving import check_free
    from llamachat.training.post.start import set_threads
    from llamachat.training.team import processes

    check_free(out)
    set_threads()
    try:
        with processes():
            yield
    except Interrupted as error:
        _tell(f"{error} The same command goes on from there.")
        raise typer.Exit(130) from error


def _tell(text: str) -> None:
    from llamachat.training.team import place

    if place()[0] == 0:
        typer.echo(visible(text))


def _lines(files: Sequence[Path]) -> "list[Line]":
    from llamachat.training.post.reading import read_lines

    return [line for file in files for line in read_lines(file)]


def _known(files: Sequence[Path] | None) -> "dict[str, FunctionSpec]":
    """The functions of files, by name."""
    if not files:
        return {}
    from llamachat.tools import Toolbox
    from llamachat.tools.functions import load_functions

    tools = (tool for file in files for tool in load_functions(file))
    return {spec.name: spec for spec in Toolbox(tuple(tools)).offer().functions}


def _fitting(rows: "Sequence[Row]", start: "Start") -> "list[Row]":
    """Those that fit in the context; what does not is told of. Raises ConfigError if nothing is left."""
    from llamachat.training.post.reading import fitting
    from llamachat.training.post.run import need

    found = fitting(rows, start.speech.context)
    need(found, len(rows), start.speech.context)
    if len(found) < len(rows):
        _tell(f"{len(rows) - len(found)} of {len(rows)} are longer than {start.speech.context} tokens, and left out.")
    return found


def _recipe(
    start: "Start", method: str, rows: "Sequence[Row]", lr: float | None, epochs: int, step: int | None, seed: int
) -> "Recipe":
    from llamachat.training.post.run import default_rate, default_step
    from llamachat.training.post.trainer import Recipe

    rate = default_rate(start, method) if lr is None else lr
    if not 0 < rate < 1:
        raise ConfigError(f"The learning rate is {rate}.", "Choose it between 0 and 1, say 1e-4.")
    trained = f"adapters of rank {start.lora}" if start.lora else "all weights"
    _tell(f"{start.checkpoint.name}: {trained}, learning rate {rate:g}, on {start.model.output.weight.device}.")
    step = step or default_step(rows)
    return Recipe(rate, epochs, step, min(step, 4096), seed=seed)


def _tasks(file: Path | None, count: int, seed: int) -> "Sequence[Task]":
    if file is not None:
        from llamachat.evaluation.tasks import read_tasks

        return read_tasks(file)
    from llamachat.training.post.prompts import training_tasks

    return training_tasks(count, seed)


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"{text!r} is no list of numbers.", "For two models: --weights 1,2") from error
