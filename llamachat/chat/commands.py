"""The ``/`` commands: their names, what they expect, and how they complete. Runs none of them."""

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
    Command("new", "start a new session"),
    Command("resume", "open another session", "[ID or words]"),
    Command("rename", "give the session a title", "TITLE"),
    Command("retry", "answer the last question once more", "[no tools]"),
    Command("edit", "change an earlier message, on a branch of its own", "[NUMBER]"),
    Command("continue", "let the last reply go on, from a beginning that you may change"),
    Command("best", "ask for several replies and pick one", "[COUNT]"),
    Command("undo", "go back to before the last question"),
    Command("tree", "all branches: walk there, or name them"),
    Command("name", "name this branch", "NAME"),
    Command("attach", "attach a file to the next message", "PATH"),
    Command("detach", "take the attached files back"),
    Command("context", "what each message takes of the window; pin or drop some"),
    Command("compact", "put a summary in the place of the dialog, on a new branch"),
    Command("tokens", "look at what the model sees, id by id"),
    Command("likely", "how likely each token of the last reply was; take another one"),
    Command("system", "show or set the system prompt", "[TEXT]"),
    Command("persona", "show or change who answers", "[NAME]"),
    Command("tools", "list the tools, switch some on or off; off once: for the next message", "[on|off NAME …]"),
    Command("model", "show the model or open another checkpoint", "[PATH]"),
    Command("search", "search all sessions", "WORDS"),
    Command("export", "write the session to a file: .md or .json", "PATH"),
    Command("copy", "copy the last reply, or its last code block", "[code]"),
    Command("theme", "change the colours"),
    Command("settings", "look at all settings, and change them"),
    Command("quit", "leave"),
)
NAMES = {command.name: command for command in COMMANDS}
ALIASES = {"exit": "quit", "clear": "new", "rewind": "undo", "regenerate": "retry", "sessions": "resume",
           "prompt": "tokens", "config": "settings"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole input line that the user may mean, and what it would do. ``face`` is what a list shows of it, where the
    line is a message that ends in the name of a file: such a line is not sent by taking it."""

    text: str
    help: str = ""
    face: str = ""

    @property
    def shown(self) -> str:
        """What a list shows."""
        return self.face or self.text


def read(text: str) -> tuple[Command, str] | None:
    """The command and its argument; None if ``text`` is a message (so is a path such as /etc/hosts).

    Raises ConfigError for a command that there is not.
    """
    match = re.fullmatch(r"/([\w-]*)(?:\s+(.*))?", text.strip(), re.DOTALL)
    if not match:
        return None
    name, argument = ALIASES.get(match[1], match[1]), (match[2] or "").strip()
    if name in NAMES:
        return NAMES[name], argument
    near = get_close_matches(name, [*NAMES, *ALIASES], n=1)
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
