"""One run of one server, from its start to its end. Knows the SDK's client, and no tools of ours.

The client lives in cancel scopes that must be entered and left in one task: that is ``Run.task``.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from llamachat import __version__
from llamachat.errors import EngineError
from llamachat.tools.mcp_servers.config import Limits, Server
from llamachat.tools.mcp_servers.sieve import sieved
from llamachat.tools.mcp_servers.taming import plain
from llamachat.tools.mcp_servers.transports import GRACE, open_transport

MAX_PAGES = 100  # of a list of tools
MAX_LISTED = 10_000  # tools that are read at all
LONGEST_PAUSE = 600.0  # seconds between two lists

_ME = types.Implementation(name="llamachat", version=__version__)

for _name in ("mcp", "client", "httpx2"):  # what the SDK logs would go to stderr, across the screen
    logging.getLogger(_name).addHandler(logging.NullHandler())

Listed = Callable[[Sequence[types.Tool]], None]


class Run:
    """A server that is starting, runs, or has run. ``listed`` gets its tools at the start and when they change."""

    def __init__(self, server: Server, limits: Limits, listed: Listed) -> None:
        self.why = ""
        """Why it ended, as the end of a sentence; empty while it runs and if we ended it."""
        self._server, self._limits, self._listed = server, limits, listed
        self._closing, self._changed = asyncio.Event(), asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._live())

    async def client(self) -> Client:
        """The client, once the server is connected and has listed its tools. Raises EngineError; then it has ended."""
        seconds = self._limits.start
        await asyncio.wait((self._ready, self.task), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done() and not self.task.done():
            await self.end(f"it did not answer in {seconds:g} s")
        if self.task.done():
            raise EngineError(self.why or "it was closed")
        return self._ready.result()

    async def end(self, why: str = "") -> None:
        """End the server, for the reason ``why`` if it gives no better one itself."""
        self.why = self.why or why
        self._closing.set()
        self._changed.set()
        if not self._ready.done():
            self.task.cancel()
        done, _ = await asyncio.wait((self.task,), timeout=4 * GRACE)  # its three steps, and some
        if not done:
            self.task.cancel()
            await asyncio.wait((self.task,), timeout=4 * GRACE)

    async def _live(self) -> None:
        try:
            transport = sieved(open_transport(self._server))
            async with Client(transport, client_info=_ME, message_handler=self._hear, cache=None) as client:
                await self._stay(client)
        except Exception as error:  # noqa: BLE001 a stranger's server may make the SDK raise anything
            cause = _leaf(error)
            if isinstance(cause, EngineError) or not self._closing.is_set():
                self.why = _told(cause)

    async def _stay(self, client: Client) -> None:
        """List the tools, now and whenever they change, until the end."""
        watch = asyncio.create_task(self._watch(client))
        pause = self._limits.relist
        try:
            while not self._closing.is_set():
                self._changed.clear()
                self._listed(await self._list(client))
                if not self._ready.done():
                    self._ready.set_result(client)
                await self._changed.wait()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE)  # one that changes all the time is not heard all the time
        finally:
            watch.cancel()

    async def _list(self, client: Client) -> list[types.Tool]:
        if client.server_capabilities.tools is None:
            return []
        tools: list[types.Tool] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(self._limits.list):
                for _ in range(MAX_PAGES):
                    page = await client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
                    tools += page.tools
                    cursor = page.next_cursor
                    if cursor is None or len(tools) >= MAX_LISTED:
                        break
        except TimeoutError as error:
            raise EngineError(f"it did not list its tools in {self._limits.list:g} s") from error
        return tools

    async def _watch(self, client: Client) -> None:
        """Since 2026-07-28, a change is told only to those who ask."""
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return
        with suppress(MCPError, SubscriptionLost, TimeoutError):
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._changed.set()

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._changed.set()


def _leaf(error: BaseException) -> BaseException:
    """The first cause in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        ours = [inner for inner in error.exceptions if isinstance(_leaf(inner), EngineError)]
        error = (ours or error.exceptions)[0]
    return error


def _told(error: BaseException) -> str:
    """``error`` as the end of a sentence."""
    match error:
        case EngineError(message=message) | MCPError(message=message):
            return plain(message.partition("\n")[0], 300)
        case ValidationError():
            where = ".".join(map(str, error.errors(include_url=False, include_input=False)[0]["loc"]))
            return f"it sent what the protocol does not know, at {plain(where, 100) or 'the top'}"
        case httpx2.ConnectError():
            return "it can't be reached at all"
        case OSError(strerror=str(problem)):
            return f"{error.filename or 'it'}: {problem}"
    return plain(f"{type(error).__name__}: {error}", 300)
