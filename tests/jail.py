"""Runs hostile cells against the walls and looks for what they must not do.

A program of its own, so that it can run as another user: ``python jail.py WALLS POLICY CORPUS…`` prints a JSON object,
case id → violations. In a case, @@NAME@@ stands for a bait: a secret file, a home with keys, a folder that must stay as
it is, sockets that must stay silent, a process that must live. A case is contained if none of them was touched, the
next cell answers, and nothing is left.
"""

import asyncio
import base64
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from llamachat.tools.python import PythonLimits, PythonSession

SECONDS, AT_ONCE = 1.0, 4
PROBE = 'print("alive-" + str(6*7))'
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/")


class Baits:
    """What a case may not touch."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.canary, self.marker = "CANARY" + secrets.token_hex(12), "mk" + secrets.token_hex(6)
        self.home, self.outside = folder / "home", folder / "outside"
        for place in (self.home / ".ssh", self.outside):
            place.mkdir(parents=True)
        secret = folder / "secret.txt"
        for path in (secret, self.home / ".ssh" / "id_rsa", self.home / ".bashrc", self.outside / "precious.txt"):
            path.write_text(self.canary)
        self.sockets = {
            "tcp": stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            "unix": stack.enter_context(socket.socket(socket.AF_UNIX)),
            "abstract": stack.enter_context(socket.socket(socket.AF_UNIX)),
            "udp": stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        }
        self.sockets["unix"].bind(str(folder / "u.sock"))
        self.sockets["abstract"].bind(f"\0{self.marker}")
        self.sockets["udp"].bind(("127.0.0.1", 0))
        for kind in ("unix", "abstract"):
            self.sockets[kind].listen()
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        self.sentinel = stack.enter_context(subprocess.Popen(command, env={"SECRET": self.canary}))
        stack.callback(self.sentinel.kill)
        self._names = {
            "SECRET_FILE": secret, "SECRET_DIR": folder, "SECRET_BASENAME": "secret.txt", "HOME": self.home,
            "OUTSIDE": self.outside, "MARKER": self.marker, "UNIX_SOCK": folder / "u.sock", "ABSTRACT": self.marker,
            "TCP_PORT": self.sockets["tcp"].getsockname()[1], "UDP_PORT": self.sockets["udp"].getsockname()[1],
            "SENTINEL_PID": self.sentinel.pid, "ENV_NAME": "LLAMACHAT_TOKEN",
        }  # fmt: skip
        self._before = dict(self._state())

    def fill(self, code: str) -> str:
        return re.sub("@@([A-Z_]+)@@", lambda match: str(self._names[match[1]]), code)

    def _state(self) -> Iterator[tuple[str, tuple[int, bytes]]]:
        for root in (self.home, self.outside):
            for path in sorted(root.rglob("*")):
                yield str(path), (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")

    def touched(self, said: str, canaries: set[str]) -> Iterator[str]:
        """What went wrong, if ``said`` is all that came out."""
        for canary in (self.canary, *canaries):
            raw = canary.encode()
            for form in (canary, canary[::-1], raw.hex(), base64.b64encode(raw).decode()):
                if form in said:
                    yield "a secret came out"
        for kind, server in self.sockets.items():
            server.settimeout(0)
            try:
                server.recv(1) if kind == "udp" else server.accept()[0].close()
                yield f"{kind} was contacted"
            except BlockingIOError:
                continue
        if dict(self._state()) != self._before:
            yield "files outside were changed"
        if self.sentinel.poll() is not None:
            yield "the sentinel was killed"
        if any(self.marker in name for place in PLACES if os.path.isdir(place) for name in os.listdir(place)):
            yield "a file was made outside"


async def judge(case: dict[str, Any], walls: Any, policy: bool, canaries: set[str]) -> list[str]:
    """The violations of one case."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        baits = Baits(folder, stack)
        session = PythonSession(PythonLimits(seconds=SECONDS), walls=walls, policy=policy)
        for name, text in case.get("attachments", {}).items():
            (folder / name).write_text(text)
            session.attach(folder / name)
        ran = [await session.run(baits.fill(cell)) for cell in case["cells"]]
        probe = await session.run(PROBE)
        said = "\n".join(f"{one.stdout}\n{one.stderr}\n{one.value}\n{one.error}" for one in ran)
        said += "".join(_text(file.path) for one in ran for file in one.artifacts)
        await session.close()
        found = list(baits.touched(said, canaries))
        if case["expect"] == "blocked" and "PWNED_" + baits.marker in said:
            found.append("the attack says that it worked")
        if policy and case["expect"] == "blocked" and "REACHED_" + baits.marker in said:
            found.append("the policy was passed")
        if not case.get("no_probe") and not (probe.ok and probe.stdout == "alive-42\n"):
            found.append(f"no answer after the attack: {probe}"[:300])
        return found


def _text(path: str) -> str:
    return Path(path).read_text("latin-1")


def descendants() -> set[int]:
    """All processes below this one."""
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        try:
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = set(map(int, (task / "children").read_text().split()))
                found |= children
                waiting += children
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def main(walls: str, policy: bool, corpora: list[str]) -> dict[str, list[str]]:
    canaries = {"CANARY" + secrets.token_hex(12) for _ in range(2)}
    inherited, os.environ["LLAMACHAT_TOKEN"] = canaries
    with tempfile.TemporaryFile() as open_secret:
        open_secret.write(inherited.encode())
        os.set_inheritable(open_secret.fileno(), True)
        cases = [json.loads(line) for corpus in corpora for line in _text(corpus).splitlines()]
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(case: dict[str, Any]) -> list[str]:
            async with turn:
                return await judge(case, walls, policy, canaries)

        keeper = PythonSession(PythonLimits(seconds=SECONDS), walls=walls, policy=policy)  # type: ignore[arg-type]
        await keeper.look()  # its pool serves them all
        found = await asyncio.gather(*map(one, cases))
        await keeper.close()
    verdict = {case["id"]: violations for case, violations in zip(cases, found, strict=True)}
    return verdict | {"left over": [f"process {pid}" for pid in descendants()]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2] == "policy", sys.argv[3:]))))
