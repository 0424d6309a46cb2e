"""The transcript alone, cell by cell. After a wanted change: look at the report, then run with --snapshot-update."""

from collections.abc import Callable, Iterable

import pytest
from PIL import Image
from test_transcript import Alone, card
from textual.pilot import Pilot

from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.widgets.message import ReplyView, UserView
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.view import View

CALL = ToolCall("python", {"code": "plot(x, sin(x))"})
FORMULAS = "Here is \\(a_1 * b * c\\):\n\n$$\n- x_1 \\\\\n# y\n$$\n"

Do = Callable[[Transcript], None]


@pytest.fixture
def look(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compares the screen with ``views`` after ``do`` and ``press``."""

    def compare(views: Iterable[View], *press: str, do: Do = lambda _: None, size: tuple[int, int] = (80, 30)) -> bool:
        async def prepare(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, Alone)
            await pilot.pause()
            app.transcript.load(views)
            do(app.transcript)
            app.transcript.flush()
            await pilot.press(*press)
            await pilot.pause()

        return snap_compare(Alone(), terminal_size=size, run_before=prepare)

    return compare


def test_picture_files_and_formulas(look, tmp_path):
    plot, table = tmp_path / "plot.png", tmp_path / "table.csv"
    image = Image.linear_gradient("L").resize((40, 20))
    Image.merge("RGB", (image, image.rotate(180), image)).save(plot, compress_level=0)
    table.write_bytes(b"x" * 12_345)
    files = (("plot.png", "image/png", plot), ("table.csv", "text/csv", table), ("gone.png", "image/png", "no"))
    result = ToolResult(CALL, "completed", True, tuple(Artifact(name, kind, str(path)) for name, kind, path in files))
    assert look([UserView("Plot it."), card(result), ReplyView(FORMULAS)], "tab")


def test_long_dialog_scrolled_up_with_labels(look):
    def do(transcript: Transcript) -> None:
        first = transcript.find(490)
        assert first is not None
        first.label, first.mark = "1 control token shown as text · ‹2/3›", "not answered"
        transcript.choose(first)
        transcript.reveal(first)

    pairs = ((UserView(f"Question {i}?", i), ReplyView(f"Answer *{i}*.\n\n- a\n- b")) for i in range(500))
    assert look((view for pair in pairs for view in pair), "tab", "down", do=do)


def test_selected_message(look):
    views = [UserView("one"), ReplyView("```python\nx = 1\n```\n\ntwo **three**")]

    def do(transcript: Transcript) -> None:
        transcript.choose(views[1])
        transcript.text_select_all()

    assert look(views, do=do, size=(40, 14))
