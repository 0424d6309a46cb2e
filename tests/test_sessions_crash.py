"""Sessions and sudden ends: kill -9, torn logs, garbage, two programs at once. Real processes, real files."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from llamachat.messages import Dialog, Message, StopReason
from llamachat.sessions import Conditions, Node, Store

TALKER = Path(__file__).parent / "data" / "sessions" / "talker.py"
ROUNDS = int(os.environ.get("KILL_ROUNDS", "25"))
LANES = 5  # stores, each with its own rounds; side by side, since a talker mostly waits
LOST = 1.0  # seconds of which nothing need be there


@contextmanager
def talker(path: Path, session: str = "new") -> Iterator[subprocess.Popen[str]]:
    """A llamachat that talks to itself in another process."""
    command = [sys.executable, str(TALKER), str(path), session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_after(path: Path, events: int) -> tuple[str, list[list[str]]]:
    """Run a talker, kill it after so many events; the session's id, and what it had done a second before its end."""
    with talker(path) as process:
        assert process.stdout is not None
        id = process.stdout.readline().split()[0]
        lines = [process.stdout.readline() for _ in range(events)]
        end = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
    done = [line.split() for line in lines]
    return id, [words[:-1] for words in done if float(words[-1]) < end - LOST]


def well_formed(dialog: Dialog) -> bool:
    """Every call of a whole message has its result right behind it."""
    messages = dialog.messages
    return all(
        message.stop is StopReason.cancelled
        or [m.role for m in messages[i + 1 : i + 1 + len(message.tool_calls)]] == ["ipython"] * len(message.tool_calls)
        for i, message in enumerate(messages)
    )


def check_turns(path: list[Node], done: list[list[str]]) -> None:
    """All that was done is in ``path``, in order and unharmed."""
    turns: list[list[Node]] = []
    for node in path:
        if node.message.role == "user":
            turns.append([])
        turns[-1].append(node)
    for number, (question, *rest) in enumerate(turns):
        assert question.message.text == f"question {number}"
        assert [node.message.role for node in rest] == ["assistant", "ipython", "assistant"][: len(rest)]
        assert number == len(turns) - 1 or (len(rest) == 3 and rest[2].message.stop is StopReason.end_of_turn)
        assert len(rest) < 2 or rest[1].message.text == str(number) or "llamachat ended" in rest[1].message.text
    for what, turn, *more in done:
        question, *rest = turns[int(turn)]
        if what == "returned":
            assert rest[1].message.text == turn
        if what == "said":
            assert rest[2].message.text.split()[int(more[0])] == more[0]
        if what == "ended":
            assert rest[2].message.token_ids == (*range(60), 128009)
            assert rest[2].turn is not None
        assert rest or what == "asked"


def survive(path: Path, moments: random.Random) -> int:
    """Rounds of killing and reopening on one store; how many messages were mended."""
    mended = 0
    for _ in range(ROUNDS // LANES):
        id, done = kill_after(path, moments.randrange(450))
        with closing(Store(path)) as store:
            assert store.notice is None
            if not done and id not in [info.id for info in store.sessions()]:
                continue
            session = store.open(id)
            assert not session.shared
            check_turns(session.path, done)
            assert well_formed(session.dialog())
            mended += len(session.repaired)
            before = session.path
            session.ask(Message("user", "go on"), Conditions())
            session.close()
            assert store.open(id).path[:-1] == before
    return mended


def test_kill_9_loses_at_most_the_last_second(tmp_path: Path) -> None:
    with ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(survive, tmp_path / str(n) / "sessions.db", random.Random(n)) for n in range(LANES)]
        assert all(lane.result() for lane in lanes)
