"""What comes while the chat is open already: walls, servers, trouble with the store, a session that was cut off."""

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from screen import PYTHON, make_app, say, shown, status, until

from llamachat.config import ChatConfig, Config
from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Message, StopReason, ToolCall
from llamachat.sessions import Conditions, Store
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tools.mcp_servers import StdioServer
from llamachat.tools.sandbox import Layer, Walls
from llamachat.workshop import Workshop

pytestmark = pytest.mark.usefixtures("own_folders")

HELLO = "Hello.<|eot_id|>"
HONEST = str(Path(__file__).parent / "data" / "mcp" / "honest.py")
SEALED = Walls((Layer("bubblewrap", True), Layer("landlock", True), Layer("seccomp", True)))
WEAK = Walls((Layer("bubblewrap", True), Layer("seccomp", False, "the kernel has none", "Get a newer kernel.")))
BARE = Walls((Layer("seccomp", False, "the kernel has none", "Get a newer kernel."),))


class Bench:
    """Python's session, as far as its walls go."""

    def __init__(self, walls: Walls | ConfigError) -> None:
        self.walls = walls
        self.looks = 0

    async def look(self) -> Walls:
        self.looks += 1
        if isinstance(self.walls, ConfigError):
            raise self.walls
        return self.walls


def workshop(walls: Walls | ConfigError = SEALED, **changes: Any) -> Workshop:
    return Workshop(Toolbox((PYTHON,)), Bench(walls), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("walls", "short", "told"),
    [
        (WEAK, "weak walls", "Python runs behind bubblewrap; missing: seccomp (the kernel has none)."),
        (BARE, "no walls", "Nothing of the system holds the code that python runs: seccomp"),
        (ConfigError("There are no walls here.", "Install bubblewrap."), "no walls", "There are no walls here."),
    ],
)
async def test_walls_that_are_missing_are_said_once_and_stay_in_sight(walls: Any, short: str, told: str):
    app = make_app([HELLO], workshop=workshop(walls))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: short in status(app) and told in shown(app))
        assert shown(app).count(told) == 1
        await say(pilot, "hi")
        await until(pilot, lambda: "ctx" in status(app) and short in status(app))
        await say(pilot, "/tools off")
        await say(pilot, "/tools on")
        await until(pilot, lambda: shown(app).count("● python") == 1)
        assert shown(app).count(told) == 1


async def test_nobody_looks_at_walls_while_python_is_off():
    quiet = workshop(WEAK)
    app = make_app([HELLO], workshop=replace(quiet, toolbox=quiet.toolbox.only(())))
    async with app.run_test(size=(120, 30)) as pilot:
        await say(pilot, "hi")
        await until(pilot, lambda: len(app.dialog) == 3)
        assert quiet.python.looks == 0  # type: ignore[attr-defined]
        await say(pilot, "/tools on python")
        await until(pilot, lambda: "weak walls" in status(app))


async def test_the_tools_of_a_server_come_beside_the_chat_and_its_process_goes_with_it():
    server = StdioServer("honest", sys.executable, (HONEST,))
    call = '{"name": "honest__add", "parameters": {"a": 41}}<|eom_id|>'
    app = make_app([call, HELLO], workshop=workshop(servers=(server,)), config=Config(permissions={"*": "allow"}))
    others = children()  # of other tests
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "python honest__" in status(app), 30)
        assert "honest__add" in app.settings.tools_on
        before = children() - others
        assert before
        await say(pilot, "add")
        await until(pilot, lambda: len(app.dialog) == 5)
        assert app.dialog[3].text == "42"
        await say(pilot, "/tools off honest__say")
        await until(pilot, lambda: "honest__say" not in app.settings.tools_on)
    assert not children() & before


async def test_a_server_that_fails_is_said_and_the_chat_goes_on():
    server = StdioServer("gone", "/no/such/program")
    app = make_app([HELLO], workshop=workshop(servers=(server,)))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "gone" in shown(app), 30)
        await say(pilot, "hi")
        await until(pilot, lambda: len(app.dialog) == 3)
        assert app.settings.tools_on == ("python",)


async def test_tools_that_come_and_go_leave_what_the_user_chose():
    app = make_app([HELLO], workshop=workshop())
    assert app.backstage
    async with app.run_test(size=(120, 30)) as pilot:
        app.backstage.offer((tool("a"), tool("b")))
        await say(pilot, "/tools off b")
        await until(pilot, lambda: app.settings.tools_on == ("python", "a"))
        app.backstage.offer((tool("b"), tool("c")))
        assert app.settings.toolbox.names == ("python", "b", "c")
        assert app.settings.tools_on == ("python", "c")
        app.backstage.offer((tool("python"),))
        await until(pilot, lambda: "Two tools are named 'python'." in shown(app))
        assert app.settings.tools_on == ("python", "c")


async def test_no_tools_means_those_of_servers_too():
    app = make_app([HELLO], workshop=workshop(), config=Config(chat=ChatConfig(tools=[])))
    assert app.backstage
    async with app.run_test():
        app.backstage.offer((tool("a"),))
        assert "a" in app.settings.toolbox.names
        assert "a" not in app.settings.tools_on


async def test_trouble_with_the_store_is_said_once_from_any_thread():
    app = make_app([HELLO])
    full = StorageError("The disk is full.", "Make room.")
    async with app.run_test(size=(120, 30)) as pilot:
        for trouble in (full, full, StorageError("The disk is full.", "Make room.")):
            thread = threading.Thread(target=app.tell, args=(trouble,))
            thread.start()
            thread.join()
        await until(pilot, lambda: "The disk is full." in shown(app))
        app.tell(None)
        app.tell(None)
        await until(pilot, lambda: "can be written again" in shown(app))
        assert shown(app).count("The disk is full.") == 1
        assert shown(app).count("can be written again") == 1


async def test_trouble_before_the_first_frame_is_said_too():
    app = make_app([HELLO])
    app.tell(StorageError("The disk is full.", "Make room."))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "The disk is full." in shown(app))


async def test_a_session_that_was_cut_off_says_so():
    store = Store()
    session = store.create("")
    session.ask(Message("user", "compute"), Conditions())
    call = ToolCall("code_interpreter", {"code": "1 + 1"})
    session.add(session.make(Message("assistant", "", (call,), StopReason.end_of_message)))
    session.close()
    again = store.open(session.id)
    app = make_app([HELLO], store=store, session=again)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "The call of python was interrupted" in shown(app))
        await say(pilot, "/tree")
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.is_modal)
        assert "was interrupted when" not in shown(app)  # once is enough
    store.close()


async def test_a_session_that_is_open_elsewhere_says_so():
    store, other = Store(), Store()
    session = store.create("")
    session.ask(Message("user", "hi"), Conditions())
    store.flush()
    app = make_app([HELLO], store=other, session=other.open(session.id))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "open in another llamachat, too" in shown(app))
    other.close()
    store.close()


def tool(name: str) -> Tool:
    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        return ToolOutput("done")

    return Tool(name, "Does.", {"type": "object", "properties": {}}, run)


def children() -> set[str]:
    """Ids of the processes that we started and that live."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
