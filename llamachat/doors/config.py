"""The config door: what is set, where it came from, and how to change it. Knows no chat."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import typer

from llamachat import config
from llamachat import trust as trusts
from llamachat.errors import ConfigError
from llamachat.paths import editor

app = typer.Typer(help="Look at the settings, and change them.", no_args_is_help=True)


@app.command()
def path() -> None:
    """Print where the user's config is, or would be."""
    typer.echo(config.user_file())


@app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    output: Annotated[Literal["text", "json"], typer.Option(help="Form of the list.")] = "text",
) -> None:
    """Print every setting, its value and what it means."""
    loaded = config.load()
    if output == "json":
        rows = [{"key": s.key, "value": s.value, "origin": s.origin} for s in loaded.settings()]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for setting in loaded.settings():
        value = "" if setting.value is None else json.dumps(setting.value, ensure_ascii=False)
        typer.echo(f"{setting.key} = {value}".rstrip())
        typer.echo(f"    {f'({setting.origin}) ' if origin else ''}{setting.help}")
    for notice in loaded.notices:
        typer.echo(notice, err=True)


@app.command("set")
def set_(key: str, value: str) -> None:
    """Write one setting into the user's config: llamachat config set sampling.temperature 0.2"""
    file = config.save(key, config.value_of(value))
    typer.echo(f"{key} is set in {file}.")


@app.command()
def edit() -> None:
    """Open the user's config in $EDITOR, and check it afterwards."""
    file = config.user_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        subprocess.run([*shlex.split(editor()), os.fspath(file)], check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"The editor {editor()!r} failed.", "Set EDITOR to one that works.") from error
    config.load()


@app.command()
def trust(folder: Annotated[Path | None, typer.Argument(help="Default: the project we are in.")] = None) -> None:
    """Use the project's .llamachat/config.toml from now on, as long as it stays the same."""
    project = _project(folder)
    typer.echo(project.read_text(encoding="utf-8", errors="replace").rstrip())
    trusts.trust(project)
    typer.echo(f"{project} is trusted now.")


@app.command()
def distrust(folder: Annotated[Path | None, typer.Argument(help="Default: the project we are in.")] = None) -> None:
    """Don't use the project's .llamachat/config.toml, and don't ask again."""
    project = _project(folder)
    trusts.trust(project, yes=False)
    typer.echo(f"{project} is not used.")


def _project(folder: Path | None) -> Path:
    project = config.project_file(folder)
    if project is None:
        raise ConfigError("There is no .llamachat/config.toml here or above.", "Give the folder of the project.")
    return project
