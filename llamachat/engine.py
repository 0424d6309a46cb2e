"""The engine's thread, and the way of its ids to asyncio. Knows neither model nor tokens.

Not a ThreadPoolExecutor: it would pass a SystemExit on to the chat, and if its thread dies, take work that nobody does.
"""

import asyncio
import atexit
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from llamachat.errors import EngineError


class EngineThread:
    """One thread that does what it is given, in order. It starts with ``prepare``, and anew if it has died."""

    def __init__(self, prepare: Callable[[], object]) -> None:
        self._prepare = prepare
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._lock = Lock()
        self._closed = False

    def submit(self, work: Callable[[], Any]) -> "Future[Any]":
        """Do ``work`` when all before it is done. Whatever ends it ends the Future, which can be cancelled before."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.", "Open the model again.")
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="llamachat-engine", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # a thread that the interpreter ends inside of torch ends in a crash
            self._work.put((work, future))
        return future

    def close(self) -> None:
        """Finish what is running, drop what waits, and end."""
        with self._lock:
            self._closed = True
            while not self._work.empty():
                if item := self._work.get():
                    item[1].cancel()
            self._work.put(None)
        if self._thread:
            self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        self._prepare()
        while item := self._work.get():
            work, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 it is raised where the result is wanted
                future.set_exception(error)
            except BaseException:  # noqa: BLE001 somebody kills this thread: the chat must hear of it, not die of it
                future.set_exception(EngineError("The engine was killed.", "Ask again: it begins anew."))


class Hop:
    """Ids from the engine's thread to one consumer in asyncio, in order and at once.

    Waking the event loop costs about 0.1 ms, so it is woken only when the consumer waits. Between two ids all others on
    the loop have a turn: an engine faster than the screen would keep keys waiting to the end of the reply.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = asyncio.Event()
        """Set when the engine is done with this generation."""
        self._loop, self._closed = loop, False
        self._ids: deque[int | None] = deque()
        self._ready, self._woken = asyncio.Event(), False

    def close(self) -> None:
        """In the consumer's thread: no more ids, please."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether nobody listens any more; the engine looks before every step."""
        return self._closed or self._loop.is_closed()

    def put(self, token_id: int | None) -> None:
        """In the engine's thread. None is the end. Appending before looking at ``_woken`` is what loses no id."""
        self._ids.append(token_id)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._ready.set)

    def end(self) -> None:
        """In the engine's thread: no more ids."""
        self.put(None)
        self._loop.call_soon_threadsafe(self.ended.set)

    def __aiter__(self) -> "Hop":
        return self

    async def __anext__(self) -> int:
        if self._ids:
            await asyncio.sleep(0)
        while not self._ids:
            await self._ready.wait()
            self._ready.clear()
            self._woken = False
        token_id = self._ids.popleft()
        if token_id is None:
            raise StopAsyncIteration
        return token_id
