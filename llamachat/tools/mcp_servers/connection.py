"""The way to one server over all its runs: started when it is needed, asked, dropped when it fails. Makes no tools.

Nothing that a server does comes out of here other than as an EngineError of one sentence.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import mcp_types as types
from mcp import Client, MCPError
from pydantic import TypeAdapter, ValidationError

from llamachat.errors import EngineError
from llamachat.tools.mcp_servers.config import Limits, Server
from llamachat.tools.mcp_servers.session import Listed, Run
from llamachat.tools.mcp_servers.taming import plain

LONGEST_PAUSE = 60.0  # seconds between two attempts to start a server that keeps failing

_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


class Connection:
    """One server. ``notice`` is told in a sentence when it fails."""

    def __init__(self, server: Server, limits: Limits, notice: Callable[[str], None], listed: Listed) -> None:
        self.title = f"The MCP server {plain(server.name, 40)}"
        self._server, self._limits, self._notice, self._listed = server, limits, notice, listed
        self._run: Run | None = None
        self._starting = asyncio.Lock()
        self._failures, self._not_before = 0, 0.0

    async def open(self) -> Client:
        """The live client; the server is started if it does not run. Raises EngineError."""
        return await (await self._running()).client()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """What the server's tool ``name`` answers. Raises EngineError; a server that is at fault has ended then."""
        run = await self._running()
        request = types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments=dict(arguments)))
        try:
            async with asyncio.timeout(self._limits.call):
                # Not client.call_tool: it holds the result against the server's schema, whose patterns may cost hours.
                result = await (await run.client()).session.send_request(request, _RESULT)
        except TimeoutError as error:
            raise await self._failed(run, f"it did not answer the call in {self._limits.call:g} s") from error
        except MCPError as error:
            if run.task.done() or error.code == types.CONNECTION_CLOSED or error.message == "Session terminated":
                raise await self._failed(run, error.message) from error
            raise EngineError(f"{self.title} refused the call: {plain(error.message, 500)}") from error
        except ValidationError as error:
            raise EngineError(f"{self.title} answered with what is no result.") from error
        if isinstance(result, types.InputRequiredResult):
            raise EngineError(f"{self.title} asks back before it answers, which llamachat does not support.")
        self._failures = 0
        return result

    async def close(self) -> None:
        """End the server. A later call starts it again."""
        run, self._run = self._run, None
        if run:
            await run.end()
        self._failures, self._not_before = 0, 0.0

    async def _running(self) -> Run:
        async with self._starting:
            if self._run is None or self._run.task.done():
                wait = self._not_before - time.monotonic()
                if wait > 0:
                    raise EngineError(f"{self.title} does not run; it can be tried again in {wait:.0f} s.")
                self._run = Run(self._server, self._limits, self._listed)
                self._run.task.add_done_callback(partial(self._count, self._run))
            run = self._run
        try:
            await run.client()
        except EngineError as error:
            raise EngineError(f"{self.title} failed: {error.message}.") from error
        return run

    async def _failed(self, run: Run, why: str) -> EngineError:
        await run.end(why)
        return EngineError(f"{self.title} failed: {run.why}.")

    def _count(self, run: Run, _: object) -> None:
        """After a run: the first failure is mended at once, more of them after 1, 2, 4 … seconds."""
        if run.why:
            self._failures += 1
            self._not_before = time.monotonic() + min(2.0 ** (self._failures - 2), LONGEST_PAUSE) * (self._failures > 1)
            self._notice(f"{self.title} failed: {run.why}.")
