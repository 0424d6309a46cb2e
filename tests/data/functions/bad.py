"""Functions that do what functions must not do."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

count = 0


def bump() -> int:
    """Shows whether the process is still the same."""
    global count
    count += 1
    return count


async def look() -> int:
    return count


def _tell(path: str) -> None:
    Path(path).write_text(str(os.getpid()))


def sleep(begun: str) -> None:
    _tell(begun)
    time.sleep(60)


def hold_the_interpreter(begun: str) -> None:
    """Backtracks for centuries in C code that lets no other thread run."""
    _tell(begun)
    re.match(r"(a+)+$", "a" * 60 + "b")


async def wait(begun: str, ended: str) -> None:
    _tell(begun)
    try:
        await asyncio.sleep(60)
    finally:
        _tell(ended)


async def deaf(begun: str) -> None:
    _tell(begun)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


async def raise_exit_aside() -> None:
    asyncio.get_running_loop().create_task(_exit())
    await asyncio.sleep(60)


async def _exit() -> None:
    raise SystemExit(4)


def exit_later(sign: str) -> None:
    """Answers first, and ends the process when the file is there."""

    def wait() -> None:
        while not Path(sign).exists():
            time.sleep(0.001)
        os._exit(3)

    threading.Thread(target=wait).start()


def exit_now(code: int = 3) -> None:
    os._exit(code)


def leave() -> None:
    sys.exit("no more")


def interrupt() -> None:
    raise KeyboardInterrupt


def crash() -> None:
    ctypes.string_at(0)


def kill_itself(number: int = signal.SIGRTMIN + 1) -> None:
    os.kill(os.getpid(), number)


def close_everything() -> str:
    os.closerange(3, 4096)
    return "closed"


def forge() -> str:
    """Write what is no frame to every descriptor."""
    for descriptor in range(1, 64):
        try:
            os.write(descriptor, b"{}\n")
        except OSError:
            continue
    time.sleep(60)
    return "forged"


def fork() -> str:
    os.fork()
    return "forked"


def fork_and_stay(begun: str) -> str:
    child = os.fork()
    if child == 0:
        time.sleep(60)
    Path(begun).write_text(str(child))
    return "forked"


def start_a_child(begun: str) -> str:
    Path(begun).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    return "started"


def say() -> None:
    print("hello", "there")


def say_and_return() -> int:
    print("working …")
    return 1


def say_and_fail() -> None:
    print("got as far as here")
    raise ValueError("no")


def flood() -> None:
    for _ in range(2000):
        print("x" * 1000)
    os.write(1, b"y" * 1_000_000)
    os.write(2, b"z" * 1_000_000)
    sys.stdout.buffer.write(b"raw")


def close_stdout() -> str:
    sys.stdout.close()
    os.close(1)
    return "closed"


def ask() -> str:
    return input("What? ")


def threads() -> int:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(60,)).start()
    return threading.active_count()


def hang_in_a_generator(begun: str) -> Iterator[int]:
    _tell(begun)
    yield 1
    time.sleep(60)


class Rude:
    def __repr__(self) -> str:
        raise KeyboardInterrupt("from repr")


def rude() -> Rude:
    return Rude()


def deep() -> list[object]:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


def huge() -> str:
    return "x" * 50_000_000
