"""Tools of MCP servers (https://modelcontextprotocol.io), by the official SDK. Knows neither model nor UI.

Servers are strangers: what they say is capped and checked, what they break is told in one sentence, and none of them
can keep the program, or another server, from its work. The SDK takes 0.6 s to import, so it comes late, in a thread.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from llamachat.threads import in_thread
from llamachat.tools import Tool
from llamachat.tools.mcp_servers.config import HttpServer, Limits, Server, StdioServer, load_servers

if TYPE_CHECKING:
    from llamachat.tools.mcp_servers.offered import Offered

__all__ = ["HttpServer", "Limits", "McpServers", "Server", "StdioServer", "load_servers"]


def _unheard(*_: object) -> None:
    """The default of the callbacks."""


class McpServers:
    """Some servers and their tools.

    ``notice`` is told in one sentence of whatever goes wrong; ``changed`` gets all tools when a server, under way,
    offers others than before. Both are called on the event loop that ``connect`` runs on.
    """

    def __init__(
        self,
        servers: Iterable[Server],
        notice: Callable[[str], None] = _unheard,
        changed: Callable[[tuple[Tool, ...]], None] = _unheard,
        limits: Limits = Limits(),
    ) -> None:
        self._servers, self._limits = tuple(servers), limits
        self._notice, self._tell = notice, changed
        self._offered: tuple[Offered, ...] = ()

    async def connect(self) -> tuple[Tool, ...]:
        """Start all servers at once and return the tools of those that come up, after ``Limits.start`` at the latest.

        A call of a tool starts its server again if it has ended, with a pause if it keeps failing. Cancelling ends all.
        """
        if not self._servers:
            return ()
        offered = await in_thread(_import)
        self._offered = tuple(offered(server, self._limits, self._notice, self._changed) for server in self._servers)
        try:
            await asyncio.gather(*(server.connect() for server in self._offered))
        except asyncio.CancelledError:
            await self.close()
            raise
        return self.tools

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that the servers offer now; their names are unlike each other."""
        tools: list[Tool] = []
        for server in self._offered:
            tools += server.tools({tool.name for tool in tools})
        return tuple(tools)

    async def close(self) -> None:
        """End all servers. ``Tool.close`` of any of their tools ends its server too; a later call starts it again."""
        await asyncio.gather(*(server.close() for server in self._offered))

    def _changed(self) -> None:
        self._tell(self.tools)


def _import() -> "type[Offered]":
    from llamachat.tools.mcp_servers.offered import Offered

    return Offered
