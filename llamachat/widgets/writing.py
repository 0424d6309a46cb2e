"""Help at the prompt: an editor of the user's own, and what was asked before. Knows no dialog."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import SuspendNotSupported

from llamachat.chat.front import Choice
from llamachat.errors import ConfigError
from llamachat.paths import editor
from llamachat.widgets.history import History
from llamachat.widgets.picker import Picker
from llamachat.widgets.prompt import Prompt


def write_outside(prompt: Prompt) -> None:
    """Let the user write what is in ``prompt`` in their own editor; the screen is theirs meanwhile.

    Raises ConfigError if the editor fails; the prompt stays as it was.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="llamachat-") as folder:
        file = Path(folder) / "prompt.md"
        file.write_text(prompt.text, encoding="utf-8", errors="replace")
        try:
            with prompt.app.suspend():
                subprocess.run([*shlex.split(command), os.fspath(file)], check=True)
            text = file.read_text(encoding="utf-8", errors="replace")
        except SuspendNotSupported as error:
            raise ConfigError("An editor needs a terminal, and this is a browser.", "Write it here.") from error
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"The editor {command!r} failed.", "Set EDITOR to one that works.") from error
    prompt.put(text.rstrip("\n"))


async def find_past(prompt: Prompt, history: History) -> None:
    """Choose something that was asked before, beginning with what is in the prompt."""
    rows = [Choice(text, text) for text in dict.fromkeys(reversed(history.prompts))]
    chosen = await prompt.app.push_screen_wait(Picker("Asked before", rows, written=prompt.text))
    if chosen is not None:
        prompt.put(chosen)
