"""What the user types, line by line. Knows streams; knows no chat.

Inside the event loop a terminal is waited for by its descriptor, which is ready when a whole line is there: a thread
that reads could not be ended, and would swallow a line that was meant for somebody else.
"""

import asyncio
import sys
from contextlib import suppress
from typing import TextIO


class Lines:
    """Reads ``source``; None is a standard input that is closed."""

    def __init__(self, source: TextIO | None) -> None:
        self._source = source
        self._waiting: asyncio.Future[bool] | None = None

    @property
    def person(self) -> bool:
        """Whether somebody sits there who can be asked."""
        return self._source is not None and self._source.isatty()

    def read(self) -> str | None:
        """The next message, None at the end of input. A line that ends in ``\\`` goes on in the next one.

        Blocks, outside the event loop: Ctrl-C is raised here.
        """
        if self.person:
            print("you> ", end="", flush=True)
        whole: list[str] = []
        while (line := self._next()) is not None:
            whole.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                break
        return "\n".join(whole) if whole else None

    async def ask(self, question: str, *, fresh: bool = False) -> str | None:
        """The answer to ``question``, None at the end of input or after ``leave``. Inside the event loop.

        ``fresh``: what was typed before the question was there is no answer to it, and is thrown away.
        """
        if fresh:
            self._forget()
        print(question, end="", file=sys.stderr, flush=True)
        answered = False
        try:
            answered = not self.person or await self._ready()
            return self._next() if answered else None
        finally:
            if not (answered and self.person):
                print(file=sys.stderr)  # nobody's enter has ended that line

    def leave(self) -> bool:
        """Give up on a question that waits for its answer; False if there is none."""
        if self._waiting is None or self._waiting.done():
            return False
        self._waiting.set_result(False)
        return True

    def _next(self) -> str | None:
        line = self._source.readline() if self._source else ""
        return line.rstrip("\r\n") if line else None

    async def _ready(self) -> bool:
        """Whether a line is there, after waiting for it."""
        assert self._source
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        try:
            loop.add_reader(self._source, self._arrived)
        except NotImplementedError:  # Windows: reading blocks, and Ctrl-C waits for the line
            return True
        try:
            return await self._waiting
        finally:
            loop.remove_reader(self._source)

    def _arrived(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(True)

    def _forget(self) -> None:
        if self._source and self.person:
            with suppress(ImportError):  # Windows has none
                import termios

                termios.tcflush(self._source, termios.TCIFLUSH)
