"""What a run shows: a bar while it trains, and its losses as a picture. Knows trainers' logs, no objective."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from llamachat.training.post.trainer import Trainer
from llamachat.training.team import place

Tell = Callable[[int, int, str], None]
"""Done, of how many, and a few words."""


@contextmanager
def bar(title: str) -> Iterator[Tell]:
    """A progress bar on stderr; without a terminal a line at every tenth. Other processes than the first are silent."""
    console = Console(stderr=True, quiet=place()[0] > 0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        number = progress.add_task(title, total=None)

        def tell(done: int, total: int, words: str) -> None:
            progress.update(number, completed=done, total=total, description=f"{title}  {words}")
            if not console.is_terminal and (done * 10 // total) > ((done - 1) * 10 // total):
                console.print(f"{title}: {done} of {total}  {words}", highlight=False)

        yield tell


def of_trainer(tell: Tell) -> Callable[[Trainer], None]:
    """Tells of a trainer's steps: what it measured, the mean of the latest ten."""

    def step(trainer: Trainer) -> None:
        recent = trainer.log[-10:]
        names = [name for name in recent[-1] if name != "step"]
        means = (f"{name} {sum(e.get(name, 0.0) for e in recent) / len(recent):.3f}" for name in names)
        tell(trainer.done, len(trainer.plan), "  ".join(means))

    return step


def save_curve(log: Sequence[Mapping[str, float]], path: Path, title: str) -> None:
    """Draw what was measured by step, a panel each; smoothed over a twentieth of the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in (log[0] if log else {}) if name != "step"]
    if not names:
        return
    figure = Figure(figsize=(7, 2.4 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    width = max(1, len(log) // 20)
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        steps, values = [entry["step"] for entry in log], [entry.get(name, 0.0) for entry in log]
        smooth = [sum(values[max(0, i - width + 1) : i + 1]) / min(i + 1, width) for i in range(len(values))]
        axes.plot(steps, values, linewidth=0.6, alpha=0.4)
        axes.plot(steps, smooth, linewidth=1.4)
        axes.set_ylabel(name)
    axes.set_xlabel("step")
    figure.savefig(path, dpi=120)
