"""The command line: the only place where parts are wired. Imports late, so that the first frame needs no torch."""

import asyncio
import io
import logging
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llamachat import __version__, config, trust
from llamachat.config import Config, Weights
from llamachat.doors import bench, protocol, sandbox, sessions
from llamachat.doors import cache as cache_door
from llamachat.doors import config as config_door
from llamachat.doors import tools as tools_door
from llamachat.doors import train as train_door
from llamachat.doors.doctor import doctor
from llamachat.doors.eval import evaluate
from llamachat.errors import ConfigError, LlamaChatError, StorageError
from llamachat.paths import rank
from llamachat.system_prompts import Persona, load_personas
from llamachat.visible import visible

if TYPE_CHECKING:
    from llamachat.chat.settings import Settings
    from llamachat.plain import Talk
    from llamachat.sessions import Session, Store
    from llamachat.sessions.writer import Tell
    from llamachat.tools import Toolbox
    from llamachat.workshop import Workshop

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


Form = Literal["text", "json", "stream-json"]


@app.callback(invoke_without_command=True)
def chat(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="Answer this and leave; adds piped input.")
    ] = None,
    output: Annotated[Form, typer.Option(help="Form of the -p answer.")] = "text",
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, for screen readers and pipes.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="In a browser on this machine, at the address shown.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 is a free one.")] = 0,
    tab: Annotated[bool, typer.Option("--tab", hidden=True, help="One tab of --serve: a screen over pipes.")] = False,
    go_on: Annotated[bool, typer.Option("-c", "--continue", help="Go on with the last session.")] = False,
    resume: Annotated[str | None, typer.Option("-r", "--resume", help="Go on with this session (its id).")] = None,
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
        _ask_for_trust()
    loaded = config.load({key: value for key, value in given.items() if value is not None})
    if follows:
        from llamachat.opening import follow

        return follow(loaded.config)
    start = Start(loaded.config, loaded.notices, go_on, resume)
    if prompt is not None:
        raise typer.Exit(_answer(start, _with_stdin(prompt), output))
    if serve and not tab:
        raise typer.Exit(_serve(start, port))
    raise typer.Exit(_lines(start) if plain else _screen(start, tab))


@dataclass(frozen=True, slots=True)
class Start:
    """What a chat begins with: the settings, what to tell of them, and which session."""

    config: Config
    notices: tuple[str, ...] = ()
    go_on: bool = False
    resume: str | None = None

    def settings(self, toolbox: "Toolbox") -> "Settings":
        """Persona, tools and sampling. Raises ConfigError."""
        from llamachat.chat.settings import Settings

        chat = self.config.chat
        sampling = {key: value for key, value in asdict(self.config.sampling).items() if value is not None}
        return Settings(
            _persona(chat.persona), load_personas(), toolbox, sampling, chat.max_steps, chat.system, self.config
        )

    def workshop(self) -> "Workshop":
        """The tools, with those switched on that the user or the persona wants."""
        from llamachat import workshop

        wanted = self.config.chat.tools
        gathered = workshop.gather(self.config, _persona(self.config.chat.persona).tools if wanted is None else wanted)
        return replace(gathered, toolbox=gathered.toolbox.only(())) if wanted == [] else gathered

    def session(self, store: "Store | None") -> "Session":
        """The one to go on with, or a new one. Raises ConfigError if there is none such."""
        from llamachat.sessions import unsaved

        if store is None:
            return unsaved()
        if self.resume:
            return store.open(store.find(self.resume).id)
        last = store.latest() if self.go_on else None
        if self.go_on and last is None:
            raise ConfigError("There is no session to go on with.", "Start one: llamachat")
        return store.open(last.id) if last else store.create(os.getcwd())


def _ask_for_trust() -> None:
    """A project's settings are somebody else's files: the user sees them before they hold."""
    project = config.project_file()
    if project is None or not trust.undecided(project) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    typer.echo(f"This folder has settings of its own, {project}:\n")
    typer.echo(visible(project.read_text(encoding="utf-8", errors="replace")))
    trust.trust(project, typer.confirm("Use them?", default=False))


def open_store(notices: list[str], tell: "Tell | None" = None) -> "Store | None":
    """Where sessions are kept; None, and a notice, where that can't be. ``tell`` hears of trouble later on."""
    from llamachat.sessions import Store

    try:
        store = Store(tell=tell) if tell else Store()
    except StorageError as error:
        notices.append(f"{error.message} Nothing of this chat is kept. {error.hint}")
        return None
    if store.notice:
        notices.append(str(store.notice))
    return store


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


def _answer(start: Start, text: str, output: Form) -> int:
    from llamachat import plain

    if not text.strip():
        raise ConfigError("There is nothing to answer.", "Give a question: llamachat -p 'What is 12 * 12?'")
    notices = list(start.notices)
    store = open_store(notices, _tell) if start.go_on or start.resume else None
    talk = _talk(start, store)
    for notice in notices:
        print(visible(notice), file=sys.stderr)
    return asyncio.run(plain.one_shot(talk, text, output))


def _lines(start: Start) -> int:
    from llamachat import plain

    notices = list(start.notices)
    return plain.repl(_talk(start, open_store(notices, _tell)), notices)


def _talk(start: Start, store: "Store | None") -> "Talk":
    from llamachat.opening import open_runtime
    from llamachat.plain import Talk

    session = start.session(store)
    workshop = start.workshop()
    settings = start.settings(workshop.toolbox)
    runtime = open_runtime(start.config)
    settings.sampling(runtime.sampling)  # refuses what is out of range, before anything is said
    signal.signal(signal.SIGINT, signal.default_int_handler)  # all is loaded; from here on a turn can be kept
    return Talk(
        runtime, settings, session, workshop,
        store=store, source=sys.stdin, open_runtime=lambda name: open_runtime(start.config, name),
    )  # fmt: skip


def _tell(trouble: StorageError | None) -> None:
    """From the writing thread."""
    print(visible(f"warning: {trouble}") if trouble else "The session is saved again.", file=sys.stderr)


def _serve(start: Start, port: int) -> int:
    """Every tab is this command once more."""
    from llamachat.doors.serve import serve

    _persona(start.config.chat.persona)  # refused here, not in every tab
    serve([sys.executable, "-P", "-m", "llamachat", "--tab", *sys.argv[1:]], port)
    return 0


def _screen(start: Start, tab: bool = False) -> int:
    from llamachat.opening import open_runtime
    from llamachat.tui import LlamaChatApp

    if not tab and not sys.stdout.isatty():
        raise ConfigError("The chat needs a terminal, and this is a pipe.", "Use -p TEXT, or --plain.")
    notices, screens = list(start.notices), list[LlamaChatApp]()
    store = open_store(notices, lambda trouble: screens[0].tell(trouble) if screens else None)
    workshop = start.workshop()
    chat, url = start.config.chat, start.config.remote.url
    app = LlamaChatApp(
        lambda other: open_runtime(start.config, other),
        start.settings(workshop.toolbox),
        url or (Path(chat.model).expanduser().name if chat.model else "nano"),
        store=store,
        session=start.session(store),
        workshop=workshop,
        notices=[*notices, *workshop.notices],
    )
    screens.append(app)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Textual must put the terminal back in order
    app.run()
    if store:
        store.close()
    return app.return_code or 0


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the last two by typer)."""
    logging.lastResort = None  # libraries' warnings would be written across the screen
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
