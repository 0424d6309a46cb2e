"""The front room: owns the Dialog, one worker per turn and the one ``match`` over Event.

Knows which widget shows what; knows no torch, no weights and no wire format. The first frame is painted before the
engine is imported, so a user may type, and send, while the model loads.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.screen import Screen

import llamachat.messages as said
from llamachat.agent import Runtime, run_turn
from llamachat.errors import ConfigError, EngineError, LlamaChatError
from llamachat.messages import CallDelta, Dialog, Event, MessageEnd, TextDelta, ToolEnd, ToolStart, TurnEnd
from llamachat.paths import data_dir
from llamachat.threads import in_thread
from llamachat.widgets import STYLESHEET
from llamachat.widgets.commands import COMMANDS, Command, complete, read
from llamachat.widgets.completions import CompletionList
from llamachat.widgets.help import HelpScreen
from llamachat.widgets.history import History
from llamachat.widgets.look import dress
from llamachat.widgets.message import UserView
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.settings import Settings
from llamachat.widgets.status import Pace, Status, StatusLine, meter
from llamachat.widgets.transcript import Transcript

__all__ = ["LlamaChatApp", "Settings"]

TICK = 0.25  # seconds between two looks at the speed of a reply that streams
QUIT = "ctrl+c again quits"

OpenRuntime = Callable[[str | None], Runtime]


class LlamaChatApp(App[None]):
    """The terminal chat. ``open_runtime`` is slow and may raise LlamaChatError; None stands for the first model."""

    TITLE = "llamachat"
    CSS_PATH = STYLESHEET
    AUTO_FOCUS = "#prompt"
    PAUSE_GC_ON_SCROLL = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012  # Textual's own annotation is no ClassVar
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "interrupt", "Stop the reply; back to the prompt", id="app.interrupt"),
        Binding("ctrl+c", "copy_or_stop", "Copy, stop, clear; twice quits", id="app.copy_or_stop", priority=True),
        Binding("ctrl+o", "transcript('unfold')", "Open the last tool card", id="app.unfold"),
        Binding("pageup", "transcript('page_up')", "Scroll up", id="app.page_up"),
        Binding("pagedown", "transcript('page_down')", "Scroll down", id="app.page_down"),
        Binding("ctrl+home", "transcript('home')", "To the beginning", id="app.home"),
        Binding("ctrl+end", "transcript('end')", "To the end", id="app.end"),
        Binding("f1", "help", "Help", id="app.help"),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
    ]

    def __init__(self, open_runtime: OpenRuntime, settings: Settings, model_name: str) -> None:
        super().__init__()
        self.dialog = Dialog()
        self.settings = settings
        self._open_runtime = open_runtime
        self._runtime: Runtime | None = None
        self._opened: Runtime | None = None  # waits for the end of the turn
        self._model_name = self._loading = model_name
        self._queue: deque[UserView] = deque()
        self._stop: asyncio.Event | None = None  # there while a turn runs
        self._step, self._began = 0, 0.0
        self._pace = Pace()
        self._meter: tuple[str, ...] = ()
        self._history = History(data_dir() / "history.jsonl")
        self.transcript, self.completion_list, self.status_line = Transcript(), CompletionList(), StatusLine()
        self.prompt = Prompt(self._history, lambda text: complete(text, self.settings.completions()))

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield from (self.transcript, self.completion_list, self.prompt, self.status_line)

    def on_mount(self) -> None:
        """Paint first, then load."""
        dress(self)
        self.transcript.welcome()
        with self._saying():
            self._history.load()
        self.set_interval(TICK, self._show_status)
        self._show_status()
        self.call_after_refresh(self.run_worker, partial(self._load, None))

    async def on_unmount(self) -> None:
        """End what the tools keep running."""
        await self.settings.toolbox.close()

    # ── engine and turn ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _load(self, path: str | None) -> None:
        """Open a model beside the one that runs; if that fails, the old one stays."""
        with self._saying():
            self._opened = await in_thread(partial(self._open_runtime, path))
        self._loading = ""
        self._go_on()

    def _go_on(self) -> None:
        """Do what waits for the end of a turn: take over a model that was opened, answer the next message."""
        if self._stop is None:
            if self._opened:
                self._adopt(self._opened)
            if self._queue and self._runtime:
                self._stop, self._step, self._began = asyncio.Event(), 1, time.monotonic()
                self.run_worker(self._turn(self._queue.popleft(), self._runtime, self._stop))
            elif self._queue and not self._loading:
                self.transcript.say(EngineError("There is no model to answer.", "Open one with /model PATH."))
                self._give_back(*self._queue)
        self._show_status()

    def _adopt(self, runtime: Runtime) -> None:
        """Speak with ``runtime`` from now on. Ids of another tokenizer mean nothing to it."""
        if self._runtime:
            self.dialog = self.dialog.without_ids()
            self.transcript.note(f"The model is now {runtime.name}.")
        self._opened, self._runtime, self._model_name = None, runtime, runtime.name

    async def _turn(self, question: UserView, runtime: Runtime, stop: asyncio.Event) -> None:
        """Answer one message."""
        question.mark = ""
        before = self.dialog
        self.dialog = asked = self.settings.instruct(before) + said.Message("user", question.source)
        turn = run_turn(
            asked,
            runtime,
            self.settings.toolbox,
            sampling=self.settings.sampling(runtime.sampling),
            max_steps=self.settings.max_steps,
            stop=stop,
            today=date.today(),
        )
        with self._saying() as failed:
            async with aclosing(turn) as events:
                async for event in events:
                    self.show(event)
        self.transcript.close()
        self._stop = None
        if self.dialog is asked:  # nothing was said: as if it had not been asked
            self.dialog = before
            self._give_back(question)
        if failed:
            self._give_back(*self._queue)
        self._go_on()

    def _give_back(self, *views: UserView) -> None:
        """Messages that will not be answered go back into the prompt."""
        for view in reversed(views):
            view.mark = "not answered"
            self.prompt.put(f"{view.source}\n{self.prompt.text}".strip("\n"))
            if view in self._queue:
                self._queue.remove(view)

    def show(self, event: Event) -> None:
        """Put ``event`` on the screen, and its message into the dialog."""
        match event:
            case TextDelta(text=text):
                self._pace.tick()
                self.transcript.write(text)
            case CallDelta(text=text):
                self._pace.tick()
                self.transcript.write_call(text)
            case MessageEnd(message=message):
                self.dialog += message
                if message.role == "assistant":
                    self._step, self._pace = self._step + 1, Pace()
                    self.transcript.end_reply(message.stop)
            case ToolStart(call=call):
                tool = self.settings.toolbox.find(call.name)
                self.transcript.start_call(call, tool.name if tool else call.name)
            case ToolEnd(result=result, seconds=seconds):
                self.transcript.end_call(result, seconds)
            case TurnEnd(usage=usage, note=note):
                ids = next((m.token_ids for m in reversed(self.dialog.messages) if m.role == "assistant"), None)
                self._meter = meter(usage, len(ids or ()), self._runtime.context if self._runtime else 0)
                self._show_status()
                if note:
                    self.transcript.note(note)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """Run a command, or queue a message."""
        with self._saying():
            self._history.add(event.text)
        command = None
        with self._saying() as failed:
            command = read(event.text)
        if failed:
            self.prompt.put(event.text)
        elif command:
            self._run(*command)
        else:
            mark = "queued" if self._stop else "waits for the model" if self._loading else ""
            self._queue.append(self.transcript.ask(event.text, mark))
            self._go_on()

    @contextmanager
    def _saying(self) -> Iterator[list[LlamaChatError]]:
        """An error inside becomes a notice; the list that the block gets holds it then."""
        errors: list[LlamaChatError] = []
        try:
            yield errors
        except LlamaChatError as error:
            errors.append(error)
            self.transcript.say(error)

    def _run(self, command: Command, argument: str = "") -> None:
        """Do a ``/`` command, or say what is wrong with it."""
        does: Mapping[str, Callable[[str], None]] = {
            "help": lambda _: self.action_help(),
            "new": lambda _: self._new(),
            "system": self._system,
            "persona": self._persona,
            "tools": self._tools,
            "model": self._model,
            "copy": self._copy_last,
            "quit": lambda _: self.exit(),
        }
        with self._saying():
            does[command.name](argument)
        self._show_status()

    def _new(self) -> None:
        if self._stop or self._queue:
            raise ConfigError("A message is being answered.", "Stop it first with esc.")
        self.dialog, self._meter = Dialog(), ()
        self.transcript.clear()
        self.run_worker(self.settings.toolbox.close())  # a new dialog gets fresh tools

    def _system(self, text: str) -> None:
        if text:
            self.settings = replace(self.settings, system=text)
        self.transcript.note(f"System prompt: {self.settings.instruction or 'none'}")

    def _persona(self, name: str) -> None:
        if name:
            self.settings = self.settings.with_persona(name)
            self.transcript.note(f"{name} answers from the next message on.")
        else:
            self.transcript.page(self.settings.persona_list())

    def _tools(self, argument: str) -> None:
        if argument:
            self.settings = self.settings.with_tools(argument)
        self.transcript.page(self.settings.tool_list())

    def _model(self, path: str) -> None:
        if not path:
            self.transcript.note(f"The model is {self._model_name}.")
        elif self._loading:
            raise ConfigError("A model is being opened.", "Wait until it is there.")
        else:
            self._loading = path
            self.run_worker(self._load(path))

    def _copy_last(self, what: str) -> None:
        code = what == "code"
        self._copy(self.transcript.last_code if code else self.transcript.last_reply, "code" if code else "reply")

    def _copy(self, text: str, what: str) -> None:
        if text:
            self.copy_to_clipboard(text.encode("utf-8", "replace").decode())  # lone surrogates can't travel
        self.status_line.flash(f"Copied {len(text):,} characters." if text else f"There is no {what} to copy.")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Our commands in the palette, beside Textual's."""
        yield from super().get_system_commands(screen)
        for command in COMMANDS:
            yield SystemCommand(f"/{command.name}", command.help, partial(self._run, command))

    # ── keys and messages ────────────────────────────────────────────────────────────────────────────────────────────

    def on_transcript_copy(self, event: Transcript.Copy) -> None:
        """Copy a message or its code."""
        self._copy(event.text, event.what)

    def on_transcript_open_file(self, event: Transcript.OpenFile) -> None:
        """Show a picture or file with the system's viewer."""
        self.open_url(Path(event.path).absolute().as_uri())

    def on_prompt_completing(self, event: Prompt.Completing) -> None:
        """Show it."""
        self.completion_list.show(event.completions, event.chosen)

    def on_transcript_below(self, event: Transcript.Below) -> None:
        """Say that there is more below."""
        self.prompt.border_subtitle = f"↓ {event.lines:,} more lines" if event.lines else ""

    def on_key(self, event: Key) -> None:
        """What is typed while a message has the focus belongs to the prompt."""
        if self.focused is self.transcript and event.is_printable and event.key not in self.screen.active_bindings:
            self.prompt.focus()
            self.prompt.insert(event.character or "")

    def on_paste(self, event: Paste) -> None:
        """The same for what is pasted."""
        if self.focused is self.transcript:
            self.prompt.focus()
            self.prompt.insert(event.text)

    def action_interrupt(self) -> None:
        """Stop the reply; what was said is kept."""
        if self._stop:
            self._stop.set()
        self.prompt.focus()
        self._show_status()

    def action_copy_or_stop(self) -> None:
        """Copy what is selected, else stop the reply, else clear the prompt, else quit when it comes twice."""
        if selected := self.prompt.selected_text or self.screen.get_selected_text():
            self._copy(selected, "text")
        elif self._stop and not self._stop.is_set():
            self.action_interrupt()
        elif self.prompt.text:
            self.prompt.text = ""
        elif self.status_line.hint == QUIT:
            self.exit()
        else:
            self.status_line.flash(QUIT)

    def action_transcript(self, what: str) -> None:
        """Scroll the messages, or open the last card, while the prompt has the focus."""
        self.transcript.do(what)

    def action_help(self) -> None:
        """Commands and keys."""
        keys = [("Keys", self.BINDINGS), ("Prompt", Prompt.BINDINGS), ("Messages", Transcript.BINDINGS)]
        self.push_screen(HelpScreen(keys))

    # ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _show_status(self) -> None:
        settings, shown = self.settings, self._meter
        activity = f"loading {self._loading} …" if self._loading else "" if self._runtime else "no model"
        if self._stop:
            step = f"step {min(self._step, settings.max_steps)}/{settings.max_steps}"
            activity = "stopping …" if self._stop.is_set() else f"{step} · {time.monotonic() - self._began:.0f} s"
            shown = tuple(part for part in (*self._meter[:1], str(self._pace)) if part)
        self.status_line.status = Status(settings.persona.name, self._model_name, settings.tools_on, activity, shown)
