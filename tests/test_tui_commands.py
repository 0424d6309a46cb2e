"""Commands, keys, history and copying, key by key."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from screen import PERSONAS, PYTHON, make_app, say, shown, status, until
from textual.events import Paste

import llamachat.messages as said
from llamachat.chat.commands import COMMANDS
from llamachat.testing import ScriptedRuntime
from llamachat.tools import Tool, ToolOutput
from llamachat.tui import LlamaChatApp
from llamachat.widgets.help import HelpScreen, HelpView
from llamachat.widgets.message import ReplyView, UserView

pytestmark = pytest.mark.usefixtures("own_folders")

HELLO = "Hello, **you**.<|eot_id|>"


async def test_persona_and_system_hold_from_the_next_turn_on():
    runtime = ScriptedRuntime([HELLO] * 3)
    app = make_app(open_runtime=lambda _: runtime)
    async with app.run_test() as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/persona pirate")
        await say(pilot, "two")
        await until(pilot, lambda: len(app.dialog) == 5)
        assert app.dialog[0].text == PERSONAS["pirate"].text
        assert app.dialog[2].token_ids  # what was sampled stays
        await until(pilot, lambda: status(app).startswith("pirate"))
        assert app.settings.tools_on == ()
        await say(pilot, "/system Be brief.")
        await say(pilot, "three")
        await until(pilot, lambda: len(app.dialog) == 7)
        assert app.dialog[0] == said.Message("system", "Be brief.")


async def test_commands_answer_and_wrong_ones_get_a_sentence():
    app = make_app([HELLO])
    async with app.run_test(size=(100, 40)) as pilot:
        await say(pilot, "/tools off python")
        await until(pilot, lambda: "○ python" in shown(app))
        await until(pilot, lambda: "no tools" in status(app))
        await say(pilot, "/tools on nothing")
        await until(pilot, lambda: "There is no tool 'nothing'." in shown(app))
        await say(pilot, "/persona nobody")
        await until(pilot, lambda: "There is no persona 'nobody'." in shown(app))
        await say(pilot, "/tolos")
        await until(pilot, lambda: "There is no command /tolos." in shown(app))
        await until(pilot, lambda: "Did you mean /tools?" in shown(app))
        assert app.prompt.text == "/tolos"
        await say(pilot, "/etc/hosts is a file")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/new")
        await until(pilot, lambda: not app.transcript.views)
        assert len(app.dialog) == 0
        await say(pilot, "/quit")
    assert app.return_code == 0


async def test_a_new_dialog_is_refused_while_a_reply_runs():
    app = make_app([["Hm", asyncio.Event()]])
    async with app.run_test() as pilot:
        await say(pilot, "talk")
        await until(pilot, lambda: "Hm" in shown(app))
        await say(pilot, "/new")
        await until(pilot, lambda: "A message is being answered." in shown(app))
        assert len(app.dialog) == 2


async def test_a_reply_its_code_and_a_focused_message_can_be_copied():
    reply = "Look:\n\n```python\nprint(1)\n```\nDone.<|eot_id|>"
    app = make_app([reply])
    async with app.run_test() as pilot:
        await say(pilot, "code, please")
        await until(pilot, lambda: "Done." in shown(app))
        await say(pilot, "/copy")
        assert app.clipboard == reply.removesuffix("<|eot_id|>")
        await say(pilot, "/copy code")
        assert app.clipboard == "print(1)\n"
        await pilot.press("shift+tab", "up", "c")
        assert isinstance(app.transcript.chosen, UserView)
        assert app.clipboard == "code, please"
        await pilot.press("down", "y")
        assert isinstance(app.transcript.chosen, ReplyView)
        assert app.clipboard == "print(1)\n"
        await until(pilot, lambda: "Copied 9 characters." in status(app))
        await pilot.press("x")  # what is typed belongs to the prompt
        assert app.prompt.text == "x"
        assert app.focused is app.prompt


async def test_selected_text_is_copied_by_ctrl_c():
    app = make_app(["one two three<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: "one two three" in shown(app))
        await pilot.mouse_down(app.transcript, offset=(7, 7))
        await pilot.hover(app.transcript, offset=(9, 7))
        await pilot.mouse_up(app.transcript, offset=(9, 7))
        await pilot.press("ctrl+c")
        assert app.clipboard == "two"


async def test_ctrl_c_clears_the_prompt_and_twice_quits():
    app = make_app()
    async with app.run_test() as pilot:
        app.prompt.put("draft")
        await pilot.press("ctrl+c")
        assert app.prompt.text == ""
        await pilot.press("ctrl+c")
        assert status(app) == "ctrl+c again quits"
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_code == 0)


async def test_history_survives_and_is_walked_at_the_edges(tmp_path):
    app = make_app([HELLO] * 2)
    async with app.run_test() as pilot:
        await say(pilot, "first\nof two lines")
        await say(pilot, "second")
        await until(pilot, lambda: len(app.dialog) == 5)
    app = make_app()
    async with app.run_test() as pilot:
        app.prompt.put("draft")
        await pilot.press("up")
        assert app.prompt.text == "second"
        await pilot.press("up")
        assert app.prompt.text == "first\nof two lines"
        await pilot.press("up", "up")
        assert app.prompt.text == "first\nof two lines"
        await pilot.press("down", "down", "down")
        assert app.prompt.text == "draft"


async def test_a_home_that_cannot_be_written_is_said_once(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    app = make_app([HELLO] * 2)
    async with app.run_test(size=(120, 30)) as pilot:
        await say(pilot, "one")
        await say(pilot, "two")
        await until(pilot, lambda: len(app.dialog) == 5)
        assert shown(app).count("The prompt history in") == 1
        await pilot.press("up")
        assert app.prompt.text == "two"


async def test_a_command_completes_by_tab_and_runs_by_enter():
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("slash", "p", "tab", "space", "p")
        assert app.prompt.text == "/persona p"
        assert app.completion_list.display
        await pilot.press("enter")
        await until(pilot, lambda: app.settings.persona.name == "pirate")
        assert not app.completion_list.display


async def test_escape_closes_the_completions_and_keeps_the_text():
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("slash", "t", "escape")
        assert app.prompt.text == "/t"
        assert not app.completion_list.display
        await pilot.press("enter")
        await until(pilot, lambda: "There is no command /t." in shown(app))


async def test_what_is_a_whole_command_already_is_sent_as_it_stands():
    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        return ToolOutput("ran")

    app = make_app(tools=(PYTHON, Tool("hammer", "Hits.", {"type": "object", "properties": {}}, run)))
    async with app.run_test(size=(80, 30)) as pilot:
        await pilot.press(*"/tools off", "enter")
        await until(pilot, lambda: "no tools" in status(app))
        await pilot.press(*"/tools on ham", "enter")
        await until(pilot, lambda: app.settings.tools_on == ("hammer",))


async def test_a_long_list_of_completions_tells_where_one_is():
    app = make_app()
    async with app.run_test(size=(80, 30)) as pilot:
        await pilot.press("/", "down")
        await until(pilot, lambda: "❯ /new" in completions(app))
        assert f"2 of {len(COMMANDS)}" in completions(app)
        await pilot.press("t", "h")
        await until(pilot, lambda: "/theme" in completions(app))
        assert " of " not in completions(app)


def completions(app: LlamaChatApp) -> str:
    rows = app.completion_list
    return "\n".join(rows.render_line(y).text.rstrip() for y in range(rows.size.height)) if rows.display else ""


async def test_completions_are_walked_by_up_and_down():
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("slash", "down", "down", "up", "tab")
        assert app.prompt.text == "/new"


async def test_new_lines_and_pastes_stay_in_one_message():
    app = make_app([HELLO])
    async with app.run_test() as pilot:
        await pilot.press("a", "ctrl+j", "b", "shift+enter")
        app.post_message(Paste("c\nd"))
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: len(app.dialog) == 3)
        assert app.dialog[1].text == "a\nb\nc\nd"


async def test_help_opens_scrolls_and_closes():
    app = make_app()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("pagedown", "down")
        await until(pilot, lambda: app.screen.query_one("#help").scroll_y > 1)
        await pilot.press("end")
        await until(pilot, lambda: app.screen.query_one("#help").is_vertical_scroll_end)
        rows = app.screen.query_one(HelpView).source
        assert all(key in rows for key in ("ctrl+p  all commands", "p  how likely each token was", "esc, q, ctrl+t"))
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)
