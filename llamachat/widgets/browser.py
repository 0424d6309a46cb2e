"""The screen's driver in a browser tab: Textual's own, which leaves when its server has gone. Knows no chat."""

import os
from contextlib import suppress
from threading import Timer

from textual.drivers.web_driver import WebDriver

GRACE = 5.0  # seconds to leave in; then without putting anything in order


class TabDriver(WebDriver):
    """Packets on stdin and stdout. Textual's driver goes on for ever at the end of stdin, on a screen nobody sees."""

    def run_input_thread(self) -> None:
        """Read until the app leaves, or until nobody can write to us any more: the server was killed."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        last = Timer(GRACE, os._exit, [1])
        last.daemon = True
        last.start()
        self.on_meta("quit", {})

    def write(self, data: str) -> None:
        """To the browser, or to nobody."""
        with suppress(BrokenPipeError):
            super().write(data)

    def write_meta(self, data: dict[str, object]) -> None:
        """To the server, or to nobody."""
        with suppress(BrokenPipeError):
            super().write_meta(data)
