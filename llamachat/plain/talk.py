"""A chat in lines: its tools come up, its questions are asked, a line becomes a turn or a command.

Knows the chat, its front and the workshop; knows no Textual and how no part is made.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from llamachat import config
from llamachat.agent import Runtime
from llamachat.chat.chat import Chat
from llamachat.chat.commands import read
from llamachat.chat.conversation import FULL, Conversation, Turn
from llamachat.chat.permissions import Answer, Permissions, Scope
from llamachat.chat.settings import Settings
from llamachat.chat.shell import run_shell
from llamachat.chat.verbs import do
from llamachat.errors import ConfigError, LlamaChatError
from llamachat.messages import ToolCall
from llamachat.plain.front import LineFront
from llamachat.plain.lines import Lines
from llamachat.plain.show import Show
from llamachat.sessions import Session, Store
from llamachat.threads import in_thread
from llamachat.tools import Tool, Toolbox
from llamachat.visible import visible
from llamachat.workshop import Workshop, with_tools

if TYPE_CHECKING:
    from llamachat.tools.mcp_servers import McpServers

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
        self._servers: McpServers | None = None
        self._served: frozenset[str] = frozenset()
        self._said: set[str] = set()  # what is told once

    # ── beginning and end ────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Start the MCP servers, if tools are wanted; what fails is told."""
        if self._workshop is None:
            return
        for notice in self._workshop.notices:
            self.front.note(notice)
        if self._workshop.servers and self.conversation.settings.config.chat.tools != []:
            from llamachat.tools.mcp_servers import McpServers

            self._servers = McpServers(self._workshop.servers, self.front.note, self._serve)
            self._serve(await self._servers.connect())

    def _serve(self, tools: tuple[Tool, ...]) -> None:
        """The servers offer these now; one that was switched off stays off."""
        settings = self.conversation.settings
        off = self._served - set(settings.tools_on)
        ours = tuple(tool for tool in settings.toolbox.tools if tool.name not in self._served)
        try:
            toolbox = with_tools(Toolbox(ours, settings.toolbox.on), tools)
        except ConfigError as error:
            self.front.say(error)
            return
        toolbox = toolbox.only(tool.name for tool in toolbox.active if tool.name not in off)
        self.conversation.settings = replace(settings, toolbox=toolbox)
        self._served = frozenset(tool.name for tool in tools)

    async def close(self) -> None:
        """End the tools and servers, and write what is left to write."""
        await self.conversation.settings.toolbox.close()
        if self._servers:
            await self._servers.close()
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
            await self.answer(line, show)
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

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _approve(self, call: ToolCall) -> str | None:
        tool = self.conversation.settings.toolbox.find(call.name)
        refusal = await self.chat.permissions.decide(call, tool)
        if refusal is None and tool and tool.wire == "code":
            await self._look_at_walls()
        return refusal

    async def _ask(self, call: ToolCall, tool: Tool) -> Answer:
        """At a terminal the user decides; elsewhere the answer is no."""
        if not self.lines.person:
            self._once(f"{tool.name} was not run. Nobody can be asked here; --allow {tool.name} lets it run.")
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

    async def _look_at_walls(self) -> None:
        """Before code runs for the first time: is it held? The worker that this starts is the one that will run it."""
        if self._workshop is None or "walls" in self._said:
            return
        self._said.add("walls")
        try:
            walls = await self._workshop.walls()
        except LlamaChatError as error:
            self.front.say(error)  # the tool itself tells the model
            return
        if not walls.stand:
            self.front.note("WARNING: python runs WITHOUT WALLS: its code can do whatever you can do.")
        for layer in walls.missing:
            self.front.note(f"warning: python runs without {layer.name}. {layer.hint}".rstrip())

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.front.note(text)
