"""The doctor: looks at everything that llamachat stands on, and says what to do about what is missing. Changes nothing."""

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from llamachat import __version__, config
from llamachat.errors import LlamaChatError
from llamachat.paths import bundled_model, cache_dir, config_dir, data_dir, terminal_facts

State = Literal["ok", "note", "bad"]
_MARKS = {"ok": "✓", "note": "!", "bad": "✗"}
LITTLE = 1 << 30  # bytes that a disk should have free


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``note`` is worth knowing, ``bad`` keeps something from working; both have a hint."""

    name: str
    state: State
    detail: str
    hint: str = ""


def doctor(
    model: Annotated[Path | None, typer.Option("-m", "--model", help="A checkpoint to look at, too.")] = None,
    output: Annotated[Literal["text", "json"], typer.Option(help="Form of the findings.")] = "text",
) -> None:
    """Check python, torch, the model, the sandbox, the terminal, the settings and the store."""
    found: list[Check] = []
    for look in (_python, _engine, lambda: _model(model), _sandbox, _terminal, _settings, _store, _disk):
        for check in _safely(look):
            found.append(check)
            if output == "text":
                hint = f"\n    {check.hint}" if check.hint else ""
                typer.echo(f"{_MARKS[check.state]} {check.name}: {check.detail}{hint}")
    if output == "json":
        typer.echo(json.dumps([asdict(check) for check in found], ensure_ascii=False))
    raise typer.Exit(1 if any(check.state == "bad" for check in found) else 0)


def _safely(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What is broken is a finding."""
    try:
        yield from look()
    except LlamaChatError as error:
        yield Check(look.__name__.strip("_<>"), "bad", error.message, error.hint)


def _python() -> Iterator[Check]:
    version = platform.python_version()
    yield Check("llamachat", "ok", f"{__version__} on Python {version}, {platform.system()} {platform.machine()}")


def _engine() -> Iterator[Check]:
    import torch

    yield Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        yield Check("device", "ok", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    else:
        yield Check("device", "note", "the CPU", "Models above 1B are slow there; a CUDA GPU is used where torch has one.")


def _model(path: Path | None) -> Iterator[Check]:
    from llamachat.runtime import LlamaRuntime

    for folder in filter(None, (bundled_model(), path)):
        runtime = LlamaRuntime.open(folder)
        yield Check("model", "ok", f"{runtime.name}, context {runtime.context:,}, tokenizer {runtime.tokenizer.variant}")


def _sandbox() -> Iterator[Check]:
    from llamachat.tools.sandbox import layers

    for layer in layers():
        yield Check(f"sandbox, {layer.name}", "ok" if layer.on else "note", layer.detail, layer.hint)


def _terminal() -> Iterator[Check]:
    facts = terminal_facts()
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower()
    yield Check("terminal", "ok", f"{facts.get('TERM', 'none')}, {size.columns}×{size.lines}, {encoding}")
    if "utf" not in encoding:
        yield Check("letters", "note", f"{encoding} has few of them", "Set LANG to a UTF-8 locale.")
    if facts.get("COLORTERM") not in ("truecolor", "24bit"):
        yield Check("colours", "note", "256 or fewer", "Set COLORTERM=truecolor if your terminal can show more.")
    if "NO_COLOR" in facts:
        yield Check("colours", "note", "off, since NO_COLOR is set", "Unset it to see colours.")
    if "TMUX" in facts:
        hint = "For copying: tmux set -s set-clipboard on. For pictures: tmux set -g allow-passthrough on."
        yield Check("tmux", "note", "between us and the terminal", hint)


def _settings() -> Iterator[Check]:
    loaded = config.load()
    where = config.user_file()
    yield Check("settings", "ok", f"{where}{'' if where.exists() else ' (not there: all is default)'}")
    for notice in loaded.notices:
        yield Check("settings", "note", notice, "llamachat config distrust stops the reminder.")


def _store() -> Iterator[Check]:
    from llamachat.sessions import health

    for state, detail, hint in health():
        yield Check("sessions", state, detail, hint)


def _disk() -> Iterator[Check]:
    for name, folder in (("data", data_dir()), ("config", config_dir()), ("cache", cache_dir())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        try:
            free = shutil.disk_usage(there).free
        except OSError as error:
            yield Check(f"{name} folder", "bad", f"{folder}: {error.strerror}", "Choose another: LLAMACHAT_DATA_DIR and its like.")
            continue
        room = f"{folder}, {free / 2**30:.1f} GiB free"
        yield Check(f"{name} folder", "ok" if free > LITTLE else "note", room, "" if free > LITTLE else "Free some space.")
