"""Desk: the screen as the front that the verbs of the chat need. Knows the App's services; knows no turn.

What the front room does itself (take a turn, show the dialog, open a model) it hands in as functions.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.app import App

from llamachat import config
from llamachat.chat.conversation import Turn
from llamachat.chat.front import Choice, Inspection, saying
from llamachat.errors import ConfigError, LlamaChatError, StorageError
from llamachat.paths import cache_dir, terminal_facts, write_whole
from llamachat.widgets.caller import send
from llamachat.widgets.entry import Entry
from llamachat.widgets.help import HelpScreen
from llamachat.widgets.inspector import InspectorScreen
from llamachat.widgets.keys import KEYS
from llamachat.widgets.look import THEME
from llamachat.widgets.picker import Picker
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.status import StatusLine
from llamachat.widgets.terminal import clipboard_code, fits_clipboard
from llamachat.widgets.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Desk:
    """Meets ``chat.front.Front``."""

    app: App[None]
    transcript: Transcript
    prompt: Prompt
    status: StatusLine
    take: Callable[[Turn], None]
    show_dialog: Callable[[], None]
    open_model: Callable[[str], None]

    def note(self, text: str) -> None:
        """A word of ours among the messages."""
        self.transcript.note(text)

    def page(self, markdown: str) -> None:
        """A list or table of ours."""
        self.transcript.page(markdown)

    def say(self, error: LlamaChatError) -> None:
        """What went wrong."""
        self.transcript.say(error)

    def put(self, text: str) -> None:
        """Into the prompt."""
        self.prompt.put(text)
        self.prompt.focus()

    def copy(self, text: str, what: str) -> None:
        """By OSC 52, through tmux too; what is too long for terminals goes into a file."""
        text = text.encode("utf-8", "replace").decode()  # lone surrogates can't travel
        if text:
            self.app.copy_to_clipboard(text)
            if "TMUX" in terminal_facts():
                send(self.app, clipboard_code(text))
        if not text:
            self.status.flash(f"There is no {what} to copy.")
        elif fits_clipboard(text):
            self.status.flash(f"Copied {len(text):,} characters.")
        else:
            self._to_file(text)

    def _to_file(self, text: str) -> None:
        file = cache_dir() / "copied.txt"
        try:
            write_whole(file, text)
        except OSError as error:
            raise StorageError(f"{file} can't be written: {error.strerror}.", "Copy less.") from error
        self.status.flash(f"Copied; terminals may cut {len(text):,} characters, so they are in {os.fspath(file)} too.")

    async def pick(
        self, title: str, choices: Sequence[Choice], chosen: str = "", preview: Callable[[str], None] | None = None
    ) -> str | None:
        """A list on top of the chat."""
        return await self.app.push_screen_wait(Picker(title, choices, chosen=chosen, preview=preview))

    async def line(self, title: str, value: str = "", help_: str = "", *, lines: bool = False) -> str | None:
        """A line on top of the chat."""
        return await self.app.push_screen_wait(Entry(title, value, help_, lines=lines))

    def inspect(self, inspection: Inspection) -> None:
        """What the model sees, on top of the chat."""
        self.app.push_screen(InspectorScreen(inspection))

    def set_theme(self, name: str) -> None:
        """Dress in ``name``, or in our own. Raises ConfigError if there is none of that name."""
        if name and name not in self.themes():
            raise ConfigError(f"There is no theme {name!r}.", "/theme shows them all.")
        self.app.theme = name or THEME.name

    def themes(self) -> Sequence[str]:
        """The present one, ours, Textual's."""
        present = self.app.theme
        return sorted(self.app.available_themes, key=lambda n: (n != present, not n.startswith("llamachat"), n))

    def allow_always(self, tool: str) -> None:
        """Keep it in the user's config that ``tool`` need not ask."""
        with saying(self):
            file = config.save(f"permissions.{tool}", "allow")
            self.note(f"{tool} is allowed from now on, by {file}.")

    def help(self) -> None:
        """Commands and keys."""
        self.app.push_screen(HelpScreen(KEYS))

    def leave(self) -> None:
        """End the program."""
        self.app.exit()
