"""The process that runs the model's Python: cells in, results out, state kept between. Knows no parent but its pipes.

``python_process`` starts it in a fresh interpreter and calls ``main``. A frame is 4 bytes of length (big-endian), then
JSON. The parent sends the setup, then ``{"id", "code", "readable"}``; the worker sends ``{"id", "status", "value",
"error"}`` when it is ready (id 0) and after each cell. What the code prints goes to descriptors 1 and 2: no print can
be taken for a frame.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO

from llamachat.tools.audit import Files, watch
from llamachat.tools.guards import ALLOWED
from llamachat.tools.python_cells import Session

PR_SET_PDEATHSIG = 1  # linux/prctl.h


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


def main(commands_fd: int, results_fd: int, packages: str) -> None:
    """Serve one parent until it closes its end. ``packages`` is where the libraries are installed."""
    with open(commands_fd, "rb") as commands, open(results_fd, "wb") as results:
        setup = _receive(commands)
        if setup is None:
            return
        files = _enclose(setup, frozenset({commands_fd, results_fd}), packages)
        session = Session(setup["cpu_seconds"], setup["output"])
        signal.signal(signal.SIGINT, session.interrupt)
        _send(results, {"id": 0, "status": "completed", "value": None, "error": None})
        while (command := _receive(commands)) is not None:
            files.readable = tuple(command["readable"])
            _send(results, {"id": command["id"], **session.run(command["code"])})
