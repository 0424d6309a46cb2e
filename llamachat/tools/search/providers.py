"""Whom a search asks: SearXNG and Wikipedia, and the others by name. Knows the forms of their answers.

What a server answers is checked field by field; a row that is not what it should be is left out. Errors are one
sentence that begins as in ``search``.
"""

import asyncio
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from llamachat import paths
from llamachat.errors import ConfigError, PageError, PageOffline, SearchError, SearchOffline, SearchRateLimited
from llamachat.tools.search import Cached, Ddgs, Found, Provider
from llamachat.tools.search.rotation import Rotation

if TYPE_CHECKING:
    from llamachat.tools.search.fetch import Fetched, Fetcher

PROVIDERS = ("ddgs", "wikipedia", "searxng", "folder")
SECONDS = 6.0  # for one provider; the search tool has 15 for all
_BYTES = 1_000_000
_LATER = "Try again in a minute."
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What the user's config says of the search. ``providers`` are asked in their order."""

    providers: tuple[str, ...] = ("ddgs",)
    searxng: str | None = None
    """Address of an instance whose settings.yml allows the format json."""
    language: str = "en"
    """Of Wikipedia, as in its address."""
    folder: Path | None = None
    """Searched offline."""
    proxy: str | None = None
    """For ddgs only."""


def make_provider(settings: SearchSettings, cache: Path | None = None) -> Provider:
    """The providers that ``settings`` name, behind one; answers from the web are kept in the folder ``cache``.

    Raises ConfigError on a name, address, language or folder that can't be used.
    """
    if not settings.providers:
        raise ConfigError("The search has no provider.", f"Name one of {', '.join(PROVIDERS)}.")
    for name in settings.providers:
        if name not in PROVIDERS:
            raise ConfigError(f"There is no search provider {name!r}.", f"There are {', '.join(PROVIDERS)}.")
    if len(set(settings.providers)) < len(settings.providers):
        raise ConfigError("A search provider is named twice.", "Name each once.")
    kept = cache or paths.cache_dir() / "search"
    return Rotation([_provider(name, settings, kept) for name in settings.providers])


def _provider(name: str, settings: SearchSettings, cache: Path) -> Provider:
    if name == "folder":
        if settings.folder is None or not settings.folder.expanduser().is_dir():
            raise ConfigError(f"There is no folder {settings.folder} to search.", "Give the path of a folder.")
        from llamachat.tools.search.folder_index import FolderIndex  # late: most chats search no folder

        return FolderIndex(settings.folder, cache.parent / "folders")
    if name == "searxng":
        return Cached(Searxng(settings.searxng or ""), cache)
    return Cached(Wikipedia(settings.language) if name == "wikipedia" else Ddgs(settings.proxy), cache)


class Searxng:
    """An instance of SearXNG, by its JSON API (docs.searxng.org/dev/search_api.html)."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        parts = re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?(/[^@?#\s]*)?", url)
        if not parts:
            raise ConfigError(f"{url!r} is no address of a SearXNG.", "Give one like https://searx.example.org.")
        self.name = f"searxng {parts[1]}"
        self._url = url.rstrip("/") + "/search?"
        self._fetcher = _fetcher(seconds, anywhere=True)

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider. Blocks, so call it where no event loop runs."""
        answer = _ask(self._fetcher, self._url + urlencode({"q": query, "format": "json"}), forbidden=_NO_JSON)
        rows = _rows(answer, "results")
        return [found for row in rows if (found := _found(row, row.get("url"), row.get("content")))][:limit]


_NO_JSON = "Its settings.yml must list json under search.formats."


class Wikipedia:
    """Wikipedia's own search, by the MediaWiki action API (www.mediawiki.org/wiki/API:Search)."""

    def __init__(self, language: str = "en", seconds: float = SECONDS, api: str | None = None) -> None:
        """``language`` is the first part of the address; ``api`` replaces the address, for a mirror."""
        if not re.fullmatch(r"[a-z]{2,12}(-[a-z]{2,12}){0,2}", language):
            raise ConfigError(f"{language!r} is no language of Wikipedia.", "Give one like en, de or zh-yue.")
        self.name = f"wikipedia {language}"
        self._site = f"https://{language}.wikipedia.org"
        self._api = api or f"{self._site}/w/api.php"
        self._fetcher = _fetcher(seconds, anywhere=api is not None)

    def search(self, query: str, limit: int) -> list[Found]:
        """As in Provider. Blocks, so call it where no event loop runs."""
        wanted = {"action": "query", "list": "search", "srsearch": query[:300], "srlimit": limit, "format": "json"}
        answer = _ask(self._fetcher, f"{self._api}?{urlencode(wanted)}")
        if isinstance(error := answer.get("error"), dict):
            if error.get("code") == "ratelimited":
                raise SearchRateLimited("rate limited: it asks to wait.", _LATER)
            raise SearchError(f"the search failed: it says {str(error.get('info'))[:200]!r}.", "Try other words.")
        inner = answer.get("query")
        rows = _rows(inner if isinstance(inner, dict) else {}, "search")
        return [found for row in rows if (found := _found(row, self._page(row), row.get("snippet")))][:limit]

    def _page(self, row: Mapping[str, Any]) -> str:
        return f"{self._site}/wiki/{quote(str(row.get('title')).replace(' ', '_'), safe='/:(),')}"


def _fetcher(seconds: float, anywhere: bool) -> "Fetcher":
    from llamachat.tools.search.fetch import Fetcher  # late: it brings httpx, 50 ms that the first frame can do without

    return Fetcher(_BYTES, seconds, redirects=0, anywhere=anywhere)


def _ask(fetcher: "Fetcher", url: str, forbidden: str = _LATER) -> Mapping[str, Any]:
    """The JSON object behind ``url``. Raises SearchError; ``forbidden`` is the hint on status 403."""
    try:
        answer = asyncio.run(fetcher.get(url))
    except PageOffline as error:
        raise SearchOffline(_prefixed("offline: ", error.message), "Check the network connection.") from error
    except PageError as error:
        raise SearchError(f"the search failed: {error.message}", error.hint) from error
    if answer.status == 429:
        raise SearchRateLimited("rate limited: it asks to wait.", _LATER)
    if answer.status != 200:
        hint = forbidden if answer.status == 403 else _LATER
        raise SearchError(f"the search failed: it answers with status {answer.status}.", hint)
    return _object(answer)


def _object(answer: "Fetched") -> Mapping[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        kind = "a web page" if answer.body[:200].lstrip().startswith(b"<") else "broken JSON"
        raise SearchError(f"the search failed: it answers with {kind}, not with results.", _LATER) from error
    if not isinstance(value, dict):
        raise SearchError("the search failed: its answer is not of the expected form.", _LATER)
    return value


def _rows(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = answer.get(key)
    if not isinstance(rows, list):
        raise SearchError("the search failed: its answer is not of the expected form.", _LATER)
    return [row for row in rows if isinstance(row, dict)]


def _found(row: Mapping[str, Any], url: object, text: object) -> Found | None:
    """A result, if it has a title and an address that can be opened. Markup is taken out."""
    title = row.get("title")
    if not isinstance(title, str) or not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    return Found(_plain(title), url, _plain(text) if isinstance(text, str) else "")


def _plain(markup: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", markup[:4000])).split())


def _prefixed(prefix: str, message: str) -> str:
    return prefix + message.removeprefix(prefix)
