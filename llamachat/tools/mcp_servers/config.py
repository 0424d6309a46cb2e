"""The servers that a standard ``mcpServers`` file names. Knows the file's form; starts and asks nothing.

    {"mcpServers": {"time":  {"command": "uvx", "args": ["mcp-server-time"], "env": {"TZ": "${TZ:-UTC}"}, "cwd": "~"},
                    "wiki":  {"url": "https://…/mcp", "headers": {"Authorization": "Bearer ${WIKI_TOKEN}"}}}}

``"type"`` ("stdio" or "http") and ``"disabled"``, which other programs write, are understood too.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from llamachat.errors import ConfigError
from llamachat.paths import variable

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_LOCAL = ("command", "args", "env", "cwd")
_REMOTE = ("url", "headers")
_BOTH = ("type", "disabled")
_TYPES = {"stdio": "command", "http": "url", "streamable-http": "url", "streamableHttp": "url"}


@dataclass(frozen=True, slots=True)
class StdioServer:
    """A program that we start, and that speaks on its stdin and stdout. ``env`` is added to a short safe list."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A server that listens elsewhere, and speaks streamable HTTP."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


Server = StdioServer | HttpServer


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a server has for each thing; between two lists of its tools, ``relist``
    must pass, twice as long each time."""

    start: float = 30.0
    list: float = 15.0
    call: float = 120.0
    relist: float = 5.0


def load_servers(path: Path) -> tuple[Server, ...]:
    """The servers of the JSON file ``path`` that are not disabled, in its order, with ``${VAR}`` put in.

    Raises ConfigError for the first mistake, with file, server and key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_object)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.", "Check its name.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}.", "Mend it; a comma too many is the usual slip.") from error
    servers = content.get("mcpServers") if isinstance(content, dict) else None
    if not isinstance(servers, dict):
        raise ConfigError(f'{path} has no object "mcpServers".', 'Write {"mcpServers": {"name": {"command": …}}}.')
    read = (_Entry(path, name, entry).read() for name, entry in servers.items())
    return tuple(server for server in read if server is not None)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; Python's reader would let the second of two servers of one name win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found


class _Entry:
    """One server of the file, being read."""

    def __init__(self, path: Path, name: str, entry: Any) -> None:
        self._path, self._name, self._entry = path, name, entry

    def read(self) -> Server | None:
        """The server, or None if it is disabled."""
        if not isinstance(self._entry, dict):
            self._wrong("must be an object", 'Write {"command": "…", "args": […]} or {"url": "…"}.')
        kind = self._kind()
        self._known((*(_LOCAL if kind == "command" else _REMOTE), *_BOTH))
        if self._value("disabled", bool, False):
            return None
        return self._stdio() if kind == "command" else self._http()

    def _kind(self) -> str:
        given = [key for key in ("command", "url") if key in self._entry]
        if len(given) != 1:
            self._wrong(f'needs either "command" or "url", and has {"both" if given else "neither"}', "Keep one.")
        stated = self._value("type", str, None)
        if stated == "sse":
            self._wrong('asks for "type": "sse", which streamable HTTP has replaced', "Ask its makers for that URL.")
        if stated is not None and _TYPES.get(stated) != given[0]:
            self._wrong(f'has "type": {json.dumps(stated)}, which does not go with "{given[0]}"', 'Leave "type" out.')
        return given[0]

    def _stdio(self) -> StdioServer:
        command, cwd = self._text("command"), self._text("cwd", None)
        args = self._value("args", list, [])
        return StdioServer(
            self._name,
            str(Path(command).expanduser()) if command.startswith("~") else command,
            tuple(self._expanded(arg, f"args[{index}]") for index, arg in enumerate(args)),
            self._texts("env"),
            self._path.parent / Path(cwd).expanduser() if cwd else None,
        )

    def _http(self) -> HttpServer:
        url = self._text("url")
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            self._wrong('"url" must begin with http:// or https://', "Copy it from the server's page.")
        return HttpServer(self._name, url, self._texts("headers"))

    def _known(self, keys: Iterable[str]) -> None:
        for key in self._entry:
            if key not in keys:
                near = get_close_matches(key, keys, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Keys here: {', '.join(keys)}."
                self._wrong(f"has an unknown key {key!r}", hint)

    def _value(self, key: str, kind: type, default: Any) -> Any:
        value = self._entry.get(key, default)
        if value is not default and not isinstance(value, kind):
            words = {str: "a string", bool: "true or false", list: "a list", dict: "an object"}[kind]
            self._wrong(f'"{key}" must be {words}', f"It is {json.dumps(value)[:60]}.")
        return value

    def _text(self, key: str, default: Any = "") -> Any:
        value = self._value(key, str, default)
        return value if value is None else self._expanded(value, key)

    def _texts(self, key: str) -> dict[str, str]:
        return {name: self._expanded(value, f"{key}.{name}") for name, value in self._value(key, dict, {}).items()}

    def _expanded(self, value: Any, key: str) -> str:
        if not isinstance(value, str):
            self._wrong(f'"{key}" must be a string', f"It is {json.dumps(value)[:60]}.")

        def put_in(match: re.Match[str]) -> str:
            found = variable(match[1])
            if found is None and match[2] is None:
                hint = f"Set it, or write ${{{match[1]}:-a default}}."
                self._wrong(f'"{key}" uses the environment variable {match[1]}, which is not set', hint)
            return found or match[2] or ""

        text = _VARIABLE.sub(put_in, value)
        if "\0" in text:
            self._wrong(f'"{key}" holds a NUL character', "Take it out.")
        return text

    def _wrong(self, what: str, hint: str) -> NoReturn:
        raise ConfigError(f"{self._path}, MCP server {self._name!r}: {what}.", hint)
