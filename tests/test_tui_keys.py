"""Keys, themes, notifications and sizes: what the screen does around the dialog."""

import asyncio

import pytest
from screen import make_app, say, shown, until
from textual.color import Color
from textual.containers import ScrollableContainer
from textual.events import AppBlur, Key
from textual.widget import Widget
from textual.widgets import OptionList

from llamachat.config import Config, UiConfig
from llamachat.messages import Message
from llamachat.sessions import Conditions, Store
from llamachat.tui import LlamaChatApp
from llamachat.widgets.entry import Entry
from llamachat.widgets.help import HelpScreen
from llamachat.widgets.picker import Picker

pytestmark = pytest.mark.usefixtures("own_folders")

HELLO = "Hello.<|eot_id|>"
BLACK = Color(0, 0, 0)


def sent(app: LlamaChatApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the terminal besides the screen, from now on."""
    codes: list[str] = []
    assert app._driver
    monkeypatch.setattr(app._driver, "write", codes.append)
    return codes


async def test_actions_get_the_keys_that_the_config_names():
    app = make_app(config=Config(keys={"app.help": "f5,?", "transcript.up": "u"}))
    async with app.run_test() as pilot:
        await pilot.press("f1")
        assert not isinstance(app.screen, HelpScreen)
        await pilot.press("f5")
        assert isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"app.fly": "f5"}, "No action is called 'app.fly'."), ({"app.help": ""}, "app.help has no key.")],
)
async def test_a_keymap_that_makes_no_sense_is_said_and_the_keys_stay(keys: dict[str, str], said: str):
    app = make_app(config=Config(keys=keys))
    async with app.run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: said in shown(app))
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)


async def test_keys_that_come_together_act_in_their_order():
    app = make_app()
    async with app.run_test() as pilot:
        for key in (*"hello", "backspace", "backspace", "p", "left", "left", "X"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: "X" in app.prompt.text and "p" in app.prompt.text)
        assert app.prompt.text == "heXlp"


async def test_a_theme_is_seen_while_choosing_and_escape_puts_the_old_one_back():
    app = make_app()
    async with app.run_test() as pilot:
        await say(pilot, "/theme gruvbox")
        await until(pilot, lambda: app.theme == "gruvbox")
        await say(pilot, "/theme")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press(*"nord")
        await until(pilot, lambda: app.theme == "nord")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "gruvbox")
    app = make_app(config=Config(ui=UiConfig(theme="no such")))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "There is no theme 'no such'." in shown(app))
        assert app.theme == "llamachat"


async def test_without_colour_and_motion(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app([HELLO], config=Config(ui=UiConfig(reduced_motion=True)))
    async with app.run_test() as pilot:
        await say(pilot, "hi")
        await until(pilot, lambda: "Hello." in shown(app))
        assert app.animation_level == "none"
        drawn = app.screen._compositor.render_strips()
        styles = [segment.style for y in (3, 5, 20) for segment in drawn[y].apply_filter(app._filters[-1], BLACK)]
        colours = [c.triplet for style in styles if style for c in (style.color, style.bgcolor) if c and c.triplet]
        assert colours
        assert all(len(set(colour)) == 1 for colour in colours)  # grey


async def test_who_looks_elsewhere_is_called_at_the_end_of_a_long_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TMUX", raising=False)
    app = make_app([HELLO] * 2, config=Config(ui=UiConfig(notify_seconds=1e-9)))
    async with app.run_test() as pilot:
        codes = sent(app, monkeypatch)
        await say(pilot, "one")
        await until(pilot, lambda: len(app.dialog) == 3 and not app.conversation.busy)
        assert not any("]9;" in code for code in codes)
        app.prompt.put("two")
        app.post_message(AppBlur())
        app.prompt.submit()
        await until(pilot, lambda: len(app.dialog) == 5 and not app.conversation.busy)
        assert [code for code in codes if "]9;" in code] == ["\a\x1b]9;llamachat: the answer is there\a"]


async def test_what_was_asked_before_is_found_by_ctrl_r():
    app = make_app([HELLO] * 2)
    async with app.run_test() as pilot:
        for text in ("about llamas", "about [/] alpacas"):
            await say(pilot, text)
            await until(pilot, lambda: app.prompt.text == "" and not app.conversation.busy)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press(*"llamas", "enter")
        await until(pilot, lambda: app.prompt.text == "about llamas")


async def test_where_no_editor_can_run_it_is_said_and_the_prompt_stays():
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        app.prompt.put("draft")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "An editor needs a terminal" in shown(app))
        assert app.prompt.text == "draft"


async def test_settings_open_by_f2_and_one_is_changed():
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press(*"sampling.top_k", "enter")
        await until(pilot, lambda: isinstance(app.screen, Entry))
        await pilot.press(*"40", "enter")
        await until(pilot, lambda: "sampling.top_k is set in" in shown(app))


async def test_sessions_are_left_and_found_again_by_keys():
    store = Store()
    app = make_app([HELLO] * 2, store=store, session=store.create(""))
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "how do llamas sleep?")
        await until(pilot, lambda: len(app.dialog) == 3)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: len(app.dialog) == 0)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.dialog) == 3)
        await until(pilot, lambda: "how do llamas sleep?" in shown(app))
    store.close()


async def test_a_session_is_chosen_before_anything_is_said():
    store = Store()
    for title in ("llamas in peru", "alpacas"):
        session = store.create("")
        session.ask(Message("user", title), Conditions())
        session.close()
    app = make_app([HELLO], store=store, choose=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await until(pilot, lambda: app.screen.query_one("#picker").region.height == 5)  # no larger than two rows need
        rows = app.screen.query_one(OptionList)
        prompts = [str(rows.get_option_at_index(i).prompt) for i in (0, 1)]
        assert [prompt.split("  ")[0] for prompt in prompts] == ["alpacas", "llamas in peru"]
        assert store.sessions()[0].when in prompts[0]
        await pilot.press(*"peru")
        await until(pilot, lambda: rows.option_count == 1)
        assert app.screen.query_one("#picker").region.height == 5  # nothing moves
        await pilot.press("enter")
        await until(pilot, lambda: "llamas in peru" in shown(app))
        await say(pilot, "hi")
        await until(pilot, lambda: not app.conversation.busy and app.dialog[-1].text == "Hello.")
        assert [info.messages for info in store.sessions()] == [3, 1]
    store.close()


async def test_nothing_is_lost_where_no_session_is_chosen():
    store = Store()
    app = make_app([HELLO], store=store, session=store.create(""), choose=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "There is no other session." in shown(app))
        await say(pilot, "hi")
        await until(pilot, lambda: len(app.dialog) == 3)
    store.close()


async def test_a_shell_runs_only_where_it_is_allowed():
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "!echo two words")
        await until(pilot, lambda: "runs nothing here" in shown(app))
    app = make_app(config=Config(ui=UiConfig(shell=True)))
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "!printf '%s-' a b; exit 3")
        await until(pilot, lambda: "a-b-" in shown(app))
        await until(pilot, lambda: "ended with 3" in shown(app))
        assert len(app.dialog) == 0


async def test_a_queue_is_paused_by_escape_and_goes_on_by_enter():
    go = asyncio.Event()
    app = make_app([["First", go, " and more"], "Second.<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: "First" in shown(app))
        for text in ("two", "three"):
            await say(pilot, text)
        await until(pilot, lambda: "⧗ three" in shown(app))
        await pilot.press("up")
        assert app.prompt.text == "three"
        app.prompt.put("")
        await pilot.press("escape")
        await until(pilot, lambda: "paused: enter goes on" in shown(app))
        go.set()
        await until(pilot, lambda: len(app.dialog) == 3 and not app.conversation.busy)
        await pilot.press("enter")
        await until(pilot, lambda: "Second." in shown(app))
        assert [m.text for m in app.dialog if m.role == "user"] == ["one", "two"]


async def test_two_turns_are_never_taken_at_once():
    app = make_app([["First", asyncio.Event()]])
    async with app.run_test(size=(100, 40)) as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: "First" in shown(app))
        for command in ("/retry", "/continue", "/best 2", "/new", "/compact", "/tree"):
            await say(pilot, command)
        await until(pilot, lambda: shown(app).count("A message is being answered.") == 6)
        assert len(app.dialog) == 2
        assert app.conversation.busy


async def test_keys_of_the_chat_do_nothing_below_a_list():
    app = make_app([HELLO, "Hi.<|eot_id|>"])
    async with app.run_test() as pilot:
        await say(pilot, "one")
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/retry")
        await until(pilot, lambda: app.dialog[-1].text == "Hi.")
        app.prompt.put("draft")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await pilot.press("alt+left", "ctrl+c")
        await until(pilot, lambda: not isinstance(app.screen, Picker))
        assert app.dialog[-1].text == "Hi."
        assert app.prompt.text == "draft"


def at_help(app: LlamaChatApp) -> bool:
    return isinstance(app.screen, HelpScreen)


def outside(app: LlamaChatApp) -> list[Widget]:
    """Widgets that stick out of the screen, and that nobody could scroll to."""
    return [
        widget
        for widget in app.screen.walk_children()
        if widget.display
        and widget.region.intersection(app.screen.region) != widget.region
        and not any(isinstance(p, ScrollableContainer | OptionList) for p in widget.ancestors)
    ]


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (400, 120)])
async def test_everything_fits_every_size(size: tuple[int, int]):
    app = make_app([HELLO] * 2)
    async with app.run_test(size=size) as pilot:
        await say(pilot, "hi " * 50)
        await until(pilot, lambda: len(app.dialog) == 3)
        await say(pilot, "/retry")
        await until(pilot, lambda: len(app.dialog) == 3 and not app.conversation.busy)
        for opening in ("f1", "f2", "ctrl+r", "ctrl+t", "/tree", "/context", "/edit 1", "/rename", "/theme"):
            if opening.startswith("/"):
                await say(pilot, opening)
            else:
                await pilot.press(opening)
            await until(pilot, lambda: app.screen.is_modal and app.screen.focused)
            assert outside(app) == []
            size = size[::-1]
            await pilot.resize_terminal(*size)
            assert outside(app) == []
            await pilot.press("escape")
            await until(pilot, lambda: not app.screen.is_modal)
        app.prompt.put("line\n" * 100)
        await pilot.pause()
        assert outside(app) == []
