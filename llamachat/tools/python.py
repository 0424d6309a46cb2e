"""The python tool: a stateful session in a worker process, limited and interruptible. Knows what the model is told.

    session = PythonSession()              # nothing runs yet; python_tool() is PythonSession().tool
    session.tool                           # goes into a Toolbox
    session.attach(Path("sales.csv"))      # the code may read it by its name, and not change it
    (session.scratch / "a.txt").write_text("…")      # or just put a file of one's own
    await session.run("1 + 1")             # PythonResult("completed", "", "", "2")
    await session.restart()                # forgets all variables; files stay
    await session.close()                  # ends the worker, removes the scratch folder

The worker starts with the first call. It has no environment, no inherited descriptors and the limits of PythonLimits;
what the code may say, reach and open is in ``policy``, ``guards`` and ``audit``. None of these is a wall of the
operating system.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError, StorageError
from llamachat.protocol import CODE_INTERPRETER, frame_output
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.python_process import Ran, WorkerProcess
from llamachat.tools.shorten import shorten

_LOST_NOW = "The python process is gone, and with it all variables and imports; files are kept."
_LOST_BEFORE = "Note: the python process was ended before this call; earlier variables and imports are gone."


@dataclass(frozen=True, slots=True)
class PythonLimits:
    """What one session may use."""

    seconds: float = 20.0
    """Wall clock of a call."""
    cpu_seconds: int = 60
    """Of a call, over all threads."""
    memory: int = 2 << 30
    """Bytes of address space. numpy with 4 BLAS threads takes 0.5 GiB of it."""
    output: int = 16 << 10
    """Characters of each stream that the model sees."""
    captured: int = 8 << 20
    """Bytes that a call may print before it is stopped."""
    file_bytes: int = 64 << 20
    open_files: int = 128


@dataclass(frozen=True, slots=True)
class PythonResult:
    """What a call gave. ``status`` is completed, error or timeout; ``value`` is the repr of the last expression;
    ``error`` is the traceback, and what else the model must know."""

    status: str
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the code ran to its end."""
        return self.status == "completed"

    def text(self, limit: int) -> str:
        """The body of the ipython message (docs/protocol.md §6): the value is stdout's last line, as in ipython."""
        stdout = _lines(shorten(self.stdout, limit), self.value)
        return frame_output(self.status, stdout, _lines(shorten(self.stderr, limit), self.error))


class PythonSession:
    """The python of one dialog. Calls run one after the other."""

    def __init__(self, limits: PythonLimits = PythonLimits()) -> None:
        self.limits = limits
        self._lock = asyncio.Lock()
        self._worker: WorkerProcess | None = None
        self._attached: dict[str, str] = {}
        self._folder: Path | None = None
        self._remove = weakref.finalize(self, _remove, None)
        self._lost = False

    @property
    def tool(self) -> Tool:
        """What a Toolbox needs."""
        code = {"type": "string", "description": "Python code; variables stay for the next call"}
        return Tool(
            name="python",
            description="Runs Python code and returns what it prints and the value of its last expression.",
            parameters={"type": "object", "properties": {"code": code}, "required": ["code"]},
            run=self._call,
            wire="code",
            wire_name=CODE_INTERPRETER,
            close=self.close,
        )

    @property
    def scratch(self) -> Path:
        """The folder that the code works in; made on first use. Raises StorageError if it can't be made."""
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="llamachat-")).resolve()
            except OSError as error:
                raise StorageError(
                    f"The python tool can't make its working folder: {error.strerror}.",
                    "Free some space, or set TMPDIR to a folder that can be written.",
                ) from error
            self._remove = weakref.finalize(self, _remove, self._folder)
        return self._folder

    def attach(self, path: Path, name: str = "") -> str:
        """Let the code read ``path`` as ``name`` (default: its own name) in the scratch folder. Returns the name.

        Raises ConfigError if there is no such file, or the name is taken.
        """
        name = name or path.name
        if not path.is_file():
            raise ConfigError(f"There is no file {path}.", "Check its name.")
        if Path(name).name != name or (self.scratch / name).exists():
            raise ConfigError(f"A file can't be attached as {name!r}.", "Choose another name.")
        real = path.resolve()
        (self.scratch / name).symlink_to(real)
        self._attached[name] = str(real)
        return name

    async def run(self, code: str) -> PythonResult:
        """Run ``code``. What goes wrong in it is in the result; raises StorageError if no worker can be had.

        On cancellation the code is interrupted; if that needs force, the next result says that the state is gone.
        """
        async with self._lock:
            if self._worker is None or not self._worker.alive:
                await self._start()
            assert self._worker
            try:
                ran = await self._worker.run(code, [*self._attached.values()], self.limits.seconds)
            finally:
                lost = self._lost
                if not self._worker.alive:
                    self._drop()
            self._lost = False
            return self._judge(ran, lost)

    async def restart(self) -> None:
        """Forget all variables and imports, also if code runs; files stay. The next call starts a new worker."""
        if self._worker:
            self._worker.kill()
        async with self._lock:
            self._drop()
            self._lost = False

    async def close(self) -> None:
        """End the worker and remove the scratch folder. The session can be used again, and is empty then."""
        await self.restart()
        self._remove()
        self._folder = None
        self._attached.clear()

    async def _call(self, arguments: Mapping[str, Any]) -> ToolOutput:
        result = await self.run(arguments["code"])
        return ToolOutput(result.text(self.limits.output), result.ok)

    async def _start(self) -> None:
        self._drop()
        limits = asdict(self.limits)
        setup = {key: limits[key] for key in ("cpu_seconds", "memory", "file_bytes", "open_files", "output")}
        setup |= {"scratch": str(self.scratch), "parent": os.getpid()}
        self._worker = await WorkerProcess.start(setup, self.limits.captured)

    def _drop(self) -> None:
        if self._worker:
            self._worker.end()
            self._worker, self._lost = None, True

    def _judge(self, ran: Ran, lost: bool) -> PythonResult:
        """A worker's answer, or its death, in the model's words."""
        frame = ran.frame or {"status": "interrupted", "value": None, "error": None}
        notes = [_LOST_BEFORE] if lost else []
        if frame["error"]:
            notes.append(frame["error"])
        if frame["status"] != "interrupted":
            return PythonResult(frame["status"], ran.stdout, ran.stderr, frame["value"], "\n".join(notes) or None)
        notes += [self._why(ran), "Variables are kept." if ran.frame else _LOST_NOW]
        status = "timeout" if ran.stopped == "timeout" else "error"
        return PythonResult(status, ran.stdout, ran.stderr, None, "\n".join(notes))

    def _why(self, ran: Ran) -> str:
        if ran.stopped == "timeout":
            return f"Stopped after {self.limits.seconds:g} s, the limit of a call."
        if ran.stopped == "flood":
            return f"Stopped: it printed more than {self.limits.captured:,} bytes."
        status = ran.exit_status
        if status is None or status >= 0:
            return f"The code ended its process (exit status {status})."
        if -status == signal.SIGXCPU:
            return f"Stopped: it used {self.limits.cpu_seconds} s of processor time."
        return f"The process was killed ({signal.strsignal(-status)})."


def python_tool(limits: PythonLimits = PythonLimits()) -> Tool:
    """The tool of a new session, for those who need no more of it."""
    return PythonSession(limits).tool


def _lines(text: str, last: str | None) -> str:
    """``text``, with ``last`` on a line of its own."""
    return text if last is None else f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{last}"


def _remove(folder: Path | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
