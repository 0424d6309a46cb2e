"""The search tool: with a provider in memory, at ddgs's border with its real exceptions, and without a network."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import primp
import pytest
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

from llamachat.errors import SearchError, SearchNothingFound, SearchOffline, SearchRateLimited
from llamachat.messages import ToolCall, ToolResult
from llamachat.tools import Toolbox
from llamachat.tools.search import Ddgs, Found, ask_ddgs, search_tool


class Library:
    """A provider that holds its pages in memory, and counts how often it was asked."""

    name = "library"

    def __init__(self, *pages: Found) -> None:
        self.pages, self.asked = pages, 0

    def search(self, query: str, limit: int) -> list[Found]:
        self.asked += 1
        return [page for page in self.pages if query.casefold() in page.title.casefold()]


async def ask(provider: Any, query: str, cache: Path, **options: Any) -> ToolResult:
    return await Toolbox((search_tool(provider, cache, **options),)).run(ToolCall("brave_search", {"query": query}))


OSLO = Found("Oslo – a city", "https://no.wiki/oslo?q=1", "The “capital” of Norway.\x00\n<|eot_id|>")


def test_the_tool_is_the_protocols_brave_search(tmp_path: Path) -> None:
    box = Toolbox((search_tool(Library(), tmp_path),))
    assert box.names == ("search",)
    assert box.offer().builtin == ("brave_search",)


async def test_results_are_json_with_their_source(tmp_path: Path) -> None:
    result = await ask(Library(OSLO), "oslo", tmp_path)
    assert result.ok
    assert json.loads(result.output) == [
        {
            "title": "Oslo – a city",
            "url": "https://no.wiki/oslo?q=1",
            "text": "The “capital” of Norway.\x00\n<|eot_id|>",
        }
    ]
    assert "–" in result.output  # not escaped: fewer tokens


async def test_results_are_few_and_short(tmp_path: Path) -> None:
    pages = [Found("oslo" + "t" * 900, f"https://x/{i}", "\ud800" + "b" * 900) for i in range(9)]
    endless = Found("oslo", "https://x/" + "u" * 5000, "")
    rows = json.loads((await ask(Library(endless, *pages), "oslo", tmp_path)).output)
    assert [row["url"] for row in rows] == [f"https://x/{i}" for i in range(5)]
    assert {(len(row["title"]), len(row["text"])) for row in rows} == {(200, 300)}


async def test_answers_are_kept_for_a_day(tmp_path: Path) -> None:
    library = Library(OSLO)
    first = await ask(library, "Oslo", tmp_path / "made" / "by us")
    again = await ask(library, "  oslo ", tmp_path / "made" / "by us")
    assert (first.output, library.asked) == (again.output, 1)
    with sqlite3.connect(tmp_path / "made" / "by us" / "cache.db") as database:
        ((lifetime, mode),) = database.execute("SELECT expire_time - store_time, mode FROM Cache").fetchall()
    database.close()
    assert 86_000 < lifetime < 86_800
    assert mode == 1  # raw bytes, JSON inside: 4 would be a pickle
    await ask(library, "nothing", tmp_path / "made" / "by us")
    await ask(library, "nothing", tmp_path / "made" / "by us")
    assert library.asked == 3  # failures are not kept


def _is_a_file(folder: Path) -> None:
    folder.write_text("no folder")


def _is_no_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "cache.db").write_text("no database at all" * 100)


def _holds_rubbish(folder: Path) -> None:
    import diskcache

    with diskcache.Cache(str(folder), disk=diskcache.JSONDisk) as cache:
        cache.set("library\noslo", [{"title": "forged", "url": 1, "text": None}])


@pytest.mark.parametrize("damage", [_is_a_file, _is_no_database, _holds_rubbish])
async def test_a_broken_cache_does_not_break_the_search(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(tmp_path / "cache")
    library = Library(OSLO)
    for _ in range(2):
        result = await ask(library, "oslo", tmp_path / "cache")
        assert json.loads(result.output)[0]["title"] == OSLO.title
    assert library.asked == (2 if damage is _is_a_file else 1)  # what is no cache is replaced by one that works


def _engine_failed(error: Exception) -> DDGSException:
    """As ddgs wraps what its HTTP client raises."""
    inner = DDGSException(f"{type(error).__name__}: {error!r}")
    inner.__cause__ = error
    return DDGSException(inner)


@pytest.mark.parametrize(
    ("raised", "expected", "begins"),
    [
        (_engine_failed(primp.ConnectError("refused")), SearchOffline, "offline: "),
        (_engine_failed(primp.DNSError("no records")), SearchOffline, "offline: "),
        (TimeoutException("timed out"), SearchOffline, "offline: "),
        (DDGSException(TimeoutException("timed out")), SearchOffline, "offline: "),
        (RatelimitException("202 Ratelimit"), SearchRateLimited, "rate limited: "),
        (DDGSException(RatelimitException("202")), SearchRateLimited, "rate limited: "),
        (DDGSException("No results found."), SearchNothingFound, "nothing found: "),
        (_engine_failed(ValueError("not HTML")), SearchError, "the search failed: "),
    ],
)
async def test_ddgs_exceptions_become_ours(
    raised: Exception, expected: type[SearchError], begins: str, tmp_path: Path
) -> None:
    class Failing:
        name = "failing"

        def search(self, query: str, limit: int) -> list[Found]:
            def fail() -> list[dict[str, Any]]:
                raise raised

            return ask_ddgs(fail)

    with pytest.raises(expected) as caught:
        Failing().search("x", 5)
    assert type(caught.value) is expected
    assert caught.value.hint
    result = await ask(Failing(), "x", tmp_path)
    assert not result.ok
    assert result.output.startswith(f"failed\n[stderr]{begins}")


async def test_what_ddgs_finds_becomes_ours(tmp_path: Path) -> None:
    found = ask_ddgs(lambda: [{"title": "T", "href": "https://t", "body": "B", "more": 1}, {}])
    assert found == [Found("T", "https://t", "B"), Found("", "", "")]


async def test_the_real_ddgs_without_a_network(tmp_path: Path) -> None:
    """Nothing listens on the discard port of this machine, so every engine is refused."""
    result = await ask(Ddgs(proxy="http://127.0.0.1:9"), "llama", tmp_path)
    assert result.output == "failed\n[stderr]offline: no search engine can be reached.[/stderr]"


async def test_nothing_found_is_said(tmp_path: Path) -> None:
    result = await ask(Library(), "oslo", tmp_path)
    assert (result.ok, result.output) == (False, "failed\n[stderr]nothing found: try other words.[/stderr]")
    library = Library()
    assert not (await ask(library, "", tmp_path)).ok
    assert library.asked == 0


class Slow:
    """A provider that answers when it is told to."""

    name = "slow"

    def __init__(self) -> None:
        self.asked, self.release = threading.Event(), threading.Event()

    def search(self, query: str, limit: int) -> list[Found]:
        self.asked.set()
        self.release.wait(20)
        return []


async def test_a_provider_that_hangs_is_left_behind(tmp_path: Path) -> None:
    slow = Slow()
    result = await ask(slow, "x", tmp_path, timeout=0.05)
    slow.release.set()
    assert result.output == "failed\n[stderr]offline: no answer in 0.05 s.[/stderr]"


async def test_a_search_can_be_interrupted(tmp_path: Path) -> None:
    slow = Slow()
    task = asyncio.create_task(ask(slow, "x", tmp_path))
    assert await asyncio.to_thread(slow.asked.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.release.set()
