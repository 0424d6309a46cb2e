"""Zygotes seen from outside: started with the first worker, shared by all sessions, ended with the last. No cells.

Nothing runs before the first cell of the program, and nothing after the last session is closed.
"""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamachat.errors import StorageError
from llamachat.paths import cache_dir, variable
from llamachat.tools import sandbox
from llamachat.tools.python_worker.frames import HEAD
from llamachat.tools.tidy import hold, remove_abandoned, remove_tree

_BOOT = """
import os, sys, traceback, types
for name, folder in (("llamachat", sys.argv[1]), ("llamachat.tools", sys.argv[2])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
sys.path.append(sys.argv[3])
try:
    from llamachat.tools.python_worker.zygote import main
    main(int(sys.argv[4]), sys.argv[5])
except Exception:
    traceback.print_exc()
os._exit(0)
"""
"""Imports the zygote without running our packages' __init__: start-up 60 ms instead of 200. An isolated Python (-I)
knows no PYTHONPATH and no user's site-packages, so it is told where the libraries are."""
_THREADS = str(min(4, os.cpu_count() or 1))
_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "", "MPLBACKEND": "Agg", "MALLOC_ARENA_MAX": "2"} | dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), _THREADS
)
"""All that the worker sees of an environment. Each BLAS thread and malloc arena reserves address space."""

_DESCRIPTORS = 16_384
_PREFIX = "llamachat-"

_shared: "weakref.WeakValueDictionary[sandbox.Plan, Zygote]" = weakref.WeakValueDictionary()


class Zygote:
    """One live zygote. It ends when nobody holds it any more."""

    def __init__(self, plan: sandbox.Plan, scratch_bytes: int, attached: str = "") -> None:
        """Raises OSError if the system starts no process."""
        self.plan = plan
        fonts = fonts_folder()
        ours, theirs = socket.socketpair()
        place = str(sandbox.PACKAGE)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *sandbox.house(plan, attached or str(base()), fonts, scratch_bytes),
                    *(sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT),
                    *(str(sandbox.PACKAGE.parent), place, sandbox.packages(), str(theirs.fileno()), str(base())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={**_ENVIRONMENT, "MPLCONFIGDIR": sandbox.fonts_within(plan, fonts)},
                start_new_session=True,
            )
        self._door = ours
        self._end = weakref.finalize(self, _end, self._process, ours)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        """Ask for a worker that holds ``fds``. Raises OSError if the zygote is gone."""
        body = json.dumps(request).encode()
        socket.send_fds(self._door, [HEAD.pack(len(body)) + body], fds)

    def last_words(self) -> str:
        """The last line of what it complained of; to be asked of a dead or dying one."""
        self.end()
        return self._words

    def end(self) -> None:
        """Kill it, and so all its workers."""
        if self._end.alive:
            _kill(self._process)
            assert self._process.stderr
            self._words = self._process.stderr.read(4096).decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._end()

    _words = ""


def zygote(plan: sandbox.Plan, scratch_bytes: int, attached: str) -> Zygote:
    """The zygote to fork a worker from: the one that all share, or a new one where ``plan`` can't share."""
    if not plan.shared:
        return Zygote(plan, scratch_bytes, attached)
    found = _shared.get(plan)
    if found is None or not found.alive:
        found = _shared[plan] = Zygote(plan, scratch_bytes)
    return found


@functools.cache
def base() -> Path:
    """The folder of all sessions' folders; removed when the program ends, and if it was killed, when the next one
    starts. Raises StorageError if it can't be made."""
    _allow_descriptors()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=variable("LLAMACHAT_RUNDIR"))).resolve()
        hold(folder)
        remove_abandoned(folder.parent, _PREFIX)
    except OSError as error:
        raise StorageError(
            f"The python tool can't make its working folder: {error.strerror}.",
            "Free some space, or set TMPDIR to a folder that can be written.",
        ) from error
    weakref.finalize(sandbox.Plan, remove_tree, folder)
    return folder


def _allow_descriptors() -> None:
    """Raise our limit of open files to what the system lets us have: a session takes seven, and 1,024 is the usual
    limit to start with."""
    import resource  # Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit that it doesn't tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@functools.cache
def fonts_folder() -> str:
    """Where matplotlib keeps the list of fonts that takes it a second to make."""
    folder = Path(variable("LLAMACHAT_MPLCACHE") or cache_dir() / "matplotlib")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder.resolve())
    return str(base())


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _end(process: "subprocess.Popen[bytes]", door: socket.socket) -> None:
    with contextlib.suppress(OSError):
        door.send(HEAD.pack(0))  # so that it doesn't take the end for our death
    _kill(process)
    door.close()
    if process.stderr:
        process.stderr.close()
