"""Blocking work beside the event loop, in threads that nobody has to wait for. Knows neither."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """``work()`` in a daemon thread of its own; raises what it raises.

    Cancelling stops the waiting, not the thread: Python can't end threads. A pool's threads, as ``asyncio.to_thread``
    uses them, would hold up the end of the program as long as one of them hangs.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[list[T], BaseException | None]] = loop.create_future()

    def settle(values: list[T], error: BaseException | None) -> None:
        if not done.done():
            done.set_result((values, error))

    def body() -> None:
        values: list[T] = []
        problem: BaseException | None = None
        try:
            values.append(work())
        except BaseException as error:  # noqa: BLE001 it is raised again where it is awaited
            problem = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, values, problem)

    threading.Thread(target=contextvars.copy_context().run, args=(body,), daemon=True).start()
    values, problem = await done
    if problem is not None:
        raise problem
    return values[0]
