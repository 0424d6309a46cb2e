"""The process that the user's functions run in: imports them, describes them, calls them. Knows no model and no UI.

Frames are JSON, one to a line, on a private socket; nothing is unpickled. It says ``{"functions": [{"name",
"description", "parameters"}]}`` or ``{"error", "hint"}`` once; then to each ``{"call": id, "name", "arguments"}`` comes
``{"id", "text", "ok", "artifacts"}``. ``{"cancel": id}`` cancels an async function. A sync one can't be stopped, so the
process ends itself.

Sync functions run one after the other in the main thread, which has also imported them: sqlite connections, signals
and plots are at home there. Async functions run side by side in the event loop of another thread.
"""

import asyncio
import fcntl
import json
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from llamachat.errors import ConfigError
from llamachat.tools import ToolOutput
from llamachat.tools.functions.load import load
from llamachat.tools.functions.printed import Printed
from llamachat.tools.functions.results import awaited, needs_loop, settle, settle_async
from llamachat.tools.functions.signatures import Signature

_CANCELLED = ToolOutput("cancelled", ok=False)


class Host:
    """Serves the calls of one set of functions until the socket closes."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._pid = os.getpid()
        self._writing = threading.Lock()
        self._printed = Printed()
        self._signatures: dict[str, Signature] = {}
        self._waiting: queue.SimpleQueue[tuple[int, Signature, Mapping[str, Any]]] = queue.SimpleQueue()
        self._turns = threading.Lock()
        self._cancelled: set[int] = set()
        self._running: int | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()

    def load(self, source: Mapping[str, Any]) -> None:
        """Import and describe; an error is told, and ends the process."""
        sys.stdout = self._printed
        try:
            found = load(source)
        except ConfigError as error:
            self._send({"error": error.message, "hint": error.hint})
            os._exit(1)
        self._signatures = {signature.name: signature for signature in found}
        known = [{"name": each.name, "description": each.description, "parameters": each.schema} for each in found]
        self._send({"functions": known})

    def serve(self) -> None:
        """Run what is asked for, for ever."""
        threading.Thread(target=self._turn, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._call(*self._waiting.get())

    def _turn(self) -> None:
        try:
            self._loop.run_forever()
        finally:  # a task that the functions began has raised SystemExit through the loop
            self._end()

    def _listen(self) -> None:
        try:
            with self._link.makefile("rb") as commands:
                for line in commands:
                    self._obey(json.loads(line))
        finally:  # llamachat has gone, or the functions have closed the socket
            self._end()

    def _obey(self, command: Mapping[str, Any]) -> None:
        if "cancel" in command:
            self._loop.call_soon_threadsafe(self._cancel, command["cancel"])
            return
        asked = (command["call"], self._signatures[command["name"]], command["arguments"])
        if asked[1].is_async:
            self._loop.call_soon_threadsafe(self._begin, *asked)
        else:
            self._waiting.put(asked)

    def _begin(self, call: int, signature: Signature, arguments: Mapping[str, Any]) -> None:
        self._tasks[call] = self._loop.create_task(self._call_async(call, signature, arguments))

    def _cancel(self, call: int) -> None:
        if call in self._tasks:
            self._tasks[call].cancel()
            return
        with self._turns:
            if call == self._running:
                self._end()
            self._cancelled.add(call)
        self._answer(call, _CANCELLED)

    def _call(self, call: int, signature: Signature, arguments: Mapping[str, Any]) -> None:
        with self._turns:
            if call in self._cancelled:  # while it waited
                return
            self._running = call
        with self._printed.kept() as kept:
            output = settle(partial(self._value, signature, arguments))
        with self._turns:
            self._running = None
        self._answer(call, kept.beside(output))

    def _value(self, signature: Signature, arguments: Mapping[str, Any]) -> Any:
        value = signature.call(arguments)
        if not needs_loop(value):
            return value
        return asyncio.run_coroutine_threadsafe(settle_async(awaited(value)), self._loop).result()

    async def _call_async(self, call: int, signature: Signature, arguments: Mapping[str, Any]) -> None:
        with self._printed.kept() as kept:
            try:
                output = await settle_async(self._value_async(signature, arguments))
            except asyncio.CancelledError:
                output = _CANCELLED
        del self._tasks[call]
        self._answer(call, kept.beside(output))

    async def _value_async(self, signature: Signature, arguments: Mapping[str, Any]) -> Any:
        return await awaited(signature.call(arguments))

    def _answer(self, call: int, output: ToolOutput) -> None:
        self._send({"id": call, **asdict(output)})

    def _send(self, frame: Mapping[str, Any]) -> None:
        if os.getpid() != self._pid:  # a child that a function has forked comes back out of it
            os._exit(0)
        try:
            with self._writing:
                self._link.sendall(json.dumps(frame).encode() + b"\n")
        except OSError:  # the functions have closed the socket
            self._end()

    def _end(self) -> None:
        """End this process and what its functions have started, whatever they do."""
        if os.getpid() == self._pid:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _die_with(lifeline: int) -> None:
    """The kernel kills this process group when the other end of the pipe closes: llamachat may be killed while C code
    gives no Python thread a turn. Linux only; elsewhere ``Host._listen`` has to notice."""
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def main(link: int, lifeline: int, source: str) -> None:
    """Serve the functions of ``source``, JSON of what ``load.load`` takes, on the descriptor ``link``."""
    _die_with(lifeline)
    for descriptor in (link, lifeline):
        os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=partial(os.close, descriptor))
    host = Host(socket.socket(fileno=link))
    host.load(json.loads(source))
    host.serve()
