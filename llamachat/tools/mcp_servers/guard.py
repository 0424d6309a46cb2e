"""Runs one MCP server, and kills it with all that it started when the chat is gone. Imports nothing of ours.

``python -IS guard.py LIFELINE COMMAND ARG…``: LIFELINE is the reading end of a pipe that the chat holds open; however
the chat ends, kill -9 included, the pipe does too. The server leads a process group of its own.
"""

import contextlib
import os
import select
import signal
import sys


def main() -> None:
    """Exit status: the server's, 127 if there is no such program. SIGTERM is passed on."""
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(lifeline, False)
    ended, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server = os.fork()
    if server == 0:
        _become(command)
    with contextlib.suppress(OSError):
        os.setpgid(server, server)  # the server does so too: whoever comes first
    signal.signal(signal.SIGTERM, lambda *_: _kill(server, signal.SIGTERM))
    os.closerange(0, 2)  # so that the server's stdin and stdout end when it closes them
    while os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if lifeline in select.select([lifeline, ended], [], [])[0]:
            _kill(server, signal.SIGKILL)
            break
        os.read(ended, 64)
    _kill(server, signal.SIGKILL)  # what it left behind; until it is waited for, no other group can have its number
    os._exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]) & 0xFF)


def _kill(group: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, number)


def _become(command: list[str]) -> None:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would hand that on
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main()
