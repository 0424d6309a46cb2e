"""Pickers and questions: what is typed, and what comes of it."""

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from llamachat.chat.front import Choice
from llamachat.messages import ToolCall
from llamachat.widgets.picker import Picker
from llamachat.widgets.question import Question

CALL = ToolCall("send_mail", {"to": "ann@example.org", "text": "[bold]hi[/]\x1b[31m"})
CHOICES = [Choice("1", "How do llamas sleep?", "today"), Choice("2", "[/] odd title", "monday"), Choice("3", "Pirates")]


class Asks(App[None]):
    """An app that asks one question at second 100; ``clock`` is moved by the test."""

    def __init__(self, last_key: float = 0.0) -> None:
        super().__init__()
        self.now = 100.0
        self.last_key = last_key
        self.typed = ""

    @property
    def answers(self) -> list[tuple[str, str]]:
        answer = self.query_one(Question).answer
        return [(answer.result().scope, answer.result().reason)] if answer.done() else []

    def compose(self) -> ComposeResult:
        yield Question(CALL, "send_mail", "mail.py", self.last_key, clock=lambda: self.now)

    def on_question_typed(self, event: Question.Typed) -> None:
        self.typed += event.text


@pytest.mark.parametrize(
    ("key", "scope"), [("y", "once"), ("1", "once"), ("a", "session"), ("2", "session"), ("3", "always")]
)
async def test_one_key_answers(key: str, scope: str) -> None:
    app = Asks()
    async with app.run_test() as pilot:
        await pilot.press(key, key)
        assert app.answers == [(scope, "")]


async def test_no_takes_a_reason() -> None:
    app = Asks()
    async with app.run_test() as pilot:
        await pilot.press("n", *"not yet", "enter")
        assert app.answers == [("no", "not yet")]


async def test_keys_on_their_way_to_the_prompt_answer_nothing() -> None:
    app = Asks(last_key=99.8)
    async with app.run_test() as pilot:
        await pilot.press(*"yes a")
        assert app.answers == []
        assert app.typed == "yes a"
        app.now = 100.9  # less than a second after the last key
        await pilot.press("y")
        assert app.answers == []
        app.now = 102.0
        await pilot.press("y")
        assert app.answers == [("once", "")]


async def test_a_message_that_is_begun_before_the_question_answers_nothing() -> None:
    app = Asks()
    async with app.run_test() as pilot:
        await pilot.press(*"What any", "enter")
        assert app.answers == []
        assert app.typed == "What any"
        app.now = 101.1
        await pilot.press("a")
        assert app.answers == [("session", "")]


async def test_the_exact_call_is_shown_and_nothing_in_it_is_obeyed() -> None:
    app = Asks()
    async with app.run_test():
        shown = str(app.query_one("#asked Static", Static).render())
        assert r"[bold]hi[/]\u001b[31m" in shown
        assert "ann@example.org" in shown


class Picks(App[None]):
    """An app that shows one picker."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str | None] = []
        self.seen: list[str] = []

    def on_mount(self) -> None:
        self.push_screen(Picker("Sessions [x]", CHOICES, chosen="2", preview=self.seen.append), self.chosen.append)


def rows(pilot: Pilot[None]) -> int:
    return pilot.app.screen.query_one(OptionList).option_count


async def test_enter_takes_the_marked_row() -> None:
    app = Picks()
    async with app.run_test() as pilot:
        await pilot.press("enter")
        assert app.chosen == ["2"]


async def test_words_filter_in_any_order() -> None:
    app = Picks()
    async with app.run_test() as pilot:
        await pilot.press(*"TODAY llama")
        assert rows(pilot) == 1
        await pilot.press("enter")
        assert app.chosen == ["1"]


async def test_nothing_is_chosen_where_nothing_matches_or_on_escape() -> None:
    for keys in (("x", "y", "enter"), ("escape",)):
        app = Picks()
        async with app.run_test() as pilot:
            await pilot.press(*keys)
            assert app.chosen == [None]


async def test_arrows_move_while_the_filter_keeps_the_focus() -> None:
    app = Picks()
    async with app.run_test() as pilot:
        await pilot.press("down", "down", "up", "up", "up")
        assert isinstance(app.focused, Input)
        await pilot.press("enter")
        assert app.chosen == ["1"]


async def test_the_row_that_the_cursor_rests_on_is_previewed() -> None:
    app = Picks()
    async with app.run_test() as pilot:
        await pilot.press("down")
        while "3" not in app.seen:
            await pilot.pause(0.01)
        assert app.seen[-1] == "3"
