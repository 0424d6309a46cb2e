"""One server's tools as ours: which of them, under what names, and how they run. Knows the connection from outside."""

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any

from mcp_types import Tool as Listing

from llamachat.errors import EngineError
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.mcp_servers.config import Limits, Server
from llamachat.tools.mcp_servers.connection import Connection
from llamachat.tools.mcp_servers.results import Files, read_result
from llamachat.tools.mcp_servers.sieve import UNFIT
from llamachat.tools.mcp_servers.taming import LONGEST_DESCRIPTION, Unfit, called, plain, tame

MAX_TOOLS = 128  # of one server: OpenAI's limit for a request, and far more than an 8B model chooses well from


class Offered:
    """A server with its tools. ``changed`` is called when they are no longer those that were listed first."""

    def __init__(
        self, server: Server, limits: Limits, notice: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._server, self._notice, self._changed = server, notice, changed
        self._connection = Connection(server, limits, notice, self._listed)
        self._files = Files()
        self._listings: Sequence[Listing] | None = None
        self._fit: list[tuple[Listing, dict[str, Any]]] = []

    async def connect(self) -> None:
        """Start the server; if it fails, the notice has said so."""
        try:
            await self._connection.open()
        except EngineError:
            return

    async def close(self) -> None:
        """End the server and delete what it gave. A later call starts it again."""
        await self._connection.close()
        self._files.remove()

    def tools(self, taken: Container[str]) -> list[Tool]:
        """Its tools, with names that are not ``taken``."""
        made: list[Tool] = []
        names: set[str] = set()
        for listing, schema in self._fit:
            name = called(self._server.name, listing.name, lambda name: name in taken or name in names)
            names.add(name)
            made.append(
                Tool(
                    name,
                    plain(listing.description or listing.title or "", LONGEST_DESCRIPTION),
                    schema,
                    partial(self._run, listing.name, name),
                    close=self.close,
                    permission="ask",
                    source=f"MCP server {plain(self._server.name, 40)}",
                )
            )
        return made

    async def _run(self, listed: str, name: str, arguments: Mapping[str, Any]) -> ToolOutput:
        return read_result(await self._connection.call(listed, arguments), self._files, name)

    def _listed(self, listings: Sequence[Listing]) -> None:
        """Sort a new list of tools into what fits and what is left out."""
        if listings == self._listings:
            return
        first, self._listings = self._listings is None, listings
        self._fit, left_out = [], []
        seen: set[str] = set()
        for listing in listings[:MAX_TOOLS]:
            try:
                if listing.name in seen or not listing.name.strip():
                    raise Unfit("has a name that another has" if listing.name.strip() else "has no name")
                if reason := listing.input_schema.get(UNFIT):
                    raise Unfit(plain(str(reason), 100))
                self._fit.append((listing, tame(listing.input_schema)))
                seen.add(listing.name)
            except Unfit as unfit:
                left_out.append(f"{plain(listing.name, 40)!r} {unfit}")
        if len(listings) > MAX_TOOLS:
            left_out.append(f"{len(listings) - MAX_TOOLS:,} are more than the {MAX_TOOLS} that are read")
        if left_out:
            more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
            self._notice(f"{self._connection.title} offers tools that are left out: {'; '.join(left_out[:3])}{more}.")
        if not first:
            self._notice(f"{self._connection.title} has changed its tools; it offers {len(self._fit)} now.")
            self._changed()
