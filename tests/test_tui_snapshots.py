"""The screens on top of the chat, cell by cell. After a wanted change: look at the report, then --snapshot-update."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from screen import PYTHON, make_app, say, until
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from llamachat.tools import Tool, ToolOutput
from llamachat.tui import LlamaChatApp
from llamachat.widgets.question import Question

pytestmark = pytest.mark.usefixtures("own_folders")

Compare = Callable[..., bool]
SMALL = (40, 10)


async def pay(arguments: Mapping[str, Any]) -> ToolOutput:
    return ToolOutput("paid")


PAY = Tool("pay", "Pays.", {"type": "object", "properties": {"euros": {"type": "integer"}}}, pay, permission="ask")
PAYS = '{"name": "pay", "parameters": {"euros": 5, "to": "Ann [/]"}}<|eom_id|>'


@pytest.fixture
def look(snap_compare: Compare) -> Callable[..., bool]:
    """Compares the screen after two versions of a reply and ``keys``; those with a slash are sent as commands."""

    def compare(*keys: str, size: tuple[int, int] = (80, 24)) -> bool:
        async def prepare(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, LlamaChatApp)
            app.prompt.cursor_blink = False  # it is seen under what opens above it
            for text, there in (("How do llamas sleep?", "Lying down."), ("/retry", "They **kush**.")):
                await say(pilot, text)
                await until(pilot, lambda there=there: app.dialog.messages[-1].text == there)
                await until(pilot, lambda: not app.conversation.busy)
            for key in keys:
                await (say(pilot, key) if key.startswith("/") else pilot.press(key))
                await until(pilot, lambda: not app.prompt.text)
            await until(pilot, lambda: app.screen.is_modal)  # a busy machine opens it late
            await settle(pilot)

        replies = ["Lying down.<|eot_id|>", "They **kush**.<|eot_id|>"]
        return snap_compare(make_app(replies), terminal_size=size, run_before=prepare)

    return compare


async def settle(pilot: Pilot[None]) -> None:
    """Nothing blinks, and no speed is shown that another machine would not have."""
    app = pilot.app
    assert isinstance(app, LlamaChatApp)
    app.stage.meter = app.stage.meter[:1]
    await until(pilot, lambda: app.status_line.status.meter == app.stage.meter)
    for area in app.screen.query(TextArea):
        area.cursor_blink = False
    for field in app.screen.query(Input):
        field.cursor_blink = False
    await pilot.pause()


def test_a_list_to_choose_from(look):
    assert look("/theme")


def test_the_tree(look):
    assert look("/tree")


def test_the_context_map(look):
    assert look("/context")


def test_the_inspector(look):
    assert look("ctrl+t")


def test_help(look):
    assert look("f1")


def test_settings(look):
    assert look("f2")


def test_the_inspector_in_a_tiny_terminal(look):
    assert look("ctrl+t", size=SMALL)


def test_an_entry_in_a_tiny_terminal(look):
    assert look("/edit 1", size=SMALL)


@pytest.mark.parametrize("size", [(80, 24), SMALL])
def test_a_question(snap_compare: Compare, size: tuple[int, int]):
    async def prepare(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, LlamaChatApp)
        await say(pilot, "pay, please")
        await until(pilot, lambda: app.query(Question) and app.query_one(Question).has_focus)
        app.status_line.display = False  # it counts the seconds
        app.transcript.do("home")  # above the rows of a tiny terminal a height is guessed until it was seen
        await until(pilot, lambda: app.transcript.all_views[0].lines)
        app.transcript.do("end")
        await until(pilot, lambda: app.transcript.is_vertical_scroll_end)
        await pilot.pause()

    assert snap_compare(make_app([PAYS], tools=(PYTHON, PAY)), terminal_size=size, run_before=prepare)
