"""The chat's front in lines: words of ours to stderr, what a command was asked for to stdout. Knows no model."""

import base64
import json
import sys
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from llamachat.chat.chat import Chat
from llamachat.chat.commands import COMMANDS
from llamachat.chat.conversation import Turn
from llamachat.chat.front import Choice, Inspection
from llamachat.errors import ConfigError, LlamaChatError
from llamachat.paths import terminal_facts
from llamachat.plain.lines import Lines
from llamachat.sessions import short
from llamachat.visible import visible
from llamachat.widgets.terminal import clipboard_code

SHOWN = 40  # rows of a list; the others are found by words
_BESIDE = """!COMMAND  runs a command of yours in your shell, if ui.shell allows it.
A line that ends in \\ goes on in the next one. Ctrl-C stops a reply, and leaves a question or the chat."""


class LineFront:
    """Meets ``chat.front.Front``. What a verb wants done after it, waits in ``turns`` and ``model``."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.chat: Chat | None = None
        self.turns: list[Turn] = []
        self.model = ""
        self.left = False

    def note(self, text: str) -> None:
        """A word of ours."""
        print(visible(text), file=sys.stderr, flush=True)

    def page(self, markdown: str) -> None:
        """A list or table of ours, without its marks."""
        self._print(as_text(markdown))

    def say(self, error: LlamaChatError) -> None:
        """What went wrong, and what to do."""
        self.note(f"error: {error}")

    def show_dialog(self) -> None:
        """Where the user is now."""
        path = self.chat.conversation.session.path if self.chat else []
        words = f"message {len(path)}, {path[-1].message.role}: {short(path[-1].message.text)}" if path else "the start"
        self.note(f"(at {words})")

    def put(self, text: str) -> None:
        """A line can't be begun for the user: what it was is said."""
        self.note(f"It was: {text}")

    def copy(self, text: str, what: str) -> None:
        """By OSC 52, where there is a terminal."""
        if not text:
            raise ConfigError(f"There is no {what} to copy.", "Ask something first.")
        if not sys.stdout.isatty():
            raise ConfigError("A pipe has no clipboard.", "/export PATH writes the session to a file.")
        coded = base64.b64encode(text.encode("utf-8", "replace")).decode()
        tmux = "TMUX" in terminal_facts()
        print(clipboard_code(text) if tmux else f"\x1b]52;c;{coded}\a", end="", flush=True)
        self.note(f"Copied {len(text):,} characters, if your terminal takes them.")

    def take(self, turn: Turn) -> None:
        """After the verb."""
        self.turns.append(turn)

    async def pick(
        self, title: str, choices: Sequence[Choice], chosen: str = "", preview: Callable[[str], None] | None = None
    ) -> str | None:
        """A numbered list; a number picks, words narrow it."""
        shown = list(choices)
        if not shown:
            self.note(f"{title}: there is nothing to choose from.")
        while shown:
            self._list(title, shown, chosen)
            answer = await self.lines.ask("Number, or words to look for; enter leaves: ")
            if not answer or not answer.strip():
                return None
            if answer.strip().isdecimal() and 1 <= int(answer) <= len(shown):
                return shown[int(answer) - 1].key
            words = answer.casefold().split()
            if not (found := [choice for choice in choices if choice.matches(words)]):
                self.note(f"Nothing there fits {answer!r}.")
            shown = found or shown
        return None

    def _list(self, title: str, choices: Sequence[Choice], chosen: str) -> None:
        self.note(title)
        for number, choice in enumerate(choices[:SHOWN], 1):
            mark = "*" if chosen and choice.key == chosen else " "
            self.note(f"{mark}{number:>3}. {choice.text}{f'  ({choice.note})' if choice.note else ''}")
        if len(choices) > SHOWN:
            self.note(f"  … and {len(choices) - SHOWN} more.")

    async def line(self, title: str, value: str = "", help_: str = "", *, lines: bool = False) -> str | None:
        """One line; enter alone keeps ``value``. Several end in ``\\``, but for the last."""
        if help_:
            self.note(help_)
        answer = await self.lines.ask(f"{visible(title)} [{visible(value)}]: " if value else f"{visible(title)}: ")
        whole = answer
        while lines and answer is not None and answer.endswith("\\"):
            answer = await self.lines.ask("… ")
            whole = f"{(whole or '').removesuffix(chr(92))}\n{answer or ''}"
        return value if whole == "" else whole

    def inspect(self, inspection: Inspection) -> None:
        """Every id on a line: place, id, role, source, text; ``>`` where the cursor is."""
        badges = inspection.badges
        for place, token in enumerate(inspection.tokens):
            mark = ">" if place == inspection.cursor else " "
            kept = "cached" if place < inspection.cached else ""
            text = json.dumps(token.text, ensure_ascii=False)
            self._print(f"{mark}{place:>6} {token.id:>7}  {token.role:<9} {token.source:<9} {kept:<6} {text}")
        if badges:
            self.note(f"Text that looks like control tokens, and is only text: {' '.join(badges)}")

    def open_model(self, path: str) -> None:
        """After the verb."""
        self.model = path

    def set_theme(self, name: str) -> None:
        """Lines have no colours."""

    def themes(self) -> Sequence[str]:
        """None: lines have no colours."""
        return ()

    def help(self) -> None:
        """The commands."""
        rows = [(f"/{command.name} {command.usage}", command.help) for command in COMMANDS]
        self._print("\n".join(f"{form:<28} {words}" for form, words in rows))
        self._print(_BESIDE)

    def leave(self) -> None:
        """After the verb."""
        self.left = True

    def _print(self, text: str) -> None:
        print(visible(text) if sys.stdout.isatty() else text, flush=True)


def as_text(markdown: str) -> str:
    """What Markdown says, without its marks."""
    blocks = (_block(token) for token in MarkdownIt().parse(markdown))
    return "\n".join(block for block in blocks if block)


def _block(token: Token) -> str:
    if token.type in ("fence", "code_block", "html_block"):
        return token.content.rstrip("\n")
    pieces = ("\n" if child.type.endswith("break") else child.content for child in token.children or ())
    return "".join(pieces)
