"""Turns: which message has its turn, and the model that answers. Opens models, takes one turn after the other.

Knows the chat, the stage and the prompt, where what can't be answered goes back to; knows no key and no command.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from textual.app import App

from llamachat.agent import Runtime
from llamachat.chat.chat import Chat
from llamachat.chat.conversation import Turn
from llamachat.chat.front import saying
from llamachat.errors import ConfigError, EngineError
from llamachat.threads import in_thread
from llamachat.widgets.attaching import Attaching
from llamachat.widgets.caller import call
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.stage import Stage
from llamachat.widgets.waiting import Queue, Waiting

OpenRuntime = Callable[[str | None], Runtime]


class Turns:
    """``open_runtime`` is slow and may raise LlamaChatError; None stands for the first model, called ``model_name``.
    ``changed`` is called when a turn begins or ends, and when the queue changes."""

    def __init__(
        self,
        app: App[None],
        chat: Chat,
        stage: Stage,
        prompt: Prompt,
        attaching: Attaching,
        open_runtime: OpenRuntime,
        model_name: str,
        changed: Callable[[], None],
    ) -> None:
        self._app, self._chat, self._stage, self._prompt, self._attaching = app, chat, stage, prompt, attaching
        self._open_runtime, self._changed = open_runtime, changed
        self._opened: Runtime | None = None  # waits for the end of the turn
        self._taking = False  # also between the parts of a turn, and while the user picks one of them
        self._sending = asyncio.Lock()
        self.queue = Queue()
        self.model_name = self.loading = model_name
        """``loading`` is empty while no model is opened."""
        self._share = 0.0

    # ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def load(self, path: str | None) -> None:
        """Open a model beside the one that runs; if that fails, the old one stays."""
        self._share = 0.0
        with saying(self._chat.front):
            self._opened = await in_thread(partial(self._open_runtime, path))
        self.loading = ""
        self.go_on()

    def loaded(self, share: float) -> None:
        """So much of the model is there. In any thread."""
        self._share = share

    def open_model(self, path: str) -> None:
        """The same, beside whatever goes on. Raises ConfigError while another is opened."""
        if self.loading:
            raise ConfigError("A model is being opened.", "Wait until it is there.")
        self.loading = path
        self._app.run_worker(self.load(path))

    def _adopt(self, runtime: Runtime) -> None:
        """Speak with ``runtime`` from now on."""
        if self._chat.conversation.runtime:
            self._chat.front.note(f"The model is now {runtime.name}.")
        if runtime.notice:
            self._chat.front.note(runtime.notice)
        self._opened, self._chat.conversation.runtime, self.model_name = None, runtime, runtime.name

    @property
    def activity(self) -> str:
        """What goes on, in a word or two."""
        if stop := self._chat.conversation.stop:
            return "stopping …" if stop.is_set() else self._stage.progress
        if self.loading:
            return f"loading {self.loading} …{f' {self._share:.0%}' if self._share else ''}"
        return "" if self._chat.conversation.runtime else "no model"

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, text: str) -> None:
        """Queue a message with the files that it names; messages stay in order, however long a file takes to read."""
        async with self._sending:
            with saying(self._chat.front) as failed:
                message = await self._attaching.message(text, self._chat.attached)
                self._chat.attached.clear()
                self.queue.add(message)
            if failed:
                self._give_back(Waiting(text))
            self.go_on()

    def go_on(self) -> None:
        """Do what waits for the end of a turn: take over a model that was opened, answer the next message."""
        conversation = self._chat.conversation
        if not conversation.busy and not self._taking:
            if self._opened:
                self._adopt(self._opened)
            if self.queue and not conversation.runtime and not self.loading:
                self._chat.front.say(EngineError("There is no model to answer.", "Open one with /model PATH."))
                self._give_back(*self.queue.clear())
            elif conversation.runtime and (message := self.queue.next()):
                self._answer(message)
        self._changed()

    def resume(self) -> None:
        """A pause is over."""
        self.queue.paused = False
        self.go_on()

    def take_back(self) -> None:
        """The message that was sent last, and waits, goes back into the prompt."""
        if message := self.queue.last():
            self._give_back(message)
            self._changed()

    def _give_back(self, *messages: Waiting) -> None:
        """Messages that will not be answered go back into the prompt, their files beside it."""
        for message in reversed(messages):
            self._prompt.put(f"{message.text}\n{self._prompt.text}".strip("\n"))
            self._chat.attached[:0] = message.attached

    # ── a turn ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, turn: Turn) -> None:
        """Take a turn that a verb has prepared."""
        self._stage.show_dialog()
        self._begin(turn)
        self._changed()

    def stop(self) -> bool:
        """End the turn and pause the queue; what was said is kept. False if there is nothing to stop."""
        stop = self._chat.conversation.stop
        if stop:
            stop.set()
            self.queue.paused = bool(self.queue)
        return stop is not None

    def _answer(self, message: Waiting) -> None:
        """Ask, and show what was asked."""
        with saying(self._chat.front) as failed:
            turn = self._chat.conversation.ask(message.text, message.attached)
            self._stage.ask()
            self._begin(turn, message)
        if failed:
            self._give_back(message)

    def _begin(self, turn: Turn, message: Waiting | None = None) -> None:
        self._taking = True
        self._stage.begin()
        self._app.run_worker(self._take(turn, message))

    async def _take(self, turn: Turn, message: Waiting | None = None) -> None:
        """Show a turn; a ``message`` to which nothing was said goes back into the prompt."""
        session = self._chat.conversation.session
        asked = session.head
        with saying(self._chat.front) as failed:
            try:
                async with aclosing(turn) as events:
                    async for event in events:
                        self._stage.show(event)
            finally:
                self._stage.close()
                self._taking = False
        if message and asked not in [node.id for node in session.path]:
            self._stage.unanswered(asked)
            self._give_back(message)
        if failed:
            self._give_back(*self.queue.clear())
        limit = self._chat.conversation.settings.config.ui.notify_seconds
        if limit and self._stage.seconds >= limit:
            call(self._app, "llamachat: the answer is there")
        self.go_on()
