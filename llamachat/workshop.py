"""Gathers the tools of a chat: ours, the user's functions, those of MCP servers. Knows no front; imports late.

MCP servers take seconds to come up: a chat opens with ``build_toolbox``, and adds their tools when they are there.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from llamachat.tools import Tool, Toolbox


def build_toolbox(functions: Iterable[Path] = (), wanted: Collection[str] | None = None) -> Toolbox:
    """python, search and the functions of the files. ``wanted`` are the names of those to switch on, beside the
    functions, since who names a file means it; None switches all on.

    Raises ConfigError if a file, or a name, is wrong.
    """
    from llamachat.tools.python import python_tool
    from llamachat.tools.search import search_tool

    own = _functions(functions)
    toolbox = Toolbox((python_tool(), search_tool(), *own))
    return toolbox if wanted is None else toolbox.only({*wanted, *(tool.name for tool in own)})


def with_tools(toolbox: Toolbox, tools: Iterable[Tool]) -> Toolbox:
    """``toolbox`` with these added, and switched on. Raises ConfigError if a name is there already."""
    added = tuple(tools)
    on = None if toolbox.on is None else toolbox.on | {tool.name for tool in added}
    return Toolbox((*toolbox.tools, *added), on)


@asynccontextmanager
async def open_toolbox(
    functions: Iterable[Path], mcp: Iterable[Path], notice: Callable[[str], None]
) -> AsyncIterator[Toolbox]:
    """All tools, with the servers of the ``mcp`` files up, for those who can wait; closed afterwards.

    ``notice`` is told in a sentence of each server that fails. Raises ConfigError.
    """
    async with AsyncExitStack() as stack:
        toolbox = build_toolbox(functions)
        stack.push_async_callback(toolbox.close)
        if files := tuple(mcp):
            from llamachat.tools.mcp_servers import McpServers, load_servers

            servers = McpServers([server for file in files for server in load_servers(file)], notice)
            stack.push_async_callback(servers.close)
            toolbox = with_tools(toolbox, await servers.connect())
        yield toolbox


def _functions(files: Iterable[Path]) -> tuple[Tool, ...]:
    paths = tuple(files)
    if not paths:
        return ()
    from llamachat.tools.functions import load_functions  # 0.1 s for pydantic, only when it is wanted

    return tuple(tool for path in paths for tool in load_functions(path))
