"""Questions before a tool acts, in the chat: what each answer does, and where keys go that were not meant for them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from screen import make_app, say, shown, status, until
from textual.pilot import Pilot
from textual.widgets import Input

from llamachat import config
from llamachat.tools import Tool, ToolOutput
from llamachat.tui import LlamaChatApp
from llamachat.widgets.picker import Picker
from llamachat.widgets.question import Question

pytestmark = pytest.mark.usefixtures("own_folders")

PAYS = '{"name": "pay", "parameters": {"euros": 5}}<|eom_id|>'
DONE = "Done.<|eot_id|>"


async def pay(arguments: Mapping[str, Any]) -> ToolOutput:
    return ToolOutput("paid")


PAY = Tool(
    "pay", "Pays.", {"type": "object", "properties": {"euros": {"type": "integer"}}}, pay, permission="ask",
    source="[bank].py",
)  # fmt: skip


def asked(app: LlamaChatApp) -> Question | None:
    return next(iter(app.screen_stack[0].query(Question)), None)


async def ask(app: LlamaChatApp, pilot: Pilot[None]) -> Question:
    """Send a message whose answer needs a call, and wait a second in the question's time."""
    await say(pilot, "pay, please")
    return await question(app, pilot)


async def question(app: LlamaChatApp, pilot: Pilot[None], *, quiet: bool = True) -> Question:
    await until(pilot, lambda: asked(app) and asked(app).has_focus)
    found = asked(app)
    assert found
    if quiet:
        found.last_key = float("-inf")
    return found


def results(app: LlamaChatApp) -> list[str]:
    return [message.text for message in app.dialog if message.role == "ipython"]


@pytest.mark.parametrize(("key", "questions"), [("y", 2), ("a", 1), ("3", 1)])
async def test_yes_for_once_for_the_session_and_for_ever(key: str, questions: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llamachat.widgets.question.QUIET", float("inf"))  # any key comes too soon on a slow machine
    app = make_app([PAYS, PAYS, DONE], tools=(PAY,))
    async with app.run_test() as pilot:
        await say(pilot, "pay, please")
        for _ in range(questions):
            asking = await question(app, pilot)
            await pilot.press(key, key)  # the second is no answer to the next question
            await until(pilot, lambda asking=asking: asked(app) is not asking)
        await until(pilot, lambda: "Done." in shown(app))
        assert results(app) == ["paid", "paid"]
        assert app.focused is app.prompt
        assert config.load().config.permissions == ({"pay": "allow"} if key == "3" else {})


async def test_no_tells_the_model_why():
    app = make_app([PAYS, "Sorry.<|eot_id|>"], tools=(PAY,))
    async with app.run_test() as pilot:
        await ask(app, pilot)
        await pilot.press("n", *"Too dear.")
        await pilot.press("escape")  # takes the reason back, and not the turn
        assert asked(app)
        await pilot.press("n", *" Really.", "enter")
        await until(pilot, lambda: "Sorry." in shown(app))
        assert "declined this call. Too dear. Really." in results(app)[0]


async def test_escape_stops_the_turn_without_running_the_call():
    app = make_app([PAYS, DONE], tools=(PAY,))
    async with app.run_test() as pilot:
        await ask(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not app.conversation.busy and app.prompt.display)
        assert "paid" not in "".join(results(app))
        assert app.focused is app.prompt


async def test_keys_on_their_way_to_the_prompt_stay_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llamachat.widgets.question.QUIET", float("inf"))
    app = make_app([PAYS, DONE], tools=(PAY,))
    async with app.run_test() as pilot:
        await say(pilot, "pay, please")
        asking = await question(app, pilot, quiet=False)
        await pilot.press("y", "a")
        assert not asking.answer.done()
        assert app.prompt.text == "ya"
        asking.last_key = float("-inf")
        await pilot.press("y")
        await until(pilot, lambda: "Done." in shown(app))
        assert app.prompt.text == "ya"


async def test_a_question_waits_below_a_list_and_no_key_of_the_list_answers_it():
    go = asyncio.Event()
    app = make_app([[go, PAYS], DONE], tools=(PAY,))
    async with app.run_test() as pilot:
        await say(pilot, "pay, please")
        await until(pilot, lambda: "step 1" in status(app))
        await say(pilot, "/theme")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        go.set()
        await until(pilot, lambda: asked(app))
        assert isinstance(app.focused, Input)
        await pilot.press("y", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Picker))
        asking = await question(app, pilot, quiet=False)
        asking.last_key = float("inf")  # however slow this machine is, the next key comes too soon
        await pilot.press("y")
        assert not asking.answer.done()
        asking.last_key = float("-inf")
        await pilot.press("y")
        await until(pilot, lambda: "Done." in shown(app))


async def test_keys_typed_in_a_list_that_was_just_left_count_as_typing():
    go = asyncio.Event()
    app = make_app([[go, PAYS], DONE], tools=(PAY,))
    async with app.run_test() as pilot:
        await say(pilot, "pay, please")
        await say(pilot, "/theme")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        app.prompt.last_key = float("-inf")  # long ago
        await pilot.press("n", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Picker))
        typed = app.prompt.last_key
        assert typed > 0
        go.set()
        asking = await question(app, pilot, quiet=False)
        assert asking.last_key == typed
        asking.last_key = float("-inf")
        await pilot.press("escape")
        await until(pilot, lambda: not app.conversation.busy)


async def test_leaving_during_a_question_or_a_list_ends_everything():
    for command in ("", "/theme"):
        app = make_app([PAYS, DONE], tools=(PAY,))
        async with app.run_test() as pilot:
            await say(pilot, "pay, please")
            await until(pilot, lambda app=app: asked(app))
            if command:
                app.prompt.put(command)
                app.prompt.submit()
                await until(pilot, lambda app=app: isinstance(app.screen, Picker))
            await pilot.press("ctrl+q")
        assert [task for task in asyncio.all_tasks() if "_take" in str(task)] == []
        assert results(app) == [] or "paid" not in results(app)[0]


async def test_a_deny_in_the_config_asks_nobody():
    settings = config.Config(permissions={"pay": "deny"})
    app = make_app([PAYS, DONE], tools=(PAY,), config=settings)
    async with app.run_test() as pilot:
        await say(pilot, "pay, please")
        await until(pilot, lambda: "Done." in shown(app))
        assert "settings forbid" in results(app)[0]


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24), (400, 120)])
async def test_the_answers_are_in_sight_however_long_the_call_is(size: tuple[int, int]):
    long = f'{{"name": "pay", "parameters": {{"euros": 5, "why": "{"word " * 900}"}}}}<|eom_id|>'
    app = make_app([long, DONE], tools=(PAY,), overrides={"max_tokens": 6000})
    async with app.run_test(size=size) as pilot:
        asking = await ask(app, pilot)
        await pilot.press("n")
        await until(pilot, lambda: asking.query_one(Input).region.height)
        for part in ("#answers", "#reason"):
            region = asking.query_one(part).region
            assert region.height
            assert asking.content_region.contains_region(region)
            assert app.screen.region.contains_region(region)
        await pilot.press("escape", "y")
        await until(pilot, lambda: "Done." in shown(app))
