"""Takes out of a list of tools those that the SDK could not read, and with them would refuse the whole list.

In the place of each stands a tool of its name with the reason, so that it can be told. Knows only that one message.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.client import Transport
from mcp.client._transport import ReadStream, TransportStreams
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

UNFIT = "x-llamachat-unfit"  # the key of the reason, in the schema of the stand-in

Item = SessionMessage | Exception


@asynccontextmanager
async def sieved(transport: Transport) -> AsyncGenerator[TransportStreams, None]:
    """``transport``, with what it receives looked through."""
    async with transport as (received, sent):
        yield _Sieve(received), sent


class _Sieve:
    """A stream of messages whose lists of tools can be read."""

    def __init__(self, stream: ReadStream[Item]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "_Sieve":
        return self

    async def __anext__(self) -> Item:
        return _readable(await self._stream.__anext__())

    async def __aenter__(self) -> "_Sieve":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._stream.__aexit__(*error)

    async def receive(self) -> Item:
        return _readable(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()


def _readable(item: Item) -> Item:
    if isinstance(item, SessionMessage) and isinstance(item.message, types.JSONRPCResponse):
        tools = item.message.result.get("tools")
        if isinstance(tools, list):
            item.message.result["tools"] = [_tool(tool) for tool in tools]
    return item


def _tool(tool: Any) -> Any:
    """``tool``, or its stand-in."""
    try:
        types.Tool.model_validate(tool, by_name=False)
        schema = tool["inputSchema"]
        reason = "" if schema.get("type") == "object" else "has a schema that is not of type object"
    except ValidationError as error:
        reason = f"is not well formed at {'.'.join(map(str, error.errors()[0]['loc'])) or 'the top'}"
    name = tool.get("name") if isinstance(tool, Mapping) else None
    stand_in = {"name": name if isinstance(name, str) else "", "inputSchema": {"type": "object", UNFIT: reason}}
    return stand_in if reason else tool
