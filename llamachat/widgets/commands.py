"""The ``/`` commands: their names, what they expect, and how they complete. Knows no App and runs none of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from llamachat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Command:
    """``usage`` is the form of the arguments, ``help`` one line for the list."""

    name: str
    help: str
    usage: str = ""


COMMANDS = (
    Command("help", "keys and commands"),
    Command("new", "start a new dialog"),
    Command("system", "show or set the system prompt", "[TEXT]"),
    Command("persona", "show or change who answers", "[NAME]"),
    Command("tools", "list the tools, switch some on or off", "[on|off NAME …]"),
    Command("model", "show the model or open another checkpoint", "[PATH]"),
    Command("copy", "copy the last reply, or its last code block", "[code]"),
    Command("quit", "leave"),
)
NAMES = {command.name: command for command in COMMANDS}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole input line that the user may mean, and what it would do."""

    text: str
    help: str = ""


def read(text: str) -> tuple[Command, str] | None:
    """The command and its argument; None if ``text`` is a message (so is a path such as /etc/hosts).

    Raises ConfigError for a command that there is not.
    """
    match = re.fullmatch(r"/([\w-]*)(?:\s+(.*))?", text.strip(), re.DOTALL)
    if not match:
        return None
    name, argument = match[1], (match[2] or "").strip()
    if name in NAMES:
        return NAMES[name], argument
    near = get_close_matches(name, NAMES, n=1)
    hint = f"Did you mean /{near[0]}?" if near else "/help lists the commands."
    raise ConfigError(f"There is no command /{name}.", hint)


def complete(text: str, arguments: Mapping[str, Iterable[Completion]]) -> list[Completion]:
    """What ``text`` may become. ``arguments`` holds whole lines by command name."""
    if not text.startswith("/") or "\n" in text:
        return []
    name, space, _ = text[1:].partition(" ")
    if not space:
        return [Completion(f"/{c.name}", f"{c.usage}  {c.help}".strip()) for c in COMMANDS if c.name.startswith(name)]
    return [completion for completion in arguments.get(name, ()) if completion.text.startswith(text)]
