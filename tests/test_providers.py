"""Providers against a real server on loopback that answers as recorded, or badly; and several of them as one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_server import BadServer, response

from llamachat.errors import ConfigError, SearchError, SearchNothingFound, SearchOffline, SearchRateLimited
from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.search import Cached, Found, search_tool
from llamachat.tools.search.providers import SearchSettings, Searxng, Wikipedia, make_provider
from llamachat.tools.search.rotation import Rotation

DATA = Path(__file__).parent / "data" / "search"
JSON = "application/json"


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as server:
        yield server


def test_searxng_is_asked_by_its_json_api(server: BadServer) -> None:
    server.answers["/sub/search"] = response((DATA / "searxng.json").read_bytes(), kind=JSON)
    assert Searxng(f"{server.url}/sub/").search("llamas & alpacas", 5) == [
        Found("Llama — an animal", "https://animals.example/llama", "The llama is a camelid."),
        Found("No text", "http://b.example/", ""),
    ]
    assert server.seen[0].startswith("GET /sub/search?q=llamas+%26+alpacas&format=json HTTP/1.1")


def test_wikipedia_is_asked_by_its_search_api(server: BadServer) -> None:
    server.answers["/w/api.php"] = response((DATA / "wikipedia.json").read_bytes(), kind=JSON)
    wikipedia = Wikipedia("no", api=f"{server.url}/w/api.php")
    assert wikipedia.search("bear island", 2) == [
        Found(
            "Bjørnøya",
            "https://no.wikipedia.org/wiki/Bj%C3%B8rn%C3%B8ya",
            'Bjørnøya ("Bear Island") is the southernmost island',
        ),
        Found(
            "AC/DC & friends: 50% off?",
            "https://no.wikipedia.org/wiki/AC/DC_%26_friends:_50%25_off%3F",
            "a <b> title",
        ),
    ]
    assert "srsearch=bear+island&srlimit=2&" in server.seen[0]
    assert len(wikipedia.search("bear island", 1)) == 1


BAD = [
    (response("[]", kind=JSON), SearchError, "the search failed: its answer is not of the expected form."),
    (response("{}", kind=JSON), SearchError, "the search failed: its answer is not of the expected form."),
    (response('{"results": "many", "query": 3}', kind=JSON), SearchError, "the search failed: its answer is not"),
    (response('{"results": [{"ti', kind=JSON), SearchError, "the search failed: it answers with broken JSON"),
    (response("<h1>Are you a robot?", kind=JSON), SearchError, "the search failed: it answers with a web page"),
    (response("[" * 100_000, kind=JSON), SearchError, "the search failed: it answers with broken JSON"),
    (response("1" * 900_000, kind=JSON), SearchError, "the search failed: it answers with broken JSON"),
    (response(b"\xff\xfe", kind=JSON), SearchError, "the search failed: it answers with broken JSON"),
    (response("no", status="503 x"), SearchError, "the search failed: it answers with status 503."),
    (response("no", status="403 x"), SearchError, "the search failed: it answers with status 403."),
    (response("no", status="429 x"), SearchRateLimited, "rate limited: "),
    (response("", "Location: /ok", status="302 x"), SearchError, "the search failed: 127.0.0.1 redirects"),
    (b"SSH-2.0-OpenSSH\r\n", SearchError, "the search failed: 127.0.0.1 broke off"),
]


@pytest.mark.parametrize(("answer", "kind", "says"), BAD)
@pytest.mark.parametrize("name", ["searxng", "wikipedia"])
def test_bad_answers_are_said_in_a_sentence(
    server: BadServer, name: str, answer: bytes, kind: type[SearchError], says: str
) -> None:
    server.answers["/search"] = server.answers["/w/api.php"] = answer
    provider = Searxng(server.url) if name == "searxng" else Wikipedia(api=f"{server.url}/w/api.php")
    with pytest.raises(SearchError) as caught:
        provider.search("x", 5)
    assert type(caught.value) is kind
    assert caught.value.message.startswith(says)
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_servers_that_do_not_answer_are_offline(server: BadServer) -> None:
    for path in ("/silence", "/drip-header"):
        with pytest.raises(SearchOffline, match=r"^offline: 127\.0\.0\.1 "):
            Wikipedia(api=server.url + path, seconds=0.3).search("x", 5)
    with BadServer() as gone:
        port = gone.port
    with pytest.raises(SearchOffline, match="can't be reached"):
        Searxng(f"http://127.0.0.1:{port}").search("x", 5)


def test_wikipedias_own_errors(server: BadServer) -> None:
    wikipedia = Wikipedia(api=f"{server.url}/w/api.php")
    server.answers["/w/api.php"] = response(json.dumps({"error": {"code": "ratelimited", "info": "slow"}}), kind=JSON)
    with pytest.raises(SearchRateLimited):
        wikipedia.search("x", 5)
    server.answers["/w/api.php"] = response(json.dumps({"error": {"code": "x", "info": "bad\nquery"}}), kind=JSON)
    with pytest.raises(SearchError, match=r"^the search failed: it says 'bad\\nquery'\."):
        wikipedia.search("x", 5)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """A provider that finds or raises what it is told."""

    def __init__(self, name: str, answer: list[Found] | SearchError) -> None:
        self.name, self.answer, self.asked = name, answer, 0

    def search(self, query: str, limit: int) -> list[Found]:
        self.asked += 1
        if isinstance(self.answer, SearchError):
            raise self.answer
        return self.answer


HIT = [Found("T", "https://t.example/", "text")]


def test_providers_are_asked_in_order_until_one_finds_something() -> None:
    first, second, third = Scripted("a", []), Scripted("b", HIT), Scripted("c", HIT)
    rotation = Rotation([first, second, third])
    assert rotation.name == "a+b+c"
    assert rotation.search("x", 5) == HIT
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)
    first.answer = HIT
    rotation.search("x", 5)
    assert (first.asked, second.asked) == (2, 1)  # finding nothing is no failure


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (SearchRateLimited("rate limited: slow down.", "h"), [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (SearchOffline("offline: no network.", "h"), [5, 10, 20, 40, 80, 160, 300, 300]),
        (SearchError("the search failed: captcha.", "h"), [5, 10, 20, 40, 80, 160, 300, 300]),
    ],
)
def test_failing_providers_are_left_alone_ever_longer(error: SearchError, pauses: list[int]) -> None:
    clock, shaky, steady = Clock(), Scripted("shaky", error), Scripted("steady", HIT)
    rotation = Rotation([shaky, steady], clock)
    for count, pause in enumerate(pauses, 1):
        assert rotation.search("x", 5) == HIT
        assert shaky.asked == count
        clock.now += pause - 0.1
        rotation.search("x", 5)
        assert shaky.asked == count
        clock.now += 0.2
    shaky.answer = HIT
    rotation.search("x", 5)
    shaky.answer = error
    rotation.search("x", 5)
    clock.now += pauses[0] + 0.1  # a success makes the pause short again
    asked = shaky.asked
    rotation.search("x", 5)
    assert shaky.asked == asked + 1


def test_when_all_fail_each_is_told() -> None:
    clock = Clock()
    slow = Scripted("ddgs", SearchRateLimited("rate limited: the engines ask to wait.", "h"))
    rotation = Rotation([Scripted("folder", []), slow, Scripted("wiki", SearchOffline("offline: no net.", "h"))], clock)
    with pytest.raises(SearchRateLimited) as caught:
        rotation.search("x", 5)
    assert caught.value.message == (
        "rate limited: folder: nothing found: try other words; ddgs: the engines ask to wait; wiki: offline: no net."
    )
    clock.now += 50
    with pytest.raises(SearchRateLimited, match=r"ddgs: the engines ask to wait; it is asked again in 10 s; wiki: "):
        rotation.search("x", 5)


def test_one_provider_speaks_for_itself() -> None:
    clock = Clock()
    rotation = Rotation([Scripted("a", SearchOffline("offline: no network.", "h"))], clock)
    for says in (r"^offline: no network\.\n", r"^offline: no network; it is asked again in 5 s\.\n"):
        with pytest.raises(SearchOffline, match=says):
            rotation.search("x", 5)
    with pytest.raises(SearchNothingFound, match=r"^nothing found: try other words"):
        Rotation([Scripted("a", []), Scripted("b", SearchNothingFound("nothing found: x.", "h"))]).search("x", 5)


def test_a_provider_that_hangs_does_not_keep_the_next_from_answering(server: BadServer) -> None:
    rotation = Rotation([Searxng(f"{server.url}", seconds=20), Scripted("b", HIT)], seconds=0.1)
    server.answers["/search"] = b""
    hanging = Wikipedia(api=f"{server.url}/silence", seconds=20)
    assert Rotation([hanging, Scripted("b", HIT)], seconds=0.1).search("x", 5) == HIT
    assert rotation.search("x", 5) == HIT


async def test_the_folder_is_never_stale_and_the_web_is_kept(server: BadServer, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    note = tmp_path / "notes" / "a.txt"
    note.write_text("gramophone", encoding="utf-8")
    server.answers["/search"] = response((DATA / "searxng.json").read_bytes(), kind=JSON)
    settings = SearchSettings(("folder", "searxng"), searxng=server.url, folder=tmp_path / "notes")
    box = Toolbox((search_tool(make_provider(settings, tmp_path / "cache" / "search")),))

    async def urls(query: str) -> list[str]:
        result = await box.run(ToolCall("brave_search", {"query": query}))
        return [row["url"] for row in json.loads(result.output)]

    assert await urls("gramophone") == [str(note)]
    assert server.seen == []
    note.write_text("nothing of it any more", encoding="utf-8")
    for _ in range(2):
        assert await urls("gramophone") == ["https://animals.example/llama", "http://b.example/"]
    assert len(server.seen) == 1
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["folders", "search"]


def test_rows_in_the_cache_that_are_none_are_fetched_again(tmp_path: Path) -> None:
    import diskcache

    for forged in ([{"title": "t", "url": 1, "text": None}], "rows", [["title", "url", "text"]]):
        with diskcache.Cache(str(tmp_path), disk=diskcache.JSONDisk) as cache:
            cache.set("a\nx", forged)
        assert Cached(Scripted("a", HIT), tmp_path).search("X", 5) == HIT


@pytest.mark.parametrize(
    "settings",
    [
        {"providers": ()},
        {"providers": ("gooogle",)},
        {"providers": ("ddgs", "ddgs")},
        {"providers": ("searxng",)},
        {"providers": ("searxng",), "searxng": "searx.example.org"},
        {"providers": ("searxng",), "searxng": "ftp://searx.example.org"},
        {"providers": ("searxng",), "searxng": "http://user:password@searx.example.org"},
        {"providers": ("searxng",), "searxng": "http://searx.example.org/?q="},
        {"providers": ("searxng",), "searxng": "http://["},
        {"providers": ("wikipedia",), "language": "en.evil.example/"},
        {"providers": ("wikipedia",), "language": ""},
        {"providers": ("folder",)},
        {"providers": ("folder",), "folder": Path("/nowhere/at/all")},
    ],
)
def test_settings_that_can_not_be_used(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_provider(SearchSettings(**settings))
    assert caught.value.hint


def test_the_default_is_ddgs_alone(tmp_path: Path) -> None:
    assert make_provider(SearchSettings(), tmp_path).name == "ddgs"
    every = SearchSettings(("folder", "searxng", "wikipedia"), "https://s.example", "de", tmp_path)
    assert make_provider(every, tmp_path).name == "folder+searxng s.example+wikipedia de"
