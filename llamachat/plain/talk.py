"""A chat in lines: its tools come up, its questions are asked, a line becomes a turn or a command.

Knows the chat, its front and the workshop; knows no Textual and how no part is made.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from llamachat import config
from llamachat.agent import Runtime
from llamachat.backstage import Backstage
from llamachat.chat.chat import Chat
from llamachat.chat.commands import read
from llamachat.chat.conversation import FULL, Conversation, Turn
from llamachat.chat.mentions import mentions, with_names
from llamachat.chat.permissions import Answer, Permissions, Scope
from llamachat.chat.settings import Settings
from llamachat.chat.shell import run_shell
from llamachat.chat.verbs import attach, do
from llamachat.errors import ConfigError, LlamaChatError
from llamachat.messages import ToolCall
from llamachat.plain.front import LineFront
from llamachat.plain.lines import Lines
from llamachat.plain.show import Show
from llamachat.protocol import CODE_INTERPRETER
from llamachat.sessions import Session, Store
from llamachat.threads import in_thread
from llamachat.tools import Tool
from llamachat.visible import visible
from llamachat.workshop import Workshop

_ANSWERS: dict[str, Scope] = {"y": "once", "yes": "once", "1": "once", "a": "session", "all": "session", "2": "session",
                              "3": "always", "always": "always", "n": "no", "no": "no", "4": "no"}  # fmt: skip
OpenRuntime = Callable[[str], Runtime]


class Talk:
    """``source`` is where the user types. ``open`` comes first, ``close`` last."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        session: Session,
        workshop: Workshop | None = None,
        *,
        store: Store | None = None,
        source: TextIO | None = None,
        open_runtime: OpenRuntime | None = None,
    ) -> None:
        self.lines = Lines(source)
        self.front = LineFront(self.lines)
        self.conversation = Conversation(settings, session, self._approve, workshop.place if workshop else None)
        self.conversation.runtime = runtime
        permissions = Permissions(settings.config.permissions, self._ask, self._keep)
        self.chat = self.front.chat = Chat(self.conversation, self.front, permissions, store, cwd=str(Path.cwd()))
        self._workshop, self._open_runtime = workshop, open_runtime
        front, conversation = self.front, self.conversation
        self._backstage = Backstage(workshop, conversation, front.say, front.note) if workshop else None
        self._refused: set[str] = set()  # tools of which the user was told that they need --allow

    # ── beginning and end ────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Start the MCP servers, if tools are wanted; what fails is told."""
        self._heed()
        if self._workshop is None or self._backstage is None:
            return
        for notice in self._workshop.notices:
            self.front.note(notice)
        if self.conversation.settings.config.chat.tools == []:
            return
        try:
            await self._backstage.connect()
        except ConfigError as error:
            self.front.say(error)

    def _heed(self) -> None:
        if self.conversation.runtime and self.conversation.runtime.notice:
            self.front.note(self.conversation.runtime.notice)

    async def close(self) -> None:
        """End the tools and servers, and write what is left to write."""
        await self.conversation.settings.toolbox.close()
        if self._backstage:
            await self._backstage.close()
        self.conversation.session.close()
        if self.chat.store and not self.chat.store.close():
            self.front.note("warning: The end of this session could not be written.")

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def do(self, line: str, show: Show) -> None:
        """A command, a message, or a command for the shell; ``show`` gets the events. Raises LlamaChatError."""
        if command := read(line):
            await do(self.chat, *command)
        elif line.startswith("!"):
            self.front.page(await run_shell(line[1:].strip(), self.conversation.settings.config.ui.shell))
        elif line.strip():
            await self.answer(await self._attached(line) if self.lines.person else line, show)
        while self.front.turns:
            await self.take(self.front.turns.pop(0), show)
        if self.front.model:
            await self._open_model()

    async def answer(self, text: str, show: Show) -> None:
        """Ask ``text``, with the attached files; if nothing is said to it, they wait for another message."""
        attached = tuple(self.chat.attached)
        turn = self.conversation.ask(text, attached)
        asked = self.conversation.session.head
        self.chat.attached.clear()
        try:
            await self.take(turn, show)
        finally:
            if asked not in [node.id for node in self.conversation.session.path]:
                self.chat.attached[:0] = attached

    async def _attached(self, line: str) -> str:
        """Attach the files that a person names as @path; the line keeps their bare names. From a pipe the line may be
        anybody's, and names no file of the user's."""
        found = mentions(line)
        for path in dict.fromkeys(mention.path for mention in found):
            await attach(self.chat, str(path))
        return with_names(line, found)

    async def take(self, turn: Turn, show: Show) -> None:
        """A turn to its end; ``show`` gets every event."""
        async with aclosing(turn) as events:
            async for event in events:
                show(event)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C inside the block ends the turn, keeping what was said; or else leaves the question; or cancels."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task

        def interrupt() -> None:
            if self.conversation.stop:
                self.conversation.stop.set()
            elif not self.lines.leave():
                task.cancel()

        try:
            loop.add_signal_handler(signal.SIGINT, interrupt)
        except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Ctrl-C raises as usual
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def warn_if_full(self) -> None:
        """Nothing is cut silently."""
        if (full := self.conversation.fullness()) >= FULL:
            self.front.note(
                f"The window is {full:.0%} full; /compact sums the dialog up, /context shows what takes it."
            )

    async def _open_model(self) -> None:
        path, self.front.model = self.front.model, ""
        if self._open_runtime is None:
            raise ConfigError("Another model can't be opened here.", "Start llamachat with -m PATH.")
        self.conversation.runtime = await in_thread(partial(self._open_runtime, path))
        self.front.note(f"The model is now {self.conversation.runtime.name}.")
        self._heed()

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _approve(self, call: ToolCall) -> str | None:
        refusal = await self.chat.approve(call)
        if refusal is None and self._backstage and call.name in (CODE_INTERPRETER, "python"):
            await self._backstage.look()  # at what holds the code; the worker that this starts will run it
        return refusal

    async def _ask(self, call: ToolCall, tool: Tool) -> Answer:
        """At a terminal the user decides; elsewhere the answer is no."""
        if not self.lines.person:
            if tool.name not in self._refused:
                self._refused.add(tool.name)
                self.front.note(f"{tool.name} did not run. Nobody can be asked here; --allow {tool.name} lets it run.")
            return Answer("no", "Nobody can be asked for permission now; answer without this tool.")
        shown = visible(json.dumps(dict(call.arguments), ensure_ascii=False))
        question = f"Run {visible(tool.name)} {shown}? [y]es [a]ll session [3] always [n]o, and why: "
        while True:
            answer = await self.lines.ask(question, fresh=True)
            word, _, reason = (answer if answer is not None else "no").strip().partition(" ")
            if scope := _ANSWERS.get(word.casefold()):
                return Answer(scope, reason.strip() if scope == "no" else "")

    def _keep(self, tool: str) -> None:
        try:
            file = config.save(f"permissions.{tool}", "allow")
        except LlamaChatError as error:
            self.front.say(error)
        else:
            self.front.note(f"{tool} is allowed from now on, by {file}.")
