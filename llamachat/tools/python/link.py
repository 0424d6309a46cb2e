"""The link to a worker and its attendant: who it is, which walls hold it, how it ended. Knows sockets and signals.

Nothing of the code's can speak here: the worker closes its end before it reads the first cell.
"""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

from llamachat.tools.python_worker.frames import HEAD


class Link:
    """Our end. ``read`` is to be called when ``fileno`` is readable; what has come is in the fields."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._socket.setblocking(False)
        self._received = bytearray()
        self._fds: list[int] = []
        self._pid: int | None = None
        self._handle: int | None = None
        self.scratch: int | None = None
        """A descriptor of the scratch folder, also when the worker is dead."""
        self.layers: list[tuple[str, bool, str]] = []
        self.failed = ""
        """Why there is no worker."""
        self.starved = False
        """Whether that is no fault of the walls."""
        self.exit: int | None = None
        """Exit status of a dead worker, or minus the signal that killed it."""
        self.cpu = 0.0
        """Seconds of processor time that a dead worker used."""
        self.open = True
        """Whether somebody is at the other end."""

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    @property
    def ready(self) -> bool:
        """Whether the worker is within its walls, and can be killed."""
        return self.scratch is not None and self._pid is not None

    @property
    def over(self) -> bool:
        """Whether there is no worker, or none any more."""
        return bool(self.failed) or self.exit is not None or not self.open

    def read(self) -> None:
        """Take in what has come."""
        while self.open:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 4)
            except BlockingIOError:
                break
            except ConnectionError:
                data, fds = b"", []
            self._fds += fds
            self._received += data
            self.open = bool(data)
        while len(self._received) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._received)[0]
            if len(self._received) < end:
                break
            self._take(json.loads(bytes(self._received[HEAD.size : end])))
            del self._received[:end]

    def _take(self, message: Mapping[str, Any]) -> None:
        if (message.get("handle") or "layers" in message) and not self._fds:
            self.failed, self.starved = "Too many open files", True  # the system dropped what came with it
        elif "pid" in message:
            self._pid = message["pid"]
            self._handle = self._fds.pop(0) if message["handle"] else None
        elif "layers" in message:
            self.layers = [(name, on, detail) for name, on, detail in message["layers"]]
            self.scratch = self._fds.pop(0)
        elif "exit" in message:
            self.exit, self.cpu = message["exit"], message["cpu"]
        else:
            self.failed = str(message["failed"])

    def signal(self, number: int) -> None:
        """Send a signal to the worker, if it lives."""
        if self._pid is None or self.exit is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._handle is None:
                os.kill(self._pid, number)
            else:
                signal.pidfd_send_signal(self._handle, number)

    def close(self) -> None:
        """Close all that came over it."""
        self._socket.close()
        for fd in (*self._fds, self._handle, self.scratch):
            if fd is not None:
                os.close(fd)
        self._fds, self._handle, self.scratch = [], None, None
