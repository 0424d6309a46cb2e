"""What a tool is, and the box that runs calls. Knows no model, no UI and no single tool.

``Toolbox.run`` never raises for a model's mistake: an unknown name, bad arguments or a failing tool are results.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from llamachat.errors import ConfigError, LlamaChatError
from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.offer import FunctionSpec, Offer
from llamachat.protocol import frame_failure

_LONGEST_CALL = 64_000  # characters of JSON; a call that is longer is a model in a loop
_TOO_LONG = "the call is longer than 64 kB; pass less"


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """``text`` is the body of the ipython message; ``ok`` is False if the call did not do its work; ``artifacts`` are
    files for the user."""

    text: str
    ok: bool = True
    artifacts: tuple[Artifact, ...] = ()


Permission = Literal["allow", "ask", "deny"]


async def _nothing() -> None:
    """The default of ``Tool.close``."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the model can call.

    ``parameters`` is a JSON schema of type object. ``run`` gets arguments that fit it, raises LlamaChatError if it
    cannot do its work, and on cancellation stops what it started. ``wire`` says how the protocol names the tool:
    "function" by ``name``; "code" and "builtin" by Meta's built-in ``wire_name``.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[Mapping[str, Any]], Awaitable[ToolOutput]]
    wire: Literal["function", "builtin", "code"] = "function"
    wire_name: str = ""
    close: Callable[[], Awaitable[None]] = _nothing
    permission: Permission = "allow"
    """Whether a call runs at once, after a question to the user, or never; the user's config may say otherwise."""
    source: str = "built in"
    """Where it comes from, for lists and questions: a file, a package, a server."""

    @property
    def called(self) -> str:
        """The name that the model uses."""
        return self.wire_name or self.name


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of a dialog, and which of them are switched on."""

    tools: tuple[Tool, ...] = ()
    on: frozenset[str] | None = None
    """Names of the active tools; None means all."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for name in (n for tool in self.tools for n in {tool.name, tool.called}):
            if name in seen:
                raise ConfigError(f"Two tools are named {name!r}.", "Rename one of them.")
            seen.add(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tools, active or not."""
        return tuple(tool.name for tool in self.tools)

    @property
    def active(self) -> tuple[Tool, ...]:
        """The tools that are switched on."""
        return tuple(tool for tool in self.tools if self.on is None or tool.name in self.on)

    def only(self, names: Iterable[str]) -> "Toolbox":
        """The same tools with just ``names`` switched on. Raises ConfigError on a name that isn't here."""
        wanted = frozenset(names)
        if unknown := sorted(wanted - set(self.names)):
            raise ConfigError(f"There is no tool {unknown[0]!r}.", f"Tools here: {', '.join(self.names) or 'none'}.")
        return Toolbox(self.tools, wanted)

    def offer(self) -> Offer:
        """What the active tools look like to the model."""
        return Offer(
            code=any(tool.wire == "code" for tool in self.active),
            builtin=tuple(tool.called for tool in self.active if tool.wire == "builtin"),
            functions=tuple(
                FunctionSpec(tool.name, tool.description, tool.parameters)
                for tool in self.active
                if tool.wire == "function"
            ),
        )

    def find(self, name: str) -> Tool | None:
        """The active tool that the model means by ``name``, ours or the protocol's."""
        return next((tool for tool in self.active if name in (tool.called, tool.name)), None)

    async def run(self, call: ToolCall) -> ToolResult:
        """Check the arguments, run the tool, and say what came of it."""
        tool = self.find(call.name)
        if tool is None:
            return ToolResult(call, frame_failure(self._unknown(call.name)), ok=False)
        from llamachat.tools.schemas import coerce, problems  # late: jsonschema takes 0.04 s of the first frame

        arguments = coerce(tool.parameters, call.arguments)
        wrong = [_TOO_LONG] if tool.wire == "function" and _too_long(arguments) else []
        if wrong := wrong or problems(tool.parameters, arguments, tool.called):
            return ToolResult(call, frame_failure("\n".join(wrong)), ok=False)
        try:
            output = await tool.run(arguments)
        except LlamaChatError as error:
            return ToolResult(call, frame_failure(error.message), ok=False)
        return ToolResult(call, output.text, output.ok, output.artifacts)

    def _unknown(self, name: str) -> str:
        offered = [tool.called for tool in self.active]
        meant = get_close_matches(name[:60], offered, 1)
        guess = f"did you mean {meant[0]}? These" if meant else "these"
        return f"There is no tool {name[:60]!r}; {guess} are offered: {', '.join(offered) or 'none'}."

    async def close(self) -> None:
        """End what the tools keep running; one that fails to end does not keep the others from it."""
        async with AsyncExitStack() as stack:
            for tool in self.tools:
                stack.push_async_callback(tool.close)


def _too_long(arguments: Mapping[str, Any]) -> bool:
    return len(json.dumps(arguments, ensure_ascii=False)) > _LONGEST_CALL
