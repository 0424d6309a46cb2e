"""How a chat starts: the only place where its parts are wired. Knows no option of the command line.

Imports late, so that the first frame needs no torch. ``llamachat`` with nothing behind it comes here at once.
"""

import asyncio
import gc
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llamachat import config, trust
from llamachat.config import Config
from llamachat.errors import ConfigError, StorageError
from llamachat.system_prompts import Persona, load_personas
from llamachat.visible import visible

if TYPE_CHECKING:
    from llamachat.agent import Runtime
    from llamachat.chat.settings import Settings
    from llamachat.plain import Talk
    from llamachat.sessions import Session, Store
    from llamachat.sessions.writer import Tell
    from llamachat.tools import Toolbox
    from llamachat.workshop import Workshop

CHOOSE = "?"
"""In the place of a session's id: choose one when the chat is there."""
Form = Literal["text", "json", "stream-json"]


def alone() -> int:
    """The chat, with nothing on the command line. Returns the exit code."""
    ask_for_trust()
    loaded = config.load()
    return screen(Start(loaded.config, loaded.notices))


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
        return Settings(persona(chat.persona), personas(), toolbox, sampling, chat.max_steps, chat.system, self.config)

    def workshop(self) -> "Workshop":
        """The tools, with those switched on that the user or the persona wants."""
        from llamachat import workshop

        wanted = self.config.chat.tools
        gathered = workshop.gather(self.config, persona(self.config.chat.persona).tools if wanted is None else wanted)
        return replace(gathered, toolbox=gathered.toolbox.only(())) if wanted == [] else gathered

    @property
    def chooses(self) -> bool:
        """Whether the user wants to choose a session."""
        return self.resume == CHOOSE

    def session(self, store: "Store | None") -> "Session":
        """The one to go on with, or a new one. Raises ConfigError if there is none such."""
        from llamachat.sessions import unsaved

        if store is None:
            return unsaved()
        if self.resume and not self.chooses:
            return store.open(store.find(self.resume).id)
        last = store.latest() if self.go_on else None
        if self.go_on and last is None:
            raise ConfigError("There is no session to go on with.", "Start one: llamachat")
        return store.open(last.id) if last else store.create(os.getcwd())


def ask_for_trust() -> None:
    """A project's settings are somebody else's files: the user sees them before they hold."""
    project = config.project_file()
    if project is None or not trust.undecided(project) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    import typer  # late, as is all that asks

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


personas = cache(load_personas)  # a start looks at them three times


def persona(name: str) -> Persona:
    """The one of that name. Raises ConfigError."""
    known = personas()
    if name not in known:
        raise ConfigError(f"There is no persona {name!r}.", f"Personas here: {', '.join(known)}.")
    return known[name]


def answer(start: Start, text: str, output: Form) -> int:
    """Once, for scripts."""
    from llamachat import plain

    if start.chooses:
        raise ConfigError("-p goes on with a session only by its id.", "llamachat sessions list shows them.")
    if not text.strip():
        raise ConfigError("There is nothing to answer.", "Give a question: llamachat -p 'What is 12 * 12?'")
    notices = list(start.notices)
    store = open_store(notices, _tell) if start.go_on or start.resume else None
    talk = _talk(start, store)
    for notice in notices:
        print(visible(notice), file=sys.stderr)
    return asyncio.run(plain.one_shot(talk, text, output))


def lines(start: Start) -> int:
    """Line by line."""
    from llamachat import plain

    notices = list(start.notices)
    return plain.repl(_talk(start, open_store(notices, _tell)), notices, "/resume" if start.chooses else "")


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


def serve(start: Start, port: int) -> int:
    """In a browser. Every tab is this command once more."""
    from llamachat.doors.serve import serve

    persona(start.config.chat.persona)  # refused here, not in every tab
    serve([sys.executable, "-P", "-m", "llamachat", "--tab", *sys.argv[1:]], port)
    return 0


def screen(start: Start, tab: bool = False) -> int:
    """On the full screen; a ``tab`` of the browser is one, too."""
    gc.disable()  # as in __main__
    from llamachat.opening import open_runtime
    from llamachat.tui import LlamaChatApp

    gc.freeze()
    gc.enable()
    if not tab and not sys.stdout.isatty():
        raise ConfigError("The chat needs a terminal, and this is a pipe.", "Use -p TEXT, or --plain.")
    notices, screens = list(start.notices), list[LlamaChatApp]()
    store = open_store(notices, lambda trouble: screens[0].tell(trouble) if screens else None)
    workshop = start.workshop()
    chat, url = start.config.chat, start.config.remote.url

    def opened(other: str | None) -> "Runtime":
        return open_runtime(start.config, other, lambda share: screens[0].turns.loaded(share))

    app = LlamaChatApp(
        opened,
        start.settings(workshop.toolbox),
        url or (Path(chat.model).expanduser().name if chat.model else "nano"),
        store=store,
        session=start.session(store),
        workshop=workshop,
        notices=[*notices, *workshop.notices],
        choose=start.chooses,
    )
    screens.append(app)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Textual must put the terminal back in order
    app.run()
    if store:
        store.close()
    return app.return_code or 0
