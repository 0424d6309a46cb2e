"""The python tool: a stateful session in a walled worker, limited and interruptible. Knows what the model is told.

    session = PythonSession()              # nothing runs yet; python_tool() is PythonSession().tool
    session.tool                           # goes into a Toolbox
    session.attach(Path("sales.csv"))      # the code may read it by its name, and not change it
    await session.run("1 + 1")             # PythonResult("completed", "", "", "2")
    session.walls                          # the layers that hold it, once a worker has started
    await session.restart()                # forgets all variables; files stay
    await session.close()                  # ends the worker, removes all files, those that were offered too

The worker starts with the first call. What holds it is in ``sandbox``; without a wall of the operating system there is
no worker, unless the caller says ``unwalled``.
"""

import asyncio
import signal
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError
from llamachat.messages import Artifact
from llamachat.protocol import CODE_INTERPRETER, frame_output
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.python.home import Home, Room
from llamachat.tools.python.process import Ran, WorkerProcess
from llamachat.tools.python.start import Pool, Wanted, pool
from llamachat.tools.sandbox import Choice, Walls
from llamachat.tools.shorten import shorten

_LOST_NOW = "The python process is gone, and with it all variables and imports; files are kept."
_LOST_BEFORE = "Note: the python process was ended before this call; earlier variables and imports are gone."
_XCPU = 128 + 24  # the exit status by which a worker says that its processor time is used up (SIGXCPU is 24)


@dataclass(frozen=True, slots=True)
class PythonLimits:
    """What one session may use."""

    seconds: float = 20.0
    """Wall clock of a call."""
    cpu_seconds: int = 60
    """Of a call, over all threads."""
    memory: int = 3 << 30
    """Bytes of address space. pandas, matplotlib and 4 BLAS threads take 0.7 GiB of it."""
    scratch_bytes: int = 200 << 20
    """Of all files in the scratch folder, which are in memory."""
    output: int = 16 << 10
    """Characters of each stream that the model sees."""
    captured: int = 8 << 20
    """Bytes that a call may print before it is stopped."""
    file_bytes: int = 64 << 20
    open_files: int = 128


@dataclass(frozen=True, slots=True)
class PythonResult:
    """What a call gave. ``status`` is completed, error or timeout; ``value`` is the repr of the last expression;
    ``error`` is the traceback, and what else the model must know; ``artifacts`` are figures and new files."""

    status: str
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    images: int = 0
    """How many of the artifacts are figures."""

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

    def __init__(
        self,
        limits: PythonLimits = PythonLimits(),
        *,
        walls: Choice = "auto",
        policy: bool = True,
        unwalled: bool = False,
        warm: bool = True,
    ) -> None:
        """``walls`` and ``policy=False`` are for tests of each layer alone; ``unwalled`` is the user's consent to run
        code that no wall of the operating system holds; ``warm=False`` loads no library ahead."""
        self.limits = limits
        self.walls: Walls | None = None
        """The layers that hold the code, known when a worker has started."""
        self._home = Home()
        self._wanted = Wanted(tuple(asdict(limits).items()), walls, policy, unwalled, warm)
        self._lock = asyncio.Lock()
        self._worker: WorkerProcess | None = None
        self._pool: Pool | None = None  # lives as long as a session holds it
        self._clear = weakref.finalize(self, self._home.clear)
        self._lost = False
        self._ahead = ""  # code that is to come

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
        """The folder that the code works in, as seen from here, while it has a worker. No link in it is to be trusted.

        Raises ConfigError if there is no worker."""
        if self._worker is None or self._worker.link.scratch is None:
            raise ConfigError("There is no working folder yet.", "Run something first.")
        return Path(f"/proc/self/fd/{self._worker.link.scratch}")

    def attach(self, path: Path, name: str | None = None) -> str:
        """Let the code read a copy of ``path`` as ``name`` (default: its own name) in the scratch folder. Returns the
        name. Raises ConfigError if there is no such file, or the name is taken; StorageError if it can't be copied."""
        name = path.name if name is None else name
        if not path.is_file():
            raise ConfigError(f"There is no file {path}.", "Check its name.")
        self._home.attach(path, name)
        return name

    async def run(self, code: str) -> PythonResult:
        """Run ``code``. What goes wrong in it is in the result; raises StorageError if no worker can be had, and
        ConfigError if there are no walls.

        On cancellation the code is interrupted; if that needs force, the next result says that the state is gone.
        """
        async with self._lock:
            worker = await self._need_worker(code)
            try:
                ran = await worker.run(code, self.limits.seconds)
                if not (ran.started or ran.stopped):
                    self._drop()
                    worker = await self._need_worker(code)
                    ran = await worker.run(code, self.limits.seconds)
                result = await self._judge(ran, self._lost)
            finally:
                if not worker.alive:
                    self._drop()
            self._lost = False
            return result

    async def restart(self) -> None:
        """Forget all variables and imports, also if code runs; files stay. The next call starts a new worker."""
        if self._worker:
            self._worker.kill()
        async with self._lock:
            self._drop()
            self._lost = False

    async def close(self) -> None:
        """End the worker and remove all files. The session can be used again, and is empty then."""
        await self.restart()
        self._home.clear()
        self._pool = None

    async def look(self, ahead: str = "") -> Walls:
        """The layers that hold a worker here, found by starting one, ready for code like ``ahead``, and so is each that
        comes after it. Raises as ``run`` does."""
        self._ahead = ahead
        async with self._lock:
            await self._need_worker("")
        assert self.walls
        return self.walls

    async def warm_up(self, seconds: float) -> bool:
        """Wait until a worker is ready ahead of need, at most so long; whether there is one."""
        self._pool = self._pool or pool(self._wanted)
        return await self._pool.warm_up(seconds)

    async def _call(self, arguments: Mapping[str, Any]) -> ToolOutput:
        result = await self.run(arguments["code"])
        return ToolOutput(result.text(self.limits.output), result.ok, result.artifacts)

    async def _need_worker(self, code: str) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self._drop()
            _ = self._home.folder  # if there is no place for files, say so first
            self._pool = self._pool or pool(self._wanted)
            self._worker, self.walls = await self._pool.take(f"{self._ahead}\n{code}")
            assert self._worker.link.scratch is not None
            room = Room(self._worker.link.scratch, self._worker.attached, self._worker.shown)
            await asyncio.to_thread(self._home.move_in, room)
        return self._worker

    def _drop(self) -> None:
        """End the worker; its scratch folder stays for the next one."""
        if self._worker:
            self._home.move_out()
            self._worker.end()
            self._worker, self._lost = None, True

    async def _judge(self, ran: Ran, lost: bool) -> PythonResult:
        """A worker's answer, or its death, in the model's words, with what it made for the user."""
        frame = ran.frame or {"status": "interrupted", "value": None, "error": None, "images": ()}
        files, left_out = await asyncio.to_thread(self._home.collect, frame["images"])
        notes = [_LOST_BEFORE] if lost else []
        if frame["error"]:
            notes.append(frame["error"])
        if left_out:
            notes.append(f"Note: {left_out} files were not passed on to the user: too large, or too many.")
        status, value = frame["status"], frame["value"]
        if status == "interrupted":
            notes += [self._why(ran), "Variables are kept." if ran.frame else _LOST_NOW]
            status, value = "timeout" if ran.stopped == "timeout" else "error", None
        error = "\n".join(notes) or None
        return PythonResult(status, ran.stdout, ran.stderr, value, error, tuple(files), len(frame["images"]))

    def _why(self, ran: Ran) -> str:
        if ran.stopped == "timeout":
            return f"Stopped after {self.limits.seconds:g} s, the limit of a call."
        if ran.stopped == "flood":
            return f"Stopped: it printed more than {self.limits.captured:,} bytes."
        status = ran.exit_status
        if status == _XCPU:
            return f"Stopped: it used {self.limits.cpu_seconds} s of processor time."
        if status is None:
            return "The process was ended: it did not keep to its protocol."
        if status >= 0:
            return f"The code ended its process (exit status {status})."
        return f"The process was killed ({signal.strsignal(-status)})."


def python_tool(limits: PythonLimits = PythonLimits()) -> Tool:
    """The tool of a new session, for those who need no more of it."""
    return PythonSession(limits).tool


def _lines(text: str, last: str | None) -> str:
    """``text``, with ``last`` on a line of its own."""
    return text if last is None else f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{last}"
