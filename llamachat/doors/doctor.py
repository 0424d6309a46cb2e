"""The doctor: looks at all that llamachat stands on, and says what to do about what is missing. Changes nothing."""

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llamachat import __version__, config
from llamachat.config import Config, Loaded
from llamachat.errors import LlamaChatError
from llamachat.paths import bundled_model, cache_dir, config_dir, data_dir, terminal_facts
from llamachat.visible import visible

if TYPE_CHECKING:
    from llamachat.tools.mcp_servers import Server

State = Literal["ok", "note", "bad"]
LITTLE = 1 << 30  # bytes that a disk should have free
_MARKS = {"ok": "✓", "note": "!", "bad": "✗"}


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
    """Check python, torch, the model, the sandbox, the terminal, the settings, the tools and the store.

    Exits with 1 if something keeps llamachat from working.
    """
    found: list[Check] = []
    for check in _checks(model):
        found.append(check)
        if output == "text":
            hint = f"\n    {check.hint}" if check.hint else ""
            typer.echo(visible(f"{_MARKS[check.state]} {check.name}: {check.detail}{hint}"))
    if output == "json":
        typer.echo(json.dumps([asdict(check) for check in found]))
    raise typer.Exit(1 if any(check.state == "bad" for check in found) else 0)


def _checks(model: Path | None) -> Iterator[Check]:
    loaded = Loaded(Config(), {})
    try:
        loaded = config.load()
    except LlamaChatError as error:
        yield Check("settings", "bad", error.message, error.hint)
    else:
        yield from _settings(loaded)
    chosen = loaded.config.chat.model
    models = [bundled_model(), *filter(None, (model, Path(chosen).expanduser() if chosen else None))]
    yield from _safely("python", _python)
    yield from _safely("torch", _engine)
    for folder in dict.fromkeys(models):
        yield from _safely(f"model {folder.name}", _model, folder)
    if loaded.config.remote.url:
        yield from _safely("server", _remote, loaded.config)
    yield from _safely("sandbox", _sandbox)
    yield from _safely("tools", _tools, loaded.config)
    yield from _safely("terminal", _terminal)
    yield from _safely("sessions", _store)
    yield from _safely("kept", _kept)
    yield from _safely("folders", _folders)


def _safely(name: str, look: Callable[..., Iterator[Check]], *given: object) -> Iterator[Check]:
    """What is broken is a finding; torch for one raises OSError for a library that is missing."""
    try:
        yield from look(*given)
    except LlamaChatError as error:
        yield Check(name, "bad", error.message, error.hint)
    except (ImportError, OSError, RuntimeError) as error:
        yield Check(name, "bad", f"{error}", "Install llamachat again: pip install --force-reinstall llamachat")


def _settings(loaded: Loaded) -> Iterator[Check]:
    file = config.user_file()
    yield Check("settings", "ok", f"{file}{'' if file.exists() else ' (not there: all is default)'}")
    for notice in loaded.notices:
        yield Check("settings", "note", notice, "llamachat config distrust stops the reminder.")


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
        hint = "Models above 1B are slow there; a CUDA GPU is used where torch has one."
        yield Check("device", "note", "the processor", hint)
        yield _library()


def _library() -> Check:
    """Compiles it if need be: 5 s."""
    from llamachat.steps.compiler import machine, native

    build = native()
    if library := build.wait():
        return Check("steps in C++", "ok", f"{build.file}, for {machine(library)}")
    return Check("steps in C++", "note", build.problem, "Replies are slower without them. Install g++ or clang.")


def _model(folder: Path) -> Iterator[Check]:
    from llamachat.runtime import LlamaRuntime

    runtime = LlamaRuntime.open(folder)
    detail = f"{folder}: context {runtime.context:,}, tokenizer of Llama {runtime.tokenizer.variant}"
    yield Check(f"model {runtime.name}", "ok", detail)
    if runtime.notice:
        yield Check(f"speed of {runtime.name}", "note", runtime.notice, "Install or update triton and a C compiler.")


def _remote(settings: Config) -> Iterator[Check]:
    from llamachat.opening import open_runtime
    from llamachat.remote import RemoteRuntime

    runtime = open_runtime(settings)
    assert isinstance(runtime, RemoteRuntime)
    detail = f"{runtime.engine.kind} at {runtime.address.url} runs {runtime.name}, context {runtime.context:,}"
    yield Check("server", "ok", detail)


def _sandbox() -> Iterator[Check]:
    from llamachat.tools.sandbox import HINT, Walls, layers

    walls = Walls(layers())
    if walls.stand:
        yield Check("sandbox", "ok", f"python's code is held by {walls}")
    else:
        yield Check("sandbox", "bad", "no wall holds python's code, so the tool is off", HINT)
    for layer in walls.layers:
        missing = layer in walls.missing
        detail = layer.detail or ("on" if layer.on else "off" if missing else "off, and not needed")
        yield Check(f"sandbox, {layer.name}", "note" if missing else "ok", detail, layer.hint if missing else "")


def _tools(settings: Config) -> Iterator[Check]:
    """Functions, plug-ins and the file of MCP servers; no server is started."""
    import asyncio

    from llamachat.workshop import gather

    workshop = gather(settings)
    asyncio.run(workshop.toolbox.close())
    yield Check("tools", "ok", ", ".join(workshop.toolbox.names))
    for notice in workshop.notices:
        yield Check("tools", "note", notice, "Mend the package, or remove it.")
    yield from map(_server, workshop.servers)


def _server(server: "Server") -> Check:
    from llamachat.tools.mcp_servers import HttpServer

    name = f"MCP server {server.name}"
    if isinstance(server, HttpServer):
        return Check(name, "ok", server.url)
    if path := shutil.which(server.command, path=server.env.get("PATH")):
        return Check(name, "ok", path)
    return Check(name, "note", f"there is no command {server.command!r}", "Install it, or disable the server.")


def _terminal() -> Iterator[Check]:
    if not sys.stdout.isatty():
        yield Check("terminal", "ok", "none: this goes to a pipe or file")
        return
    facts, size, encoding = terminal_facts(), shutil.get_terminal_size(), (sys.stdout.encoding or "").lower()
    yield Check("terminal", "ok", f"{facts.get('TERM', 'unknown')}, {size.columns}×{size.lines}, {encoding}")
    if "utf" not in encoding:
        yield Check("letters", "note", f"{encoding} has few of them", "Set LANG to a UTF-8 locale.")
    if "NO_COLOR" in facts:
        yield Check("colours", "note", "off, since NO_COLOR is set", "Unset it to see colours.")
    elif facts.get("COLORTERM") not in ("truecolor", "24bit"):
        yield Check("colours", "note", "256 or fewer", "Set COLORTERM=truecolor if your terminal can show more.")
    if "TMUX" in facts:
        hint = "For copying: tmux set -s set-clipboard on. For pictures: allow-passthrough on, ui.pictures kitty."
        yield Check("tmux", "note", "between us and the terminal", hint)


def _store() -> Iterator[Check]:
    from llamachat.sessions.health import health

    found = health()
    if found.wrong:
        hint = "The next start sets a damaged store aside, and keeps what can be read; a newer one needs an update."
        yield Check("sessions", "bad", f"{found.path}: {found.wrong}", hint)
    elif found.there:
        size = f"{found.size / 2**20:.1f} MiB"
        yield Check("sessions", "ok", f"{found.sessions} with {found.messages:,} messages, {size}, in order")
    else:
        yield Check("sessions", "ok", f"none yet; they will be in {found.path}")
    for file in found.aside:
        yield Check("sessions", "note", f"a damaged store was set aside: {file}", "Remove it when you miss nothing.")


def _kept() -> Iterator[Check]:
    from llamachat.doors.cache import kept

    for name, size in kept():
        yield Check("kept", "ok", f"{name}, {size / 2**20:,.1f} MiB; llamachat cache clear removes them")


def _folders() -> Iterator[Check]:
    for name, folder in (("data", data_dir()), ("config", config_dir()), ("cache", cache_dir())):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        elsewhere = f"Choose another: LLAMACHAT_{name.upper()}_DIR."
        if not there.is_dir():
            yield Check(f"{name} folder", "note", f"{folder} can't be: {there} is a file", elsewhere)
            continue
        free = shutil.disk_usage(there).free
        room = f"{folder}, {free / 2**30:.1f} GiB free"
        yield Check(f"{name} folder", "ok" if free > LITTLE else "note", room, "" if free > LITTLE else elsewhere)
