"""One process of functions and the socket to it: spawned, asked, cancelled, killed. Knows frames, no tools.

The frames are the ones of host.py. They are capped, and one that is not as it should be ends the process.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, BinaryIO

from llamachat.errors import ConfigError
from llamachat.threads import in_thread

START_SECONDS = 60.0  # for the imports of the user's file; a bare start takes 0.2 s
GRACE = 1.0  # seconds between asking a function to stop and killing its process
LARGEST_FRAME = 8 << 20  # bytes; a result has some 16 k characters, but a package may have many functions
_BOOT = """
import sys, json
sys.path[:] = json.loads(sys.argv[1])
from llamachat.tools.functions.host import main
main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
"""

Frame = Mapping[str, Any]
Outbox = SimpleQueue[bytes | None]


class Link:
    """One live process. Any number of tasks may ask it, from any event loop; two threads do the waiting."""

    def __init__(self, name: str, source: Mapping[str, Any]) -> None:
        """Blocks until ``source`` (see ``load.load``) is imported. Raises ConfigError if that fails."""
        self._calls = _Calls()
        _, first = self._calls.new()
        self._outbox: Outbox = SimpleQueue()
        try:
            self._process, ours, lifeline = _spawn(source)
        except OSError as error:
            raise ConfigError(f"{name} can't be started: {error.strerror}.", "Close some programs.") from error
        self._end = weakref.finalize(self, _end, self._process, ours, lifeline, self._outbox)
        threads = {
            "answers": partial(_listen, ours.makefile("rb"), self._calls),
            "calls": partial(_send, ours, self._outbox),
        }
        for what, work in threads.items():
            threading.Thread(target=work, name=f"functions: {what}", daemon=True).start()
        try:
            self.described: list[Frame] = self._described(name, first)
        except BaseException:  # Ctrl-C too
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._calls.open

    @property
    def ending(self) -> str:
        """How it ended: exit status, or signal."""
        code = self._process.returncode
        names = {each.value: each.name for each in signal.Signals}
        return names.get(-code, f"signal {-code}") if code < 0 else f"exit status {code}"

    async def ask(self, command: Frame, seconds: float) -> tuple[Frame | None, bool]:
        """The answer, None if the process died; and whether that came in time. If not, the call has been stopped.

        On cancellation the call is stopped before CancelledError goes on.
        """
        number, future = self._calls.new()
        answer = asyncio.wrap_future(future)
        self._put({"call": number, **command})
        try:
            await asyncio.wait({answer}, timeout=seconds)
        except asyncio.CancelledError:
            await self._stop(number, answer)
            raise
        in_time = answer.done()
        if not in_time:
            await self._stop(number, answer)
        frame = await answer
        if frame is None:
            await in_thread(partial(self.end, 0.5))
        return frame, in_time

    async def _stop(self, number: int, answer: "asyncio.Future[Frame | None]") -> None:
        """Ask the function to stop; if it doesn't, or can't, kill the process."""
        self._put({"cancel": number})
        try:
            await asyncio.wait({answer}, timeout=GRACE)
        finally:
            if not answer.done() or answer.result() is None:
                self._calls.close()
                _kill(self._process)

    def end(self, patience: float = 0.0) -> None:
        """End it and close what is open. It has ``patience`` seconds to end by itself and so to say how."""
        self._calls.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._end()
        self._process.wait()  # another task's end() may be under way

    def _put(self, frame: Frame) -> None:
        self._outbox.put(json.dumps(frame).encode() + b"\n")

    def _described(self, name: str, first: "Future[Frame | None]") -> list[Frame]:
        try:
            frame = first.result(START_SECONDS)
        except TimeoutError as error:
            late = f"{name} can't be imported: it takes longer than {START_SECONDS:.0f} s."
            raise ConfigError(late, "Do slow work in the functions, not beside them.") from error
        if frame is None:
            self.end(0.5)
            raise ConfigError(f"{name} can't be imported: its process ended ({self.ending}).", "Mend it.")
        if "error" in frame:
            raise ConfigError(frame["error"], frame["hint"])
        return list(frame["functions"])


class _Calls:
    """Who waits for which answer. The first is what the process says of itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Frame | None]] = {}
        self._count = 0
        self.open = True

    def new(self) -> "tuple[int, Future[Frame | None]]":
        """The number of a new call, and where its answer will be; None if the process ends first."""
        future: Future[Frame | None] = Future()
        with self._lock:
            self._count += 1
            if self.open:
                self._waiting[self._count] = future
            else:
                future.set_result(None)
            return self._count, future

    def settle(self, frame: Frame) -> None:
        """Hand over an answer; one that nobody waits for is dropped."""
        with self._lock:
            future = self._waiting.pop(frame.get("id", 1), None)
        if future:
            future.set_result(frame)

    def close(self) -> None:
        """Nobody will answer any more."""
        with self._lock:
            self.open = False
            left = list(self._waiting.values())
            self._waiting.clear()
        for future in left:
            future.set_result(None)


def _spawn(source: Mapping[str, Any]) -> tuple["subprocess.Popen[bytes]", socket.socket, int]:
    """The process, our end of the socket, and the end of a pipe that closes when we end, however we do."""
    ours, theirs = socket.socketpair()
    read, lifeline = os.pipe()
    arguments = [json.dumps(sys.path), str(theirs.fileno()), str(read), json.dumps(source)]
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), read),
            start_new_session=True,  # Ctrl-C is ours; and the group can be killed as a whole
        )
    except OSError:
        ours.close()
        os.close(lifeline)
        raise
    finally:
        theirs.close()
        os.close(read)
    return process, ours, lifeline


def _listen(answers: BinaryIO, calls: _Calls) -> None:
    with answers, suppress(OSError):
        while frame := _checked(answers.readline(LARGEST_FRAME)):
            calls.settle(frame)
    calls.close()


def _send(link: socket.socket, outbox: Outbox) -> None:
    with suppress(OSError):  # it has died, as the listener knows
        while data := outbox.get():
            link.sendall(data)


def _checked(line: bytes) -> Frame | None:
    """The frame, or None if anything about it is not as it should be."""
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError):
        return None
    shapes: tuple[dict[str, type], ...] = (
        {"id": int, "text": str, "ok": bool, "artifacts": list},
        {"functions": list},
        {"error": str, "hint": str},
    )
    good = any(_fits(frame, shape) for shape in shapes)
    artifact, function = dict.fromkeys(("name", "media_type", "path"), str), {"name": str, "description": str}
    good = good and all(_fits(each, artifact) for each in frame.get("artifacts", ()))
    good = good and all(_fits(each, {**function, "parameters": dict}) for each in frame.get("functions", ()))
    return frame if good else None


def _fits(value: Any, shape: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and {key: type(each) for key, each in value.items()} == shape


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):  # it died just now; macOS says so with EPERM
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: "subprocess.Popen[bytes]", link: socket.socket, lifeline: int, outbox: Outbox) -> None:
    _kill(process)
    process.wait()
    outbox.put(None)
    with suppress(OSError):  # not connected any more
        link.shutdown(socket.SHUT_RDWR)
    link.close()
    os.close(lifeline)
