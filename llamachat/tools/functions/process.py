"""A process of functions seen from outside: started, asked, cancelled, killed, started anew. Imports no user's code.

The functions are the user's own and may do what the user may: there are no walls. They keep their environment and
folder. What they raise, print or return can't harm this program: frames are capped and every field is checked.
"""

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from llamachat.messages import Artifact
from llamachat.threads import in_thread
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.functions.link import Frame, Link
from llamachat.tools.functions.results import failed

SECONDS = 30.0
_GONE = "what the functions kept in memory is gone"


class Source(NamedTuple):
    """Where functions come from: a name for lists and questions, and what ``load.load`` takes."""

    name: str
    spec: Mapping[str, Any]


def file_source(path: Path) -> Source:
    """The functions of a Python file."""
    return Source(str(path), {"file": str(path)})


class FunctionProcess:
    """The functions of one source. Their process is started by ``tools``, and anew by a call if it has died."""

    def __init__(self, source: Source, seconds: float = SECONDS) -> None:
        self._source, self._seconds = source, seconds
        self._link: Link | None = None
        self._starting = threading.Lock()
        self._untold = False
        """Whether the process has ended without the model knowing: between calls, or when the user interrupted."""

    def tools(self) -> list[Tool]:
        """A tool of each function. Blocks until the source is imported; raises ConfigError if that fails."""
        described = self._start().described
        return [
            Tool(
                name=each["name"],
                description=each["description"],
                parameters=each["parameters"],
                run=partial(self.call, each["name"]),
                close=self.close,
                permission="ask",
                source=self._source.name,
            )
            for each in described
        ]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolOutput:
        """Run one function. On cancellation it is stopped, if need be with its process, before CancelledError goes on.

        Raises ConfigError if the process had died and can't be started again.
        """
        link = self._link if self._link and self._link.alive else await in_thread(self._start)
        if name not in {each["name"] for each in link.described}:
            return failed(f"{self._source.name} has changed: it has no function {name} any more")
        frame, in_time = await link.ask({"name": name, "arguments": dict(arguments)}, self._seconds)
        if frame is None and self._link is link:
            self._link = None
        if frame and in_time:
            note, self._untold = f"\n[its process was started anew; {_GONE}]" if self._untold else "", False
            return _output(frame, note)
        if in_time:
            return failed(f"its process ended ({link.ending}), and {_GONE}")
        lost = "" if frame else f"; its process was ended to stop it, and {_GONE}"
        return failed(f"TimeoutError: no answer in {self._seconds:g} s{lost}")

    async def close(self) -> None:
        """End the process and whatever its functions have started."""
        link, self._link = self._link, None
        if link:
            await in_thread(link.end)

    def _start(self) -> Link:
        with self._starting:
            if self._link is None or not self._link.alive:
                if self._link:
                    self._untold = True
                    self._link.end()
                self._link = Link(self._source.name, self._source.spec)
            return self._link


def _output(frame: Frame, note: str) -> ToolOutput:
    return ToolOutput(frame["text"] + note, frame["ok"], tuple(Artifact(**each) for each in frame["artifacts"]))
