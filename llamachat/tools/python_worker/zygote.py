"""The process that workers are forked from: Python with the libraries loaded. Knows walls and one socket, no cells.

A request is 4 bytes of length, then JSON, with five descriptors: the worker's commands and results, its stdout and
stderr, and the link; it names the libraries that the worker will need at once. Over the link the attendant, which
waits for the worker, sends ``{"pid"}`` with a pidfd, and at the end ``{"exit", "cpu"}`` or ``{"failed"}``; the worker
sends ``{"layers"}`` with its scratch folder. A zygote runs nothing of the user's, and ends when its parent does: the
socket closes, and death signals run down to the workers.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from llamachat.tools.python_worker import worker
from llamachat.tools.tidy import remove_tree
from llamachat.tools.walls import namespaces

_LIBRARIES = (
    *("numpy", "pandas", "matplotlib", "matplotlib.pyplot"),
    *("matplotlib.backends.backend_agg", "pandas.plotting._matplotlib"),  # what the first plot would load
)
"""What is loaded while nobody waits."""
_FIRST = 100  # descriptors are moved up here, then down to their places


def main(control: int, base: str) -> None:
    """Serve requests until the parent closes its end; load libraries while there is nothing to do.

    A parent that ends without a word (an empty request) was killed: then what it left in ``base`` is removed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of font caches, and the model would answer that
    with socket.socket(fileno=control) as door:
        wanted = [*_LIBRARIES]
        spares: list[tuple[dict[str, Any], list[int]]] = []  # they get all libraries, so they are forked last
        served = False
        while True:
            if (wanted or spares) and served and not select.select([door], [], [], 0)[0]:
                if wanted:
                    _load(wanted.pop(0))
                else:
                    _fork(door, *spares.pop())
                continue
            head, fds, _, _ = socket.recv_fds(door, 4, 5)
            if len(head) < 4:
                remove_tree(Path(base))
            if len(head) < 4 or head == bytes(4):
                return
            request = json.loads(_exactly(door, struct.unpack(">I", head)[0]))
            if not served and os.environ["MPLCONFIGDIR"] != request["fonts"]:
                namespaces.copy_files(request["fonts"], os.environ["MPLCONFIGDIR"])
            for name in request["libraries"]:
                _load(name)
            if not request["warm"]:
                wanted.clear()
            if request["spare"]:
                spares.append((request, fds))
            else:
                _fork(door, request, fds)
            served = True


def _exactly(door: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = door.recv(size - len(data))
        if not more:
            raise SystemExit("the parent is gone")
        data += more
    return data


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except (ImportError, OSError, ValueError, RuntimeError, AttributeError):  # a broken install
        for half in [key for key in sys.modules if key.partition(".")[0] == name.partition(".")[0]]:
            del sys.modules[half]  # so that the cell sees the error, not what comes of half a library
    gc.freeze()  # so that a collection in a worker doesn't copy all pages


def _reap(_signal: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork(door: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    if os.fork() == 0:
        try:
            door.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(request, fds)
        finally:
            os._exit(1)
    for fd in fds:
        os.close(fd)


def _attend(request: dict[str, Any], fds: list[int]) -> None:
    """Open a room, put a worker into it, and tell how it ends."""
    link = socket.socket(fileno=fds.pop())
    try:
        if sys.platform == "linux":
            namespaces.die_with_parent()
        root = namespaces.enter() if request["room"] else os.geteuid() == 0
        pid = os.fork()
    except OSError as error:
        link.sendall(_message({"failed": f"namespaces: {error.strerror}"}))
        return
    if pid == 0:
        _become_worker(request, fds, link, root)
    handles = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []
    socket.send_fds(link, [_message({"pid": pid, "handle": bool(handles)})], handles)
    for fd in (*fds, *handles):
        os.close(fd)
    _, status, usage = os.wait4(pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    link.sendall(_message({"exit": os.waitstatus_to_exitcode(status), "cpu": round(cpu, 1)}))


def _become_worker(request: dict[str, Any], fds: list[int], link: socket.socket, root: bool) -> None:
    """Never returns."""
    try:
        os.setsid()
        commands, results, out, err = fds
        nothing = os.open(os.devnull, os.O_RDONLY)
        for place, fd in enumerate([_up(fd) for fd in (nothing, out, err, commands, results, link.detach())]):
            os.dup2(fd, place)
        os.closerange(6, os.sysconf("SC_OPEN_MAX"))
        worker.main(3, 4, 5, request, root)
    except (OSError, ImportError, ValueError, MemoryError) as error:
        os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
    finally:
        os._exit(0)


def _up(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD, _FIRST)


def _message(value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">I", len(body)) + body
