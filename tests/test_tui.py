"""The front room by its own door: what a turn does to the screen and to the dialog."""

import asyncio
import re
import threading
from dataclasses import replace

import pytest
from screen import PYTHON, make_app, say, shown, status, until
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from llamachat.errors import CheckpointError, EngineError
from llamachat.messages import Dialog, StopReason
from llamachat.testing import ScriptedRuntime
from llamachat.tui import LlamaChatApp
from llamachat.widgets.message import Notice

pytestmark = pytest.mark.usefixtures("own_folders")

CALL = "<|python_tag|>173 * 29 + 4<|eom_id|>"
HELLO = "Hello, **you**.<|eot_id|>"


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
        assert re.search(r"● python  ✓ \d+\.\d s\n", screen)
        assert "  173 * 29 + 4\n  → 5021" in screen
        await until(pilot, lambda: "ctx" in status(app))


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
        await until(pilot, lambda: "step 1/10" in status(app))
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
        await until(pilot, lambda: "not answered" in shown(app))


async def test_a_message_sent_while_a_reply_runs_waits_and_is_then_answered():
    go = asyncio.Event()
    app = make_app([["First.", go, "<|eot_id|>"], "Second.<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: "First." in shown(app))
        await say(pilot, "two")
        await until(pilot, lambda: "⧗ two\n  queued" in shown(app))
        go.set()
        await until(pilot, lambda: "Second." in shown(app))
        assert "queued" not in shown(app)
        assert [m.text for m in app.dialog if m.role == "user"] == ["one", "two"]


async def test_keys_echo_while_a_reply_streams():
    go = asyncio.Event()
    runtime = ScriptedRuntime([["word ", go, "word " * 3_999 + "<|eot_id|>"]], context=50_000)
    app = make_app(open_runtime=lambda _: runtime, overrides={"max_tokens": 50_000})
    echoes: list[tuple[str, int]] = []

    def watch(message: Message) -> None:
        if isinstance(message, TextArea.Changed):
            echoes.append((app.prompt.text, len(app.dialog)))

    async with app.run_test(message_hook=watch) as pilot:
        await say(pilot, "talk")
        await until(pilot, lambda: "word" in shown(app))
        go.set()
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
        await until(pilot, lambda: "waiting for the model" in shown(app))
        await until(pilot, lambda: "loading nano" in status(app))
        app.turns.loaded(0.4)
        await until(pilot, lambda: "loading nano … 40%" in status(app))
        loaded.set()
        await until(pilot, lambda: "Hello" in shown(app))


async def test_a_model_that_cannot_be_opened_is_said_and_nothing_is_lost():
    def fail(path: str | None) -> ScriptedRuntime:
        raise CheckpointError("There is no checkpoint.", "Give a folder.")

    app = make_app(open_runtime=fail)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "There is no checkpoint." in shown(app))
        await until(pilot, lambda: "Give a folder." in shown(app))
        await say(pilot, "hi")
        await until(pilot, lambda: app.prompt.text == "hi")
        await until(pilot, lambda: "There is no model to answer." in shown(app))


async def test_another_model_takes_over_and_a_broken_one_does_not():
    runtimes = {None: ScriptedRuntime([HELLO]), "other": ScriptedRuntime(["Ahoy.<|eot_id|>"])}

    def open_one(path: str | None) -> ScriptedRuntime:
        if path not in runtimes:
            raise CheckpointError(f"There is nothing in {path}.", "Give a folder.")
        return runtimes[path]

    runtimes["other"].name, runtimes["other"].notice = "other", "Replies come slower than they could."
    app = make_app(open_runtime=open_one)
    async with app.run_test() as pilot:
        await say(pilot, "hi")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/model nowhere")
        await until(pilot, lambda: "There is nothing in nowhere." in shown(app))
        assert app.dialog[2].token_ids
        await say(pilot, "/model other")
        await until(pilot, lambda: "The model is now" in shown(app))
        await until(pilot, lambda: "Replies come slower than they could." in shown(app))
        assert app.conversation.dialog[2].token_ids is None
        await say(pilot, "again")
        await until(pilot, lambda: "Ahoy." in shown(app))


async def test_an_error_of_the_engine_keeps_the_partial_reply_and_the_app():
    failing = ["Half a sen", EngineError("The device is out of memory.", "Use a smaller context.")]
    app = make_app([failing, HELLO])
    async with app.run_test() as pilot:
        await say(pilot, "talk")
        await until(pilot, lambda: "out of memory" in shown(app))
        await until(pilot, lambda: "Use a smaller context." in shown(app))
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


async def test_the_transcript_follows_only_at_its_end():
    app = make_app(["line\n\n" * 60 + "<|eot_id|>", "more\n\n" * 20 + "end<|eot_id|>"])
    async with app.run_test(size=(60, 20)) as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: len(app.dialog) == 3 and not app.conversation.busy)
        await until(pilot, lambda: app.transcript.scroll_y == app.transcript.max_scroll_y > 50)
        await pilot.press("pageup")
        await until(pilot, lambda: "more lines" in str(app.prompt.border_subtitle))
        place, end = app.transcript.scroll_y, app.transcript.max_scroll_y
        app.transcript.write("a late word\n\n" * 10)
        await until(pilot, lambda: app.transcript.max_scroll_y > end)
        assert app.transcript.scroll_y == place
        await pilot.press("ctrl+end")
        await until(pilot, lambda: app.transcript.scroll_y == app.transcript.max_scroll_y)
        await until(pilot, lambda: not app.prompt.border_subtitle)
        await until(pilot, lambda: "a late word" in shown(app))


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
        await until(pilot, lambda: "Hello, you." in shown(app))


async def test_tools_are_closed_at_the_end():
    closed = []

    async def close() -> None:
        closed.append(True)

    app: LlamaChatApp = make_app(tools=(replace(PYTHON, close=close),))
    async with app.run_test() as pilot:
        await pilot.press("ctrl+q")
    assert closed == [True]


async def test_a_card_unfolds_by_click_and_by_key():
    code = "\n".join(f"x{i} = {i}" for i in range(30))
    app = make_app([f"<|python_tag|>{code}<|eom_id|>", HELLO])
    async with app.run_test(size=(80, 60)) as pilot:
        await say(pilot, "compute")
        await until(pilot, lambda: "Hello" in shown(app))
        await until(pilot, lambda: "… 22 more lines" in shown(app))
        await pilot.click(app.transcript, offset=(3, 7))
        await until(pilot, lambda: "x29 = 29" in shown(app))
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "x29 = 29" not in shown(app))


async def test_the_theme_and_the_width_are_followed():
    app = make_app(["word " * 30 + "<|eot_id|>"])
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "talk")
        await until(pilot, lambda: "word" in shown(app))
        before = app.transcript.render_line(7)
        assert shown(app).count("\n") == 5
        for theme in ("ansi-dark", "textual-light"):
            app.theme = theme
            await pilot.pause()
        after = app.transcript.render_line(7)
        assert after.text == before.text
        assert after != before
        await pilot.resize_terminal(60, 30)
        await until(pilot, lambda: shown(app).count("\n") > 5)
