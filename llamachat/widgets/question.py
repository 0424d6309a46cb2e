"""Question: asks before a tool acts, in the place of the prompt. Knows the call and four answers; knows no policy.

Keys that are on their way to the prompt must not answer: nothing counts until a second without other keys is over.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.message import Message
from textual.widgets import Input, Static

from llamachat.chat.permissions import Answer, Scope
from llamachat.messages import ToolCall
from llamachat.tools import Tool
from llamachat.visible import visible
from llamachat.widgets.look import plain_title
from llamachat.widgets.prompt import Prompt

QUIET = 1.0  # seconds without a key before an answer counts

_ANSWERS = "[y]es   [a]ll in this session   [3] always, kept in the config   [n]o, with a reason"


class Question(Vertical, can_focus=True):
    """Shows ``call`` in full; ``answer`` is set once. ``last_key`` is when the user typed last, by ``clock``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,1", "answer('once')", "Run it", id="question.once"),
        Binding("a,2", "answer('session')", "Run it, and ask no more in this session", id="question.session"),
        Binding("3", "answer('always')", "Run it, and never ask again", id="question.always"),
        Binding("n,4", "refuse", "Don't run it; say why", id="question.no"),
        Binding("pagedown,down", "scroll_call(1)", "More of the call", id="question.down"),
        Binding("pageup,up", "scroll_call(-1)", "Back in the call", id="question.up"),
    ]

    class Typed(Message):
        """``text`` was meant for the prompt."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(
        self, call: ToolCall, title: str, source: str, last_key: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(id="question")
        self._call, self._title, self._source = call, title, source
        self.last_key, self._clock = last_key, clock
        self._covered = False
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def compose(self) -> ComposeResult:
        """The call, and what can be answered."""
        self.border_title = plain_title(f"Run {self._title}? ({self._source})")
        with VerticalScroll(id="asked", can_focus=False):
            yield Static(_shown(self._call), markup=False)
        yield Static(_ANSWERS, id="answers", markup=False)
        reason = Input(
            placeholder="why not? the model is told; enter sends, esc takes it back", id="reason", select_on_focus=False
        )
        reason.display = False
        yield reason

    def on_mount(self) -> None:
        """Take the keys. Those that were meant for what is on top of us must not answer, either."""
        self.focus()
        self._covered = not self.screen.is_current
        self.watch(self.screen, "stack_updates", self._stacked, init=False)

    def _stacked(self) -> None:
        covered, self._covered = self._covered, not self.screen.is_current
        if covered and not self._covered:
            self.last_key = self._clock()

    def on_key(self, event: Key) -> None:
        """A key that comes too soon belongs to the prompt; so does a letter that answers nothing, and what follows it:
        somebody writes a message, and the a of "What" must not let all run."""
        stray = event.is_printable and event.key not in self.screen.active_bindings
        if self.has_focus and (stray or self._too_soon()):
            event.prevent_default().stop()
            self.last_key = self._clock()
            if event.is_printable and event.character:
                self.post_message(self.Typed(event.character))

    def _too_soon(self) -> bool:
        return self._clock() - self.last_key < QUIET

    def action_answer(self, scope: Scope) -> None:
        """Let it run."""
        self._answer(scope)

    def action_refuse(self) -> None:
        """Ask for the reason."""
        reason = self.query_one(Input)
        reason.display = True
        reason.focus()

    def action_scroll_call(self, pages: int) -> None:
        """A long call is read before it is answered."""
        self.query_one("#asked", VerticalScroll).scroll_relative(y=pages * 5, animate=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The answer is no."""
        event.stop()
        self._answer("no", event.value.strip())

    def back(self) -> bool:
        """Leave the reason, if one is being written; False if there is nothing to leave."""
        reason = self.query_one(Input)
        if not reason.display:
            return False
        reason.display = False
        self.focus()
        return True

    def _answer(self, scope: Scope, reason: str = "") -> None:
        if not self.answer.done():
            self.answer.set_result(Answer(scope, reason))


async def ask(prompt: Prompt, call: ToolCall, tool: Tool) -> Answer:
    """A question in the place of ``prompt``, until it is answered or the task is cancelled."""
    question = Question(call, tool.name, tool.source, prompt.last_key)
    prompt.display = False
    try:
        await prompt.screen.mount(question, after=prompt)
        return await question.answer
    finally:
        prompt.last_key = time.monotonic()  # one key may not answer two questions
        prompt.display = True
        prompt.focus()
        question.remove()


def _shown(call: ToolCall) -> RenderableType:
    """The exact call: code as code, arguments as JSON."""
    if set(call.arguments) == {"code"} and isinstance(call.arguments["code"], str):
        from rich.syntax import Syntax  # late: it brings Pygments

        return Syntax(
            visible(call.arguments["code"]), "python", theme="ansi_dark", background_color="default", word_wrap=True
        )
    return Text(visible(json.dumps(dict(call.arguments), indent=2, ensure_ascii=False)))
