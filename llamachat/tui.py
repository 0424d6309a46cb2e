"""The front room: shows a chat on a full screen, and answers keys. One worker takes the turn.

Knows which widget shows what; knows no torch, no weights and no wire format. The first frame is painted before the
engine is imported, so a user may type, and send, while the model loads.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from pathlib import Path

from textual import work
from textual.app import App, ComposeResult, SystemCommand
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.screen import Screen

from llamachat.backstage import Backstage
from llamachat.chat.branches import edit_at, retry_at, turn_to
from llamachat.chat.chat import Chat
from llamachat.chat.commands import COMMANDS, NAMES, Command, read
from llamachat.chat.conversation import Conversation
from llamachat.chat.front import saying
from llamachat.chat.inspection import inspect
from llamachat.chat.permissions import Answer, Permissions
from llamachat.chat.settings import Settings
from llamachat.chat.shell import run_shell
from llamachat.chat.verbs import do
from llamachat.errors import StorageError
from llamachat.messages import Dialog, ToolCall
from llamachat.paths import data_dir
from llamachat.sessions import Session, Store, unsaved
from llamachat.threads import in_thread
from llamachat.tools import Tool
from llamachat.widgets import STYLESHEET
from llamachat.widgets.ahead import load_ahead
from llamachat.widgets.attaching import Attaching
from llamachat.widgets.caller import call, gallery_of, leave_on_signals
from llamachat.widgets.completions import CompletionList
from llamachat.widgets.desk import Desk
from llamachat.widgets.history import History
from llamachat.widgets.keys import APP_KEYS, keymap
from llamachat.widgets.look import dress
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.question import Question, ask
from llamachat.widgets.stage import Stage
from llamachat.widgets.status import Status, StatusLine
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.turns import OpenRuntime, Turns
from llamachat.widgets.waiting import WaitingList
from llamachat.widgets.writing import find_past, write_outside
from llamachat.workshop import Workshop

__all__ = ["LlamaChatApp", "Settings"]

TICK = 0.25  # seconds between two looks at the speed of a reply that streams
QUIT = "ctrl+c again quits"
REWIND = "esc again goes back to before the last question"


class LlamaChatApp(App[None]):
    """The terminal chat. ``open_runtime`` is slow and may raise LlamaChatError; None stands for the first model. With
    ``choose`` the user picks a session first."""

    TITLE = "llamachat"
    CSS_PATH = STYLESHEET
    AUTO_FOCUS = "#prompt"
    PAUSE_GC_ON_SCROLL = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012  # Textual's own annotation is no ClassVar
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012
    BINDINGS = APP_KEYS

    class Trouble(Message):
        """What a store could not write; None: it can again."""

        def __init__(self, error: StorageError | None) -> None:
            super().__init__()
            self.error = error

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
        choose: bool = False,
    ) -> None:
        super().__init__()
        dress(self)
        self._choose = choose
        self._notices = notices
        self._history = History(data_dir() / "history.jsonl")
        self.transcript, self.completion_list, self.status_line = Transcript(), CompletionList(), StatusLine()
        self.waiting_list = WaitingList()
        self.prompt = Prompt(self._history, lambda text: self.chat.complete(text))
        self.desk = Desk(
            self, self.transcript, self.prompt, self.status_line, lambda turn: self.turns.start(turn),
            lambda: self.stage.show_dialog(), lambda path: self.turns.open_model(path),
        )  # fmt: skip
        self.conversation = Conversation(settings, session or unsaved(), place=workshop.place if workshop else None)
        self.stage = Stage(self.conversation, self.transcript)
        permissions = Permissions(settings.config.permissions, self._ask, self.desk.allow_always)
        self.chat = Chat(self.conversation, self.desk, permissions, store, cwd=str(Path.cwd()))
        self.conversation.approve = self.chat.approve
        self.attaching = Attaching(self.conversation.count)
        self.backstage = Backstage(workshop, self.conversation, self.desk.say, self.desk.note) if workshop else None
        self.turns = Turns(
            self, self.chat, self.stage, self.prompt, self.attaching, open_runtime, model_name, self._show_status
        )

    @property
    def settings(self) -> Settings:
        """What the chat is set to."""
        return self.conversation.settings

    @property
    def dialog(self) -> Dialog:
        """What was said, up to what is shown last."""
        return self.conversation.session.dialog()

    def tell(self, trouble: StorageError | None) -> None:
        """What keeps a store from writing, or None when it is over. May be called in any thread, at any time."""
        self.post_message(self.Trouble(trouble))

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield from (self.transcript, self.waiting_list, self.completion_list, self.prompt, self.status_line)

    def on_mount(self) -> None:
        """Paint first, then load."""
        leave_on_signals(self)
        self.app_resume_signal.subscribe(self, lambda app: app.refresh(layout=True))  # after SIGTSTP nothing is there
        ui = self.settings.config.ui
        self.animation_level = "none" if ui.reduced_motion else self.animation_level
        self.transcript.gallery = gallery_of(self, ui.pictures)
        self.stage.show_dialog()
        for notice in self._notices:
            self.transcript.note(notice)
        theme, keys = ui.theme or "", self.settings.config.keys
        for prepare in (self._history.load, partial(self.desk.set_theme, theme), lambda: self.set_keymap(keymap(keys))):
            with saying(self.desk):
                prepare()
        self.set_interval(TICK, self._show_status)
        self._show_status()
        self.call_after_refresh(self.run_worker, self._open)
        if self._choose:
            self._run(NAMES["resume"])

    def on_exit_app(self) -> None:
        """The last moment at which the terminal still shows our screen: take the pictures out of it."""
        if self.transcript.gallery:
            self.transcript.gallery.close()

    async def on_unmount(self) -> None:
        """End what the tools keep running; write what is left to write."""
        await self.settings.toolbox.close()
        if self.backstage:
            await self.backstage.close()
        self.conversation.session.close()

    async def _open(self) -> None:
        """Load what a reply needs, the model last, then look at what the tools need."""
        await in_thread(load_ahead)
        await self.turns.load(None)
        if self.backstage:
            with saying(self.desk):
                await asyncio.gather(self.backstage.look(), self.backstage.connect())
        self._show_status()

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, asked: ToolCall, tool: Tool) -> Answer:
        call(self, f"llamachat asks: run {tool.name}?")
        return await ask(self.prompt, asked, tool)

    def on_question_typed(self, event: Question.Typed) -> None:
        """It was meant for the prompt."""
        self.prompt.insert(event.text)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """Run a command, or queue a message."""
        with saying(self.desk):
            self._history.add(event.text)
        with saying(self.desk) as failed:
            if command := read(event.text):
                self._run(*command)
            elif event.text.startswith("!"):
                self.run_worker(self._do(self._shell(event.text[1:].strip())))
            else:
                self.run_worker(self.turns.send(event.text))
        if failed:
            self.prompt.put(event.text)

    def on_prompt_nothing(self, event: Prompt.Nothing) -> None:
        """An empty prompt lets a paused queue go on, or takes its last message back."""
        if event.back:
            self.turns.take_back()
        else:
            self.turns.resume()

    def _run(self, command: Command, argument: str = "") -> None:
        """Do a ``/`` command beside whatever runs."""
        self.run_worker(self._do(do(self.chat, command, argument)))

    async def _do(self, work: Awaitable[None]) -> None:
        """What may take long, or ask the user something; it may leave python switched on, or a turn to be taken."""
        with saying(self.desk):
            await work
        self.turns.go_on()
        if self.backstage:
            await self.backstage.look()

    async def _shell(self, command: str) -> None:
        self.transcript.page(await run_shell(command, self.settings.config.ui.shell))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Our commands in the palette, beside Textual's."""
        yield from super().get_system_commands(screen)
        for command in COMMANDS:
            yield SystemCommand(f"/{command.name}", command.help, partial(self._run, command))

    # ── keys and messages ────────────────────────────────────────────────────────────────────────────────────────────

    def on_llama_chat_app_trouble(self, event: Trouble) -> None:
        """Say it."""
        self.stage.trouble(event.error)

    def on_transcript_copy(self, event: Transcript.Copy) -> None:
        """Copy a message or its code."""
        with saying(self.desk):
            self.desk.copy(event.text, event.what)

    def on_transcript_wanted(self, event: Transcript.Wanted) -> None:
        """Edit or retry the message that is chosen."""
        self.prompt.focus()
        act = edit_at if event.what == "edit" else retry_at
        self.run_worker(self._do(act(self.chat, str(event.key))))

    def on_transcript_open_file(self, event: Transcript.OpenFile) -> None:
        """Show a picture or file with the system's viewer."""
        self.open_url(Path(event.path).absolute().as_uri())

    def on_prompt_completing(self, event: Prompt.Completing) -> None:
        """Show it."""
        self.completion_list.show(event.completions, event.chosen)

    def on_text_area_changed(self, event: Prompt.Changed) -> None:
        """Look into the files that the prompt names."""
        if event.text_area is self.prompt and ("@" in self.prompt.text or self.attaching.preview):
            self._preview(self.prompt.text)

    @work(group="preview", exclusive=True)
    async def _preview(self, text: str) -> None:
        if await self.attaching.look(text):
            self._show_status()

    def on_transcript_below(self, event: Transcript.Below) -> None:
        """Say that there is more below."""
        self.prompt.border_subtitle = f"↓ {event.lines:,} more lines" if event.lines else ""

    async def on_event(self, event: Event) -> None:
        """A key counts as typing wherever it goes: one on its way to a list must not answer a question."""
        if isinstance(event, Key):
            self.prompt.last_key = time.monotonic()
        await super().on_event(event)

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
        if not self.turns.stop() and self.focused is self.prompt and not self.prompt.text:
            if self.status_line.hint == REWIND:
                self._run(NAMES["undo"])
            elif self.conversation.session.head:
                self.status_line.flash(REWIND)
        self.prompt.focus()
        self._show_status()

    def action_copy_or_stop(self) -> None:
        """Copy what is selected, else close what is on top, else stop the reply, else clear the prompt, else quit when
        it comes twice."""
        stop, writing = self.conversation.stop, self.focused
        if (
            selected := (writing.selected_text if isinstance(writing, Prompt) else "")
            or self.screen.get_selected_text()
        ):
            with saying(self.desk):
                self.desk.copy(selected, "text")
        elif self.screen.is_modal:
            self.screen.dismiss()
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

    def _chosen(self) -> str | None:
        """The message that is chosen."""
        key = self.transcript.chosen.key if self.transcript.has_focus and self.transcript.chosen else None
        return key if isinstance(key, str) else None

    def action_version(self, step: int) -> None:
        """Show another version of the message that is chosen, or of the last that has some."""
        if self.screen.is_modal:
            return
        at = self._chosen()
        if not (node := turn_to(self.chat, at, step)):
            self.status_line.flash("There is no other version; /retry makes one.")
        elif at:
            self.stage.choose(node.id)

    def action_tokens(self) -> None:
        """What the model sees, from the message that is chosen."""
        with saying(self.desk):
            inspect(self.chat, self._chosen())

    def action_verb(self, name: str) -> None:
        """A command by its key."""
        self._run(NAMES[name])

    def action_help(self) -> None:
        """Commands and keys."""
        self.desk.help()

    def action_past(self) -> None:
        """Find something that was asked before."""
        self.run_worker(self._do(find_past(self.prompt, self._history)))

    def action_edit_outside(self) -> None:
        """Write in an editor of one's own."""
        with saying(self.desk):
            write_outside(self.prompt)

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────

    def _show_status(self) -> None:
        settings, turns, late = self.settings, self.turns, self.backstage
        activity = turns.activity or (late.activity if late else "")
        shown = self.stage.pace if self.conversation.busy else self.stage.meter
        why = "paused: enter goes on" if turns.queue.paused else "waiting for the model" if turns.loading else "queued"
        self.waiting_list.show(tuple(turns.queue), why)
        self.prompt.waiting = bool(turns.queue)
        self.prompt.show_title(self.attaching.title(self.chat.attached))
        names, model = () if self.conversation.bare else settings.tools_on, turns.model_name
        self.status_line.status = Status(
            settings.persona.name, model, names, activity, shown, late.walls if late else ""
        )
