"""Keys: what the front room does by which key, and the keys that a user wants instead. Knows ids, not what they do."""

from collections.abc import Iterable, Mapping

from textual.binding import Binding, BindingType

from llamachat.errors import ConfigError
from llamachat.widgets.entry import Entry
from llamachat.widgets.help import HelpScreen
from llamachat.widgets.inspector import InspectorScreen, TokenFlow
from llamachat.widgets.picker import Picker
from llamachat.widgets.prompt import Prompt
from llamachat.widgets.question import Question
from llamachat.widgets.transcript import Transcript

APP_KEYS: list[BindingType] = [
    Binding("escape", "interrupt", "Stop the reply; back to the prompt; twice goes back", id="app.interrupt"),
    Binding("ctrl+c", "copy_or_stop", "Copy, stop, clear; twice quits", id="app.copy_or_stop", priority=True),
    Binding("ctrl+o", "transcript('unfold')", "Open the last tool card", id="app.unfold"),
    Binding("pageup", "transcript('page_up')", "Scroll up", id="app.page_up"),
    Binding("pagedown", "transcript('page_down')", "Scroll down", id="app.page_down"),
    Binding("ctrl+home", "transcript('home')", "To the beginning", id="app.home"),
    Binding("ctrl+end", "transcript('end')", "To the end", id="app.end"),
    Binding("alt+left", "version(-1)", "Version before", id="app.version_before", priority=True),
    Binding("alt+right", "version(1)", "Version after", id="app.version_after", priority=True),
    Binding("ctrl+t", "tokens", "What the model sees, id by id", id="app.tokens"),
    Binding("ctrl+r", "past", "Search what was asked before", id="app.past"),
    Binding("ctrl+g", "edit_outside", "Write in your editor", id="app.editor"),
    Binding("ctrl+n", "verb('new')", "New session", id="app.new"),
    Binding("ctrl+s", "verb('resume')", "Other sessions", id="app.sessions"),
    Binding("ctrl+p", "command_palette", "All commands", id="app.palette", priority=True),
    Binding("f1", "help", "Help", id="app.help"),
    Binding("f2", "verb('settings')", "Settings", id="app.settings"),
    Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
]

KEYS: tuple[tuple[str, Iterable[BindingType]], ...] = (
    ("Keys", APP_KEYS),
    ("Prompt", Prompt.BINDINGS),
    ("Messages", Transcript.BINDINGS),
    ("Questions", Question.BINDINGS),
    ("Lists", Picker.BINDINGS),
    ("Tokens", (*TokenFlow.BINDINGS, *InspectorScreen.BINDINGS)),
)
"""What help shows, by title."""

_CLOSING: tuple[Iterable[BindingType], ...] = (HelpScreen.BINDINGS, Entry.BINDINGS)


def keymap(wanted: Mapping[str, str]) -> dict[str, str]:
    """The keys that a user ``wanted``, by action. Raises ConfigError on an action, or a key, that there is not."""
    lists = (*(bindings for _, bindings in KEYS), *_CLOSING)
    known = {b.id for bindings in lists for b in bindings if isinstance(b, Binding) and b.id}
    if unknown := sorted(set(wanted) - known):
        raise ConfigError(f"No action is called {unknown[0]!r}.", f"Actions: {', '.join(sorted(known))}.")
    if empty := [action for action, keys in wanted.items() if not all(key.strip() for key in keys.split(","))]:
        raise ConfigError(f"{empty[0]} has no key.", 'Write keys with commas between, such as "f1,ctrl+h".')
    return dict(wanted)
