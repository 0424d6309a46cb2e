"""The front room by its own door: keys in, a screen and a dialog out."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from screen import PERSONAS, PYTHON, make_app, say, shown, status, until
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

import llamachat.messages as said
from llamachat.errors import CheckpointError, EngineError
from llamachat.messages import Dialog, StopReason
from llamachat.testing import ScriptedRuntime
from llamachat.tui import LlamaChatApp
from llamachat.widgets.help import HelpScreen
from llamachat.widgets.message import Notice, ReplyView, UserView

CALL = "<|python_tag|>173 * 29 + 4<|eom_id|>"
HELLO = "Hello, **you**.<|eot_id|>"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LLAMACHAT_CONFIG_DIR", str(tmp_path / "config"))


def texts(dialog: Dialog) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in dialog]


def roles(dialog: Dialog) -> list[str]:
    return [message.role for message in dialog]


async def test_a_keystroke_becomes_an_answer():
    app = make_app([HELLO])
    async with app.run_test() as pilot:
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: len(app.dialog) == 3)
        await until(pilot, lambda: "Hello, you." in shown(app))
        assert texts(app.dialog) == [("system", "You are helpful."), ("user", "hi"), ("assistant", "Hello, **you**.")]
        assert app.prompt.text == ""


async def test_a_call_runs_and_its_card_shows_code_and_output():
    app = make_app([CALL, "It is 5021.<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "What is 173 * 29 + 4?")
        await until(pilot, lambda: "It is 5021." in shown(app))
        assert roles(app.dialog) == ["system", "user", "assistant", "ipython", "assistant"]
        screen = shown(app)
        assert "● python  ✓ 0.0 s" in screen
        assert "173 * 29 + 4\n  → 5021" in screen.replace("   173", "173").replace("  173", "173")
        assert "ctx" in status(app)


async def test_the_prompt_of_the_second_step_begins_with_the_ids_of_the_first():
    runtime = ScriptedRuntime([CALL, HELLO])
    app = make_app(open_runtime=lambda _: runtime)
    async with app.run_test() as pilot:
        await say(pilot, "compute")
        await until(pilot, lambda: len(app.dialog) == 5)
    first, second = runtime.prompts
    assert second[: len(first)] == first
    sampled = app.dialog[2].token_ids
    assert sampled
    assert tuple(second[len(first) : len(first) + len(sampled)]) == sampled


async def test_escape_stops_the_reply_and_keeps_what_was_said():
    go = asyncio.Event()
    app = make_app([["Once upon a time", go, " a never-ending story" * 50], HELLO])
    async with app.run_test() as pilot:
        await say(pilot, "a story")
        await until(pilot, lambda: "Once upon a time" in shown(app))
        assert "step 1/10" in status(app)
        await pilot.press("escape")
        go.set()
        await until(pilot, lambda: len(app.dialog) == 3)
        assert app.dialog[2].text.startswith("Once upon a time")
        assert len(app.dialog[2].text) < 20
        assert app.dialog[2].stop is StopReason.cancelled
        await until(pilot, lambda: "— interrupted" in shown(app))
        await say(pilot, "go on")
        await until(pilot, lambda: "Hello" in shown(app))
        assert roles(app.dialog) == ["system", "user", "assistant", "user", "assistant"]


async def test_stopped_before_a_word_was_said_the_question_comes_back():
    app = make_app([[asyncio.Event()]])
    async with app.run_test() as pilot:
        await say(pilot, "are you there?")
        await until(pilot, lambda: "step 1/10" in status(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.prompt.text == "are you there?")
        assert len(app.dialog) == 0
        assert "not answered" in shown(app)


async def test_a_message_sent_while_a_reply_runs_waits_and_is_then_answered():
    go = asyncio.Event()
    app = make_app([["First.", go, "<|eot_id|>"], "Second.<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: "First." in shown(app))
        await say(pilot, "two")
        await until(pilot, lambda: "two\n queued" in shown(app).replace("two\nqueued", "two\n queued"))
        go.set()
        await until(pilot, lambda: "Second." in shown(app))
        assert "queued" not in shown(app)
        assert [m.text for m in app.dialog if m.role == "user"] == ["one", "two"]


async def test_keys_echo_while_a_reply_streams():
    runtime = ScriptedRuntime(["word " * 4_000 + "<|eot_id|>"], context=50_000)
    app = make_app(open_runtime=lambda _: runtime, overrides={"max_tokens": 50_000})
    echoes: list[tuple[str, int]] = []

    def watch(message: Message) -> None:
        if isinstance(message, TextArea.Changed):
            echoes.append((app.prompt.text, len(app.dialog)))

    async with app.run_test(message_hook=watch) as pilot:
        await until(pilot, lambda: "loading" not in status(app))
        app.prompt.put("talk")
        app.prompt.submit()
        for key in "ab":
            app.post_message(Key(key, key))
        await until(pilot, lambda: len(app.dialog) == 3)
    assert echoes[-1] == ("ab", 2)  # two messages: the reply was still to come
    assert len(app.dialog[2].token_ids or ()) == 20_001


async def test_a_message_may_be_sent_while_the_model_loads():
    loaded = threading.Event()

    def open_slowly(_: str | None) -> ScriptedRuntime:
        loaded.wait()
        return ScriptedRuntime([HELLO])

    app = make_app(open_runtime=open_slowly)
    async with app.run_test() as pilot:
        await say(pilot, "hi")
        await until(pilot, lambda: "waits for the model" in shown(app))
        assert "loading nano" in status(app)
        loaded.set()
        await until(pilot, lambda: "Hello" in shown(app))


async def test_a_model_that_cannot_be_opened_is_said_and_nothing_is_lost():
    def fail(path: str | None) -> ScriptedRuntime:
        raise CheckpointError("There is no checkpoint.", "Give a folder.")

    app = make_app(open_runtime=fail)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "There is no checkpoint." in shown(app))
        assert "Give a folder." in shown(app)
        await say(pilot, "hi")
        await until(pilot, lambda: app.prompt.text == "hi")
        assert "There is no model to answer." in shown(app)


async def test_another_model_takes_over_and_a_broken_one_does_not():
    runtimes = {None: ScriptedRuntime([HELLO]), "other": ScriptedRuntime(["Ahoy.<|eot_id|>"])}

    def open_one(path: str | None) -> ScriptedRuntime:
        if path not in runtimes:
            raise CheckpointError(f"There is nothing in {path}.", "Give a folder.")
        return runtimes[path]

    app = make_app(open_runtime=open_one)
    async with app.run_test() as pilot:
        await say(pilot, "hi")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/model nowhere")
        await until(pilot, lambda: "There is nothing in nowhere." in shown(app))
        assert app.dialog[2].token_ids
        await say(pilot, "/model other")
        await until(pilot, lambda: "The model is now" in shown(app))
        assert app.dialog[2].token_ids is None
        await say(pilot, "again")
        await until(pilot, lambda: "Ahoy." in shown(app))


async def test_an_error_of_the_engine_keeps_the_partial_reply_and_the_app():
    failing = ["Half a sen", EngineError("The device is out of memory.", "Use a smaller context.")]
    app = make_app([failing, HELLO])
    async with app.run_test() as pilot:
        await say(pilot, "talk")
        await until(pilot, lambda: "out of memory" in shown(app))
        assert "Use a smaller context." in shown(app)
        assert app.dialog[2].text == "Half a sen"
        await say(pilot, "again")
        await until(pilot, lambda: "Hello" in shown(app))


async def test_a_prompt_longer_than_the_context_comes_back():
    app = make_app(open_runtime=lambda _: ScriptedRuntime([HELLO], context=100))
    async with app.run_test() as pilot:
        await say(pilot, "long " * 50)
        await until(pilot, lambda: app.prompt.text)
        assert app.prompt.text == "long " * 50
        assert len(app.dialog) == 0
        assert isinstance(app.transcript.views[-1], Notice)


async def test_hostile_text_is_shown_as_symbols_and_never_as_markup():
    nasty = "[bold]x[/] [red \x00 \x1b[31mred \u202eevil\u2066 \x9b2J <|eot_id|>"
    app = make_app([f"{nasty.replace('<|eot_id|>', '')} \u2028 done<|eot_id|>"])
    async with app.run_test(size=(120, 40)) as pilot:
        app.prompt.put(nasty + "\ud800")
        await pilot.press("enter")
        await until(pilot, lambda: "done" in shown(app))
        screen = shown(app)
        assert screen.count("[bold]x[/] [red ␀ ␛[31mred ⟪U+202E⟫evil⟪U+2066⟫ �2J") == 2
        assert not set(screen) & set("\x00\x1b\x9b\u202e\u2066\u2028\ud800")
        assert app.dialog[1].text == nasty + "\ud800"  # shown as symbols, sent as it is
        app.prompt.put("\x1b[2J\u202e\x00")
        await pilot.pause()
        assert "␛[2J�␀" in "".join(app.prompt.render_line(y).text for y in range(3))


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
        assert status(app).startswith("pirate")
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
        assert "no tools" in status(app)
        await say(pilot, "/tools on nothing")
        await until(pilot, lambda: "There is no tool 'nothing'." in shown(app))
        await say(pilot, "/persona nobody")
        await until(pilot, lambda: "There is no persona 'nobody'." in shown(app))
        await say(pilot, "/tolos")
        await until(pilot, lambda: "There is no command /tolos." in shown(app))
        assert "Did you mean /tools?" in shown(app)
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
        await until(pilot, lambda: "A reply is running." in shown(app))
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
        assert isinstance(app.focused, UserView)
        assert app.clipboard == "code, please"
        await pilot.press("down", "y")
        assert isinstance(app.focused, ReplyView)
        assert app.clipboard == "print(1)\n"
        assert "Copied 9 characters." in status(app)
        await pilot.press("x")  # what is typed belongs to the prompt
        assert app.prompt.text == "x"
        assert app.focused is app.prompt


async def test_selected_text_is_copied_by_ctrl_c():
    app = make_app(["one two three<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "count")
        await until(pilot, lambda: "one two three" in shown(app))
        reply = app.transcript.views[-1]
        await pilot.mouse_down(reply, offset=(6, 0))
        await pilot.hover(reply, offset=(8, 0))
        await pilot.mouse_up(reply, offset=(8, 0))
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


async def test_new_lines_and_pastes_stay_in_one_message():
    app = make_app([HELLO])
    async with app.run_test() as pilot:
        await pilot.press("a", "ctrl+j", "b", "shift+enter")
        app.post_message(Paste("c\nd"))
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: len(app.dialog) == 3)
        assert app.dialog[1].text == "a\nb\nc\nd"


async def test_the_transcript_follows_only_at_its_end():
    app = make_app(["line\n\n" * 60 + "<|eot_id|>", "more\n\n" * 20 + "end<|eot_id|>"])
    async with app.run_test(size=(60, 20)) as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: len(app.dialog) == 3)
        await until(pilot, lambda: app.transcript.scroll_y == app.transcript.max_scroll_y > 50)
        await pilot.press("pageup")
        await until(pilot, lambda: "more lines" in str(app.prompt.border_subtitle))
        place = app.transcript.scroll_y
        app.transcript.write("a late word\n\n" * 10)
        await until(pilot, lambda: "a late word" in shown(app))
        assert app.transcript.scroll_y == place
        await pilot.press("ctrl+end")
        await until(pilot, lambda: app.transcript.scroll_y == app.transcript.max_scroll_y)
        assert not app.prompt.border_subtitle


async def test_help_opens_and_closes():
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize("size", [(40, 10), (400, 120)])
async def test_it_works_in_small_and_large_terminals(size):
    app = make_app([CALL, HELLO])
    async with app.run_test(size=size) as pilot:
        await say(pilot, "What is 173 * 29 + 4?")
        await until(pilot, lambda: len(app.dialog) == 5)
        await until(pilot, lambda: "Hello, you." in shown(app))
        assert app.prompt.region.bottom <= size[1]
        assert app.status_line.region.height == 1
        await pilot.resize_terminal(60, 15)
        await pilot.pause()
        assert "Hello, you." in shown(app)


async def test_tools_are_closed_at_the_end():
    closed = []

    async def close() -> None:
        closed.append(True)

    app: LlamaChatApp = make_app(tools=(replace(PYTHON, close=close),))
    async with app.run_test() as pilot:
        await pilot.press("ctrl+q")
    assert closed == [True]
