"""Which calls run at once, which are asked about, which never run. Knows tools and answers; asks through a function."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from llamachat.messages import ToolCall
from llamachat.tools import Permission, Tool

Scope = Literal["once", "session", "always", "no"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user says to a call; ``reason`` goes to the model when it is no."""

    scope: Scope
    reason: str = ""


Ask = Callable[[ToolCall, Tool], Awaitable[Answer]]
Keep = Callable[[str], None]


class Permissions:
    """The rules of one chat: ``rules`` by tool from the settings, then the tool's own; ``*`` stands for every tool.

    ``keep`` writes an "always" into the user's settings.
    """

    def __init__(self, rules: Mapping[str, Permission], ask: Ask, keep: Keep) -> None:
        self._rules, self._ask, self._keep = dict(rules), ask, keep
        self._granted: set[str] = set()

    def rule(self, tool: Tool) -> Permission:
        """What holds for ``tool`` now."""
        if tool.name in self._granted:
            return "allow"
        return self._rules.get(tool.name) or self._rules.get("*") or tool.permission

    async def decide(self, call: ToolCall, tool: Tool | None) -> str | None:
        """None lets the call run; a string is why it doesn't. A call of no tool runs into the toolbox's own answer."""
        rule = self.rule(tool) if tool else "allow"
        if tool is None or rule == "allow":
            return None
        if rule == "deny":
            return "The user's settings forbid this tool."
        answer = await self._ask(call, tool)
        if answer.scope == "no":
            return answer.reason
        if answer.scope != "once":
            self._granted.add(tool.name)
        if answer.scope == "always":
            self._keep(tool.name)
        return None

    def forget(self) -> None:
        """A new session asks anew."""
        self._granted.clear()
