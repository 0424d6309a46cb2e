"""A chat: the conversation, where sessions are kept, and the screen in front. What the verbs act on."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from llamachat.chat.commands import Completion, complete
from llamachat.chat.conversation import Conversation
from llamachat.chat.front import Front
from llamachat.chat.mentions import complete_path
from llamachat.chat.permissions import Permissions
from llamachat.messages import ToolCall
from llamachat.sessions import Node, Store, short, unsaved
from llamachat.tools.files import Attachment


@dataclass(slots=True)
class Chat:
    """``store`` is None where sessions can't be kept. ``attached`` goes with the next message."""

    conversation: Conversation
    front: Front
    permissions: Permissions
    store: Store | None = None
    attached: list[Attachment] = field(default_factory=list)
    cwd: str = ""

    @property
    def said(self) -> list[Node]:
        """The messages that a user can name by number: 1 is the first."""
        return [node for node in self.conversation.session.path if node.message.role in ("user", "assistant")]

    @property
    def seen(self) -> list[Node]:
        """The messages on the path that the model sees, in order: those that are not dropped."""
        session = self.conversation.session
        gone = session.tree.dropped(session.head)
        return [node for node in session.path if node.id not in gone]

    def glance(self, node: Node, length: int) -> str:
        """A message in a line of at most ``length`` characters: its words, or what it calls."""
        toolbox = self.conversation.settings.toolbox
        calls = []
        for call in node.message.tool_calls:
            tool, code = toolbox.find(call.name), call.arguments.get("code")
            said = code if isinstance(code, str) else json.dumps(dict(call.arguments), ensure_ascii=False)
            calls.append(f"→ {tool.name if tool else call.name}: {said}")
        return short(node.message.text.strip() or " ".join(calls) or "(nothing)", length)

    async def approve(self, call: ToolCall) -> str | None:
        """None lets ``call`` run; a string is why it doesn't."""
        return await self.permissions.decide(call, self.conversation.settings.toolbox.find(call.name))

    def begin(self) -> None:
        """A new session; the old one is kept."""
        self.conversation.session.close()
        self.conversation.session = self.store.create(self.cwd) if self.store else unsaved()
        self.permissions.forget()
        self.attached.clear()

    def open(self, id: str) -> None:
        """Go on with another session, under the persona that it had."""
        if self.store is None:
            return
        session = self.store.open(id)
        self.conversation.session.close()
        self.conversation.session = session
        self.permissions.forget()
        self.attached.clear()

    def complete(self, text: str) -> list[Completion]:
        """What ``text`` may become: a command, or a message that ends in the path of a file."""
        return complete(text, self._arguments()) if text.startswith("/") else complete_path(text)

    def _arguments(self) -> dict[str, Iterable[Completion]]:
        """The arguments that commands may have now, as whole lines by command."""
        settings = self.conversation.settings
        tools = {"on": [n for n in settings.toolbox.names if n not in settings.tools_on], "off": [*settings.tools_on]}
        numbers = [(str(i), self.glance(node, 40)) for i, node in enumerate(self.said, 1)]
        return {
            "persona": [Completion(f"/persona {name}", p.description) for name, p in settings.personas.items()],
            "tools": [
                Completion("/tools off", "all of them"),
                Completion("/tools off once", "for the next message"),
                Completion("/tools on", "all of them"),
                *(Completion(f"/tools {way} {name}") for way, names in tools.items() for name in names),
            ],
            "copy": [Completion("/copy code", "the last code block")],
            "retry": [Completion("/retry no tools", "answer without tools")],
            "edit": [Completion(f"/edit {number}", text) for number, text in reversed(numbers)],
            "theme": [Completion(f"/theme {name}") for name in self.front.themes()],
        }
