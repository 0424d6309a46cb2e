"""Prompt: where the user writes. Knows editing, history and completion; knows no dialog and no App."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from llamachat.chat.commands import Completion
from llamachat.visible import visible
from llamachat.widgets.history import History
from llamachat.widgets.look import plain_title

PLACEHOLDER = "Ask anything · / commands · F1 help"

Completer = Callable[[str], Sequence[Completion]]


class Prompt(TextArea):
    """A multi-line input: enter sends, ctrl+j breaks the line, up and down at the edges walk the history."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "New line", id="prompt.newline"),
        Binding("tab", "complete", "Complete", id="prompt.complete"),
        Binding("shift+tab", "leave", "To the messages", id="prompt.leave"),
    ]

    class Submitted(Message):
        """The user sends ``text``."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Completing(Message):
        """What the text before the cursor may become; ``chosen`` is the one that tab takes."""

        def __init__(self, completions: Sequence[Completion], chosen: int) -> None:
            super().__init__()
            self.completions = completions
            self.chosen = chosen

    class Nothing(Message):
        """The user sends an empty prompt, or wants what stands before it: ``back``."""

        def __init__(self, back: bool) -> None:
            super().__init__()
            self.back = back

    def __init__(self, history: History, completer: Completer, *, id: str = "prompt") -> None:
        super().__init__(placeholder=PLACEHOLDER if id == "prompt" else "", highlight_cursor_line=False, id=id)
        self.waiting = False
        """Whether messages wait that an empty prompt can take back."""
        self.last_key = 0.0
        """When the user typed last, here or elsewhere, in seconds of time.monotonic()."""
        self.match_cursor_bracket = False
        self._past = history
        self._completer = completer
        self._completed = self._title = ""
        self._completions: Sequence[Completion] = ()
        self._chosen = 0

    # ── editing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_line(self, line_index: int) -> Text:
        """A line as it may be shown: pasted control characters must not reach the terminal. One character stays one,
        so that the cursor stays right."""
        shown = map(visible, self.document.get_line(line_index))
        return Text("".join(s if len(s) == 1 else "�" for s in shown), end="", no_wrap=True)

    async def _on_key(self, event: Key) -> None:
        """Enter sends, where TextArea would break the line; escape closes the completions first.

        A key that edits does so at once. Textual sends it on to the app's bindings, so that letters behind overtake it
        where they come together, as over a slow line: h, e, backspace, a would become "he"."""
        if event.key == "enter":
            event.prevent_default().stop()
            self.submit()
        elif event.key == "escape" and self._completions:
            event.prevent_default().stop()
            self._completions = ()
            self._choose(0)
        elif not event.is_printable and await self._acts(event.key):
            event.prevent_default().stop()
        else:
            await super()._on_key(event)

    async def _acts(self, key: str) -> bool:
        """Do what ``key`` is bound to here; False if that is nothing."""
        bound = self.screen.active_bindings.get(key)
        return bound is not None and bound.node is self and await self.app.run_action(bound.binding.action, self)

    def submit(self) -> None:
        """Send the text, or the command that a half-written one stands for; a half-written path is completed first."""
        text = self.text
        self._complete()
        if self._completions and not self._completed.endswith(" ") and not self._complete_already():
            chosen = self._completions[self._chosen]
            if chosen.face:
                self._take(chosen)
                return
            text = chosen.text
        if text.strip():
            self.text = ""
            self.post_message(self.Submitted(text))
        else:
            self.post_message(self.Nothing(back=False))

    def put(self, text: str) -> None:
        """Replace the text, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def show_title(self, text: str) -> None:
        """Say ``text`` in the border. Asked for four times a second, so nothing is drawn if it stands there already."""
        if text != self._title:
            self._title, self.border_title = text, plain_title(text)

    def action_newline(self) -> None:
        """Break the line."""
        self.insert("\n")

    def action_leave(self) -> None:
        """Go to the messages above."""
        self.screen.focus_previous()

    # ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_cursor_up(self, select: bool = False) -> None:
        """Up; from the first row to the completion or prompt before."""
        if select or not self.navigator.is_first_wrapped_line(self.cursor_location):
            super().action_cursor_up(select)
        elif self._completions:
            self._choose(self._chosen - 1)
        elif not self.text and self.waiting:
            self.post_message(self.Nothing(back=True))
        elif (text := self._past.older(self.text)) is not None:
            self.put(text)

    def action_cursor_down(self, select: bool = False) -> None:
        """Down; from the last row to the completion or prompt after."""
        if select or not self.navigator.is_last_wrapped_line(self.cursor_location):
            super().action_cursor_down(select)
        elif self._completions:
            self._choose(self._chosen + 1)
        elif (text := self._past.newer()) is not None:
            self.put(text)

    def action_cursor_page_up(self) -> None:
        """Leave paging to the transcript."""
        raise SkipAction

    def action_cursor_page_down(self) -> None:
        """Leave paging to the transcript."""
        raise SkipAction

    # ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────

    def on_text_area_changed(self) -> None:
        """Look for completions of what is written now."""
        self._complete()

    def on_text_area_selection_changed(self) -> None:
        """The same, where the cursor is now."""
        self._complete()

    def _complete(self) -> None:
        before = self.get_text_range((0, 0), self.cursor_location)
        behind = self.document.get_line(self.cursor_location[0])[self.cursor_location[1] :]
        before = "" if behind[:1].strip() else before  # within a word
        if before != self._completed:
            self._completed = before
            self._completions = self._completer(before)
            self._choose(0)

    def _complete_already(self) -> bool:
        return self._completed in [completion.text for completion in self._completions]

    def _choose(self, index: int) -> None:
        self._chosen = index % len(self._completions) if self._completions else 0
        chosen = self._completions[self._chosen].text if self._completions else ""
        self.suggestion = chosen[len(self._completed) :] if chosen.startswith(self._completed) else ""
        self.post_message(self.Completing(self._completions, self._chosen))

    def _take(self, completion: Completion) -> None:
        """Put ``completion`` in the place of what stands before the cursor."""
        self.replace(completion.text, (0, 0), self.cursor_location)

    def action_complete(self) -> None:
        """Take the chosen completion; without one, go to the messages."""
        if not self._completions:
            self.action_leave()
        elif self._completions[self._chosen].text != self._completed:
            self._take(self._completions[self._chosen])
        else:
            self.insert(" ")
