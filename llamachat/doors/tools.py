"""The tools door: what tools there are, and one call of one of them, as a model would make it. Knows no model.

Who types a call means it, so nothing is asked.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from llamachat import config
from llamachat.errors import ConfigError
from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.visible import visible

if TYPE_CHECKING:  # they bring jsonschema, which the chat's first frame need not wait for
    from llamachat.tools import Tool, Toolbox

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="List the tools that a model may call, and call one.")
Output = Annotated[Literal["text", "json"], typer.Option(help="Form of the answer.")]
Functions = Annotated[list[Path] | None, typer.Option(help="A Python file whose functions are tools too.")]
Mcp = Annotated[Path | None, typer.Option("--mcp", help="A JSON file of MCP servers, with mcpServers in it.")]


@app.command("list")
def list_(output: Output = "text", functions: Functions = None, mcp: Mcp = None) -> None:
    """List the tools: name, where it comes from, whether it asks first, what it does."""

    async def listed(toolbox: "Toolbox") -> "tuple[Tool, ...]":
        return toolbox.tools

    tools = _with_tools(functions, mcp, listed)
    if output == "json":
        keys = ("name", "source", "permission", "description", "parameters")
        typer.echo(json.dumps([{key: getattr(tool, key) for key in keys} for tool in tools]))
        return
    rows = [(tool.name, tool.source, tool.permission, " ".join(tool.description.split())) for tool in tools]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, description in rows:
        start = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
        typer.echo(visible(f"{start}  {description}"))


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="The tool.")],
    arguments: Annotated[str, typer.Argument(metavar="JSON", help='Its arguments, as {"name": value}.')] = "{}",
    output: Output = "text",
    files: Annotated[Path | None, typer.Option(help="A folder for the files that the tool makes.")] = None,
    functions: Functions = None,
    mcp: Mcp = None,
) -> None:
    """Call a tool and print what it says. Exits with 1 if the call did not do its work."""
    asked = ToolCall(name, _read(arguments))

    async def called(toolbox: "Toolbox") -> ToolResult:
        result = await toolbox.run(asked)
        artifacts = [_kept(artifact, files) for artifact in result.artifacts]
        if output == "json":
            typer.echo(json.dumps({"ok": result.ok, "output": result.output, "artifacts": artifacts}))
        else:
            typer.echo(visible(result.output) if sys.stdout.isatty() else result.output)
        return result

    if not _with_tools(functions, mcp, called).ok:
        raise typer.Exit(1)


def _with_tools(functions: list[Path] | None, mcp: Path | None, use: "Callable[[Toolbox], Awaitable[T]]") -> T:
    from llamachat.workshop import open_workshop

    overrides: dict[str, Any] = {"chat.functions": [str(path) for path in functions]} if functions else {}
    settings = config.load(overrides | ({"mcp.file": str(mcp)} if mcp else {})).config

    async def run() -> T:
        async with open_workshop(settings, _notice) as toolbox:
            return await use(toolbox)

    return asyncio.run(run())


def _kept(artifact: Artifact, folder: Path | None) -> dict[str, str | None]:
    """The file, copied to ``folder``, or without a path: the tool's own copy goes with the tool."""
    path = None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        path = str(shutil.copy(artifact.path, folder / artifact.name))
    return {"name": artifact.name, "media_type": artifact.media_type, "path": path}


def _notice(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _read(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The arguments are no JSON: {error}.", """Quote them: '{"query": "llamas"}'.""") from error
    if not isinstance(value, dict):
        raise ConfigError("The arguments are no JSON object.", """Give them by name: '{"query": "llamas"}'.""")
    return value
