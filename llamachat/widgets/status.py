"""StatusLine: who answers, with what, and what it costs. Knows numbers and a width; knows no turn and no runtime."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from rich.cells import cell_len
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from llamachat.messages import Usage
from llamachat.visible import visible
from llamachat.widgets.look import COMPONENTS, look_of

DOT = " · "
FLASH = 3.0  # seconds that a hint stays
TOOLS = 4  # names that are shown


@dataclass(frozen=True, slots=True)
class Status:
    """What the line tells."""

    persona: str = ""
    model: str = ""
    tools: tuple[str, ...] = ()
    activity: str = ""
    """What goes on: "loading nano …", "step 2/10"."""
    meter: Sequence[str] = field(default=())
    """Parts of the meter, the most important first."""
    walls: str = ""
    """What holds the code that python runs, if that is not enough."""


def meter(usage: Usage, reply_tokens: int, context: int) -> tuple[str, ...]:
    """The cost of a turn: ``ctx 3,214/8,192``, ``cached 99%``, ``62 tok/s``, ``ttft 0.11 s``.

    ``reply_tokens`` is the length of the last reply, which the context holds behind ``usage.prompt_tokens``.
    Parts that were not measured are left out.
    """
    parts = [f"ctx {usage.prompt_tokens + reply_tokens:,}/{context:,}"]
    if read := usage.cached_tokens + usage.prefilled_tokens:
        parts.append(f"cached {usage.cached_tokens / read:.0%}")
    if rate := speed(usage.generated_tokens, usage.decode_seconds):
        parts.append(rate)
    if usage.first_token_seconds:
        parts.append(f"ttft {usage.first_token_seconds:.2f} s")
    return tuple(parts)


class Pace:
    """A live guess of the speed: pieces of text for tokens, as a reply's ids are known only when it ends."""

    def __init__(self) -> None:
        self._pieces = 0
        self._first = self._last = 0.0

    def tick(self) -> None:
        """A piece has come."""
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._pieces += 1

    def __str__(self) -> str:
        rate = speed(self._pieces, self._last - self._first)
        return f"~{rate}" if rate else ""


def speed(tokens: int, seconds: float) -> str:
    """``62 tok/s``; nothing if too little was measured to say."""
    if tokens < 2 or seconds <= 0:
        return ""
    rate = tokens / seconds
    return f"{rate:,.0f} tok/s" if rate >= 10 else f"{rate:.1f} tok/s"


def compose(status: Status, width: int) -> tuple[str, str]:
    """The left and the right half in ``width`` cells. Parts are left out from the least important one on: the tools,
    the last of the meter, the model, the persona; what goes on stays."""
    left = [part for part in (status.persona, status.model, _names(status.tools)) if part]
    right = [part for part in (status.activity, status.walls, *status.meter) if part]
    while cell_len(DOT.join(left)) + cell_len(DOT.join(right)) + 2 > width:
        if len(left) > 2:
            left.pop()
        elif len(right) > 2:
            right.pop()
        elif left:
            left.pop(0) if len(left) > 1 else left.pop()
        elif len(right) > 1:
            right.pop()
        else:
            break
    return DOT.join(left), _cut(DOT.join(right), width)


def _names(tools: Sequence[str]) -> str:
    """The first tools; servers may offer dozens."""
    more = f" +{len(tools) - TOOLS}" if len(tools) > TOOLS else ""
    return f"{' '.join(tools[:TOOLS])}{more}" if tools else "no tools"


def _cut(text: str, width: int) -> str:
    line = Text(text)
    line.truncate(width, overflow="ellipsis")
    return line.plain


class StatusLine(Widget):
    """One row below the prompt. A ``hint`` takes its place for a while."""

    COMPONENT_CLASSES = COMPONENTS
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="status")
        self._status = Status()
        self.hint = ""

    @property
    def status(self) -> Status:
        """What is shown."""
        return self._status

    @status.setter
    def status(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self.refresh()

    def flash(self, hint: str) -> None:
        """Show ``hint`` for some seconds."""
        self.hint = hint
        self.refresh()
        self.set_timer(FLASH, partial(self._unflash, hint))

    def _unflash(self, hint: str) -> None:
        if hint == self.hint:
            self.hint = ""
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The row."""
        look, width = look_of(self), self.size.width
        halves = (_cut(self.hint, width), "") if self.hint else compose(self._status, width)
        left, right = (visible(half).replace("\n", " ") for half in halves)
        gap = " " * max(width - cell_len(left) - cell_len(right), 0)
        line = Text.assemble((left, look.accent if self.hint else look.muted), gap, (right, look.muted), end="")
        strip = Strip(line.render(self.app.console), line.cell_len).apply_style(self.rich_style)
        return strip.crop_extend(0, width, self.rich_style)
