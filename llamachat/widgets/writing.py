"""Help at the prompt: an editor of the user's own, what was asked before, a shell if it is wanted. Knows no dialog."""

import asyncio
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from llamachat.chat.front import Choice
from llamachat.errors import ConfigError
from llamachat.paths import editor, shell
from llamachat.visible import visible
from llamachat.widgets.history import History
from llamachat.widgets.picker import Picker
from llamachat.widgets.prompt import Prompt

SHELL_SECONDS = 60.0
SHELL_OUTPUT = 64 << 10  # bytes


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
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"The editor {command!r} failed.", "Set EDITOR to one that works.") from error
    prompt.put(text.rstrip("\n"))


async def find_past(prompt: Prompt, history: History) -> None:
    """Choose something that was asked before, beginning with what is in the prompt."""
    rows = [Choice(text, text) for text in dict.fromkeys(reversed(history.prompts))]
    chosen = await prompt.app.push_screen_wait(Picker("Asked before", rows, written=prompt.text))
    if chosen is not None:
        prompt.put(chosen)


async def run_shell(command: str, allowed: bool) -> str:
    """What ``command`` prints in the user's shell, as a page. The model sees nothing of it.

    Raises ConfigError if it is not ``allowed``, or takes too long.
    """
    if not allowed:
        raise ConfigError("! runs nothing here.", "llamachat config set ui.shell true lets it run your commands.")
    process = await asyncio.create_subprocess_exec(
        shell(), "-c", command, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    printed = b""
    try:
        async with asyncio.timeout(SHELL_SECONDS):
            while data := await process.stdout.read(1 << 16):
                printed = (printed + data)[-SHELL_OUTPUT:]
            status = await process.wait()
    except TimeoutError as error:
        raise ConfigError(f"{command!r} took more than {SHELL_SECONDS:.0f} s.", "Run it in a terminal.") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    text = visible(printed.decode("utf-8", "replace")).replace("```", "`` `")
    return f"`! {command}` {f'ended with {status}' if status else ''}\n\n```text\n{text}\n```"
