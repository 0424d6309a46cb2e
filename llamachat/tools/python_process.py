"""A worker process seen from outside: started, asked, interrupted, killed. Knows pipes and signals, no tools.

The worker is not trusted: its frames are capped and every field is checked; a bad one ends it.
"""

import asyncio
import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llamachat.errors import StorageError
from llamachat.tools.shorten import printable

GRACE = 1.0  # seconds between SIGINT and SIGKILL
START_SECONDS = 30.0  # a cold start takes 0.1 s; a starved machine may need more
_READ = 1 << 16

_PACKAGE = Path(__file__).resolve().parent
_BOOT = """
import sys, types
for name, folder in (("llamachat", sys.argv[1]), ("llamachat.tools", sys.argv[2])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
sys.path.append(sys.argv[5])
from llamachat.tools.python_worker import main
main(int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
"""
"""Imports the worker without running our packages' __init__: start-up 60 ms instead of 200. An isolated Python (-I)
knows no PYTHONPATH and no user's site-packages, so it is told where the libraries are."""

_HEAD = struct.Struct(">I")
_ENVIRONMENT = {"LANG": "C.UTF-8", "MPLBACKEND": "Agg", "MALLOC_ARENA_MAX": "2"} | dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "4"
)
"""All that the worker sees of an environment. Each BLAS thread and malloc arena reserves address space."""

Stop = Literal["timeout", "cancelled", "flood"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one cell. ``frame`` is None if the worker died; ``stopped`` says who ended the cell early."""

    frame: Mapping[str, Any] | None
    stdout: str
    stderr: str
    stopped: Stop | None
    exit_status: int | None
    """Of a dead worker: exit status, or minus the signal that killed it."""


@dataclass(slots=True)
class _Call:
    """What is under way with the worker."""

    id: int
    answer: asyncio.Future[Mapping[str, Any] | None]
    unsent: bytearray
    printed: dict[int, bytearray]
    """By descriptor: the code's stdout and stderr."""
    received: bytearray = field(default_factory=bytearray)
    stopped: Stop | None = None
    killer: asyncio.TimerHandle | None = None


class WorkerProcess:
    """One live worker, made by ``start``; asked one cell at a time, from any event loop."""

    def __init__(
        self, process: subprocess.Popen[bytes], commands: int, results: int, captured: int, largest_frame: int
    ) -> None:
        self._process, self._commands, self._results = process, commands, results
        self._captured, self._largest_frame = captured, largest_frame
        assert process.stdout is not None
        assert process.stderr is not None
        self._out, self._err = process.stdout.fileno(), process.stderr.fileno()
        for fd in (commands, results, self._out, self._err):
            os.set_blocking(fd, False)
        self._count = 0
        self._killed = False
        self._end = weakref.finalize(self, _end, process, commands, results)

    @classmethod
    async def start(cls, setup: Mapping[str, Any], captured: int) -> "WorkerProcess":
        """A worker that is ready. ``captured`` bytes of output in one cell are too many: it is stopped.

        Raises StorageError if the system starts no process, or the process does not come up.
        """
        try:
            # A value and a traceback of so many characters fit, even if JSON escapes each in 12 bytes.
            largest_frame = 24 * setup["output"] + 4096
            worker = cls(*_spawn(setup["scratch"]), captured, largest_frame)
        except OSError as error:
            raise StorageError(f"Python can't be started: {error.strerror}.", "Close some programs.") from error
        ran = await worker._ask(setup, START_SECONDS)
        if ran.frame is None or ran.stopped:
            worker.end()
            reason = ran.stderr.strip().rpartition("\n")[2] or f"no sign of life in {START_SECONDS:.0f} s"
            raise StorageError(f"Python did not start: {reason}", "Reinstall llamachat.")
        return worker

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._killed and self._process.poll() is None

    async def run(self, code: str, readable: Sequence[str], seconds: float) -> Ran:
        """Run one cell. ``readable`` are the files outside the scratch folder that the code may read.

        On cancellation the cell is interrupted, or the worker killed, before CancelledError goes on.
        """
        self._count += 1
        return await self._ask({"id": self._count, "code": code, "readable": list(readable)}, seconds)

    async def _ask(self, command: Mapping[str, Any], seconds: float) -> Ran:
        loop = asyncio.get_running_loop()
        body = json.dumps(command).encode()
        printed = {self._out: bytearray(), self._err: bytearray()}
        call = _Call(self._count, loop.create_future(), bytearray(_HEAD.pack(len(body)) + body), printed)
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
                self.kill()
        if frame is None:
            await asyncio.to_thread(self._process.wait)
        self._drain(call)
        out, err = (bytes(data).decode("utf-8", "replace") for data in printed.values())
        return Ran(frame, out, err, call.stopped, self._process.poll())

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
        call.received += data
        if len(call.received) < _HEAD.size:
            return
        size = _HEAD.unpack_from(call.received)[0]
        if size > self._largest_frame or len(call.received) > _HEAD.size + size:
            self.kill()
        elif len(call.received) == _HEAD.size + size:
            frame = _checked(bytes(call.received[_HEAD.size :]), call.id)
            call.answer.set_result(frame)

    def _stop(self, call: _Call, reason: Stop) -> None:
        """SIGINT now, SIGKILL after the grace."""
        if call.stopped or call.answer.done():
            return
        call.stopped = reason
        self._process.send_signal(signal.SIGINT)
        call.killer = asyncio.get_running_loop().call_later(GRACE, self.kill)

    def kill(self) -> None:
        """End it at once, whatever it does; a call that waits for it gets its answer."""
        self._killed = True
        _kill(self._process)

    def end(self) -> None:
        """Kill it and close what is open."""
        self._end()


def _spawn(scratch: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """A process that waits for its setup, and our ends of its two pipes: commands to it, results from it."""
    theirs_in, commands = os.pipe()
    results, theirs_out = os.pipe()
    arguments = [str(_PACKAGE.parent), str(_PACKAGE), str(theirs_in), str(theirs_out), _packages()]
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(theirs_in, theirs_out),
            cwd=scratch,
            env={"HOME": scratch, "TMPDIR": scratch, **_ENVIRONMENT},
            start_new_session=True,
        )
    except OSError:
        os.close(commands)
        os.close(results)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return process, commands, results


def _packages() -> str:
    """The folder that RestrictedPython is installed in."""
    spec = importlib.util.find_spec("RestrictedPython")
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):  # it died just now; macOS says so with EPERM
            os.killpg(process.pid, signal.SIGKILL)  # its session is its own, so its group is its pid


def _end(process: subprocess.Popen[bytes], *pipes: int) -> None:
    _kill(process)
    process.wait()
    for pipe in pipes:
        os.close(pipe)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _read(fd: int) -> bytes | None:
    """What a pipe holds; b"" at its end, None if there is nothing now."""
    try:
        return os.read(fd, _READ)
    except BlockingIOError:
        return None


def _checked(body: bytes, expected: int) -> Mapping[str, Any] | None:
    """The frame, or None if anything about it is not as it should be."""
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or set(frame) != {"id", "status", "value", "error"} or frame["id"] != expected:
        return None
    if frame["status"] not in ("completed", "error", "interrupted"):
        return None
    texts = {key: frame[key] for key in ("value", "error")}
    if not all(text is None or isinstance(text, str) for text in texts.values()):
        return None
    return {"status": frame["status"], **{key: text and printable(text) for key, text in texts.items()}}
