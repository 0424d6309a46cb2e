"""--serve: who comes in, what they see, and that nothing stays when they go. Real servers, real apps, real sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from served import Lives, Served, Visitor, echo, serving

LLAMACHAT = [sys.executable, "-m", "llamachat", "--serve"]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    return Lives(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served(lives: Lives) -> Iterator[Served]:
    with serving(echo(lives)) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:  # of bare addresses, too
        yield session


@pytest.fixture
def visitor(served: Served, session: aiohttp.ClientSession) -> Visitor:
    return Visitor(served, session)


async def refused(answer: aiohttp.ClientResponse) -> bool:
    text = await answer.text()
    return answer.status == 403 and text.count(".") == 1 and "nosniff" in answer.headers["X-Content-Type-Options"]


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%C3%A9%FF", "?tokens={}", "?token={}x"])
async def test_without_the_token_nobody_comes_in(visitor: Visitor, query: str):
    answer = await visitor.session.get(f"{visitor.served.origin}/" + query.format(visitor.served.token))
    assert await refused(answer)


async def test_the_token_is_taken_for_a_cookie_of_one_path(visitor: Visitor):
    page = await visitor.enter()
    first = page.history[0]
    assert first.status == 303
    cookie = first.cookies["llamachat"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", page.url.path)
    assert len(page.url.path) > 40  # a program on another port, to which the browser also sends cookies, can't guess it
    assert visitor.served.token not in cookie.value + str(page.url) + await page.text()
    for answer in (first, page):
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


async def test_the_page_needs_nothing_from_elsewhere_and_its_files_need_the_cookie(visitor: Visitor):
    page = await visitor.enter()
    text = await page.text()
    assert "http" not in text
    files = [visitor.room + path for path in re.findall(r'static/[^"]+', text)]
    assert len(files) == 4  # a stylesheet, a script, two fonts
    for file in files:
        assert (await visitor.session.get(file)).status == 200
    visitor.session.cookie_jar.clear()
    for address in (visitor.room, *files, visitor.room + "no such page", visitor.served.origin + "/download/x"):
        assert await refused(await visitor.session.get(address))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.1@evil.example", "0.0.0.0", ""])
async def test_other_names_for_this_machine_lead_nowhere(visitor: Visitor, host: str):
    await visitor.enter()
    query = {"token": visitor.served.token}
    assert await refused(await visitor.session.get(visitor.room, headers={"Host": host}))
    assert await refused(await visitor.session.get(visitor.served.origin, params=query, headers={"Host": host}))


async def test_through_a_tunnel_the_port_may_be_another(visitor: Visitor):
    await visitor.enter()
    cookie = {"Cookie": "; ".join(f"{c.key}={c.value}" for c in visitor.session.cookie_jar)}
    page = await visitor.session.get(visitor.room, headers={"Host": "localhost:9", **cookie})
    assert "ws://localhost:9/" in await page.text()
    assert "connect-src ws://localhost:9;" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{}", "{}.evil.example", ""]
)
async def test_other_pages_open_no_websocket(visitor: Visitor, lives: Lives, origin: str):
    await visitor.enter()
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await visitor.tab(Origin=origin.format(f"127.0.0.1:{visitor.served.port}"))
    assert not lives.alive()


async def test_no_websocket_without_the_cookie(visitor: Visitor, lives: Lives):
    await visitor.enter()
    visitor.session.cookie_jar.clear()
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await visitor.tab()
    assert not lives.alive()


def test_only_this_machine_can_ask(served: Served):
    with (
        pytest.raises(OSError, match=r"refused|assign|unreachable"),
        socket.create_connection(("127.0.0.2", served.port), 5),
    ):
        pass


async def test_an_app_shows_itself_takes_keys_and_ends_with_its_tab(visitor: Visitor, lives: Lives):
    await visitor.enter()
    tab = await visitor.tab()
    await tab.shows("what?")
    await tab.type("hello\r")
    await tab.shows("said:hello")
    assert lives.alive()
    await tab.socket.close()
    assert await lives.gone()


async def test_tabs_are_chats_of_their_own(visitor: Visitor, lives: Lives):
    await visitor.enter()
    one, other = await visitor.tab(), await visitor.tab()
    await one.shows("what?")
    await one.type("one\r")
    await other.shows("what?")
    await other.type("other\r")
    await one.shows("said:one")
    await other.shows("said:other")
    assert "other" not in one.text
    await one.socket.close()
    await other.type(" still\r")
    await other.shows("said:other still")
    await other.socket.close()
    assert await lives.gone()


async def test_a_file_that_the_app_hands_out_needs_the_cookie(visitor: Visitor, lives: Lives):
    await visitor.enter()
    tab = await visitor.tab()
    await tab.shows("what?")
    await tab.type("file\r")
    said, key = await tab.packet()  # type: ignore[misc]
    assert said == "deliver_file_start"
    async with aiohttp.ClientSession() as stranger:
        assert await refused(await stranger.get(f"{visitor.served.origin}/download/{key}"))
    file = await visitor.session.get(f"{visitor.served.origin}/download/{key}")
    assert await file.text() == "all of it"
    assert file.headers["Content-Disposition"] == "attachment; filename=a.txt"
    await tab.socket.close()
    assert await lives.gone()


async def test_an_app_that_fails_is_seen_to_have_ended(visitor: Visitor, lives: Lives):
    await visitor.enter()
    tab = await visitor.tab()
    await tab.shows("what?")
    await tab.type("fail\r")
    assert await tab.closed() is not None
    assert await lives.gone()


async def test_words_that_make_no_sense_cost_the_tab_only(visitor: Visitor, lives: Lives):
    await visitor.enter()
    tab = await visitor.tab()
    await tab.shows("what?")
    await tab.socket.send_str("{")
    await tab.closed()
    assert await lives.gone()
    assert (await visitor.enter()).status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_outlives_the_server(tmp_path: Path, session: aiohttp.ClientSession, number: signal.Signals):
    lives = Lives(tmp_path)
    with serving(echo(lives)) as served:
        visitor = Visitor(served, session)
        await visitor.enter()
        tabs = [await visitor.tab(), await visitor.tab()]
        for tab in tabs:
            await tab.shows("what?")
        served.process.send_signal(number)
        assert await lives.gone()
        for tab in tabs:
            await tab.closed()
        assert served.process.wait(60) == (-number if number == signal.SIGKILL else 0)


@pytest.mark.parametrize("number", [None, signal.SIGKILL])
async def test_an_app_that_hangs_is_ended(
    tmp_path: Path, session: aiohttp.ClientSession, number: signal.Signals | None
):
    lives = Lives(tmp_path)
    with serving(echo(lives, grace=0.2)) as served:
        visitor = Visitor(served, session)
        await visitor.enter()
        tab = await visitor.tab()
        await tab.shows("what?")
        await tab.type("hang\r")
        if number:
            served.process.send_signal(number)
        await tab.socket.close()
        assert await lives.gone()


def test_a_taken_port_is_said_in_a_sentence(own_folders: None):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*LLAMACHAT, "--port", str(port)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: Port {port} is taken.\n  hint: Give another --port, or none for a free one.\n"
    assert done.stdout == ""


@pytest.mark.parametrize("options", [["--plain"], ["-p", "Hi"]])
def test_lines_are_not_served(own_folders: None, options: list[str]):
    done = subprocess.run([*LLAMACHAT, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: --serve shows the whole screen, not lines.")


async def test_the_chat_itself_with_its_options(own_folders: None, session: aiohttp.ClientSession):
    with serving([*LLAMACHAT, "--persona", "pirate", "--no-tools", "--temperature", "0"]) as served:
        visitor = Visitor(served, session)
        await visitor.enter()
        tab = await visitor.tab()
        await tab.shows("pirate")
        await tab.type("Hello!\r")
        await tab.shows("Arr")
        os.kill(served.process.pid, signal.SIGINT)
        await tab.closed()
        assert served.process.wait(60) == 0
