"""The engine's thread: in order, one at a time, and nothing that ends in it ends the chat."""

import asyncio
import ctypes
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from llamachat.engine import EngineThread, Hop
from llamachat.errors import EngineError


@pytest.fixture
def engine() -> Iterator[EngineThread]:
    engine = EngineThread(lambda: None)
    yield engine
    engine.close()


def test_work_is_done_in_order_in_one_thread(engine: EngineThread) -> None:
    done = [engine.submit(lambda i=i: (i, threading.current_thread().name)) for i in range(20)]  # type: ignore[misc]
    assert [future.result(10) for future in done] == [(i, "llamachat-engine") for i in range(20)]


def test_what_waits_can_be_cancelled(engine: EngineThread) -> None:
    go = threading.Event()
    engine.submit(lambda: go.wait(10))
    waiting, last = engine.submit(lambda: 1), engine.submit(lambda: 2)
    assert waiting.cancel()
    go.set()
    assert last.result(10) == 2


def test_errors_go_to_whoever_asked(engine: EngineThread) -> None:
    def fail(error: BaseException) -> None:
        raise error

    for error, kind in (
        (ValueError("no"), ValueError),
        (SystemExit(1), EngineError),
        (KeyboardInterrupt(), EngineError),
    ):
        with pytest.raises(kind):
            engine.submit(lambda error=error: fail(error)).result(10)  # type: ignore[misc]
    assert engine.submit(lambda: 3).result(10) == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_died_is_followed_by_another(engine: EngineThread) -> None:
    first = engine.submit(threading.current_thread).result(10)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(first.ident), ctypes.py_object(SystemExit))
    engine._work.put(None)  # wakes it, and it dies
    first.join(10)
    assert not first.is_alive()
    second = engine.submit(threading.current_thread).result(10)
    assert second is not first


def test_closing_drops_what_waits_and_refuses_more(engine: EngineThread) -> None:
    begun, go = threading.Event(), threading.Event()
    running = engine.submit(lambda: (begun.set(), go.wait(10)))
    begun.wait(10)
    waiting = engine.submit(lambda: 1)
    threading.Timer(0.05, go.set).start()
    engine.close()
    assert running.done()
    assert waiting.cancelled()
    with pytest.raises(EngineError, match="closed"):
        engine.submit(lambda: 1)


def test_the_program_ends_when_the_work_does_though_nobody_closes() -> None:
    code = (
        "import threading, time; from llamachat.engine import EngineThread, Hop; begun = threading.Event()\n"
        "EngineThread(lambda: None).submit(lambda: (begun.set(), time.sleep(0.3), print('done'))); begun.wait()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


async def test_between_two_ids_everybody_else_has_a_turn() -> None:
    """200 ids lie ready, as from an engine faster than the screen; a key must not wait until all are shown."""
    hop, turns = Hop(asyncio.get_running_loop()), 0

    async def key() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    for token_id in range(200):
        hop.put(token_id)
    hop.end()
    pressing = asyncio.create_task(key())
    assert [(token_id, turns >= token_id) async for token_id in hop] == [(i, True) for i in range(200)]
    pressing.cancel()
