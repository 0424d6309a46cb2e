"""The process that runs the model's Python: cells in, results out, state kept between. Knows no parent but its pipes.

``python_zygote`` forks it and calls ``main``, which first shuts every door behind itself. A frame is 4 bytes of length
(big-endian), then JSON. The parent sends ``{"id", "code"}``; the worker says one byte, ACK, when it takes that up, and
then ``{"id", "status", "value", "error", "images"}``. What the code prints goes to descriptors 1 and 2: no print can be
taken for a frame.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO

from llamachat.tools.python_worker.audit import Files, watch
from llamachat.tools.python_worker.bare import lift_policy
from llamachat.tools.python_worker.cells import Session
from llamachat.tools.python_worker.guards import ALLOWED
from llamachat.tools.walls import landlock, namespaces, seccomp

XCPU = 128 + 24  # exit status of a worker that used up its processor time; 24 is SIGXCPU
ACKNOWLEDGED = b"\x06"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")

Layer = tuple[str, bool, str]
"""Name, whether it is on, and what there is to say of it."""


def main(commands_fd: int, results_fd: int, link_fd: int, request: dict[str, Any], root: bool) -> None:
    """Serve one parent until it closes its end. ``root`` says whether this is the system's root, still."""
    walled = request["room"] or (request["house"] and sys.platform == "linux")  # Seatbelt moves no folders
    scratch, attached, fonts = (
        ("/scratch", "/attached", "/mpl") if walled else (request["scratch"], request["attached"], request["fonts"])
    )
    limits = request["limits"]
    if request["room"]:
        namespaces.furnish(request["places"], request["attached"], request["fonts"], limits["scratch_bytes"])
    if walled and root:
        namespaces.give_to_nobody("/scratch", "/mpl")
    _settle(scratch, fonts)
    layers = _enclose(request, walled and root, [*request["places"], attached], [scratch, fonts])
    files = Files(scratch, (attached, fonts), frozenset({commands_fd, results_fd}), request["packages"])
    if request["policy"]:
        sys.path[:] = [place for place in sys.path if files.holds_runtime(place)]
    else:
        lift_policy()
    session = Session(limits["cpu_seconds"], limits["output"])
    _greet(link_fd, scratch, layers)  # from here on the clock of a cell may run
    # Not before: the system refuses to pass descriptors on while more than this are under way, of all workers together.
    namespaces.limit(resource.RLIMIT_NOFILE, limits["open_files"])
    with open(commands_fd, "rb") as commands, open(results_fd, "wb") as results:
        if request["policy"]:
            watch(files, ALLOWED)
        _serve(commands, results, session)


def _settle(scratch: str, fonts: str) -> None:
    """Live in the scratch folder, as far as paths go."""
    os.umask(0o077)
    os.chdir(scratch)
    os.environ.update(HOME="/nonexistent", TMPDIR=scratch, MPLCONFIGDIR=fonts)
    tempfile.tempdir = scratch
    sys.set_int_max_str_digits(0)  # printing 2**20000 is honest work; the wall clock ends the rest
    if random := sys.modules.get("numpy.random"):
        random.seed()  # a fork inherits its parent's dice


def _enclose(request: dict[str, Any], become_nobody: bool, readable: list[str], writable: list[str]) -> list[Layer]:
    """Take away what the code doesn't need, for good; say what is in force."""
    if sys.platform == "linux":
        namespaces.drop_privileges(become_nobody)
        namespaces.die_with_parent()
    limits = request["limits"]
    namespaces.limit(resource.RLIMIT_AS, limits["memory"])
    namespaces.limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    namespaces.limit(resource.RLIMIT_CORE, 0)
    for kind in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        if hasattr(resource, kind):
            namespaces.limit(getattr(resource, kind), 0)
    return [
        ("bubblewrap", request["house"], ""),
        ("namespaces", request["room"], ""),
        _try("landlock", lambda: f"ABI {landlock.restrict(readable, [*writable, *_DEVICES])}"),
        _try("seccomp", lambda: seccomp.install(metadata=request["room"] or request["house"])),
        ("limits", True, ""),
        ("policy", request["policy"], ""),
    ]


def _try(name: str, raise_it: Callable[[], str | None]) -> Layer:
    if sys.platform != "linux":
        return name, False, "only Linux has it"
    try:
        return name, True, raise_it() or ""
    except (OSError, KeyError) as error:
        return name, False, f"this kernel refuses: {error}"


def _greet(link_fd: int, scratch: str, layers: list[Layer]) -> None:
    """Give the parent a hold on the scratch folder."""
    folder = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(fileno=link_fd) as link:
        body = json.dumps({"layers": layers}).encode()
        socket.send_fds(link, [struct.pack(">I", len(body)) + body], [folder])
    os.close(folder)


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


def _serve(commands: BinaryIO, results: BinaryIO, session: Session) -> None:
    signal.signal(signal.SIGINT, session.interrupt)
    # Process 1 of a namespace never dies of a signal's default action, so this one gets an action of its own.
    signal.signal(signal.SIGXCPU, lambda _signal, _frame: os._exit(XCPU))
    streams = _identity()
    while (command := _receive(commands)) is not None:
        results.write(ACKNOWLEDGED)
        results.flush()
        _send(results, {"id": command["id"], **session.run(command["code"])})
        if _identity() != streams:  # the code closed or changed them: a fresh worker is better than a mute one
            return


def _identity() -> list[tuple[int, int]]:
    """What stdout and stderr are; empty if one is closed."""
    try:
        return [(os.fstat(number).st_dev, os.fstat(number).st_ino) for number in (1, 2)]
    except OSError:
        return []
