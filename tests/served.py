"""What the tests of --serve share: a server as a process, a visitor with or without its token, and a way to see the end
of processes that are not our children."""

import asyncio
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

SECONDS = 60  # more than anything takes on a slow machine

# Shows what was typed, hands out a file, hangs or fails, by what its prompt is told.
ECHO = """
import io, os, time
from textual.app import App
from textual.widgets import Input, Label

class Echo(App):
    def compose(self):
        yield Label("what?", id="said", markup=False)
        yield Input()

    def on_input_submitted(self, event):
        if event.value == "hang":
            self.screen.update = time.sleep(10_000)
        if event.value == "fail":
            os._exit(3)
        if event.value == "file":
            self.deliver_text(io.StringIO("all of it"), save_filename="a.txt")
        self.query_one(Label).update(f"said:{event.value}")

Echo().run()
"""
SERVE = "import sys; from llamachat.doors import serve; serve.GRACE = {grace}; serve.serve(sys.argv[1:])"
# Holds a FIFO open for as long as the app, or anything that it left behind, lives.
HOLDING = ("sh", "-c", 'exec 9>"$0"; exec "$@"')


class Lives:
    """The FIFO's other end: closed when the last who holds it is gone, however it went."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lives"
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    async def gone(self) -> bool:
        """Wait for it. Only true of an app that was seen to live."""
        return bool((await asyncio.to_thread(select.select, [self._end], [], [], SECONDS))[0])

    def alive(self) -> bool:
        try:
            return bool(os.read(self._end, 1))
        except BlockingIOError:  # somebody could write; at the end nobody can
            return True


class Served:
    """A server that printed its address."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.origin, self.token = address.split("/?token=")
        self.port = int(self.origin.rsplit(":", 1)[1])


@contextmanager
def serving(command: list[str]) -> Iterator[Served]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())
            assert found is not None
            yield Served(process, found[0])
        finally:
            process.terminate()


def echo(lives: Lives, grace: float = 5.0) -> list[str]:
    app = [*HOLDING, os.fspath(lives.path), sys.executable, "-c", ECHO]
    return [sys.executable, "-c", SERVE.format(grace=grace), *app]


class Visitor:
    """A browser, as far as a server can tell."""

    def __init__(self, served: Served, session: aiohttp.ClientSession) -> None:
        self.served, self.session = served, session
        self.room = ""

    async def enter(self) -> aiohttp.ClientResponse:
        """With the token, to the page."""
        page = await self.session.get(f"{self.served.origin}/", params={"token": self.served.token})
        self.room = str(page.url)
        return page

    async def tab(self, **headers: str) -> "Tab":
        socket = await self.session.ws_connect(
            f"{self.room}ws?width=80&height=24", headers={"Origin": self.served.origin, **headers}
        )
        return Tab(socket)


class Tab:
    """What comes through one websocket, without its colours."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._data = b""
        self.packets: list[object] = []

    @property
    def text(self) -> str:
        return re.sub(rb"\x1b\[[0-9;?<>=$]*[a-zA-Z]", b"", self._data).decode("utf-8", "replace")

    async def shows(self, words: str) -> None:
        async with asyncio.timeout(SECONDS):
            while words not in self.text:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, (message, self.text)
                self._data += message.data

    async def type(self, keys: str) -> None:
        await self.socket.send_json(["stdin", keys])

    async def packet(self) -> object:
        """The next thing that is said to the page, not shown."""
        async with asyncio.timeout(SECONDS):
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    return message.json()
        raise AssertionError("closed")

    async def closed(self) -> int | None:
        """Read to the end; the code of the close."""
        async with asyncio.timeout(SECONDS):
            async for _ in self.socket:
                pass
        return self.socket.close_code
