"""The sandbox door: one job as JSON in, one answer out, for those who try the walls. Knows no model and no dialog.

In: ``{"cells": [code, …], "attachments": {name: text | {"b64": …}}, "wall": seconds per cell}``. Out: ``{"results":
[{"ok", "stdout", "stderr", "error", "value", "images", "files"}], "layers": [{"name", "on", "detail", "hint"}]}``. The
cells run in order in one fresh session; ``files`` are the names of new files.
"""

import asyncio
import base64
import binascii
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from llamachat.errors import ConfigError, LlamaChatError

if TYPE_CHECKING:
    from llamachat.tools.python import PythonSession

app = typer.Typer(no_args_is_help=True, help="Try the walls of the python tool.")

_WALL, _MAX_WALL = 20.0, 3600.0  # seconds a cell may take: by default, and at most
Job = dict[str, Any]


@app.callback()
def sandbox() -> None:
    """Try the walls of the python tool."""


@app.command()
def run(
    walls: Annotated[str, typer.Option(help="auto, bubblewrap, namespaces, landlock or none.")] = "auto",
    no_policy: Annotated[bool, typer.Option("--no-policy", help="The walls alone, without RestrictedPython.")] = False,
    unwalled: Annotated[bool, typer.Option("--unwalled", help="Also run where no wall of the system holds.")] = False,
) -> None:
    """One job on stdin, {"cells", "attachments", "wall"}; one answer on stdout, {"results", "layers"}."""
    from llamachat.tools.python import PythonLimits, PythonSession
    from llamachat.tools.sandbox import Choice

    try:
        if walls not in get_args(Choice):
            raise ConfigError(f"There are no walls called {walls!r}.", f"Choose one of {', '.join(get_args(Choice))}.")
        cells, attachments, wall = _read(sys.stdin.buffer.read())
        limits = PythonLimits(seconds=wall)
        session = PythonSession(limits, walls=walls, policy=not no_policy, unwalled=unwalled, warm=False)  # type: ignore[arg-type]
        answer = asyncio.run(_run(session, cells, attachments))
    except LlamaChatError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    print(json.dumps(answer))


async def _run(session: "PythonSession", cells: list[str], attachments: dict[str, bytes]) -> Job:
    try:
        with tempfile.TemporaryDirectory(prefix="llamachat-") as folder:
            for number, (name, data) in enumerate(attachments.items()):
                path = Path(folder) / str(number)
                path.write_bytes(data)
                session.attach(path, name)
        layers = (await session.look("\n".join(cells))).layers
        results = [await _cell(session, code) for code in cells]
        return {"results": results, "layers": [asdict(layer) for layer in layers]}
    finally:
        await session.close()


async def _cell(session: "PythonSession", code: str) -> Job:
    from llamachat.tools.shorten import shorten

    result = await session.run(code)
    limit = session.limits.output
    return {
        "ok": result.ok,
        "stdout": shorten(result.stdout, limit),
        "stderr": shorten(result.stderr, limit),
        "error": result.error,
        "value": result.value,
        "images": result.images,
        "files": [artifact.name for artifact in result.artifacts[result.images :]],
    }


def _read(data: bytes) -> tuple[list[str], dict[str, bytes], float]:
    """Cells, attachments and seconds of a job. Raises ConfigError, in one sentence, if it is not one."""
    try:
        job = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The job is not JSON: {error}.") from error
    if not isinstance(job, dict):
        raise ConfigError("The job must be an object.")
    if unknown := sorted(set(job) - {"cells", "attachments", "wall"}):
        raise ConfigError(f"The job has an unknown key {unknown[0]!r}.")
    cells, attachments, wall = job.get("cells"), job.get("attachments", {}), job.get("wall", _WALL)
    if not isinstance(cells, list) or not all(isinstance(cell, str) for cell in cells):
        raise ConfigError('"cells" must be a list of strings.')
    if not isinstance(attachments, dict):
        raise ConfigError('"attachments" must be an object.')
    if isinstance(wall, bool) or not isinstance(wall, int | float) or not 0 < wall <= _MAX_WALL:
        raise ConfigError(f'"wall" must be a number of seconds, at most {_MAX_WALL:g}.')
    return cells, {name: _content(name, value) for name, value in attachments.items()}, float(wall)


def _content(name: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise ConfigError(f"The attachment {name!r} is not base64: {error}.") from error
    raise ConfigError(f'The attachment {name!r} must be text or {{"b64": …}}.')
