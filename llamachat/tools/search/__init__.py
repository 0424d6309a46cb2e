"""The search tool: a query in, five results out, cached for a day. Knows ddgs, and other providers by one method.

What a provider's library raises is translated at its border into SearchOffline, SearchRateLimited and
SearchNothingFound; their messages begin with "offline: ", "rate limited: ", "nothing found: ", for the model to tell.
"""

import asyncio
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from llamachat import paths
from llamachat.errors import SearchError, SearchNothingFound, SearchOffline, SearchRateLimited
from llamachat.threads import in_thread
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.shorten import printable

RESULTS = 5
SECONDS = 15.0
_TEXT, _TITLE, _URL = 300, 200, 2000  # characters of a result that the model sees; longer addresses are no use
_DAY = 24 * 60 * 60
_CACHE_BYTES = 16 << 20
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Found:
    """One result. ``text`` is what the provider quotes of the page."""

    title: str
    url: str
    text: str


class Provider(Protocol):
    """A way to search. ``search`` blocks; it raises SearchError, or a child that says why there is no answer."""

    @property
    def name(self) -> str:
        """Errors name it, and answers are cached by it."""

    def search(self, query: str, limit: int) -> list[Found]:
        """At most ``limit`` results, best first."""


class Ddgs:
    """The ddgs library: DuckDuckGo, Brave, Mojeek, Wikipedia and others, tried two at a time, ``seconds`` each."""

    name = "ddgs"

    def __init__(self, proxy: str | None = None, seconds: int = 5) -> None:
        self._proxy, self._seconds = proxy, seconds

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider."""
        from ddgs import DDGS  # late: 0.03 s, and with it a browser's worth of TLS

        session = DDGS(proxy=self._proxy, timeout=self._seconds)
        return ask_ddgs(lambda: session.text(query, max_results=limit))


def ask_ddgs(ask: Callable[[], list[dict[str, Any]]]) -> list[Found]:
    """The border to ddgs: its results as ours, its exceptions as SearchErrors."""
    import primp
    from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

    try:
        return [Found(str(r.get("title", "")), str(r.get("href", "")), str(r.get("body", ""))) for r in ask()]
    except DDGSException as error:
        inner = error.args[0] if error.args else None  # the last engine's exception, if one failed
        chain = (error, inner, getattr(inner, "__cause__", None))
        if any(isinstance(link, RatelimitException) for link in chain):
            raise SearchRateLimited(
                "rate limited: the search engines ask to wait.", "Try again in a minute."
            ) from error
        if any(isinstance(link, TimeoutException | primp.RequestError) for link in chain):
            raise _offline("no search engine can be reached") from error
        if inner is None or isinstance(inner, str):
            raise nothing_found() from error
        raise SearchError(f"the search failed: {inner}", "Try again, or try other words.") from error


def search_tool(provider: Provider | None = None, cache: Path | None = None, *, timeout: float = SECONDS) -> Tool:
    """The tool ``search``, which models know as ``brave_search``.

    ``provider`` is ddgs if not given. ``cache`` is a folder of ours where its answers are kept; only ddgs has one if
    none is given. ``timeout`` is in seconds.
    """
    source = provider or Cached(Ddgs(), cache or paths.cache_dir() / "search")
    if provider and cache:
        source = Cached(provider, cache)

    def look_up(query: str) -> list[dict[str, str]]:
        if rows := [asdict(found) for found in _shown(source.search(query, RESULTS))]:
            return rows
        raise nothing_found()

    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        try:
            async with asyncio.timeout(timeout):
                rows = await in_thread(lambda: look_up(arguments["query"]))
        except TimeoutError as error:
            raise _offline(f"no answer in {timeout:g} s") from error
        return ToolOutput(printable(json.dumps(rows, ensure_ascii=False)))

    query = {"type": "string", "minLength": 1, "description": "what to search for"}
    return Tool(
        name="search",
        description="Searches the web and returns title, address and a piece of text of the best pages.",
        parameters={"type": "object", "properties": {"query": query}, "required": ["query"]},
        run=run,
        wire="builtin",
        wire_name="brave_search",
    )


class Cached:
    """A provider whose answers are kept for a day, on disk and as JSON: diskcache would pickle otherwise.

    Without a folder that works, it is just the provider. Failures are not kept.
    """

    def __init__(self, provider: Provider, folder: Path) -> None:
        self.name = provider.name
        self._provider, self._folder = provider, folder

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider."""
        key = f"{self.name}\n{' '.join(query.split()).casefold()}"
        known = self._with(lambda cache: cache.get(key))
        if isinstance(known, list) and all(map(_is_row, known)):
            return [Found(**row) for row in known]
        if found := _shown(self._provider.search(query, limit)):
            self._with(lambda cache: cache.set(key, [asdict(result) for result in found], expire=_DAY))
        return found

    def _with(self, use: Callable[[Any], Any]) -> Any:
        import diskcache  # type: ignore[import-untyped]  # late: 0.04 s; it ships no types

        try:
            self._remove_rubbish()
            with diskcache.Cache(str(self._folder), disk=diskcache.JSONDisk, size_limit=_CACHE_BYTES) as cache:
                return use(cache)
        except (OSError, sqlite3.Error, diskcache.Timeout, zlib.error, ValueError):
            return None  # read-only, full, locked or torn: searching goes on without it

    def _remove_rubbish(self) -> None:
        """A database file of ours that is none would stay in the way for ever."""
        file = self._folder / "cache.db"
        if file.exists():
            with file.open("rb") as content:
                begin = content.read(len(_SQLITE))
            if begin not in (b"", _SQLITE):
                file.unlink()


def _is_row(row: object) -> bool:
    whole = isinstance(row, dict) and set(row) == {"title", "url", "text"}
    return whole and all(isinstance(value, str) for value in row.values())  # type: ignore[attr-defined]


def _offline(reason: str) -> SearchOffline:
    return SearchOffline(f"offline: {reason}.", "Check the network connection.")


def nothing_found() -> SearchNothingFound:
    """What a provider says that has no results."""
    return SearchNothingFound("nothing found: try other words.", "Search engines also fall silent after many queries.")


def _shown(found: Iterable[Found]) -> list[Found]:
    """The first few results, each short enough for the model."""
    fit = [result for result in found if len(result.url) <= _URL]
    return [Found(_cut(result.title, _TITLE), result.url, _cut(result.text, _TEXT)) for result in fit[:RESULTS]]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
