"""Backstage: what comes up while the chat is open already: python's walls, and MCP servers. Knows no screen."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.chat.conversation import Conversation
from llamachat.errors import ConfigError, EngineError, LlamaChatError
from llamachat.tools import Tool, Toolbox
from llamachat.workshop import Workshop, with_tools

if TYPE_CHECKING:
    from llamachat.tools.mcp_servers import McpServers


class Backstage:
    """Gives the tools of servers to ``conversation``. ``say`` is told what went wrong, ``note`` what is only worth
    knowing."""

    def __init__(
        self,
        workshop: Workshop,
        conversation: Conversation,
        say: Callable[[LlamaChatError], None],
        note: Callable[[str], None],
    ) -> None:
        self._workshop, self._conversation, self._say, self._note = workshop, conversation, say, note
        self._servers: McpServers | None = None
        self._theirs: frozenset[str] = frozenset()  # names of the servers' tools
        self._looked = False
        self.walls = ""
        """"no walls" or "weak walls" around python; nothing if all is well, or not known."""
        self.activity = ""
        """What is being done now."""

    async def look(self) -> None:
        """See what holds the code that python runs, once, when python is switched on."""
        if self._looked or "python" not in self._conversation.settings.tools_on:
            return
        self._looked = True
        try:
            walls = await self._workshop.walls()
        except LlamaChatError as error:
            self.walls = "no walls"
            self._say(error)
            return
        missing = "; ".join(f"{layer.name} ({layer.detail or 'off'})" for layer in walls.missing)
        hint = next((layer.hint for layer in walls.missing if layer.hint), "llamachat sandbox shows every layer.")
        if not walls.stand:
            self.walls = "no walls"
            self._say(EngineError(f"Nothing of the system holds the code that python runs: {missing}.", hint))
        elif walls.missing:
            self.walls = "weak walls"
            self._note(f"Python runs behind {walls}; missing: {missing}. {hint}")

    async def connect(self) -> None:
        """Start the servers, and offer their tools."""
        if not self._workshop.servers or self._servers:
            return
        from llamachat.tools.mcp_servers import McpServers

        self._servers = McpServers(self._workshop.servers, self._note, self.offer)
        self.activity = "starting servers …"
        try:
            self.offer(await self._servers.connect())
        finally:
            self.activity = ""

    async def close(self) -> None:
        """End the servers."""
        if self._servers:
            await self._servers.close()

    def offer(self, tools: tuple[Tool, ...]) -> None:
        """Put ``tools`` in the place of those that the servers offered before; new ones are on, if any tool may be.
        If one has the name of another tool, all stays as it was."""
        try:
            self._swap(tools)
        except ConfigError as error:
            self._say(error)

    def _swap(self, tools: tuple[Tool, ...]) -> None:
        settings = self._conversation.settings
        off = {name for name in settings.toolbox.names if name not in settings.tools_on} & self._theirs
        others = tuple(tool for tool in settings.toolbox.tools if tool.name not in self._theirs)
        on = [name for name in settings.tools_on if name not in self._theirs]
        toolbox = with_tools(Toolbox(others).only(on), tools)
        unwanted = {tool.name for tool in tools} if settings.config.chat.tools == [] else off
        wanted = {tool.name for tool in toolbox.active} - unwanted
        self._conversation.settings = replace(settings, toolbox=toolbox.only(wanted))
        self._theirs = frozenset(tool.name for tool in tools)
