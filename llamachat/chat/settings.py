"""What a chat is set to, and how the commands change it. Knows personas, tools and sampling; knows no screen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llamachat.agent import MAX_STEPS
from llamachat.config import Config
from llamachat.errors import ConfigError
from llamachat.messages import Dialog, Message
from llamachat.sampling import SamplingParams
from llamachat.system_prompts import Persona
from llamachat.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Settings:
    """``overrides`` are sampling fields that win over the persona's and the model's; ``system`` replaces the persona's
    text; ``config`` holds what is not changed by a command."""

    persona: Persona
    personas: Mapping[str, Persona]
    toolbox: Toolbox = Toolbox()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int = MAX_STEPS
    system: str | None = None
    config: Config = field(default_factory=Config)

    @property
    def instruction(self) -> str:
        """The system prompt."""
        return self.persona.text if self.system is None else self.system

    @property
    def tools_on(self) -> tuple[str, ...]:
        """Names of the tools that are switched on."""
        return tuple(tool.name for tool in self.toolbox.active)

    def instruct(self, dialog: Dialog) -> Dialog:
        """``dialog`` with the system prompt in front, in place of the one that it had."""
        rest = dialog[1:] if len(dialog) and dialog[0].role == "system" else dialog
        return Dialog((Message("system", self.instruction),)) + rest if self.instruction else rest

    def sampling(self, model: SamplingParams) -> SamplingParams:
        """The model's own sampling, as the persona and the user want it."""
        return model.override({**self.persona.sampling, **self.overrides})

    def with_persona(self, name: str) -> "Settings":
        """Another persona, with its text and its tools. Tools that no persona names, the user's own, stay as they are.

        Raises ConfigError if there is no such persona.
        """
        if name not in self.personas:
            raise ConfigError(f"There is no persona {name!r}.", f"Personas here: {', '.join(self.personas)}.")
        persona = self.personas[name]
        common = {tool for each in self.personas.values() for tool in each.tools or ()}
        wanted = self.toolbox.names if persona.tools is None else persona.tools
        own = [tool for tool in self.tools_on if tool not in common]
        toolbox = self.toolbox.only(tool for tool in self.toolbox.names if tool in wanted or tool in own)
        return replace(self, persona=persona, system=None, toolbox=toolbox)

    def with_tools(self, argument: str) -> "Settings":
        """Tools switched as ``argument`` says: "on", "off", "on NAME …", "off NAME …", or "NAME …": just these.

        Raises ConfigError on a name that there is not.
        """
        head, *rest = argument.replace(",", " ").split()
        names = set(rest or self.toolbox.names)
        self.toolbox.only(names)  # names that there are not are refused, also for "off"
        on = set(self.tools_on)
        wanted = on | names if head == "on" else on - names if head == "off" else {head, *rest}
        return replace(self, toolbox=self.toolbox.only(wanted))

    def tool_list(self) -> str:
        """The tools as Markdown, a dot before those that are on."""
        rows = [f"{_dot(t.name in self.tools_on)} **{t.name}** {t.description}" for t in self.toolbox.tools]
        return "\n".join(rows) or "There are no tools."

    def persona_list(self) -> str:
        """The personas as Markdown, a dot before the present one."""
        rows = [f"{_dot(n == self.persona.name)} **{n}** {p.description}" for n, p in self.personas.items()]
        return "\n".join(rows)


def _dot(on: bool) -> str:
    return "●" if on else "○"
