"""The transcript by its own door: what is drawn, where it stays, what keys and clicks mean."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from llamachat.messages import StopReason, ToolCall, ToolResult
from llamachat.widgets import STYLESHEET
from llamachat.widgets.column import KEPT_ROWS
from llamachat.widgets.heights import Heights
from llamachat.widgets.look import Look, dress
from llamachat.widgets.message import ReplyView, UserView
from llamachat.widgets.toolcard import ToolCard
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.view import View

FIT = (60, Look())
CALL = ToolCall("python", {"code": "\n".join(f"x{i} = {i}" for i in range(30))})
REPLY = (
    "Some **text**\n\n- a\n- b\n\n```python\nx = 1\n\ny = 2\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$$\na_1\n$$\nend"
)


class Alone(App[None]):
    """A transcript and nothing else; ``heard`` holds what it posted."""

    CSS_PATH = STYLESHEET
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        dress(self)
        self.transcript = Transcript()
        self.heard: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.transcript

    def on_transcript_copy(self, event: Transcript.Copy) -> None:
        self.heard.append((event.what, event.text))

    def on_transcript_open_file(self, event: Transcript.OpenFile) -> None:
        self.heard.append(event.path)


@asynccontextmanager
async def alone(*views: View, size: tuple[int, int] = (60, 20)) -> AsyncIterator[tuple[Transcript, Pilot[None]]]:
    app = Alone()
    async with app.run_test(size=size) as pilot:
        app.transcript.load(views)
        await pilot.pause()
        yield app.transcript, pilot


async def until(pilot: Pilot[None], happened: Callable[[], object]) -> None:
    for _ in range(1000):
        if happened():
            return
        await pilot.pause(0.01)
    raise AssertionError("It never happened.")


def window(transcript: Transcript) -> list[str]:
    return [transcript.render_line(y).text.rstrip() for y in range(transcript.size.height)]


def dialog(turns: int) -> list[View]:
    """Messages of very different length, their heights badly guessed."""
    return [
        view
        for i in range(turns)
        for view in (
            UserView(f"question {i} " + "why? " * (i % 40), i),
            ReplyView(f"answer {i}\n\n" + "- item of a list\n" * (i % 7) + "| a | b |\n|-|-|\n" * (i % 3), -i - 1),
        )
    ]


def card(result: ToolResult) -> ToolCard:
    """A call that has ended; nobody knows how long it took."""
    shown = ToolCard()
    shown.start(result.call, result.call.name)
    shown.end(result, None)
    return shown


def drawn(transcript: Transcript) -> list[View]:
    return [view for view in transcript.all_views if view.lines is not None]


# ── numbers and lines ────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    heights=st.lists(st.integers(0, 9), max_size=40),
    changes=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 9)), max_size=20),
    cut=st.integers(0, 40),
    row=st.integers(0, 300),
)
def test_heights_are_those_of_a_plain_list(heights, changes, cut, row):
    tree = Heights(heights)
    for index, height in changes:
        if index < len(heights):
            tree[index] = heights[index] = height
    del heights[cut:]
    tree.truncate(cut)
    tree.append(3)
    heights.append(3)
    tops = [sum(heights[:i]) for i in range(len(heights) + 1)]
    assert [tree.top(i) for i in range(len(heights) + 1)] == tops
    expected = next((i for i in range(len(heights)) if tops[i] <= row < tops[i + 1]), len(heights))
    assert tree.find(row) == (expected, row - tops[expected])


texts = st.lists(st.sampled_from([REPLY, "x = 1\n", "word " * 30, "\n", "`", "$$", "a_b*c*", "| a |"]), max_size=9)
sizes = st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=40)


@pytest.mark.parametrize("kind", [ReplyView, ToolCard])
@given(texts=texts, sizes=sizes, opened=st.booleans())
def test_streaming_in_any_chunks_ends_with_the_lines_of_drawing_at_once(kind, texts, sizes, opened):
    text, start = "".join(texts), 0
    streamed, whole = kind(), kind()
    streamed.opened = whole.opened = opened
    streamed.render(FIT)
    for size, looked in sizes:
        streamed.write(text[start : start + size])
        start += size
        if looked:
            before = list(streamed.lines)
            changed = streamed.update(FIT)
            assert streamed.lines[:changed] == before[:changed]
    streamed.write(text[start:])
    whole.write(text)
    streamed.update(FIT)
    whole.render(FIT)
    if kind is ToolCard:
        for card in (streamed, whole):
            card.start(CALL, "python")
            card.end(ToolResult(CALL, f"completed\n[stdout]\n{text}\n[/stdout]"), 0.1)
            card.update(FIT)
    assert [(line.plain, line.spans) for line in streamed.lines] == [(line.plain, line.spans) for line in whole.lines]


async def test_a_streamed_turn_ends_with_the_screen_of_a_loaded_one():
    async with alone(size=(60, 80)) as (transcript, pilot):
        transcript.ask("hi")
        for start in range(0, len(REPLY), 7):
            transcript.write(REPLY[start : start + 7])
            await pilot.pause()
        transcript.end_reply(StopReason.end_of_turn)
        transcript.write_call("x0 = 0\n")
        transcript.start_call(CALL, "python")
        transcript.end_call(ToolResult(CALL, "completed"), 0.0)
        transcript.flush()
        streamed = window(transcript)
        transcript.load([UserView("hi"), ReplyView(REPLY), card(ToolResult(CALL, "completed"))])
        assert [row.replace("✓ 0.0 s", "✓") for row in streamed] == window(transcript)


async def test_a_very_long_reply_comes_in_as_if_it_streamed():
    text = "A line of a long reply, *quite* long.\n\n" * 2_000
    async with alone() as (transcript, pilot):
        view = ReplyView(text)
        transcript.load([view])
        assert 0 < len(view.lines) < 1_000
        await until(pilot, lambda: len(view.lines) == 3_999)
        assert transcript.virtual_size.height == 4_000
        assert window(transcript)[-1].endswith("quite long.")


# ── what is drawn, and where it stays ────────────────────────────────────────────────────────────────────────────────


async def test_of_a_long_dialog_only_what_is_in_sight_is_drawn():
    async with alone(*dialog(1_000)) as (transcript, _):
        assert len(transcript.all_views) == 2_000
        assert len(drawn(transcript)) <= 12
        assert any("answer 999" in row for row in window(transcript))
        transcript.do("home")
        assert window(transcript)[1] == "▌ question 0"
        assert len(drawn(transcript)) <= 30


async def test_guessed_heights_are_put_right_without_moving_what_is_read():
    async with alone(*dialog(300)) as (transcript, pilot):
        await pilot.press("shift+tab")
        for _ in range(20):
            before = window(transcript)
            transcript.do("page_up")
            above = window(transcript)
            transcript.do("page_down")
            assert window(transcript) == before
            transcript.do("page_up")
            assert window(transcript) == above
        rows: list[str] = []
        transcript.do("home")
        while transcript.scroll_y < transcript.max_scroll_y:
            rows += window(transcript)
            transcript.do("page_down")
        text = "\n".join(rows)
        places = [text.index(f"question {i} why?" if i % 40 else f"question {i}") for i in range(1, 290)]
        assert places == sorted(places)
        assert sum(len(view.lines) for view in drawn(transcript)) <= KEPT_ROWS + 100


async def test_memory_is_bounded_while_one_walks_through_a_long_dialog():
    async with alone(*dialog(1_500), size=(60, 100)) as (transcript, _):
        transcript.do("home")
        for _ in range(100):
            transcript.do("page_down")
        assert sum(len(view.lines) for view in drawn(transcript)) <= KEPT_ROWS + 100


async def test_a_resize_keeps_the_message_on_top_and_the_end_at_the_end():
    async with alone(*dialog(100)) as (transcript, pilot):
        await pilot.resize_terminal(40, 20)
        await until(pilot, lambda: transcript.size.width < 40)
        assert any("answer 99" in row for row in window(transcript))
        transcript.reveal(transcript.find(50))
        await pilot.resize_terminal(90, 20)
        await until(pilot, lambda: transcript.size.width > 60)
        assert transcript.at(0)[0] is transcript.find(50)


async def test_a_message_can_be_revealed_at_once_even_before_there_is_a_window():
    views = dialog(500)
    app = Alone()
    app.transcript.load(views)
    app.transcript.reveal(views[600])
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: app.transcript.at(0)[0] is views[600])
        app.transcript.load(dialog(400))
        other = app.transcript.find(100)
        app.transcript.reveal(other)
        assert app.transcript.at(0)[0] is other


async def test_it_follows_at_the_end_and_only_there():
    async with alone(*dialog(50)) as (transcript, pilot):
        transcript.write("one\n\n" * 50)
        await until(pilot, lambda: window(transcript)[-1].endswith("one"))
        transcript.do("page_up")
        before = window(transcript)
        transcript.write("two\n\n" * 50)
        await until(pilot, lambda: transcript.max_scroll_y - transcript.scroll_y > 100)
        assert window(transcript) == before
        transcript.do("end")
        await until(pilot, lambda: window(transcript)[-1].endswith("two"))


async def test_earlier_messages_can_be_put_before_and_later_ones_cut_off():
    views = dialog(60)
    async with alone(*views[80:]) as (transcript, _):
        before = window(transcript)
        transcript.prepend(views[:80])
        assert window(transcript) == before
        transcript.do("home")
        assert "question 0" in window(transcript)[1]
        transcript.truncate(10)
        assert transcript.all_views == tuple(views[:21])
        assert transcript.find(11) is None
        with pytest.raises(KeyError):
            transcript.truncate(11)
        transcript.truncate(3, inclusive=True)
        transcript.drop(transcript.find(1))
        assert [view.key for view in transcript.views] == [0, -1, -2, 2, -3]
        transcript.give_key(transcript.views[0], "new")
        assert transcript.find("new") is views[0]
        assert transcript.find(0) is None


async def test_labels_and_marks_are_shown():
    async with alone(UserView("hi", "a"), size=(40, 10)) as (transcript, pilot):
        view = transcript.find("a")
        view.label, view.mark = "‹2/3›", "queued"
        await until(pilot, lambda: "▌ queued" in window(transcript))
        assert window(transcript)[:3] == ["‹2/3›".rjust(36), "▌ hi", "▌ queued"]
        view.label = view.mark = ""
        await until(pilot, lambda: window(transcript)[:3] == ["▌ hi", "", ""])


# ── keys, clicks, selection ──────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_walk_copy_and_unfold():
    called = card(ToolResult(CALL, "completed"))
    reply = ReplyView("See\n\n```python\nprint(1)\n```\n")
    async with alone(UserView("hello"), called, reply, size=(60, 60)) as (transcript, pilot):
        await pilot.press("tab", "c", "y", "up", "y", "enter")
        await until(pilot, lambda: "  x29 = 29" in "\n".join(window(transcript)))
        await pilot.press("space", "k", "c", "j")
        assert transcript.chosen is called
        assert pilot.app.heard == [
            ("message", reply.source),
            ("code", "print(1)\n"),
            ("code", CALL.arguments["code"]),
            ("message", "hello"),
        ]
        await until(pilot, lambda: "more lines" in "\n".join(window(transcript)))
        await pilot.click(transcript, offset=(8, 3))  # the head of the card
        await until(pilot, lambda: "more lines" not in "\n".join(window(transcript)))


async def test_a_selection_over_messages_stays_on_its_words():
    async with alone(*dialog(40)) as (transcript, pilot):
        transcript.reveal(transcript.find(20))
        await pilot.pause()
        rows = window(transcript)
        start = next(y for y, row in enumerate(rows) if "question" in row)
        end = next(y for y, row in enumerate(rows) if "answer" in row and y > start)
        await pilot.mouse_down(transcript, offset=(3, start))
        await pilot.hover(transcript, offset=(3 + 5, end))
        await pilot.mouse_up(transcript, offset=(3 + 5, end))
        selected = pilot.app.screen.get_selected_text()
        assert selected.startswith("question 20")
        assert selected.splitlines()[-1] == "answer"
        transcript.do("home")
        transcript.do("end")
        assert pilot.app.screen.get_selected_text() == selected


async def test_a_double_click_selects_one_message():
    async with alone(UserView("one two"), UserView("three"), size=(60, 20)) as (transcript, pilot):
        await pilot.click(transcript, offset=(5, 1), times=2)
        assert pilot.app.screen.get_selected_text() == "one two"


def test_the_head_of_a_card_says_how_far_it_is():
    def head() -> str:
        return shown.draw(*FIT)[0].plain

    shown = ToolCard()
    shown.write("x = 1")
    assert head() == "● writing a call  …"
    shown.start(CALL, "my\npython")
    assert head() == "● my␊python  running …"
    shown.abandon()
    assert head() == "● my␊python  ✗ interrupted"
    shown.end(ToolResult(CALL, "completed"), 0.25)
    assert head() == "● my␊python  ✓ 0.2 s"
    shown.abandon()
    assert head() == "● my␊python  ✓ 0.2 s"
