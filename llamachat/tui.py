"""The front room: shows a chat on a full screen, and answers keys. One worker takes the turn.

Knows which widget shows what; knows no torch, no weights and no wire format. The first frame is painted before the
engine is imported, so a user may type, and send, while the model loads.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.screen import Screen

from llamachat import config
from llamachat.agent import Runtime
from llamachat.chat.branches import turn_to
from llamachat.chat.chat import Chat
from llamachat.chat.commands import COMMANDS, NAMES, Command, complete, read
from llamachat.chat.conversation import Conversation, Turn
from llamachat.chat.permissions import Answer, Permissions
from llamachat.chat.settings import Settings
from llamachat.chat.shell import run_shell
from llamachat.chat.verbs import do
from llamachat.chat.window import inspect
from llamachat.errors import ConfigError, EngineError, LlamaChatError
from llamachat.messages import Dialog, ToolCall
from llamachat.paths import data_dir, terminal_facts
from llamachat.sessions import Session, Store, unsaved
from llamachat.threads import in_thread
from llamachat.tools import Tool
from llamachat.widgets import STYLESHEET
from llamachat.widgets.completions import CompletionList
from llamachat.widgets.desk import Desk
from llamachat.widgets.history import History
from llamachat.widgets.look import dress
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.question import Question, ask
from llamachat.widgets.stage import Stage
from llamachat.widgets.status import Status, StatusLine
from llamachat.widgets.terminal import notification_code
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.waiting import Waiting, WaitingList
from llamachat.widgets.writing import find_past, write_outside
from llamachat.workshop import Workshop, with_tools

__all__ = ["LlamaChatApp", "Settings"]

TICK = 0.25  # seconds between two looks at the speed of a reply that streams
QUIT = "ctrl+c again quits"
REWIND = "esc again goes back to before the last question"

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
        Binding("escape", "interrupt", "Stop the reply; back to the prompt; twice goes back", id="app.interrupt"),
        Binding("ctrl+c", "copy_or_stop", "Copy, stop, clear; twice quits", id="app.copy_or_stop", priority=True),
        Binding("ctrl+o", "transcript('unfold')", "Open the last tool card", id="app.unfold"),
        Binding("pageup", "transcript('page_up')", "Scroll up", id="app.page_up"),
        Binding("pagedown", "transcript('page_down')", "Scroll down", id="app.page_down"),
        Binding("ctrl+home", "transcript('home')", "To the beginning", id="app.home"),
        Binding("ctrl+end", "transcript('end')", "To the end", id="app.end"),
        Binding("alt+left", "version(-1)", "Version before", id="app.version_before", priority=True),
        Binding("alt+right", "version(1)", "Version after", id="app.version_after", priority=True),
        Binding("ctrl+t", "tokens", "What the model sees, id by id", id="app.tokens"),
        Binding("ctrl+r", "past", "Search what was asked before", id="app.past"),
        Binding("ctrl+g", "edit_outside", "Write in your editor", id="app.editor"),
        Binding("ctrl+n", "verb('new')", "New session", id="app.new"),
        Binding("ctrl+s", "verb('resume')", "Other sessions", id="app.sessions"),
        Binding("f1", "help", "Help", id="app.help"),
        Binding("f2", "verb('settings')", "Settings", id="app.settings"),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
    ]

    def __init__(
        self,
        open_runtime: OpenRuntime,
        settings: Settings,
        model_name: str,
        *,
        store: Store | None = None,
        session: Session | None = None,
        workshop: Workshop | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._open_runtime, self._notices = open_runtime, notices
        self._history = History(data_dir() / "history.jsonl")
        self.transcript, self.completion_list, self.status_line = Transcript(), CompletionList(), StatusLine()
        self.waiting_list = WaitingList()
        self.prompt = Prompt(self._history, lambda text: complete(text, self.chat.completions()))
        self.desk = Desk(
            self, self.transcript, self.prompt, self.status_line, self._keys(), self._start,
            lambda: self.stage.show_dialog(),
            self._open_model, self._send,
        )  # fmt: skip
        permissions = Permissions(settings.config.permissions, self._ask, self._allow_always)
        self.conversation = Conversation(settings, session or unsaved(), self._approve, workshop.place if workshop else None)
        self.stage = Stage(self.conversation, self.transcript)
        self.chat = Chat(self.conversation, self.desk, permissions, store, cwd=str(Path.cwd()))
        self._opened: Runtime | None = None  # waits for the end of the turn
        self._model_name = self._loading = model_name
        self._queue: deque[Waiting] = deque()
        self._paused = False

    @property
    def settings(self) -> Settings:
        """What the chat is set to."""
        return self.conversation.settings

    @property
    def dialog(self) -> Dialog:
        """What was said, up to what is shown last."""
        return self.conversation.session.dialog()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield from (self.transcript, self.waiting_list, self.completion_list, self.prompt, self.status_line)

    def on_mount(self) -> None:
        """Paint first, then load."""
        dress(self)
        ui = self.settings.config.ui
        self.animation_level = "none" if ui.reduced_motion else self.animation_level
        self.stage.show_dialog()
        with self._saying():
            self._history.load()
        with self._saying():
            self.desk.set_theme(ui.theme or "")
            self._remap()
        for notice in self._notices:
            self.transcript.note(notice)
        self.set_interval(TICK, self._show_status)
        self._show_status()
        self.call_after_refresh(self.run_worker, partial(self._load, None))

    async def on_unmount(self) -> None:
        """End what the tools keep running; write what is left to write."""
        await self.settings.toolbox.close()
        self.conversation.session.close()

    def _keys(self) -> list[tuple[str, Iterable[BindingType]]]:
        bindings = [("Keys", self.BINDINGS), ("Prompt", Prompt.BINDINGS), ("Messages", Transcript.BINDINGS)]
        return [*bindings, ("Questions", Question.BINDINGS)]

    def _remap(self) -> None:
        """Give actions the keys that the user wants. Raises ConfigError on a name that no action has."""
        wanted = self.settings.config.keys
        known = {b.id for _, bindings in self._keys() for b in bindings if isinstance(b, Binding) and b.id}
        if unknown := sorted(set(wanted) - known):
            raise ConfigError(f"No action is called {unknown[0]!r}.", f"Actions: {', '.join(sorted(known))}.")
        self.set_keymap(dict(wanted))

    # ── engine and turn ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _load(self, path: str | None) -> None:
        """Open a model beside the one that runs; if that fails, the old one stays."""
        with self._saying():
            self._opened = await in_thread(partial(self._open_runtime, path))
        self._loading = ""
        self._go_on()

    def _open_model(self, path: str) -> None:
        if self._loading:
            raise ConfigError("A model is being opened.", "Wait until it is there.")
        self._loading = path
        self.run_worker(self._load(path))

    def _go_on(self) -> None:
        """Do what waits for the end of a turn: take over a model that was opened, answer the next message."""
        if not self.conversation.busy:
            if self._opened:
                self._adopt(self._opened)
            if self._queue and self.conversation.runtime and not self._paused:
                self._answer(self._queue.popleft())
            elif self._queue and not self._loading and not self.conversation.runtime:
                self.transcript.say(EngineError("There is no model to answer.", "Open one with /model PATH."))
                self._give_back(*self._queue)
        self._show_status()

    def _adopt(self, runtime: Runtime) -> None:
        """Speak with ``runtime`` from now on."""
        if self.conversation.runtime:
            self.transcript.note(f"The model is now {runtime.name}.")
        self._opened, self.conversation.runtime, self._model_name = None, runtime, runtime.name

    def _answer(self, message: Waiting) -> None:
        """Ask, and show what was asked."""
        with self._saying() as failed:
            turn = self.conversation.ask(message.text, message.attached)
            self.stage.ask()
            self.run_worker(self._take(turn, message))
        if failed:
            self._give_back(message)

    def _start(self, turn: Turn) -> None:
        """Take a turn that a verb has prepared."""
        self.stage.show_dialog()
        self.run_worker(self._take(turn))

    async def _take(self, turn: Turn, message: Waiting | None = None) -> None:
        """Show a turn; a ``message`` to which nothing was said goes back into the prompt."""
        asked = self.conversation.session.head
        self.stage.begin()
        self._show_status()
        with self._saying() as failed:
            async with aclosing(turn) as events:
                async for event in events:
                    self.stage.show(event)
        self.stage.close()
        if message and asked not in [node.id for node in self.conversation.session.path]:
            if view := self.transcript.find(asked):
                view.mark = "not answered"
            self._give_back(message)
        if failed:
            self._give_back(*self._queue)
        self._notify()
        self._go_on()

    def _give_back(self, *messages: Waiting) -> None:
        """Messages that will not be answered go back into the prompt, their files beside it."""
        for message in reversed(messages):
            self.prompt.put(f"{message.text}\n{self.prompt.text}".strip("\n"))
            self.chat.attached[:0] = message.attached
            if message in self._queue:
                self._queue.remove(message)

    def _notify(self) -> None:
        """A turn that took long has ended, and the user is elsewhere."""
        limit = self.settings.config.ui.notify_seconds
        if limit and not self.app_focus and self.stage.seconds >= limit:
            self._send(notification_code("llamachat: the answer is there", tmux="TMUX" in terminal_facts()))

    def _send(self, codes: str) -> None:
        if self._driver:
            self._driver.write(codes)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _approve(self, call: ToolCall) -> str | None:
        return await self.chat.permissions.decide(call, self.settings.toolbox.find(call.name))

    async def _ask(self, call: ToolCall, tool: Tool) -> Answer:
        if not self.app_focus:
            self._send(notification_code(f"llamachat asks: run {tool.name}?", tmux="TMUX" in terminal_facts()))
        return await ask(self.prompt, call, tool)

    def on_question_typed(self, event: Question.Typed) -> None:
        """It was meant for the prompt."""
        self.prompt.insert(event.text)

    def _allow_always(self, tool: str) -> None:
        with self._saying():
            file = config.save(f"permissions.{tool}", "allow")
            self.transcript.note(f"{tool} is allowed from now on, by {file}.")

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
        elif event.text.startswith("!"):
            self.run_worker(self._shell(event.text[1:].strip()))
        else:
            self._paused = False
            self._queue.append(Waiting(event.text, tuple(self.chat.attached)))
            self.chat.attached.clear()
            self._go_on()

    def on_prompt_nothing(self, event: Prompt.Nothing) -> None:
        """An empty prompt lets a paused queue go on, or takes its last message back."""
        if event.back and self._queue:
            self._give_back(self._queue[-1])
        else:
            self._paused = False
            self._go_on()
        self._show_status()

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
        """Do a ``/`` command beside whatever runs."""
        self.run_worker(self._do(command, argument))

    async def _shell(self, command: str) -> None:
        with self._saying():
            self.transcript.page(await run_shell(command, self.settings.config.ui.shell))

    async def _do(self, command: Command, argument: str) -> None:
        with self._saying():
            await do(self.chat, command, argument)
        self._show_status()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Our commands in the palette, beside Textual's."""
        yield from super().get_system_commands(screen)
        for command in COMMANDS:
            yield SystemCommand(f"/{command.name}", command.help, partial(self._run, command))

    # ── keys and messages ────────────────────────────────────────────────────────────────────────────────────────────

    def on_transcript_copy(self, event: Transcript.Copy) -> None:
        """Copy a message or its code."""
        self.desk.copy(event.text, event.what)

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
        """Stop the reply and pause the queue; what was said is kept. With nothing to stop, twice goes back a turn."""
        questions = self.query(Question)
        if questions and questions.first().back():
            return
        if self.conversation.stop:
            self.conversation.stop.set()
            self._paused = bool(self._queue)
        elif self.focused is self.prompt and not self.prompt.text:
            if self.status_line.hint == REWIND:
                self._run(NAMES["undo"])
            elif self.conversation.session.head:
                self.status_line.flash(REWIND)
        self.prompt.focus()
        self._show_status()

    def action_copy_or_stop(self) -> None:
        """Copy what is selected, else stop the reply, else clear the prompt, else quit when it comes twice."""
        stop = self.conversation.stop
        if selected := self.prompt.selected_text or self.screen.get_selected_text():
            self.desk.copy(selected, "text")
        elif stop and not stop.is_set():
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

    def action_version(self, step: int) -> None:
        """Show another version of the message that is chosen, or of the last that has some."""
        key = self.transcript.chosen.key if self.transcript.has_focus and self.transcript.chosen else None
        with self._saying():
            if not turn_to(self.chat, key if isinstance(key, str) else None, step):
                self.status_line.flash("There is no other version; /retry makes one.")

    def action_tokens(self) -> None:
        """What the model sees, from the message that is chosen."""
        key = self.transcript.chosen.key if self.transcript.has_focus and self.transcript.chosen else None
        with self._saying():
            inspect(self.chat, key if isinstance(key, str) else None)

    def action_verb(self, name: str) -> None:
        """A command by its key."""
        self._run(NAMES[name])

    def action_help(self) -> None:
        """Commands and keys."""
        self.desk.help()

    def action_past(self) -> None:
        """Find something that was asked before."""
        self.run_worker(find_past(self.prompt, self._history))

    def action_edit_outside(self) -> None:
        """Write in an editor of one's own."""
        with self._saying():
            write_outside(self.prompt)

    # ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _show_status(self) -> None:
        settings, shown, stop = self.settings, self.stage.meter, self.conversation.stop
        activity = f"loading {self._loading} …" if self._loading else "" if self.conversation.runtime else "no model"
        if stop:
            progress, shown = self.stage.progress()
            activity = "stopping …" if stop.is_set() else progress
        why = "paused: enter goes on" if self._paused else "waiting for the model" if self._loading else "queued"
        self.waiting_list.show(self._queue, why)
        self.prompt.waiting = bool(self._queue)
        names = ", ".join(attachment.name for attachment in self.chat.attached)
        self.prompt.border_title = f"attached: {names}" if names else ""
        self.status_line.status = Status(settings.persona.name, self._model_name, settings.tools_on, activity, shown)
