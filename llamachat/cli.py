"""The command line: its options and verbs. Knows no part of a chat; ``start`` wires them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llamachat import __version__, config, start
from llamachat.config import Weights
from llamachat.doors import bench, protocol, sandbox, sessions
from llamachat.doors import cache as cache_door
from llamachat.doors import config as config_door
from llamachat.doors import tools as tools_door
from llamachat.doors import train as train_door
from llamachat.doors.doctor import doctor
from llamachat.doors.eval import evaluate
from llamachat.errors import ConfigError
from llamachat.paths import rank
from llamachat.system_prompts import load_personas

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Chat with a Llama 3 model on your own hardware. Without options: the terminal chat, with the embedded model.",
)
app.command()(doctor)
app.command("eval")(evaluate)
app.add_typer(bench.app, name="bench")
app.add_typer(cache_door.app, name="cache")
app.add_typer(config_door.app, name="config")
app.add_typer(protocol.app, name="protocol")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(sessions.app, name="sessions")
app.add_typer(tools_door.app, name="tools")
app.add_typer(train_door.app, name="train")


@app.callback(invoke_without_command=True)
def chat(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="Answer this and leave; adds piped input.")
    ] = None,
    output: Annotated[start.Form, typer.Option(help="Form of the -p answer.")] = "text",
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, for screen readers and pipes.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="In a browser on this machine, at the address shown.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 is a free one.")] = 0,
    tab: Annotated[bool, typer.Option("--tab", hidden=True, help="One tab of --serve: a screen over pipes.")] = False,
    go_on: Annotated[bool, typer.Option("-c", "--continue", help="Go on with the last session.")] = False,
    resume: Annotated[str | None, typer.Option("-r", "--resume", help="Go on with this session, or choose.")] = None,
    model: Annotated[Path | None, typer.Option("-m", "--model", help="A checkpoint folder, Meta's or HF's.")] = None,
    weights: Annotated[Weights | None, typer.Option(help="Quantise the model's weights to this.")] = None,
    remote: Annotated[
        str | None, typer.Option(metavar="URL", help="A vLLM, SGLang or llama-server that runs the model of -m.")
    ] = None,
    persona: Annotated[str | None, typer.Option(help="Who answers; see llamachat personas.")] = None,
    system: Annotated[str | None, typer.Option("-s", "--system", help="System prompt, not the persona's.")] = None,
    tools: Annotated[str | None, typer.Option("-t", "--tools", help="Tools to switch on: python,search.")] = None,
    no_tools: Annotated[bool, typer.Option("--no-tools", help="Switch all tools off.")] = False,
    functions: Annotated[
        list[Path] | None, typer.Option(help="A Python or JSON file of functions for the model.")
    ] = None,
    mcp: Annotated[Path | None, typer.Option("--mcp", help="A JSON file of MCP servers.")] = None,
    allow: Annotated[str | None, typer.Option(help="Tools that need not ask first: pay,send_mail, or all.")] = None,
    unwalled: Annotated[bool, typer.Option("--unwalled", help="Run python where the system has no walls.")] = False,
    constrained: Annotated[
        bool | None, typer.Option("--constrained/--free", help="Hold calls to the tools' schemas.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Most generations in a turn.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; default: the model's own.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """The chat itself, in one of its four forms."""
    if context.invoked_subcommand:
        return
    if version:
        typer.echo(f"llamachat {__version__}")
        return
    given = {
        "chat.model": str(model) if model else None,
        "chat.weights": weights,
        "remote.url": remote,
        "chat.persona": persona,
        "chat.system": system,
        "chat.tools": [] if no_tools else tools.replace(",", " ").split() if tools is not None else None,
        "chat.functions": [str(path) for path in functions] if functions else None,
        "chat.max_steps": max_steps,
        "chat.constrained": constrained,
        "mcp.file": str(mcp) if mcp else None,
        "python.unwalled": unwalled or None,
        "sampling.seed": seed,
        "sampling.temperature": temperature,
        **{
            f"permissions.{'*' if name == 'all' else name}": "allow" for name in (allow or "").replace(",", " ").split()
        },
    }
    if serve and (plain or prompt is not None):
        raise ConfigError("--serve shows the whole screen, not lines.", "Leave out --plain and -p.")
    follows = bool(rank())  # of torchrun's processes, all but the first
    if prompt is None and not follows:
        start.ask_for_trust()
    loaded = config.load({key: value for key, value in given.items() if value is not None})
    if follows:
        from llamachat.opening import follow

        return follow(loaded.config)
    chosen = start.Start(loaded.config, loaded.notices, go_on, resume)
    if prompt is not None:
        raise typer.Exit(start.answer(chosen, _with_stdin(prompt), output))
    if serve and not tab:
        raise typer.Exit(start.serve(chosen, port))
    raise typer.Exit(start.lines(chosen) if plain else start.screen(chosen, tab))


@app.command()
def personas() -> None:
    """List the personas, ours and your own."""
    for persona in load_personas().values():
        typer.echo(f"{persona.name:12} {persona.description}")


def spelled_out(args: Sequence[str]) -> list[str]:
    """``args``, where a ``-r`` without an id, which typer can't tell, asks to choose."""
    out = list[str]()
    for arg, behind in zip(args, [*args[1:], "-"], strict=True):
        out += [arg, start.CHOOSE] if arg in ("-r", "--resume") and behind.startswith("-") else [arg]
    return out


def _with_stdin(prompt: str) -> str:
    """``prompt``, and what is piped in behind it."""
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    piped = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return f"{prompt}\n\n{piped}" if piped.strip() else prompt
