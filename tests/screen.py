"""What the tests of the screen share: an app with a scripted model, and a way to wait for what must happen."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import textual.app
import textual.pilot
from textual.pilot import Pilot

from llamachat.agent import Runtime
from llamachat.sessions import Session, Store
from llamachat.system_prompts import Persona
from llamachat.testing import Script, ScriptedRuntime
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tui import LlamaChatApp, Settings
from llamachat.widgets.transcript import Transcript
from llamachat.workshop import Workshop

FRAME = 0.02  # seconds, and a little more than one takes


async def idle(at_least: float = 0.0, at_most: float = 1.0) -> None:
    """Wait until the event loop has nothing more to do. Textual asks instead whether the process takes less than 5 % of
    a core for 20 ms: a thread that works, or a cursor, keeps it waiting for a second, and a starved process is idle."""
    loop = asyncio.get_running_loop()
    for _ in range(round(at_most / FRAME)):
        await asyncio.sleep(FRAME)
        if not loop._ready:  # type: ignore[attr-defined]
            return


textual.app.wait_for_idle = textual.pilot.wait_for_idle = idle

PERSONAS = {
    "default": Persona("default", "You are helpful.", "Helps.", tools=("python",)),
    "pirate": Persona("pirate", "You are a pirate.", "Talks like one.", tools=(), sampling={"temperature": 0.5}),
}


async def add(arguments: Mapping[str, Any]) -> ToolOutput:
    """A python tool for one sum."""
    return ToolOutput("completed\n[stdout]\n5021\n[/stdout]", ok="1/0" not in arguments["code"])


PYTHON = Tool(
    "python",
    "Runs Python code.",
    {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    add,
    wire="code",
    wire_name="code_interpreter",
)


def make_app(
    script: Iterable[Script] = (),
    *,
    open_runtime: Callable[[str | None], Runtime] | None = None,
    tools: tuple[Tool, ...] = (PYTHON,),
    store: Store | None = None,
    session: Session | None = None,
    workshop: Workshop | None = None,
    choose: bool = False,
    **settings: Any,
) -> LlamaChatApp:
    """An app that talks to a ScriptedRuntime, or to what ``open_runtime`` opens."""
    runtime = ScriptedRuntime(script)
    chosen = Settings(PERSONAS["default"], PERSONAS, workshop.toolbox if workshop else Toolbox(tools), **settings)
    return LlamaChatApp(
        open_runtime or (lambda _: runtime), chosen, "nano",
        store=store, session=session, workshop=workshop, choose=choose,
    )  # fmt: skip


async def until(pilot: Pilot[None], happened: Callable[[], object], seconds: float = 10.0) -> None:
    """Let the app run until ``happened``; fails after some ``seconds``."""
    for _ in range(round(100 * seconds)):
        if happened():
            return
        await pilot.pause(0.01)
    raise AssertionError("It never happened.")


async def say(pilot: Pilot[None], text: str) -> None:
    """Type ``text`` and send it."""
    app = pilot.app
    assert isinstance(app, LlamaChatApp)
    app.prompt.put(text)
    await pilot.press("enter")


def shown(app: LlamaChatApp) -> str:
    """The text of all messages, as it is drawn, and of those that wait."""
    waiting = app.waiting_list
    rows = [waiting.render_line(y).text.rstrip() for y in range(waiting.size.height)] if waiting.display else []
    return "\n".join((drawn(app.transcript), *rows))


def drawn(transcript: Transcript) -> str:
    """The text of all messages, as it is drawn or was last."""
    rows = [line for view in transcript.all_views for line in (view.lines or ())]
    return "\n".join(line.plain.rstrip() for line in rows)


def status(app: LlamaChatApp) -> str:
    """The text of the status line."""
    return app.status_line.render_line(0).text.strip()
