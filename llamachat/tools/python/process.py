"""A worker process seen from outside: started, asked, interrupted, killed. Knows pipes and signals, no tools.

The worker is not trusted: its frames are capped and every field is checked; a bad, late or surplus one ends it.
"""

import asyncio
import os
import signal
import socket
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llamachat.errors import StorageError
from llamachat.tools.python.link import Link
from llamachat.tools.python.zygotes import Zygote
from llamachat.tools.python_worker.frames import ACKNOWLEDGED, HEAD, checked, largest, pack
from llamachat.tools.tidy import remove_tree

GRACE = 1.0  # seconds between SIGINT and SIGKILL
START_SECONDS = 60.0  # a cold start takes 0.1 s, with all libraries 3; a starved machine may need more
_READ = 1 << 16

Stop = Literal["timeout", "cancelled", "flood"]


class NoWorker(Exception):
    """The walls could not be raised as planned; says why."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one cell. ``frame`` is None if the worker died; ``stopped`` says who ended the cell early."""

    frame: Mapping[str, Any] | None
    stdout: str
    stderr: str
    stopped: Stop | None
    exit_status: int | None
    """Of a dead worker: exit status, or minus the signal that killed it."""
    cpu_seconds: float = 0.0
    """Of a dead worker."""
    started: bool = True
    """Whether the worker took the cell up. If not, what an earlier cell did has ended it."""


@dataclass(slots=True)
class _Call:
    """What is under way with the worker."""

    id: int
    answer: asyncio.Future[Mapping[str, Any] | None]
    unsent: bytearray
    printed: dict[int, bytearray]
    """By descriptor: the code's stdout and stderr."""
    received: bytearray = field(default_factory=bytearray)
    started: bool = False
    stopped: Stop | None = None
    killer: asyncio.TimerHandle | None = None


class WorkerProcess:
    """One live worker, made by ``start``; asked one cell at a time, from any event loop."""

    def __init__(self, zygote: Zygote, request: Mapping[str, Any], folder: Path) -> None:
        """Ask for it; ``come_up`` waits for it. ``folder`` is its own, and goes with it. Raises OSError if the system
        has no descriptors left."""
        self._zygote = zygote
        self._captured, self._largest_frame = request["limits"]["captured"], largest(request["limits"]["output"])
        end, their_end = socket.socketpair()
        pairs = _pipes(4)
        theirs = [pairs[0][0], *(write for _, write in pairs[1:])]
        ours = [pairs[0][1], *(read for read, _ in pairs[1:])]
        self._commands, self._results, self._out, self._err = ours
        self.link = Link(end)
        self.attached = folder / "attached"
        """What is in here it can read."""
        self.shown = "/attached" if request["house"] or request["room"] else request["attached"]
        """The name of that folder as it sees it."""
        self._killed = False
        self._count = 0
        self._end = weakref.finalize(self, _end, self.link, ours, folder)
        for fd in ours:
            os.set_blocking(fd, False)
        try:
            zygote.ask(request, [*theirs, their_end.fileno()])
        except OSError:
            self._killed = True  # told by the link, whose other end is closed below
        finally:
            their_end.close()
            for fd in theirs:
                os.close(fd)

    async def come_up(self) -> None:
        """Wait until it stands within its walls. If it doesn't, end it and raise NoWorker, or StorageError if too many
        files are open."""
        if not await self.wait(START_SECONDS):
            said = os.fsdecode(_read(self._err) or b"").strip().rpartition("\n")[2]
            reason = self.link.failed or said or (self._zygote.last_words() if not self.link.open else "")
            self.end()
            if self.link.starved:
                raise StorageError(f"Python can't be started: {reason}.", "Close some programs.")
            raise NoWorker(reason or f"no sign of life in {START_SECONDS:.0f} s")

    async def wait(self, seconds: float) -> bool:
        """Wait until it is ready or can't be any more, at most so long; whether it is."""
        await self._hear(lambda: self.link.ready or self.link.over, seconds)
        return self.link.ready

    @property
    def ready(self) -> bool:
        """Whether it stands within its walls, and lives."""
        return self.alive and self.link.ready

    async def _hear(self, enough: Callable[[], bool], seconds: float) -> None:
        """Read the link until there is enough."""
        loop = asyncio.get_running_loop()
        heard = loop.create_future()

        def on_link() -> None:
            self.link.read()
            if enough() and not heard.done():
                heard.set_result(None)

        loop.add_reader(self.link, on_link)
        try:
            on_link()
            await asyncio.wait({heard}, timeout=seconds)
        finally:
            loop.remove_reader(self.link)
            heard.cancel()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        self.link.read()
        return not self._killed and not self.link.over

    async def run(self, code: str, seconds: float) -> Ran:
        """Run one cell.

        On cancellation the cell is interrupted, or the worker killed, before CancelledError goes on.
        """
        self._count += 1
        if _read(self._results) is not None:  # it spoke without being asked
            self.kill()
        loop = asyncio.get_running_loop()
        printed = {self._out: bytearray(), self._err: bytearray()}
        command = bytearray(pack({"id": self._count, "code": code}))
        call = _Call(self._count, loop.create_future(), command, printed)
        clock = loop.call_later(seconds, self._stop, call, "timeout")
        self._listen(loop, call)
        try:
            frame = await asyncio.shield(call.answer)
        except asyncio.CancelledError:
            self._stop(call, "cancelled")
            await asyncio.wait({call.answer})
            raise
        finally:
            clock.cancel()
            if call.killer:
                call.killer.cancel()
            self._unlisten(loop)
            if not call.answer.done() or call.answer.result() is None:
                self._strike()
        if frame is None:
            await self._hear(lambda: self.link.over, GRACE)  # before its zygote goes, which may be all that can tell
            self.kill()
        self._drain(call)
        out, err = (bytes(data).decode("utf-8", "replace") for data in printed.values())
        return Ran(frame, out, err, call.stopped, self.link.exit, self.link.cpu, call.started)

    def _listen(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        loop.add_writer(self._commands, self._on_writable, loop, call)
        loop.add_reader(self._results, self._on_result, call)
        loop.add_reader(self._out, self._on_output, loop, call, self._out)
        loop.add_reader(self._err, self._on_output, loop, call, self._err)

    def _unlisten(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_writer(self._commands)
        for fd in (self._results, self._out, self._err):
            loop.remove_reader(fd)

    def _on_writable(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        try:
            del call.unsent[: os.write(self._commands, call.unsent)]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it died; the end of its results says so
            call.unsent.clear()
        if not call.unsent:
            loop.remove_writer(self._commands)

    def _on_output(self, loop: asyncio.AbstractEventLoop, call: _Call, fd: int) -> None:
        if self._read_output(call, fd) == b"":
            loop.remove_reader(fd)

    def _read_output(self, call: _Call, fd: int) -> bytes | None:
        """Keep what was printed, up to the limit; beyond it, stop the code."""
        data = _read(fd)
        if sum(map(len, call.printed.values())) > self._captured:
            self._stop(call, "flood")
        elif data:
            call.printed[fd] += data
        return data

    def _drain(self, call: _Call) -> None:
        """Read what was printed before the answer came; 4 MiB at most, since a thread may print for ever."""
        for fd in (self._out, self._err):
            for _ in range(64):
                if not self._read_output(call, fd):
                    break

    def _on_result(self, call: _Call) -> None:
        data = _read(self._results)
        if data is None or call.answer.done():
            return
        if not data:
            call.answer.set_result(None)
            return
        if not call.started:
            call.started, data = True, data.removeprefix(ACKNOWLEDGED)
        call.received += data
        if len(call.received) < HEAD.size:
            return
        size = HEAD.unpack_from(call.received)[0]
        if size > self._largest_frame or len(call.received) > HEAD.size + size:
            call.answer.set_result(None)
        elif len(call.received) == HEAD.size + size:
            call.answer.set_result(checked(bytes(call.received[HEAD.size :]), call.id))

    def _stop(self, call: _Call, reason: Stop) -> None:
        """SIGINT now, SIGKILL after the grace."""
        if call.stopped or call.answer.done():
            return
        call.stopped = reason
        self.link.signal(signal.SIGINT)
        call.killer = asyncio.get_running_loop().call_later(GRACE, self.kill)

    def kill(self) -> None:
        """End it at once, whatever it does; a call that waits for it gets its answer.

        It is process 1 of its namespace, so all that it may have started ends with it."""
        self._strike()
        if not self._zygote.plan.shared:
            self._zygote.end()

    def _strike(self) -> None:
        self._killed = True
        self.link.signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill it and close what is open."""
        self.kill()
        self._end()


def _end(link: Link, fds: list[int], folder: Path) -> None:
    link.signal(signal.SIGKILL)
    link.close()
    remove_tree(folder)
    for fd in fds:
        os.close(fd)


def _pipes(count: int) -> list[tuple[int, int]]:
    """So many pipes, or none and an OSError."""
    made: list[tuple[int, int]] = []
    try:
        while len(made) < count:
            made.append(os.pipe())
    except OSError:
        for fd in (fd for pair in made for fd in pair):
            os.close(fd)
        raise
    return made


def _read(fd: int) -> bytes | None:
    """What a pipe holds; b"" at its end, None if there is nothing now."""
    try:
        return os.read(fd, _READ)
    except BlockingIOError:
        return None
