"""A real MCP server, written with the official SDK: over stdio, or with the argument "http" on a free port of loopback,
whose address it prints first."""

import asyncio
import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource, TextContent, TextResourceContents

server = MCPServer("honest", log_level="CRITICAL")


@server.tool()
def add(a: int, b: int = 1) -> str:
    """Add two whole numbers."""
    return str(a + b)


@server.tool()
def say(text: str) -> str:
    """Repeat a text."""
    return text


@server.tool()
def long(characters: int) -> str:
    """As many characters."""
    return "x" * characters


@server.tool()
def picture() -> Image:
    """Draw."""
    return Image(data=b"\x89PNG\r\n\x1a\n drawn", format="png")


@server.tool()
def parts() -> CallToolResult:
    """A text, a file of text and a file of bytes."""
    text = TextResourceContents(uri="memo://1", mime_type="text/plain", text="memo")
    blob = BlobResourceContents(uri="memo://2", mime_type="../../etc/passwd", blob="AAEC")
    broken = BlobResourceContents(uri="memo://3", mime_type="image/png", blob="%%%")
    files = [EmbeddedResource(type="resource", resource=resource) for resource in (text, blob, broken)]
    return CallToolResult(content=[TextContent(type="text", text="three:"), *files])


@server.tool()
def data() -> CallToolResult:
    """Data without a text."""
    return CallToolResult(content=[], structured_content={"degrees": 21.5})


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("out of paper")


@server.tool()
def environment() -> str:
    """The names and values that the server was started with."""
    return "\n".join(f"{name}={value}" for name, value in os.environ.items())


@server.tool()
async def slow() -> str:
    """Never come back."""
    await asyncio.Event().wait()
    return ""


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(7)


@server.tool()
async def grow(context: Context) -> str:
    """Offer one tool more."""
    server.add_tool(lambda: "new", name="fresh", description="New.")
    await context.notify_tools_changed()
    return "grown"


def serve_http() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="critical", lifespan="on")
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    serve_http() if sys.argv[1:] == ["http"] else server.run()
