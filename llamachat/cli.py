"""The command line: the only place where parts are wired. Imports late, so that the first frame needs no torch."""

import asyncio
import io
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llamachat import __version__
from llamachat.doors import protocol, sandbox, sessions
from llamachat.doors import tools as tools_door
from llamachat.errors import ConfigError, LlamaChatError
from llamachat.messages import Dialog, Message
from llamachat.system_prompts import Persona, load_personas

if TYPE_CHECKING:
    from llamachat.agent import Runtime
    from llamachat.plain import Talk
    from llamachat.tools import Toolbox

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Chat with a Llama 3 model on your own hardware. Without options: the terminal chat, with the embedded model.",
)
app.add_typer(protocol.app, name="protocol")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(sessions.app, name="sessions")
app.add_typer(tools_door.app, name="tools")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user asked for, checked but not yet built."""

    model: Path | None
    persona: Persona
    system: str | None
    tools: tuple[str, ...] | None
    """Names to switch on; None leaves it to the persona."""
    functions: tuple[Path, ...]
    overrides: dict[str, Any]
    """Sampling fields given on the command line."""
    max_steps: int

    @property
    def instruction(self) -> str:
        """The system prompt: given outright, or the persona's."""
        return self.persona.text if self.system is None else self.system


@app.callback(invoke_without_command=True)
def chat(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="Answer this and leave; adds piped input.")
    ] = None,
    output: Annotated[Literal["text", "json", "stream-json"], typer.Option(help="Form of the -p answer.")] = "text",
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, for screen readers and pipes.")] = False,
    model: Annotated[Path | None, typer.Option("-m", "--model", help="A checkpoint folder, Meta's or HF's.")] = None,
    persona: Annotated[str, typer.Option(help="Who answers; see llamachat personas.")] = "default",
    system: Annotated[str | None, typer.Option("-s", "--system", help="System prompt, not the persona's.")] = None,
    tools: Annotated[str | None, typer.Option("-t", "--tools", help="Tools to switch on: python,search.")] = None,
    no_tools: Annotated[bool, typer.Option("--no-tools", help="Switch all tools off.")] = False,
    functions: Annotated[list[Path] | None, typer.Option(help="A Python file whose functions become tools.")] = None,
    max_steps: Annotated[int, typer.Option(min=1, max=1000, help="Most generations in a turn.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; default: the model's own.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """The chat itself, in one of its three forms."""
    if context.invoked_subcommand:
        return
    if version:
        typer.echo(f"llamachat {__version__}")
        return
    choices = Choices(
        model=model,
        persona=_persona(persona),
        system=system,
        tools=() if no_tools else tuple(tools.replace(",", " ").split()) if tools is not None else None,
        functions=tuple(functions or ()),
        overrides={k: v for k, v in (("seed", seed), ("temperature", temperature)) if v is not None},
        max_steps=max_steps,
    )
    if prompt is not None:
        raise typer.Exit(_answer(choices, _with_stdin(prompt), output))
    raise typer.Exit(_lines(choices) if plain else _screen(choices))


@app.command()
def personas() -> None:
    """List the personas, ours and your own."""
    for persona in load_personas().values():
        typer.echo(f"{persona.name:12} {persona.description}")


def _persona(name: str) -> Persona:
    known = load_personas()
    if name not in known:
        raise ConfigError(f"There is no persona {name!r}.", f"Personas here: {', '.join(known)}.")
    return known[name]


def _with_stdin(prompt: str) -> str:
    """``prompt``, and what is piped in behind it."""
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    piped = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return f"{prompt}\n\n{piped}" if piped.strip() else prompt


def _answer(choices: Choices, text: str, output: Literal["text", "json", "stream-json"]) -> int:
    from llamachat import plain

    if not text.strip():
        raise ConfigError("There is nothing to answer.", "Give a question: llamachat -p 'What is 12 * 12?'")
    return asyncio.run(plain.one_shot(_talk(choices), text, output))


def _lines(choices: Choices) -> int:
    from llamachat import plain

    return plain.repl(_talk(choices), sys.stdin)


def _talk(choices: Choices) -> "Talk":
    from llamachat.plain import Talk

    toolbox = build_toolbox(choices)
    runtime = open_runtime(choices.model)
    sampling = runtime.sampling.override({**choices.persona.sampling, **choices.overrides})
    dialog = Dialog((Message("system", choices.instruction),)) if choices.instruction else Dialog()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # all is loaded; from here on a turn can be kept
    return Talk(runtime, toolbox, dialog, sampling, choices.max_steps)


def _screen(choices: Choices) -> int:
    from llamachat.tui import LlamaChatApp, Settings

    if not sys.stdout.isatty():
        raise ConfigError("The chat needs a terminal, and this is a pipe.", "Use -p TEXT, or --plain.")
    settings = Settings(
        persona=choices.persona,
        personas=load_personas(),
        toolbox=build_toolbox(choices),
        overrides=choices.overrides,
        max_steps=choices.max_steps,
        system=choices.system,
    )
    app = LlamaChatApp(
        lambda path: open_runtime(Path(path) if path else choices.model),
        settings,
        choices.model.name if choices.model else "nano",
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Textual must put the terminal back in order
    app.run()
    return app.return_code or 0


def build_toolbox(choices: Choices) -> "Toolbox":
    """All tools that there are, with those switched on that the user or the persona wants."""
    from llamachat import workshop

    wanted = choices.persona.tools if choices.tools is None else choices.tools
    toolbox = workshop.build_toolbox(choices.functions, wanted)
    return toolbox.only(()) if choices.tools == () else toolbox


def open_runtime(path: Path | None) -> "Runtime":
    """The engine for a checkpoint, the embedded one by default. Slow: imports torch and reads weights."""
    from llamachat.paths import bundled_model
    from llamachat.runtime import LlamaRuntime

    return LlamaRuntime.open(path or bundled_model())


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the last two by typer)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a character must not end the chat
    try:
        app(prog_name="llamachat")
    except LlamaChatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:  # a full disk behind a redirected answer, a folder that has gone
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)  # what is still buffered can't be written either
        print(f"error: {error.strerror or error}\n  hint: Check where the output goes.", file=sys.stderr)
        sys.exit(1)
