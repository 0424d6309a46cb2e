"""One namespace and the cells that run in it: ipython as the model knows it. Knows no pipe, wall or parent.

``Session.run`` is all that the worker calls; whatever the code raises is in what it returns.
"""

import ctypes
import inspect
import io
import linecache
import os
import re
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any

from llamachat.tools.python_worker import event_loop, figures, libraries
from llamachat.tools.python_worker.guards import Interrupted
from llamachat.tools.python_worker.names import make_builtins
from llamachat.tools.python_worker.policy import compile_cell, plain
from llamachat.tools.shorten import shorten

MAX_FRAMES = 8  # of the code, in a traceback
MAX_FILES = 20  # named to code that looks for another
MAX_CHAIN = 4  # of exceptions that led to one another
MAX_SOURCES = 1000  # cells whose lines a traceback can show
_CELL = re.compile(r"<cell (\d+)>")


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
        sys.argv[:] = [""]
        os.environ["MPLBACKEND"] = "Agg"
        libraries.mend()
        warnings.showwarning = _warn
        warnings.filterwarnings("ignore", message=".*joblib will operate in serial mode")
        threading.excepthook = self._thread_failed

    def _echo(self, value: Any) -> None:
        self._value = value

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """The handler of SIGINT: stops a running cell, and does nothing between cells."""
        if self._running:
            self._running = False
            _interrupt_threads()
            raise Interrupted

    def run(self, code: str) -> dict[str, Any]:
        """Status, value, error and images (base64 PNGs) of one cell."""
        self._count += 1
        self._value = None
        figures.take()
        _open_streams()
        _limit_cpu(self._cpu_seconds)
        try:
            status, value, error = self._outcome(code)
        except Interrupted:
            status, value, error = "interrupted", None, None
        images, notes = figures.take()
        _flush()
        return {"status": status, "value": value, "error": "\n".join(filter(None, [error, *notes])) or None,
                "images": images}  # fmt: skip

    def _outcome(self, code: str) -> tuple[str, str | None, str | None]:
        self._running = True
        try:
            return "completed", self._execute(code), None
        except SystemExit as end:
            return "completed", None, f"SystemExit: {end.code}" if end.code not in (None, 0) else None
        except Interrupted:
            raise
        except BaseException as raised:  # noqa: BLE001 whatever the code raises is its result
            return "error", None, shorten(self._explained(raised), self._output)
        finally:
            self._running = False

    def _execute(self, code: str) -> str | None:
        name = f"<cell {self._count}>"
        linecache.cache[name] = (len(code), None, plain(code).splitlines(keepends=True), name)
        linecache.cache.pop(f"<cell {self._count - MAX_SOURCES}>", None)
        compiled = compile_cell(code, name)
        try:
            if compiled.co_flags & inspect.CO_COROUTINE:
                event_loop.run(eval(compiled, self._names))
            else:
                exec(compiled, self._names)
        finally:
            figures.show()
        if self._value is None:
            return None
        self._names["_"] = self._value
        figures.keep_value(self._value)
        return shorten("".join([repr(self._value)]), self._output)  # a plain string, even if repr gives a subclass's

    def _explained(self, raised: BaseException) -> str:
        try:
            return explain(raised, self._count)
        except Interrupted:
            raise
        except BaseException as second:  # noqa: BLE001 an exception's own __str__ is code too
            return f"{type(raised).__name__}, whose message can't be shown: {type(second).__name__}"

    def _thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None and not isinstance(failed.exc_value, Interrupted | SystemExit):
            name = failed.thread.name if failed.thread else "a thread"
            print(f"In {name}: {self._explained(failed.exc_value)}", file=sys.stderr)


def explain(error: BaseException, cell: int, depth: int = 0) -> str:
    """The traceback of ``error`` with the code's own frames only; it ends in ``Type: message``."""
    earlier, link = _link(error, "__cause__"), "The above exception was the direct cause of the following exception:"
    if earlier is None and not _link(error, "__suppress_context__"):
        earlier = _link(error, "__context__")
        link = "During handling of the above exception, another exception occurred:"
    follow = isinstance(earlier, Exception) and depth < MAX_CHAIN and _adds_to(earlier, error)
    lines = [f"{explain(earlier, cell, depth + 1)}\n\n{link}\n"] if follow else []
    frames = []
    for frame, number, found in _frames(error):
        where = "" if found == cell else f"cell {found}, "
        source = linecache.getline(frame.f_code.co_filename, number).strip()
        inside = f", in {frame.f_code.co_name}" if frame.f_code.co_name != "<module>" else ""
        frames.append(f"  {where}line {number}{inside}\n    {source}")
    if len(frames) > MAX_FRAMES:
        frames[MAX_FRAMES // 2 : -MAX_FRAMES // 2] = [f"  … {len(frames) - MAX_FRAMES} more"]
    lines += ["Traceback (most recent call last):", *frames] if frames else []
    return "\n".join([*lines, _last_lines(error)])


def _adds_to(earlier: Exception, error: BaseException) -> bool:
    """Whether an earlier exception is the code's own, or says what the later one doesn't."""
    return any(_frames(earlier)) or _last_lines(earlier).partition(": ")[2] not in _last_lines(error)


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int, int]]:
    """The code's own frames of a traceback, with line and cell."""
    for frame, number in traceback.walk_tb(_link(error, "__traceback__")):
        if found := _CELL.fullmatch(frame.f_code.co_filename):
            yield frame, number, int(found[1])


def _link(error: BaseException, name: str) -> Any:
    """The exception's real attribute, whatever its class says."""
    return vars(BaseException)[name].__get__(error)


def _last_lines(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and (magic := re.match(r"\s*([%!]+\w*)", error.text or "")):
        return f"SyntaxError: line {error.lineno}: {magic[1]} is not Python; magics and shell commands can't run here"
    summary = traceback.TracebackException(type(error), error, None)
    text = re.sub(r'File "<(cell \d+|cell text)>", ', "", "".join(summary.format_exception_only())).rstrip()
    if isinstance(error, FileNotFoundError):
        text += _files()
    parts = error.exceptions[:MAX_FRAMES] if isinstance(error, BaseExceptionGroup) else ()
    return "\n".join([text, *("  | " + _last_lines(part) for part in parts)])


def _files() -> str:
    """What there is instead of a file that is not there."""
    try:
        names = sorted(os.listdir("."))
    except OSError:
        return ""
    return f"\nFiles here: {', '.join(names[:MAX_FILES]) or 'none'}{', …' if len(names) > MAX_FILES else ''}"


def _interrupt_threads() -> None:
    """Raise Interrupted in the code's other threads; it reaches them when they next run Python."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.ident:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted))


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


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: object = None
) -> None:
    where = f"line {lineno}: " if _CELL.fullmatch(filename) else ""
    first = next((text for text in str(message).splitlines() if text.strip()), "")
    with suppress(OSError, ValueError):  # the code closed it
        print(f"{where}{category.__name__}: {first}", file=file or sys.stderr)
