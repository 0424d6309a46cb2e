"""llamachat --serve: the terminal chat in a browser of this machine, one process a tab. Knows no model and no dialog.

textual-serve brings the page's terminal and the packets to and from an app. Here stands who may come in: programs of
this machine that were told the token. Other users of the machine, and pages of other origins in the same browser, are
taken for hostile. A cookie is sent to every port of a host, so ours holds for a path that nobody else can know.
"""

import asyncio
import errno
import os
import re
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from string import Template

from aiohttp import WSCloseCode, web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from llamachat.errors import ConfigError

HOST = "127.0.0.1"
COOKIE = "llamachat"
DRIVER = "llamachat.widgets.browser:TabDriver"
GRACE = 5.0  # seconds an app has to leave in
MOST_CELLS = 1000  # a side of the screen
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")  # any port: ssh -L may have changed it
PAGE = Template((Path(__file__).parent / "serve.html").read_text(encoding="utf-8"))
CLOSED = "llamachat: This page is closed; open the address that llamachat --serve printed."
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# xterm.js makes its own style elements, hence unsafe-inline for styles; scripts are textual-serve's and our one line.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src data:; connect-src ws://{host}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(command: Sequence[str], port: int = 0) -> None:
    """Run ``command``, a Textual app, in every browser tab that comes with the token, until Ctrl-C.

    Prints the address once. ``port`` 0 is a free one. Raises ConfigError if the port can't be had.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(Tabs(command), port))


async def _serve(tabs: "Tabs", port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # no SIGHUP on Windows
        if number and signal.getsignal(number) != signal.SIG_IGN:  # under nohup, the terminal may go
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    runner = web.AppRunner(tabs.application(), access_log=None, shutdown_timeout=3 * GRACE)
    await runner.setup()
    try:
        await _listen(runner, port)
        print(f"llamachat is at http://{HOST}:{runner.addresses[0][1]}/?token={tabs.token}", flush=True)
        print("Each tab is a chat of its own. Ctrl-C ends all.", file=sys.stderr, flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"can't be had: {os.strerror(error.errno or 0)}"
        raise ConfigError(f"Port {port} {why}.", "Give another --port, or none for a free one.") from error


class Tab(AppService):
    """One app process: ends with its tab, whatever it is doing."""

    argv: Sequence[str] = ()

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        """The terminal is xterm.js now, whatever the server was started in."""
        environment = super()._build_environment(_cells(width), _cells(height))
        environment.pop("TMUX", None)
        return environment | {"TEXTUAL_DRIVER": DRIVER, "TERM": "xterm-256color", "COLORTERM": "truecolor"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Without a shell, and in a session of its own: the terminal's Ctrl-C is for the server, who says goodbye."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        self._stdin = process.stdin
        return process

    async def set_terminal_size(self, width: int, height: int) -> None:
        """Tell the app."""
        await super().set_terminal_size(_cells(width), _cells(height))

    async def on_data(self, payload: bytes) -> None:
        """To the browser; when it has gone, to nobody, for an app whose pipe is full can't leave."""
        with suppress(ConnectionError):
            await super().on_data(payload)

    async def run(self) -> None:
        """Until the app has left; a tab without an app says so."""
        await super().run()
        if self._process is not None:
            await self._process.wait()
        with suppress(ConnectionError):
            await self.remote_close()

    async def stop(self) -> None:
        """Ask the app to leave, and see to it: one that hangs reads no word of ours."""
        leaving = asyncio.ensure_future(super().stop())
        await asyncio.wait({leaving}, timeout=GRACE)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await asyncio.wait({leaving}, timeout=GRACE)


class Tabs(Server):
    """The web application: textual-serve's, behind a token."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__("llamachat", host=HOST)
        self.argv = tuple(command)
        self.token = secrets.token_urlsafe()
        self._key, self._room = secrets.token_urlsafe(), f"/{secrets.token_urlsafe()}/"
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """Every request passes the guard first, those for pages that are not there too."""
        application = web.Application(middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/", self._enter),
                web.get("/download/{key}", self._to_download),  # where textual-serve's script looks for it
                web.get(self._room, self.handle_index),
                web.get(f"{self._room}ws", self.handle_websocket),
                web.get(f"{self._room}download/{{key}}", self.handle_download),
                web.static(f"{self._room}static", self.statics_path),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self.on_shutdown)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not LOOPBACK.fullmatch(host := request.headers.get("Host", "")):  # another name that leads here: rebinding
            raise web.HTTPForbidden(text=CLOSED)
        if request.headers.get("Origin", f"http://{host}") != f"http://{host}":
            raise web.HTTPForbidden(text=CLOSED)
        public = request.path == "/" or request.path.startswith("/download/")  # these two look for themselves
        if not public and not _same(request.cookies.get(COOKIE), self._key):
            raise web.HTTPForbidden(text=CLOSED)
        return await handler(request)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """The token is taken for a cookie, and leaves the address bar."""
        if not _same(request.query.get("token"), self.token):
            raise web.HTTPForbidden(text=CLOSED)
        response = web.Response(status=303, headers={"Location": self._room})
        response.set_cookie(COOKIE, self._key, path=self._room, httponly=True, samesite="Strict")
        return response

    async def _to_download(self, request: web.Request) -> web.StreamResponse:
        """Who knows the random key of a download may know the room; the cookie is asked for there."""
        key = request.match_info["key"]
        try:
            await self.download_manager.get_download_metadata(key)
        except KeyError:
            raise web.HTTPForbidden(text=CLOSED) from None
        return web.Response(status=303, headers={"Location": f"{self._room}download/{key}"})

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        nonce = secrets.token_urlsafe()
        page = PAGE.substitute(websocket=f"ws://{request.host}{self._room}ws", nonce=nonce)
        policy = PAGE_POLICY.format(host=request.host, nonce=nonce)
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One tab, from its first key to its last."""
        if "Origin" not in request.headers:  # a browser always says which page asks
            raise web.HTTPForbidden(text=CLOSED)
        socket = web.WebSocketResponse(heartbeat=15, timeout=GRACE, compress=False)
        await socket.prepare(request)
        tab = Tab(
            "",
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=socket.close,  # type: ignore[arg-type]  # its answer is of no use
            download_manager=self.download_manager,
        )
        tab.argv = self.argv
        self._open.add(socket)
        try:
            await tab.start(to_int(request.query.get("width", ""), 80), to_int(request.query.get("height", ""), 24))
            await self._process_messages(socket, tab)
        finally:
            self._open.discard(socket)
            await tab.stop()
        return socket

    async def on_shutdown(self, app: web.Application) -> None:
        """The tabs see that their chat has ended, and the handlers that they may go."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in self._open))


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _same(given: str | None, secret: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _cells(side: int) -> int:
    return max(1, min(int(side), MOST_CELLS))
