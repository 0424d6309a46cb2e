"""An asyncio event loop that needs no socket: tasks and timers, one thread. Knows no network, process or signal."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any


class Loop(asyncio.BaseEventLoop):
    """asyncio's own scheduler; where another loop would wait for sockets, this one sleeps until the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self  # BaseEventLoop asks it for events (CPython, asyncio/base_events.py, _run_once)
        self._slept = 0

    def select(self, timeout: float | None) -> list[object]:
        """Wait ``timeout`` seconds, or for what other threads hand over."""
        waited = 0.0
        while not self._ready and (timeout is None or waited < timeout):  # type: ignore[attr-defined]
            pause = 0.005 if timeout is None or self._threaded() else timeout - waited
            if timeout is None and not self._threaded():
                raise RuntimeError("every task waits for another: nothing can go on")
            time.sleep(pause)
            waited += pause
        return []

    def _threaded(self) -> bool:
        return self._default_executor is not None  # type: ignore[attr-defined]

    def _process_events(self, _events: list[object]) -> None:
        """Nothing but timers and callbacks happens here."""

    def _write_to_self(self) -> None:
        """The loop looks for itself what other threads hand over."""


def run(main: Coroutine[Any, Any, Any], *, debug: bool | None = None) -> Any:
    """asyncio.run."""
    with asyncio.Runner(debug=debug, loop_factory=Loop) as runner:
        return runner.run(main)


def current() -> asyncio.AbstractEventLoop:
    """asyncio.get_event_loop: the running loop, or one for the session."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        if not _session or _session[0].is_closed():
            _session[:] = [Loop()]
        return _session[0]


def runner(*, debug: bool | None = None) -> asyncio.Runner:
    """asyncio.Runner."""
    return asyncio.Runner(debug=debug, loop_factory=Loop)


def adopt(_loop: object) -> None:
    """asyncio.set_event_loop: there is nothing to set."""


_session: list[Loop] = []
DOORS = {
    "run": run, "Runner": runner, "new_event_loop": Loop, "get_event_loop": current, "set_event_loop": adopt
}  # fmt: skip
"""What is different in asyncio here."""
