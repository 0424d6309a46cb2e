"""Gathers the tools of a chat: ours, the user's functions, plug-ins, MCP servers. Knows no front; imports late.

MCP servers take seconds to come up: a chat opens without them, and adds their tools when they are there.
"""

import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.config import Config, McpConfig
from llamachat.errors import ConfigError
from llamachat.paths import config_dir
from llamachat.tools import Tool, Toolbox

if TYPE_CHECKING:
    from llamachat.tools.mcp_servers import Server
    from llamachat.tools.python import PythonSession
    from llamachat.tools.sandbox import Walls


@dataclass(frozen=True, slots=True)
class Workshop:
    """The tools, the python session behind one of them, servers that are still to be started, and what to tell."""

    toolbox: Toolbox
    python: "PythonSession"
    servers: tuple["Server", ...] = ()
    notices: tuple[str, ...] = ()

    def place(self, path: Path) -> None:
        """Let python open ``path`` by its name. A file that is there already stays."""
        with suppress(ConfigError):
            self.python.attach(path)

    async def walls(self) -> "Walls":
        """What holds the code that python runs; starts a worker to see. Raises LlamaChatError."""
        return await self.python.look()


def gather(config: Config, wanted: Collection[str] | None = None) -> Workshop:
    """What ``config`` asks for. ``wanted`` are the names of the tools to switch on, beside the functions of files and
    packages, which are meant as they are named; None switches all on.

    Raises ConfigError if a file, or a name, is wrong; a broken plug-in is only a notice.
    """
    from llamachat.tools.python import PythonLimits, PythonSession

    limits = PythonLimits(seconds=config.python.seconds, memory=config.python.memory_mb << 20)
    python = PythonSession(limits, unwalled=config.python.unwalled)
    tool = replace(python.tool, permission="ask") if config.python.unwalled else python.tool
    ours = (tool, *_search(config))
    functions = _functions(Path(name).expanduser() for name in config.chat.functions)
    plugins, notices = _plugins([tool.name for tool in (*ours, *functions)])
    toolbox = Toolbox((*ours, *functions, *plugins))
    if wanted is not None:
        toolbox = toolbox.only({*wanted, *(tool.name for tool in (*functions, *plugins))})
    return Workshop(toolbox, python, _servers(config.mcp), notices)


def with_tools(toolbox: Toolbox, tools: Iterable[Tool]) -> Toolbox:
    """``toolbox`` with these added, and switched on. Raises ConfigError if a name is there already."""
    added = tuple(tools)
    on = None if toolbox.on is None else toolbox.on | {tool.name for tool in added}
    return Toolbox((*toolbox.tools, *added), on)


@asynccontextmanager
async def open_workshop(config: Config, notice: Callable[[str], None]) -> AsyncIterator[Toolbox]:
    """All tools, the servers' too, for those who can wait; closed afterwards.

    ``notice`` is told in a sentence of each server and plug-in that fails. Raises ConfigError.
    """
    async with AsyncExitStack() as stack:
        workshop = gather(config)
        stack.push_async_callback(workshop.toolbox.close)
        for text in workshop.notices:
            notice(text)
        toolbox = workshop.toolbox
        if workshop.servers:
            from llamachat.tools.mcp_servers import McpServers

            servers = McpServers(workshop.servers, notice)
            stack.push_async_callback(servers.close)
            toolbox = with_tools(toolbox, await servers.connect())
        yield toolbox


def _search(config: Config) -> list[Tool]:
    from llamachat.tools.search import search_tool
    from llamachat.tools.search.providers import SearchSettings, make_provider

    wanted = config.search
    folder = Path(wanted.folder).expanduser() if wanted.folder else None
    settings = SearchSettings(tuple(wanted.providers), wanted.searxng_url, wanted.language, folder)
    tools = [search_tool(make_provider(settings))]
    if wanted.open:
        from llamachat.tools.search.pages import open_tool

        tools.append(open_tool())
    return tools


def _functions(files: Iterable[Path]) -> tuple[Tool, ...]:
    paths = tuple(files)
    if not paths:
        return ()
    from llamachat.tools.functions import load_functions  # 0.1 s for pydantic, only when it is wanted

    return tuple(tool for path in paths for tool in load_functions(path))


def _plugins(taken: Iterable[str]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    if not _has_plugins():
        return (), ()
    from llamachat.tools.functions.plugins import load_plugins

    tools, errors = load_plugins(taken)
    return tuple(tools), tuple(str(error) for error in errors)


def _has_plugins() -> bool:
    """Whether an installed package may name our entry point. importlib.metadata, which tells for sure, takes 30 ms of
    the first frame to say no."""
    try:
        for folder in map(Path, sys.path):
            files = folder.glob("*.*-info/entry_points.txt")
            if folder.is_file() or folder.suffix == ".egg" or any(b"llamachat.tools" in f.read_bytes() for f in files):
                return True
    except OSError:
        return True
    return False


def _servers(config: McpConfig) -> tuple["Server", ...]:
    file = Path(config.file).expanduser() if config.file else config_dir() / "mcp.json"
    if not config.file and not file.is_file():
        return ()
    from llamachat.tools.mcp_servers import load_servers

    return tuple(load_servers(file))
