"""Files in the prompt: completion of paths, what they cost before they are sent, and what is refused."""

from pathlib import Path

import pytest
from screen import make_app, say, shown, until

from llamachat.chat.mentions import complete_path, mentions, with_names
from llamachat.testing import ScriptedRuntime
from llamachat.tui import LlamaChatApp

pytestmark = pytest.mark.usefixtures("own_folders")

HELLO = "Hello.<|eot_id|>"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the chat is started."""
    place = tmp_path / "place"
    (place / "docs").mkdir(parents=True)
    (place / "data.csv").write_text("a,b\n1,2\n")
    (place / "my [notes].txt").write_text("llamas")
    (place / ".hidden").write_text("x")
    (place / "docs" / "deep.md").write_text("# Deep")
    (place / "photo.png").write_bytes(b"\x89PNG\r\n")
    monkeypatch.chdir(place)
    return place


def title(app: LlamaChatApp) -> str:
    found = app.prompt._border_title
    return found.plain if found else ""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("@", ["@data.csv", "@docs/", '@"my [notes].txt"', "@photo.png"]),
        ("what is in @DA", ["what is in @data.csv"]),
        ("@docs/", ["@docs/deep.md"]),
        ('@"docs/d', ['@"docs/deep.md"']),
        ("@.", ["@.hidden"]),
        ("@my", ['@"my [notes].txt"']),
        ('@"my [n', ['@"my [notes].txt"']),
        ("mail bob@da", []),
        ("@data.csv and", []),
        ("@nowhere/", []),
        ("@\0", []),
    ],
)
def test_paths_complete(text: str, lines: list[str]):
    assert [completion.text for completion in complete_path(text)] == lines


@pytest.mark.parametrize(
    ("text", "names", "bare"),
    [
        ("is @data.csv, big?", ["data.csv"], "is data.csv, big?"),
        ('see @"my [notes].txt" and @docs/deep.md.', ["my [notes].txt", "deep.md"], "see my [notes].txt and deep.md."),
        ("@docs and @nobody, a@data.csv", [], "@docs and @nobody, a@data.csv"),
        ("@" + "x" * 5000 + " @\0", [], "@" + "x" * 5000 + " @\0"),
    ],
)
def test_files_are_named_by_an_at(text: str, names: list[str], bare: str):
    found = mentions(text)
    assert [mention.path.name for mention in found] == names
    assert with_names(text, found) == bare


async def test_a_path_completes_by_tab_and_enter_and_is_then_sent():
    runtime = ScriptedRuntime([HELLO])
    app = make_app(open_runtime=lambda _: runtime)
    async with app.run_test() as pilot:
        await pilot.press(*"sum @da")
        assert app.completion_list.source == "data.csv"
        await pilot.press("tab")
        assert app.prompt.text == "sum @data.csv"
        await pilot.press(*" and @do", "enter")
        assert app.prompt.text == "sum @data.csv and @docs/"
        await pilot.press("enter")
        assert app.prompt.text == "sum @data.csv and @docs/deep.md"
        await until(pilot, lambda: "deep.md: 1 line" in title(app))
        assert title(app).startswith("data.csv: 1 row × 2 columns, ")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.dialog) == 3)
        assert app.dialog[1].text == "sum data.csv and deep.md"
        assert "a,b\n1,2" in runtime.tokenizer.decode(runtime.prompts[0])
        await until(pilot, lambda: "Attached: data.csv, deep.md" in shown(app))
        await until(pilot, lambda: title(app) == "")


async def test_a_path_completes_in_the_middle_of_a_message():
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press(*"see  now", *["left"] * 4, *"@da", "tab")
        assert app.prompt.text == "see @data.csv now"


async def test_a_picture_is_refused_before_it_is_sent():
    app = make_app([HELLO])
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, "what is on @photo.png?")
        await until(pilot, lambda: "photo.png is a picture" in shown(app))
        assert app.prompt.text == "what is on @photo.png?"
        assert len(app.dialog) == 0
        await until(pilot, lambda: "photo.png is a picture" in title(app))


async def test_attached_files_stand_in_the_title_and_come_back_with_an_unanswered_message():
    app = make_app(open_runtime=lambda _: ScriptedRuntime([HELLO], context=100))
    async with app.run_test(size=(100, 30)) as pilot:
        await say(pilot, '/attach "my [notes].txt"')
        await until(pilot, lambda: title(app) == "attached: my [notes].txt")
        await say(pilot, "too long " * 30)
        await until(pilot, lambda: app.prompt.text)
        await until(pilot, lambda: title(app) == "attached: my [notes].txt")
        app.prompt.text = ""
        await say(pilot, "/detach")
        await until(pilot, lambda: title(app) == "")


async def test_messages_keep_their_order_however_long_a_file_takes(folder: Path):
    (folder / "large.csv").write_text("a,b\n" + "1,2\n" * 100_000)
    app = make_app([HELLO] * 2)
    async with app.run_test() as pilot:
        await say(pilot, "read @large.csv")
        await say(pilot, "then this")
        await until(pilot, lambda: len(app.dialog) == 5)
        assert [m.text for m in app.dialog if m.role == "user"] == ["read large.csv", "then this"]
