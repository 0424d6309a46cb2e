"""Functions behind HTTP: a JSON file and a real server, honest, broken or hostile."""

import asyncio
import gzip
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from llamachat.errors import ConfigError
from llamachat.messages import ToolCall, ToolResult
from llamachat.tools import Tool, Toolbox
from llamachat.tools.functions import load_functions

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
SPEC = {"name": "weather", "description": "Weather of a city.", "parameters": PARAMETERS}


@contextmanager
def server(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends ``answer`` byte for byte, or nothing until the end. Its URL, and the requests it got."""
    requests: list[bytes] = []
    over = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            requests.append(head + b"\r\n" + self.rfile.read(int(length[1]) if length else 0))
            if answer is None:
                over.wait(60)
            with suppress(OSError):  # the client may have had enough
                self.wfile.write(answer or b"")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 20

        def handle_error(self, *_: object) -> None:
            """A client that hangs up, or speaks TLS."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/weather", requests
        over.set()
        listening.shutdown()
        thread.join()


def load(folder: Path, endpoint: Mapping[str, Any], *, timeout: float = 20) -> Tool:
    path = folder / "functions.json"
    path.write_text(json.dumps([{**SPEC, "endpoint": endpoint}]))
    return load_functions(path, timeout=timeout)[0]


async def call(tool: Tool, **arguments: Any) -> ToolResult:
    return await Toolbox((tool,)).run(ToolCall(tool.name, arguments))


def page(body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


async def test_arguments_are_posted_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEATHER_KEY", "secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with server(page('{"sky":  "grå", "t": [1, 2]}'.encode())) as (url, requests):
        headers = {"Authorization": "Bearer ${WEATHER_KEY}", "X-Unit": "${WEATHER_UNIT:-C}"}
        tool = load(tmp_path, {"url": url, "headers": headers})
        assert (tool.permission, tool.source) == ("ask", str(tmp_path / "functions.json"))
        assert (tool.name, tool.description, tool.parameters) == ("weather", "Weather of a city.", PARAMETERS)
        result = await call(tool, city="Malmö", days="2")
        assert (result.output, result.ok) == ('{"sky": "grå", "t": [1, 2]}', True)
        head, body = requests[0].split(b"\r\n\r\n")
        assert json.loads(body) == {"city": "Malmö", "days": 2}
        assert head.startswith(b"POST /weather HTTP/1.1")
        assert b"Authorization: Bearer secret" in head
        assert b"X-Unit: C" in head
        assert "secret" not in repr(tool)
        assert not (await call(tool, days=2)).ok
        assert len(requests) == 1


async def test_by_get_arguments_are_the_query(tmp_path: Path) -> None:
    with server(page(b"rain & wind\xff", "text/plain; charset=nonsense")) as (url, requests):
        result = await call(load(tmp_path, {"url": f"{url}?key=1", "method": "GET"}), city="a&b", days=3)
    assert (result.output, result.ok) == ("rain & wind\ufffd", True)
    assert requests[0].startswith(b"GET /weather?key=1&city=a%26b&days=3 HTTP/1.1")


HALF = '{"error": "RemoteProtocolError: '  # the rest are the library's words
LONG = b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("sent", "output", "ok"),
    [
        (page(b"", "text/plain"), "", True),
        (page(b"<|eot_id|>", "text/html"), "<|eot_id|>", True),
        (page("grå".encode("latin-1"), "text/plain; charset=latin-1"), "grå", True),
        (page(b"[" * 100_000), "[" * 8192 + "\n… [83,616 of 100,000 characters left out] …\n" + "[" * 8192, True),
        (page(b'"\\ud800"'), '"\\ud800"', True),
        (page(b"1" * 5000), "1" * 5000, True),
        (page(b'{"detail": "no such city"}', status="404 Not Found"),
         '{"error": "the endpoint answered 404 Not Found: {\\"detail\\": \\"no such city\\"}"}', False),
        (page(b"", status="500 Oh"), '{"error": "the endpoint answered 500 Oh"}', False),
        (page(b"", status="302 Found", more="location: file:///etc/passwd\r\n"),
         '{"error": "the endpoint answered 302 Found; redirects are not followed"}', False),
        (page(gzip.compress(LONG), more="content-encoding: gzip\r\n"),
         '{"error": "the endpoint answered 200 OK in a compressed form, which was not asked for"}', False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", '{"error": "RemoteProtocolError: peer closed', False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", '{"error": "RemoteProtocolError: ', False),
        (b"", '{"error": "RemoteProtocolError: Server disconnected', False),
        (b"SSH-2.0\r\n", '{"error": "RemoteProtocolError: ', False),
        (b"HTTP/1.1 200 OK\r\nx: " + LONG, '{"error": "RemoteProtocolError: ', False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", '{"error": "RemoteProtocolError: ', False),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
async def test_answers_of_every_kind(tmp_path: Path, sent: bytes, output: str, ok: bool) -> None:
    with server(sent) as (url, _):
        result = await call(load(tmp_path, {"url": url}), city="Oslo")
    assert result.ok == ok
    assert result.output == output or (output.startswith(HALF) and result.output.startswith(output))
    result.output.encode()


async def test_an_endless_answer_is_cut(tmp_path: Path) -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n" + LONG * 3) as (url, _):
        result = await call(load(tmp_path, {"url": url}), city="Oslo")
    assert result.output.endswith("\n[the answer is longer than 1,048,576 bytes; the rest was not read]")
    assert len(result.output) < 17_000


async def test_a_slow_server_and_a_dead_one(tmp_path: Path) -> None:
    with server(None) as (url, _):
        slow = await call(load(tmp_path, {"url": url}, timeout=0.05), city="Oslo")
    assert (slow.output, slow.ok) == ('{"error": "TimeoutError: no answer in 0.05 s"}', False)
    with socket.socket() as deaf:  # holds the port, which another test's server might get, and does not listen
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        dead = await call(load(tmp_path, {"url": url}), city="Oslo")
    assert (dead.output, dead.ok) == ('{"error": "ConnectError: All connection attempts failed"}', False)


async def test_an_interrupt_hangs_up(tmp_path: Path) -> None:
    with server(None) as (url, requests):
        task = asyncio.create_task(call(load(tmp_path, {"url": url}), city="Oslo"))
        while not requests:  # noqa: ASYNC110 the server is to be found waiting
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_the_form_of_openai(tmp_path: Path) -> None:
    path = tmp_path / "functions.json"
    path.write_text(json.dumps([{"type": "function", "function": SPEC, "endpoint": {"url": "http://x/"}}]))
    assert load_functions(path)[0].parameters == PARAMETERS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "functions.json is not JSON: "),
        ("\xff", "functions.json is not JSON: "),
        ("[" * 100_000, "functions.json is not JSON: "),
        ("{}", "functions.json must be a list of functions."),
        ("[]", "functions.json must be a list of functions."),
        ("[5]", "functions.json must be a list of functions."),
        ({"name": "a b"}, "functions.json, function 1: 'a b' can't be the name of a function."),
        ({"name": "f", "parameters": {"type": "text"}}, "function 1: The function f can't be offered: "),
        ({"name": "f"}, "function 1: It has no endpoint with a URL."),
        ({"name": "f", "endpoint": {"url": 5}}, "function 1: It has no endpoint with a URL."),
        ({"name": "f", "endpoint": {"url": "file:///etc/passwd"}}, "Its URL must begin with http:// or https://"),
        ({"name": "f", "endpoint": {"url": "http://"}}, "Its URL must begin with http:// or https://"),
        ({"name": "f", "endpoint": {"url": "http://x:y/"}}, "Its URL is not one: "),
        ({"name": "f", "endpoint": {"url": "http://x", "body": 1}}, "Its endpoint has an unknown key 'body'."),
        ({"name": "f", "endpoint": {"url": "http://x", "method": "TRACE"}}, "Its method can't be 'TRACE'."),
        ({"name": "f", "endpoint": {"url": "http://x", "headers": ["a"]}}, "Its headers must be an object of strings."),
        ({"name": "f", "endpoint": {"url": "http://x", "headers": {"a": 1}}}, "Its headers must be an object of"),
        ({"name": "f", "endpoint": {"url": "http://x", "headers": {"a": "x\r\ny: z"}}}, "header 'a' can't be sent."),
        ({"name": "f", "endpoint": {"url": "http://x", "headers": {"a b": ""}}}, "Its header 'a b' can't be sent."),
        (
            {"name": "f", "endpoint": {"url": "http://x", "headers": {"a": "${NOT_SET_ANYWHERE}"}}},
            "It uses the environment variable NOT_SET_ANYWHERE, which is not set.",
        ),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, text: str | dict[str, Any], reason: str) -> None:
    path = tmp_path / "functions.json"
    path.write_text(text if isinstance(text, str) else json.dumps([text]), encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        load_functions(path)
    assert reason in caught.value.message
    assert caught.value.hint
