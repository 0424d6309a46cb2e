"""One namespace and the cells that run in it: ipython as the model knows it. Knows no pipe, wall or parent.

``Session.run`` is all that the worker calls; whatever the code raises is in what it returns.
"""

import io
import linecache
import re
import resource
import sys
import traceback
import warnings
from types import FrameType, ModuleType
from typing import Any

from llamachat.tools.guards import Interrupted, make_builtins
from llamachat.tools.policy import compile_cell
from llamachat.tools.shorten import shorten

MAX_FRAMES = 8  # of the code, in a traceback


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
        warnings.formatwarning = _warning

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
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    used = int(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (used if hard == resource.RLIM_INFINITY else min(used, hard), hard))


def _warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: object = None) -> str:
    return f"line {lineno}: {category.__name__}: {message}\n"
