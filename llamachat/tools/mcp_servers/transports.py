"""How bytes come from a server and go to it, with limits on both ways. Knows no tools, and not what is said.

The SDK's stdio client has no limit on the length of a line, whose reading takes it quadratic time, and leaves servers
that ignore the end of their stdin behind when we are killed; its HTTP client reads JSON bodies of any size.
"""

import asyncio
import os
import sys
from asyncio.subprocess import Process, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import Transport
from mcp.client._transport import TransportStreams
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from llamachat.errors import EngineError
from llamachat.tools.mcp_servers.config import HttpServer, Server, StdioServer

MAX_MESSAGE = 16 << 20  # bytes: a large screenshot in base64 fits; read in 0.1 s
GRACE = 1.0  # seconds that a server has to end after its stdin has, and again after SIGTERM

_GUARD = Path(__file__).with_name("guard.py")
_TAIL = 2000  # bytes of stderr that are kept, to say why a server ended


def open_transport(server: Server) -> Transport:
    """The way to ``server``. If it ends by itself, its context is left by an EngineError, in a group, with a reason
    that can end a sentence about the server."""
    return _stdio(server) if isinstance(server, StdioServer) else _http(server)


@asynccontextmanager
async def _http(server: HttpServer) -> AsyncGenerator[TransportStreams, None]:
    headers = {"Accept-Encoding": "identity", **server.headers}
    timeout = httpx2.Timeout(30.0, read=300.0)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [_check]}) as client,
        streamable_http_client(server.url, http_client=client, max_sse_event_size=MAX_MESSAGE) as streams,
    ):
        yield streams


async def _check(response: httpx2.Response) -> None:
    """End the connection where the SDK would hide why, or read without end."""
    if response.status_code in (401, 403) or response.status_code >= 500:
        raise EngineError(f"it answered HTTP {response.status_code} {response.reason_phrase}".strip())
    if response.headers.get("content-encoding", "identity") != "identity":  # 1 MB may unpack to 1 GB
        raise EngineError("it compressed its answer, which we had not asked for")
    if not response.headers.get("content-type", "").startswith("text/event-stream"):  # whose events have a limit
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Capped(response.stream)


class _Capped(httpx2.AsyncByteStream):
    """The bytes of a response, up to MAX_MESSAGE."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_MESSAGE
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise EngineError(_TOO_LONG)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


_TOO_LONG = f"it sent a message of more than {MAX_MESSAGE >> 20} MB"


@asynccontextmanager
async def _stdio(server: StdioServer) -> AsyncGenerator[TransportStreams, None]:
    async with _process(server) as process:
        received, inbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outbox, sent = anyio.create_memory_object_stream[SessionMessage](0)
        async with received, inbox, outbox, sent, anyio.create_task_group() as group:
            group.start_soon(_read, process, received)
            group.start_soon(_write, process, sent)
            try:
                yield inbox, outbox
            finally:
                group.cancel_scope.cancel()


@asynccontextmanager
async def _process(server: StdioServer) -> AsyncGenerator[Process, None]:
    """The server's program behind its guard; both, and what they started, are gone afterwards. Raises OSError."""
    loop = asyncio.get_running_loop()
    far, near = os.pipe()
    with os.fdopen(near, "wb") as lifeline:
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: SubprocessStreamProtocol(MAX_MESSAGE, loop),
                *(sys.executable, "-IS", str(_GUARD), str(far), server.command, *server.args),
                env=get_default_environment() | dict(server.env),
                cwd=server.cwd,
                pass_fds=(far,),
                start_new_session=True,
            )
        finally:
            os.close(far)
        process = Process(transport, protocol, loop)
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process, lifeline)
            if process.returncode is not None:
                transport.close()  # who left the group may hold our pipes for ever


async def _end(process: Process, lifeline: BinaryIO) -> None:
    """As the specification has it: end its stdin, wait, SIGTERM, wait, SIGKILL."""
    assert process.stdin is not None
    for step in (process.stdin.close, process.terminate, lifeline.close):
        with suppress(ProcessLookupError):
            step()
        if await _gone(process):
            return


async def _gone(process: Process) -> bool:
    """Whether it ends in time. ``process.wait()`` would wait for everybody who holds its pipes."""
    with anyio.move_on_after(GRACE):
        while process.returncode is None:  # noqa: ASYNC110 asyncio has no event for the exit alone
            await anyio.sleep(0.01)
    return process.returncode is not None


async def _read(process: Process, received: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Pass the server's messages on; what is no message is passed over. Raises EngineError when it ends."""
    assert process.stdout is not None
    assert process.stderr is not None
    tail = bytearray()
    complaints = asyncio.ensure_future(_listen(process.stderr, tail))
    async with received:
        try:
            while line := await process.stdout.readline():
                if message := _message(line):
                    await received.send(message)
                await asyncio.sleep(0)  # a flood must leave others their turns
            await asyncio.wait((complaints,), timeout=GRACE)
            await _gone(process)
            raise EngineError(_last_words(tail, process.returncode))
        except ValueError as error:  # a line beyond the reader's limit
            raise EngineError(_TOO_LONG) from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass  # nobody listens any more
        finally:
            complaints.cancel()


def _message(line: bytes) -> SessionMessage | None:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


async def _listen(stderr: asyncio.StreamReader, tail: bytearray) -> None:
    while chunk := await stderr.read(1 << 16):
        tail += chunk
        del tail[:-_TAIL]
        await asyncio.sleep(0)


def _last_words(tail: bytearray, status: int | None) -> str:
    lines = [line.strip() for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    ended = "it closed its stdout" if status is None else f"it ended with status {status}"
    return f"{ended}, saying: {lines[-1]}" if lines else ended


async def _write(process: Process, sent: MemoryObjectReceiveStream[SessionMessage]) -> None:
    """Hand our messages to the server. One that reads nothing holds this up until the call's time is over."""
    assert process.stdin is not None
    with suppress(OSError, RuntimeError):
        async for message in sent:
            process.stdin.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await process.stdin.drain()
