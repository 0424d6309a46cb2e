"""Hostile MCP servers: each does one thing wrong, beside an honest one that must go on working."""

import asyncio
import gzip
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llamachat.messages import ToolCall, ToolResult
from llamachat.tools import Toolbox
from llamachat.tools.mcp_servers import HttpServer, Limits, McpServers, Server, StdioServer

HOSTILE = str(Path(__file__).parent / "data" / "mcp" / "hostile.py")
ECHO = "hostile__echo"
FINE = StdioServer("honest", sys.executable, (HOSTILE, "nothing"))


def hostile(*wrong: str) -> StdioServer:
    return StdioServer("hostile", sys.executable, (HOSTILE, *wrong))


@asynccontextmanager
async def beside_an_honest_one(server: Server, limits: Limits = Limits()) -> AsyncIterator[tuple[Toolbox, list[str]]]:
    """The tools of both, and the notices so far; in the end the honest one is asked."""
    notices: list[str] = []
    servers = McpServers([server, FINE], notices.append, limits=limits)
    box = Toolbox(await servers.connect())
    yield box, notices
    assert (await box.run(ToolCall("honest__echo"))).output == "fine"
    await servers.close()


async def call(box: Toolbox) -> ToolResult:
    return await box.run(ToolCall(ECHO))


@pytest.mark.parametrize(
    ("wrong", "notice"),
    [
        ("dead at start", "failed: it ended with status 3, saying: no licence."),
        ("list of a wrong type", "failed: it sent what the protocol does not know, at tools."),
        ("endless line", "failed: it sent a message of more than 16 MB."),
    ],
)
async def test_a_server_that_does_not_come_up(wrong: str, notice: str) -> None:
    async with beside_an_honest_one(hostile(wrong)) as (box, notices):
        assert box.names == ("honest__echo",)
        assert notices == [f"The MCP server hostile {notice}"]


async def test_a_program_that_is_not_there() -> None:
    async with beside_an_honest_one(StdioServer("hostile", "no-such-program")) as (_, notices):
        assert notices == [
            "The MCP server hostile failed: "
            "it ended with status 127, saying: no-such-program: No such file or directory."
        ]


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    server = StdioServer("hostile", sys.executable, cwd=tmp_path / "none")
    async with beside_an_honest_one(server) as (_, notices):
        assert notices == [f"The MCP server hostile failed: {tmp_path / 'none'}: No such file or directory."]


async def test_a_server_that_never_answers() -> None:
    notices: list[str] = []
    servers = McpServers([hostile("mute")], notices.append, limits=Limits(start=0.5))
    assert await servers.connect() == ()
    assert notices == ["The MCP server hostile failed: it did not answer in 0.5 s."]


async def test_a_server_that_never_lists() -> None:
    notices: list[str] = []
    servers = McpServers([hostile("mute at list")], notices.append, limits=Limits(list=0.2))
    assert await servers.connect() == ()
    assert notices == ["The MCP server hostile failed: it did not list its tools in 0.2 s."]


async def test_a_call_that_is_never_answered() -> None:
    async with beside_an_honest_one(hostile("mute at call"), Limits(call=0.5)) as (box, notices):
        assert "did not answer the call in 0.5 s" in (await call(box)).output
        assert "did not answer the call in 0.5 s" in (await call(box)).output  # in a new run
        assert "does not run; it can be tried again in 1 s" in (await call(box)).output
        assert notices == ["The MCP server hostile failed: it did not answer the call in 0.5 s."] * 2


async def test_a_server_that_dies_under_a_call() -> None:
    async with beside_an_honest_one(hostile("dies at call")) as (box, notices):
        result = await call(box)
        assert not result.ok
        assert "it ended with status 3, saying: MemoryError: too much." in result.output
        assert len(notices) == 1


@pytest.mark.parametrize("wrong", ["chatty", "floods stderr"])
async def test_noise_is_passed_over(wrong: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with beside_an_honest_one(hostile(wrong)) as (box, notices):
        assert (await call(box)).output == "fine"
        assert notices == []
    assert capfd.readouterr() == ("", "")


async def test_a_huge_result_ends_the_server_alone() -> None:
    async with beside_an_honest_one(hostile("huge result")) as (box, _):
        result = await call(box)
        assert "it sent a message of more than 16 MB" in result.output
        assert not result.ok


async def test_a_result_of_a_wrong_type_is_a_failure() -> None:
    async with beside_an_honest_one(hostile("result of a wrong type")) as (box, _):
        assert "answered with what is no result" in (await call(box)).output


async def test_requests_to_us_are_refused() -> None:
    async with beside_an_honest_one(hostile("asks back")) as (box, _):
        assert (await call(box)).output.splitlines() == [
            "sampling/createMessage: Sampling not supported",
            "elicitation/create: Elicitation not supported",
            "roots/list: List roots not supported",
            "unheard/of: Method not found",
        ]


@pytest.mark.parametrize("wrong", ["ten thousand tools", "endless list"])
async def test_a_long_list_is_cut(wrong: str) -> None:
    async with beside_an_honest_one(hostile(wrong)) as (box, notices):
        assert len(box.tools) <= 129
        assert (await box.run(ToolCall(box.names[0]))).output == "fine"
        assert len(notices) == 1
        assert "offers tools that are left out" in notices[0]


async def test_names_are_made_fit_and_unlike() -> None:
    async with beside_an_honest_one(hostile("names")) as (box, notices):
        assert box.names == (
            "hostile__same",
            "hostile__a_b",
            "hostile__a_b_2",
            "hostile____2Jred_",
            "hostile__" + "n" * 55,
            "honest__echo",
        )
        assert notices == [
            "The MCP server hostile offers tools that are left out: "
            "'same' has a name that another has; '' has no name; '' has no name."
        ]


async def test_bad_schemas_are_left_out() -> None:
    async with beside_an_honest_one(hostile("schemas")) as (box, notices):
        assert box.names == (ECHO, "hostile__circle", "hostile__evil_pattern", "honest__echo")
        assert "; and 5 more." in notices[0]
        arguments = {"pattern": "a" * 100 + "!"}  # 2¹⁰⁰ steps for Python's re
        assert (await box.run(ToolCall("hostile__evil_pattern", arguments))).output == "fine"
        assert (await box.run(ToolCall("hostile__circle", {"a": [1]}))).output == "fine"
        tool = box.find("hostile__evil_pattern")
        assert tool is not None
        assert tool.parameters["properties"]["pattern"]["description"] == "Glob. (pattern: ^(a+)+$)"


async def test_ill_formed_tools_are_left_out() -> None:
    async with beside_an_honest_one(hostile("ill formed tools")) as (box, notices):
        assert (await call(box)).output == "fine"
        assert notices == [
            "The MCP server hostile offers tools that are left out: 'bare' is not well formed at inputSchema; "
            "'echo' has a schema that is not of type object; 'echo' is not well formed at description; and 2 more."
        ]


async def test_nobody_waits_for_a_server_that_starts() -> None:
    servers = McpServers([hostile("mute")], pytest.fail)
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(servers.connect(), 0.5)
    assert clock() - begun < 15  # a start may take 30 s


async def test_changed_tools_are_told() -> None:
    changed: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    servers = McpServers(
        [hostile("changed")],
        changed=lambda tools: changed.set_result([tool.description for tool in tools]),
        limits=Limits(relist=0.0),
    )
    box = Toolbox(await servers.connect())
    assert (await call(box)).ok
    assert await changed == ["Echo.", "⟪U+202E⟫evil"]
    await box.close()


async def test_a_deaf_server_ends_when_it_is_closed(tmp_path: Path) -> None:
    with up(tmp_path) as (fifo, has_ended):
        servers = McpServers([hostile("deaf", str(fifo))], pytest.fail)
        assert len(await servers.connect()) == 1
        await servers.close()
        assert has_ended()


def test_a_deaf_server_ends_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from llamachat.tools.mcp_servers import McpServers, StdioServer\n"
        "async def main():\n"
        "    await McpServers([StdioServer('deaf', sys.executable, tuple(sys.argv[1:]))]).connect()\n"
        "    print('connected', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with up(tmp_path) as (fifo, has_ended):
        command = [sys.executable, "-c", code, HOSTILE, "deaf", str(fifo)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as chat:
            assert chat.stdout is not None
            assert chat.stdout.readline() == b"connected\n"
            chat.send_signal(signal.SIGKILL)
        assert has_ended()


@contextmanager
def up(folder: Path) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """A fifo that deaf servers hold open, and whether the last of them ends within 10 s."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def has_ended() -> bool:
        heard = b""
        while select.select([reader], [], [], 10.0)[0]:
            more = os.read(reader, 64)
            if not more:
                return heard == b"up\n"
            heard += more
        return False

    yield fifo, has_ended
    os.close(reader)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **given}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def huge(handler: BaseHTTPRequestHandler) -> None:
    with suppress(ConnectionError):
        reply(handler, 200, b'"' + b"x" * 100_000_000)


BOMB = gzip.compress(b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda h: reply(h, 401), "it answered HTTP 401 Unauthorized"),
        (lambda h: reply(h, 500), "it answered HTTP 500 Internal Server Error"),
        (huge, "it sent a message of more than 16 MB"),
        (
            lambda h: reply(h, 200, BOMB, Content_Encoding="gzip"),
            "it compressed its answer, which we had not asked for",
        ),
        (lambda h: reply(h, 200, b"<html>", Content_Type="text/html"), "Unexpected content type: text/html"),
        (lambda h: reply(h, 200, b"[]"), "Failed to parse JSON response"),
        (lambda h: reply(h, 307, Location="http://example.com/mcp"), "Redirect to http://example.com/mcp not followed"),
        (lambda h: h.connection.close(), "RemoteProtocolError: Server disconnected without sending a response"),
    ],
)
async def test_an_http_server_that_does_not_come_up(
    answer: Callable[[BaseHTTPRequestHandler], None], reason: str
) -> None:
    """Nothing follows a redirect to elsewhere: it would carry the headers there."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.01,)).start()
        server = HttpServer("hostile", f"http://127.0.0.1:{listener.server_port}/mcp", {"X-Key": "secret"})
        async with beside_an_honest_one(server) as (box, notices):
            assert box.names == ("honest__echo",)
            assert len(notices) == 1
            assert notices[0].startswith(f"The MCP server hostile failed: {reason}")
        listener.shutdown()


async def test_an_http_server_that_is_not_there() -> None:
    with socket.socket() as deaf:  # holds the port, which another test's server might get, and does not listen
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/mcp"
        async with beside_an_honest_one(HttpServer("hostile", url)) as (_, notices):
            assert notices == ["The MCP server hostile failed: it can't be reached at all."]
