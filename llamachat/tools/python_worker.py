"""The process that runs the model's Python: cells in, results out, state kept between. Knows no parent but its pipes.

``python_process`` starts it in a fresh interpreter and calls ``main``. A frame is 4 bytes of length (big-endian), then
JSON. The parent sends the setup, then ``{"id", "code", "readable"}``; the worker sends ``{"id", "status", "value",
"error"}`` when it is ready (id 0) and after each cell. What the code prints goes to descriptors 1 and 2: no print can
be taken for a frame.
"""

import ctypes
import io
import json
import linecache
import os
import re
import resource
import signal
import struct
import sys
import traceback
import warnings
from types import FrameType, ModuleType
from typing import Any, BinaryIO

from llamachat.tools.audit import Files, watch
from llamachat.tools.guards import ALLOWED, Interrupted, make_builtins
from llamachat.tools.policy import compile_cell
from llamachat.tools.shorten import shorten

MAX_FRAMES = 8  # of the code, in a traceback
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Session:
    """One namespace, and the cells that run in it."""

    def __init__(self, cpu_seconds: int, output: int) -> None:
        module = ModuleType("__main__")
        self._names = vars(module)
        self._names["__builtins__"] = make_builtins(self._names, self._echo)
        self._mains = (sys.modules["__main__"], module)  # both stay: dropping a module empties its namespace
        sys.modules["__main__"] = module  # where dataclasses and typing look up the names of a class
        self._cpu_seconds, self._output = cpu_seconds, output
        self._value: Any = None
        self._count = 0
        self._running = False

    def _echo(self, value: Any) -> None:
        self._value = value

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """The handler of SIGINT: stops a running cell, and does nothing between cells."""
        if self._running:
            self._running = False
            raise Interrupted

    def run(self, code: str) -> dict[str, Any]:
        """Status, value and error of one cell."""
        self._count += 1
        self._value = None
        _open_streams()
        _limit_cpu(self._cpu_seconds)
        try:
            status, value, error = self._outcome(code)
        except Interrupted:
            status, value, error = "interrupted", None, None
        _flush()
        return {"status": status, "value": value, "error": error}

    def _outcome(self, code: str) -> tuple[str, str | None, str | None]:
        self._running = True
        try:
            return "completed", self._execute(code), None
        except SystemExit as end:
            return "completed", None, f"SystemExit: {end.code}" if end.code not in (None, 0) else None
        except Interrupted:
            raise
        except BaseException as raised:  # noqa: BLE001 whatever the code raises is its result
            self._running = False
            return "error", None, shorten(explain(raised, self._count), self._output)
        finally:
            self._running = False

    def _execute(self, code: str) -> str | None:
        name = f"<cell {self._count}>"
        compiled = compile_cell(code, name)
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        exec(compiled, self._names)
        if self._value is None:
            return None
        self._names["_"] = self._value
        return shorten(repr(self._value), self._output)


def explain(error: BaseException, cell: int) -> str:
    """The traceback of ``error`` with the code's own frames only; it ends in ``Type: message``."""
    earlier, link = error.__cause__, "The above exception was the direct cause of the following exception:"
    if earlier is None and not error.__suppress_context__:
        earlier, link = error.__context__, "During handling of the above exception, another exception occurred:"
    lines = [f"{explain(earlier, cell)}\n\n{link}\n"] if isinstance(earlier, Exception) else []
    frames = []
    for frame, number in traceback.walk_tb(error.__traceback__):
        if found := re.fullmatch(r"<cell (\d+)>", frame.f_code.co_filename):
            where = "" if int(found[1]) == cell else f"cell {found[1]}, "
            source = linecache.getline(frame.f_code.co_filename, number).strip()
            inside = f", in {frame.f_code.co_name}" if frame.f_code.co_name != "<module>" else ""
            frames.append(f"  {where}line {number}{inside}\n    {source}")
    if len(frames) > MAX_FRAMES:
        frames[MAX_FRAMES // 2 : -MAX_FRAMES // 2] = [f"  … {len(frames) - MAX_FRAMES} more"]
    lines += ["Traceback (most recent call last):", *frames] if frames else []
    return "\n".join([*lines, _last_lines(error)])


def _last_lines(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and (magic := re.match(r"\s*([%!]+\w*)", error.text or "")):
        return f"SyntaxError: line {error.lineno}: {magic[1]} is not Python; magics and shell commands can't run here"
    summary = traceback.TracebackException(type(error), error, None)
    return re.sub(r'File "<cell \d+>", ', "", "".join(summary.format_exception_only())).rstrip()


def _open_streams() -> None:
    sys.stdin = io.StringIO()
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(stream, "utf-8", "backslashreplace", line_buffering=True)
        for stream in (io.BufferedWriter(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (ValueError, OSError, AttributeError):  # the code closed or replaced it
            continue


def _limit_cpu(seconds: int) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + seconds)


def _limit(kind: int, value: int) -> None:
    """Lower a soft limit. macOS refuses some; the wall clock still holds there."""
    hard = resource.getrlimit(kind)[1]
    try:
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (ValueError, OSError):
        return


def _enclose(setup: dict[str, Any], pipes: frozenset[int], packages: str) -> Files:
    """Take away what the code doesn't need, for good."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != setup["parent"]:
        raise SystemExit("the parent is gone")
    _limit(resource.RLIMIT_AS, setup["memory"])
    _limit(resource.RLIMIT_FSIZE, setup["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, setup["open_files"])
    _limit(resource.RLIMIT_CORE, 0)
    os.umask(0o077)
    os.chdir(setup["scratch"])
    sys.set_int_max_str_digits(0)  # printing 2**20000 is honest work; the wall clock ends the rest
    files = Files(setup["scratch"], pipes=pipes, packages=packages)
    sys.path[:] = [place for place in sys.path if files.holds_runtime(place)]
    watch(files, ALLOWED)
    return files


def _receive(commands: BinaryIO) -> dict[str, Any] | None:
    head = commands.read(4)
    if len(head) < 4:
        return None
    frame: dict[str, Any] = json.loads(commands.read(struct.unpack(">I", head)[0]))
    return frame


def _send(results: BinaryIO, frame: dict[str, Any]) -> None:
    body = json.dumps(frame).encode()
    results.write(struct.pack(">I", len(body)) + body)
    results.flush()


def _warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: object = None) -> str:
    return f"line {lineno}: {category.__name__}: {message}\n"


def main(commands_fd: int, results_fd: int, packages: str) -> None:
    """Serve one parent until it closes its end. ``packages`` is where the libraries are installed."""
    with open(commands_fd, "rb") as commands, open(results_fd, "wb") as results:
        setup = _receive(commands)
        if setup is None:
            return
        files = _enclose(setup, frozenset({commands_fd, results_fd}), packages)
        session = Session(setup["cpu_seconds"], setup["output"])
        signal.signal(signal.SIGINT, session.interrupt)
        warnings.formatwarning = _warning
        _send(results, {"id": 0, "status": "completed", "value": None, "error": None})
        while (command := _receive(commands)) is not None:
            files.readable = tuple(command["readable"])
            _send(results, {"id": command["id"], **session.run(command["code"])})
