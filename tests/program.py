"""llamachat as a process of its own, as a user starts it, but forked from one that has imported torch: that takes two
seconds each time, and is no part of what is tested. Tests of how it starts begin with ``COMMAND``."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

COMMAND = [sys.executable, "-m", "llamachat"]
MOULD = """
import json, os, runpy, socket, sys
import torch

door = socket.socket(fileno=int(sys.argv[1]))
while True:
    said, given, *_ = socket.recv_fds(door, 1 << 16, 3)
    if not said:
        break
    if child := os.fork():
        for file in given:
            os.close(file)
        door.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    door.close()
    for number, file in enumerate(given):
        os.dup2(file, number)
        os.close(file)
    arguments, environment, folder = json.loads(said)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    runpy.run_module("llamachat", run_name="__main__", alter_sys=True)
    break
"""


class Mould:
    """The one that is forked, for one after the other."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", MOULD, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd="/")

    def run(self, order: str, files: Sequence[IO[bytes]]) -> int:
        """Its exit code; ``files`` are its standard input, output and errors."""
        socket.send_fds(self._door, [order.encode()], [file.fileno() for file in files])
        return int(self._door.recv(16))

    def close(self) -> None:
        """It ends when nobody can ask any more."""
        self._door.close()
        self._process.wait()


mould = cache(Mould)
"""Made when it is first needed; conftest.py closes it."""


def run(
    home: Mapping[str, str], *arguments: str, given: str = "", folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """With the environment ``home`` and ``given`` as standard input, in ``folder`` or where we are."""
    with TemporaryFile() as read, TemporaryFile() as said, TemporaryFile() as complained:
        read.write(given.encode())
        read.seek(0)
        code = mould().run(json.dumps([arguments, {**home}, str(folder or Path.cwd())]), (read, said, complained))
        for file in (said, complained):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, code, said.read().decode(), complained.read().decode())
