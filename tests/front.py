"""What the tests of the chat share: a front that writes down what it is asked to do, and answers from a list."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing

from llamachat.chat.chat import Chat
from llamachat.chat.commands import read
from llamachat.chat.conversation import Conversation, Turn
from llamachat.chat.front import Choice, Inspection
from llamachat.chat.permissions import Answer, Permissions
from llamachat.chat.settings import Settings
from llamachat.chat.verbs import do
from llamachat.errors import LlamaChatError
from llamachat.messages import Event, ToolCall
from llamachat.sessions import Store, unsaved
from llamachat.system_prompts import Persona
from llamachat.testing import Script, ScriptedRuntime
from llamachat.tools import Tool, Toolbox

PERSONAS = {
    "default": Persona("default", "You are helpful.", "Helps."),
    "pirate": Persona("pirate", "You are a pirate.", "Talks like one.", tools=()),
}


class ListFront:
    """Answers come from ``answers``, in order: a key or part of a row's text for ``pick``, a text for ``line``."""

    def __init__(self, answers: Iterable[str | None] = ()) -> None:
        self.answers = list(answers)
        self.notes: list[str] = []
        self.pages: list[str] = []
        self.picked: list[list[Choice]] = []
        self.cursors: list[str] = []
        self.turns: list[Turn] = []
        self.shown = 0
        self.prompt = self.copied = self.theme = self.opened = ""
        self.inspected: Inspection | None = None
        self.left = False

    def note(self, text: str) -> None:
        self.notes.append(text)

    def page(self, markdown: str) -> None:
        self.pages.append(markdown)

    def say(self, error: LlamaChatError) -> None:
        raise error

    def show_dialog(self) -> None:
        self.shown += 1

    def put(self, text: str) -> None:
        self.prompt = text

    def copy(self, text: str, what: str) -> None:
        self.copied = text

    def take(self, turn: Turn) -> None:
        self.turns.append(turn)

    async def pick(
        self, title: str, choices: Sequence[Choice], chosen: str = "", preview: Callable[[str], None] | None = None
    ) -> str | None:
        self.picked.append(list(choices))
        self.cursors.append(chosen)
        answer = self.answers.pop(0)
        return next((c.key for c in choices if answer is not None and (c.key == answer or answer in c.text)), None)

    async def line(self, title: str, value: str = "", help_: str = "", *, lines: bool = False) -> str | None:
        return self.answers.pop(0)

    def inspect(self, inspection: Inspection) -> None:
        self.inspected = inspection

    def open_model(self, path: str) -> None:
        self.opened = path

    def set_theme(self, name: str) -> None:
        self.theme = name

    def themes(self) -> Sequence[str]:
        return ("dark", "light")

    def help(self) -> None:
        self.pages.append("help")

    def leave(self) -> None:
        self.left = True


class Desk:
    """A chat with a scripted model: ``type`` a line as a user would, and every turn that it starts is taken."""

    def __init__(
        self,
        script: Iterable[Script],
        *,
        tools: tuple[Tool, ...] = (),
        answers: Iterable[str | None] = (),
        store: Store | None = None,
        asked: Iterable[Answer] = (),
        context: int = 8192,
    ) -> None:
        self.runtime = ScriptedRuntime(script, context=context)
        self.front = ListFront(answers)
        self.events: list[Event] = []
        self.questions: list[ToolCall] = []
        self.kept: list[str] = []
        replies = list(asked)

        async def ask(call: ToolCall, tool: Tool) -> Answer:
            self.questions.append(call)
            return replies.pop(0)

        settings = Settings(PERSONAS["default"], PERSONAS, Toolbox(tools))
        conversation = Conversation(settings, store.create("") if store else unsaved())
        conversation.runtime = self.runtime
        self.chat = Chat(conversation, self.front, Permissions({}, ask, self.kept.append), store)
        conversation.approve = self.approve

    async def approve(self, call: ToolCall) -> str | None:
        tool = self.chat.conversation.settings.toolbox.find(call.name)
        return await self.chat.permissions.decide(call, tool)

    async def type(self, text: str) -> None:
        """A command, or a message that is answered."""
        if command := read(text):
            await do(self.chat, *command)
        else:
            self.front.take(self.chat.conversation.ask(text, tuple(self.chat.attached)))
            self.chat.attached.clear()
        while self.front.turns:
            async with aclosing(self.front.turns.pop(0)) as events:
                async for event in events:
                    self.events.append(event)

    @property
    def said(self) -> list[str]:
        """The texts that are shown now."""
        return [node.message.text for node in self.chat.conversation.session.path]
