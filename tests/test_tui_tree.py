"""The tree on the screen: versions, edits, branches, and the keys that lead there."""

import asyncio

import pytest
from screen import PYTHON, make_app, say, shown, status, until

from llamachat.testing import ScriptedRuntime
from llamachat.tui import LlamaChatApp
from llamachat.widgets.entry import Entry
from llamachat.widgets.inspector import InspectorScreen, TokenFlow
from llamachat.widgets.picker import Picker
from llamachat.widgets.view import View

pytestmark = pytest.mark.usefixtures("own_folders")


def reply(text: str) -> str:
    return f"{text}<|eot_id|>"


def said(app: LlamaChatApp) -> list[str]:
    return [node.message.text for node in app.conversation.session.path]


def seen(app: LlamaChatApp) -> list[str]:
    """What the messages on the screen say, with their counters."""
    return [f"{view.label} {view.source}".strip() for view in app.transcript.all_views if view.key]


def chosen(app: LlamaChatApp) -> View:
    assert app.transcript.chosen
    return app.transcript.chosen


async def test_a_retry_stands_in_the_place_of_the_old_reply_while_it_streams():
    go = asyncio.Event()
    app = make_app([reply("one"), ["tw", go, reply("o")]])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: said(app) == ["count", "one"])
        await say(pilot, "/retry")
        await until(pilot, lambda: "tw" in shown(app))
        assert "one" not in shown(app)
        go.set()
        await until(pilot, lambda: seen(app) == ["count", "‹2/2› two"])
        await pilot.press("alt+left")
        await until(pilot, lambda: seen(app) == ["count", "‹1/2› one"])
        await pilot.press("alt+left")  # there is none before the first
        await pilot.press("alt+right")
        await until(pilot, lambda: seen(app) == ["count", "‹2/2› two"])


async def test_a_retry_that_says_nothing_leaves_the_old_reply():
    app = make_app([reply("one"), [asyncio.Event()]])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/retry")
        await until(pilot, lambda: "step 1" in status(app))
        await pilot.press("escape")
        await until(pilot, lambda: seen(app) == ["count", "one"])


async def test_a_retry_without_tools_offers_none():
    runtime = ScriptedRuntime([reply("one"), reply("two")])
    app = make_app(open_runtime=lambda _: runtime)
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/retry no tools")
        await until(pilot, lambda: said(app) == ["count", "two"])
        offered, bare = (runtime.tokenizer.decode(prompt) for prompt in runtime.prompts)
        assert "Environment: ipython" in offered
        assert "Environment: ipython" not in bare
        assert app.settings.tools_on == ("python",)


async def test_versions_of_an_earlier_message_are_turned_where_it_stands():
    app = make_app([reply("one"), reply("later"), reply("two")])
    async with app.run_test() as pilot:
        for text in ("first", "second"):
            await say(pilot, text)
            await until(pilot, lambda text=text: text in said(app) and not app.conversation.busy)
        await pilot.press("shift+tab", "up", "up")
        assert chosen(app).source == "one"
        await pilot.press("r")
        await until(pilot, lambda: seen(app) == ["first", "‹2/2› two"])
        await pilot.press("shift+tab")
        await until(pilot, lambda: chosen(app).source == "two")
        await pilot.press("alt+left")
        await until(pilot, lambda: seen(app) == ["first", "‹1/2› one", "second", "later"])
        assert chosen(app).source == "one"
        assert app.transcript.has_focus
        await pilot.press("alt+right")
        assert chosen(app).source == "two"


async def test_a_call_without_words_shows_its_versions_on_its_card():
    call = "<|python_tag|>173 * 29 + 4<|eom_id|>"
    app = make_app([call, reply("five"), reply("six")])
    async with app.run_test() as pilot:
        await say(pilot, "compute")
        await until(pilot, lambda: len(app.dialog) == 5)
        await say(pilot, "/retry")
        await until(pilot, lambda: seen(app)[-1] == "‹2/2› six")
        await pilot.press("alt+left")
        await until(pilot, lambda: seen(app)[-1] == "five")
        assert seen(app)[1].startswith("‹1/2› ")
        await pilot.press("shift+tab", "up", "alt+right")
        assert seen(app) == ["compute", "‹2/2› six"]


async def test_a_question_is_edited_with_several_lines_and_asked_at_once():
    app = make_app([reply("four"), reply("six")])
    async with app.run_test() as pilot:
        await say(pilot, "2 + 2?")
        await until(pilot, lambda: len(app.dialog) == 3)
        await pilot.press("shift+tab", "up", "e")
        await until(pilot, lambda: isinstance(app.screen, Entry))
        await pilot.press("ctrl+j", *"really")
        await pilot.press("enter")
        await until(pilot, lambda: seen(app) == ["‹2/2› 2 + 2?\nreally", "six"])


async def test_a_reply_is_edited_and_nothing_is_asked():
    app = make_app([reply("five")])
    async with app.run_test() as pilot:
        await say(pilot, "2 + 2?")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/edit 2")
        await until(pilot, lambda: isinstance(app.screen, Entry))
        await pilot.press("backspace", "backspace", "backspace", "backspace", *"four", "enter")
        await until(pilot, lambda: seen(app) == ["2 + 2?", "‹2/2› four"])
        await say(pilot, "/edit 1")
        await until(pilot, lambda: isinstance(app.screen, Entry))
        await pilot.press("escape")
        assert said(app) == ["2 + 2?", "four"]


async def test_a_reply_goes_on_behind_a_beginning_of_the_users():
    app = make_app([reply("I can't."), reply(" name is Bo.")])
    async with app.run_test() as pilot:
        await say(pilot, "who?")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/continue")
        await until(pilot, lambda: isinstance(app.screen, Entry))
        await pilot.press(*["backspace"] * 8, *"My", "enter")
        await until(pilot, lambda: seen(app) == ["who?", "‹2/2› My name is Bo."])
        await until(pilot, lambda: "My name is Bo." in shown(app))


async def test_the_best_of_three_is_picked():
    app = make_app([reply("one"), reply("two"), reply("three")])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/best 3")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press("down", "enter")
        await until(pilot, lambda: seen(app) == ["count", "‹2/3› two"])
        await until(pilot, lambda: not app.conversation.busy)


async def test_two_escapes_go_back_a_question():
    app = make_app([reply("one"), reply("two")])
    async with app.run_test() as pilot:
        for text in ("first", "second"):
            await say(pilot, text)
            await until(pilot, lambda text=text: text in said(app) and not app.conversation.busy)
        await pilot.press("escape")
        assert "esc again goes back" in status(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.prompt.text == "second")
        assert seen(app) == ["first", "one"]
        await pilot.press("escape", "escape")  # with a text in the prompt nothing is undone
        assert seen(app) == ["first", "one"]


async def test_the_tree_leads_to_a_branch_with_its_name():
    app = make_app([reply("one"), reply("two")])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/name [/] odd")
        await say(pilot, "/retry")
        await until(pilot, lambda: said(app) == ["count", "two"])
        await say(pilot, "/tree")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press(*"odd", "enter")
        await until(pilot, lambda: seen(app) == ["count", "[/] odd ‹1/2› one"])


async def test_the_inspector_opens_at_the_message_that_is_chosen():
    app = make_app([reply("one"), reply("two")], tools=(PYTHON,))
    async with app.run_test() as pilot:
        for text in ("first", "second"):
            await say(pilot, text)
            await until(pilot, lambda text=text: text in said(app) and not app.conversation.busy)
        await pilot.press("shift+tab", "up", "up", "ctrl+t")
        assert isinstance(app.screen, InspectorScreen)
        tokens = app.conversation.tokens()
        at = tokens[app.screen.query_one(TokenFlow).cursor]
        assert (at.role, at.message) == ("assistant", 2)


async def test_pins_and_drops_are_seen_in_the_context_map_and_on_the_messages():
    app = make_app([reply("one")])
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "first")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/context")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "pinned" in shown(app) and isinstance(app.screen, Picker))
        await pilot.press("enter")  # the cursor is where it was
        await until(pilot, lambda: "dropped" in shown(app))
        await pilot.press("escape")
        assert app.conversation.session.path[0].flag == "drop"


async def test_a_compaction_is_shown_and_a_message_sent_meanwhile_is_answered():
    go = asyncio.Event()
    app = make_app([reply("long words " * 40), ["They ", go, reply("spoke.")], reply("Yes.")])
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "first " * 30)
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/compact")
        await until(pilot, lambda: app.conversation.busy)
        await say(pilot, "next")
        await until(pilot, lambda: "⧗ next" in shown(app))
        go.set()
        await until(pilot, lambda: said(app)[-1] == "Yes.")
        await until(pilot, lambda: "was summed up" in shown(app))
