"""Measures a transcript without a terminal: ours, or one of Textual's Markdown widgets with the same dialog.

``python -m llamachat.widgets.probe ours|textual`` prints one JSON object. A process of its own, so that memory is that
of one transcript and no measurement warms another's caches. Knows no engine and no App of the chat. Times are in
milliseconds of the process, medians unless their name says otherwise.
"""

import asyncio
import json
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.events import AppBlur, AppFocus
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Markdown, TextArea

from llamachat.widgets import STYLESHEET
from llamachat.widgets.look import dress
from llamachat.widgets.message import ReplyView, UserView
from llamachat.widgets.transcript import Transcript

SIZE = (120, 40)
TURNS = 200
KEYS = 15
LONG = 16_000  # characters before the appends that are measured
TOKEN = "word"
TOKENS = 10_000
MOST_SECONDS = 4.0  # for the appends of one kind
MOST_APPENDS = 50

PROSE = "The quick brown *fox* jumps over the `lazy` dog, again and again, until it is **dark**. " * 2
KINDS = {
    "prose": ("", PROSE + "\n\n"),
    "fence": ("```python\n", "value = compute(1, 'two')  # a line of code\n"),
    "list": ("", "- an item with *emphasis* and some words\n"),
    "table": ("| name | value |\n|---|--:|\n", "| a row | 12,345 |\n"),
}
REPLY = f"{PROSE}\n\n- first, *this*\n- then that\n\n```python\ndef f(x):\n    return x + 1\n```\n\n{PROSE}\n"


class Subject(ABC):
    """What is measured."""

    widget: Widget

    @abstractmethod
    async def load(self, turns: int) -> None:
        """Show a dialog."""

    @abstractmethod
    async def begin(self, text: str) -> None:
        """Begin a reply with ``text``."""

    @abstractmethod
    async def append(self, text: str) -> None:
        """Let the reply grow, and draw it."""


class Ours(Subject):
    """The transcript of this house."""

    def __init__(self) -> None:
        self.widget = self._transcript = Transcript()

    async def load(self, turns: int) -> None:
        """Show a dialog."""
        views = [view for i in range(turns) for view in (UserView(f"Question {i}?"), ReplyView(REPLY))]
        self._transcript.load(views)

    async def begin(self, text: str) -> None:
        """Begin a reply with ``text``."""
        self._transcript.clear()
        self._transcript.write(text)
        await _until_still(self._transcript)

    async def append(self, text: str) -> None:
        """Let the reply grow, and draw it, as if no tokens were drawn together."""
        self._transcript.write(text)
        self._transcript.flush()


class Textuals(Subject):
    """A Markdown widget per message, as Textual's own documentation builds a chat."""

    def __init__(self) -> None:
        self.widget = self._scroll = VerticalScroll()
        self._reply = Markdown()

    async def load(self, turns: int) -> None:
        """Show a dialog."""
        await self._scroll.mount_all(Markdown(text) for i in range(turns) for text in (f"Question {i}?", REPLY))
        self._scroll.anchor()

    async def begin(self, text: str) -> None:
        """Begin a reply with ``text``."""
        await self._scroll.remove_children()
        self._reply = Markdown()
        await self._scroll.mount(self._reply)
        self._scroll.anchor()
        await self._reply.append(text)  # not as its first text: the widget then forgets where its last block began

    async def append(self, text: str) -> None:
        """Let the reply grow."""
        await self._reply.append(text)


class Bench(App[None]):
    """The subject above a prompt."""

    CSS_PATH = STYLESHEET
    CSS = "TextArea { height: 3; } VerticalScroll { height: 1fr; }"

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        dress(self)
        self.subject = subject

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self.subject.widget
        yield TextArea()

    def on_mount(self) -> None:
        """The focus where one types."""
        self.query_one(TextArea).focus()


async def _until_still(transcript: Transcript) -> None:
    """A long text is drawn in pieces; wait for the last."""
    height = -1
    while height != transcript.virtual_size.height:
        height = transcript.virtual_size.height
        await asyncio.sleep(0.2)


async def _timed(do: Callable[[], Awaitable[object]], pilot: Pilot[None]) -> float:
    start = time.perf_counter()
    await do()
    await pilot.pause()
    return 1000 * (time.perf_counter() - start)


async def _keys(pilot: Pilot[None]) -> float:
    """From a key to the moment when nothing is left to do."""
    times = []
    for _ in range(KEYS):
        start = time.perf_counter()
        await pilot.press("a")
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


async def _dialog(subject: Subject) -> dict[str, float]:
    """Opening, keys, focus and resize with a long dialog; keys without one for comparison."""
    app = Bench(subject)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        found = {"key_empty": await _keys(pilot)}
        found["open"] = await _timed(lambda: subject.load(TURNS), pilot)
        found["key"] = await _keys(pilot)

        async def focus() -> None:
            app.post_message(AppBlur())
            await pilot.pause()
            app.post_message(AppFocus())

        found["focus"] = await _timed(focus, pilot)
        found["resize"] = await _timed(lambda: pilot.resize_terminal(100, 40), pilot)
    return found


async def _append(subject: Subject, head: str, unit: str) -> float:
    """Processor time of one more token, with all that the app does for it."""
    async with Bench(subject).run_test(size=SIZE) as pilot:
        await subject.begin(head + unit * (LONG // len(unit)))
        await pilot.pause()
        start, began, count = time.process_time(), time.monotonic(), 0
        while count < MOST_APPENDS and time.monotonic() - began < MOST_SECONDS:
            await subject.append(TOKEN)
            await asyncio.sleep(0)
            count += 1
        await pilot.pause()
        return 1000 * (time.process_time() - start) / count


async def _growth(subject: Subject) -> dict[str, float]:
    """Megabytes that the process grows by while a reply of TOKENS tokens streams in, and by as many more."""
    async with Bench(subject).run_test(size=SIZE) as pilot:
        await subject.begin("Once")
        await pilot.pause()
        words = [f"{word} " for word in PROSE.split()]
        sizes = [_peak()]
        for _ in range(2):
            for i in range(0, TOKENS, 20):  # 20 tokens per drawing: 600 tokens/s at 30 drawings
                await subject.append("".join(words[j % len(words)] for j in range(i, i + 20)) + "\n\n" * (i % 200 == 0))
                await asyncio.sleep(0)
            sizes.append(_peak())
    return {"memory_first": sizes[1] - sizes[0], "memory_second": sizes[2] - sizes[1]}


def _peak() -> float:
    """Peak size of the process in MB; Linux counts it in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


async def measure(make: Callable[[], Subject]) -> dict[str, float]:
    """All figures of one subject."""
    found = await _growth(make())  # first, as it is a peak
    found |= await _dialog(make())
    for kind, (head, unit) in KINDS.items():
        found[f"append_{kind}"] = await _append(make(), head, unit)
    return found


if __name__ == "__main__":
    chosen = (
        {"ours": Ours, "textual": Textuals}[sys.argv[1]]
        if len(sys.argv) == 2
        else sys.exit(f"{Path(__file__).name} ours|textual")
    )
    print(json.dumps(asyncio.run(measure(chosen))))
