"""Pictures by kitty's protocol: what is sent, once, what stands for it, and that the terminal gets rid of it."""

import os
import pty
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest
from kitty_terminal import KittyTerminal
from PIL import Image, ImageCms
from rich.console import Console
from rich.terminal_theme import MONOKAI
from screen import make_app
from test_pictures import HOSTILE, hostile, plotted, png
from test_transcript import Alone, until, window
from textual.app import App
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection
from textual.strip import Strip

from llamachat.config import Config, UiConfig
from llamachat.messages import Artifact
from llamachat.widgets.caller import gallery_of
from llamachat.widgets.column import KEPT_ROWS
from llamachat.widgets.gallery import IDLE, Gallery, KittyGallery
from llamachat.widgets.kitty import CHUNK, MARKS, PLACEHOLDER, cells, ids, speaks_kitty, transmit
from llamachat.widgets.pictures import CELL, HIGHEST, WIDEST, bitmap
from llamachat.widgets.transcript import Transcript
from llamachat.widgets.view import View


def noise(path: Path, size: tuple[int, int]) -> str:
    """A picture that no PNG makes smaller."""
    Image.frombytes("RGB", size, random.Random(0).randbytes(3 * size[0] * size[1])).save(path, "PNG")
    return str(path)


def plot(path: str) -> Artifact:
    return Artifact(Path(path).name, "image/png", path)


@pytest.fixture
def true_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY", "ZELLIJ", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.setenv("COLORTERM", "truecolor")


@asynccontextmanager
async def in_kitty(
    *views: View, size: tuple[int, int] = (60, 30)
) -> AsyncIterator[tuple[KittyTerminal, Transcript, Pilot[None]]]:
    """A transcript whose pictures go to a kitty."""
    app = Alone()
    terminal = KittyTerminal()
    async with app.run_test(size=size) as pilot:
        assert app._driver
        app._driver.write = terminal.feed  # type: ignore[method-assign]
        app.transcript.gallery = gallery_of(app, "kitty")
        app.transcript.load(views)
        await pilot.pause()
        yield terminal, app.transcript, pilot


def show(terminal: KittyTerminal, transcript: Transcript) -> None:
    """Write the window; a headless driver doesn't."""
    for y in range(transcript.size.height):
        terminal.feed(transcript.render_line(y).render(transcript.app.console))


def test_rows_and_columns_are_named_as_others_name_them():
    """In a process of its own: where there is a terminal, the import asks it, and may swallow keys."""
    code = "from textual_image.renderable.tgp import _NUMBER_TO_DIACRITIC as n; print(*map(hex, n[:80]))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert [int(number, 16) for number in found.stdout.split()] == [ord(mark) for mark in MARKS]
    assert len(MARKS) >= max(WIDEST, HIGHEST)


@pytest.mark.usefixtures("true_colours")
async def test_a_picture_is_sent_once_and_every_cell_of_it_is_shown(tmp_path):
    card = plotted(plot(noise(tmp_path / "plot.png", (640, 480))))
    async with in_kitty(card, size=(80, 40)) as (terminal, transcript, pilot):
        [(id, image)] = terminal.images.items()
        assert image.size == (640, 480)
        assert terminal.placements[id] == (64, 24)
        show(terminal, transcript)
        assert terminal.whole(id)
        assert window(transcript)[3].startswith("    " + PLACEHOLDER)
        await pilot.press("tab", "enter", "enter")
        card.label = "‹1/2›"
        await pilot.resize_terminal(80, 30)
        await pilot.pause(0.1)
        show(terminal, transcript)
        assert terminal.said == [f"t{id}"]


@pytest.mark.parametrize("size", [(3000, 200), (200, 3000), (3, 3), (1, 1), (799, 481)])
def test_pictures_are_scaled_to_the_cells_that_they_take(tmp_path, size):
    made = bitmap(noise(tmp_path / "a.png", size), 100)
    assert made
    terminal = KittyTerminal()
    codes = transmit(7, made.png, made.columns, made.rows)
    terminal.feed("".join(codes))
    width, height = terminal.images[7].size
    assert width <= size[0]
    assert height <= max(size[1], 2)
    assert 0 <= made.columns * CELL[0] - width < CELL[0]
    assert 0 <= made.rows * CELL[1] - height < CELL[1]
    assert made.columns <= WIDEST
    assert made.rows <= HIGHEST
    assert len(codes) == -(-len(made.png) // (CHUNK // 4 * 3)) + 1


async def test_256_colours_name_pictures_too(tmp_path, monkeypatch, true_colours):
    monkeypatch.delenv("COLORTERM")
    cards = [plotted(plot(noise(tmp_path / f"{i}.png", (30, 20)))) for i in range(5)]
    async with in_kitty(*cards, size=(60, 40)) as (terminal, transcript, _):
        assert transcript.app.console.color_system == "256"
        show(terminal, transcript)
        assert len(terminal.images) == 5
        assert all(id < 256 and terminal.whole(id) for id in terminal.images)


def test_textual_and_rich_leave_the_ids_of_256_colours_alone():
    console, filtered = Console(color_system="256", force_terminal=True, _environ={}), ANSIToTruecolor(MONOKAI)
    pool = set(islice(ids(0, many=False), 300))
    assert len(pool) == 210
    for id in pool:
        terminal = KittyTerminal(placements={id: (1, 1)}, cells={id: set()})
        segments = filtered.apply(list(cells(id, 1, 1)[0].render(console)), Color(0, 0, 0))
        terminal.feed(Strip(segments).render(console))
        assert terminal.whole(id)


def test_when_all_colours_are_taken_blocks_stand_in(tmp_path):
    terminal = KittyTerminal()
    gallery = KittyGallery(terminal.feed, many=False)
    lines = [gallery.hang(i, noise(tmp_path / f"{i}.png", (2, 2)), 9)[0].plain for i in range(212)]
    assert len(terminal.images) == 210
    assert lines[-2:] == ["▀▀", "▀▀"]


def test_tmux_passes_every_code_on(tmp_path):
    sent: list[str] = []
    KittyGallery(sent.append, tmux=True).hang(0, noise(tmp_path / "a.png", (100, 100)), 80)
    [text] = sent
    head, *wrapped = text.split("\x1bPtmux;")
    assert head == ""
    assert len(wrapped) > 5
    terminal = KittyTerminal()
    for code in wrapped:
        assert code.endswith("\x1b\x1b\\\x1b\\")
        terminal.feed(code.removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b"))
    assert len(terminal.placements) == 1


def test_what_left_memory_leaves_the_terminal(tmp_path):
    terminal = KittyTerminal()
    gallery = KittyGallery(terminal.feed)
    paths = [png(tmp_path / f"{i}.png", (20, 20)) for i in range(IDLE + 4)]
    for i, path in enumerate(paths):
        gallery.hang(i, path, 9)
    assert len(terminal.images) == IDLE + 4  # all are shown
    sent = list(terminal.said)
    gallery.hang("another", paths[0], 9)
    for i in range(len(paths)):
        gallery.take_down(i)
    deleted = terminal.said[len(sent) :]
    assert deleted == [said.replace("t", "d") for said in sent[1:4]]  # the first has another owner
    gallery.close()
    assert not terminal.images


@pytest.mark.usefixtures("true_colours")
async def test_another_size_is_another_picture(tmp_path):
    async with in_kitty(plotted(plot(noise(tmp_path / "plot.png", (640, 480))))) as (terminal, transcript, pilot):
        [first] = terminal.images
        await pilot.resize_terminal(40, 30)
        await pilot.pause()
        second = next(id for id in terminal.images if id != first)
        assert terminal.placements[second][0] < terminal.placements[first][0] <= 55
        show(terminal, transcript)
        assert terminal.whole(second)
        assert not terminal.cells[first]


@pytest.mark.usefixtures("true_colours")
async def test_a_picture_that_comes_back_after_long_is_whole(tmp_path):
    cards = [plotted(plot(png(tmp_path / f"{i}.png", (100, 240)))) for i in range(80)]
    async with in_kitty(*cards, size=(60, 30)) as (terminal, transcript, pilot):
        show(terminal, transcript)
        last = next(reversed(terminal.images))
        while last in terminal.images:
            assert transcript.scroll_y > 0
            transcript.scroll_page_up(animate=False)
            await pilot.pause()
            show(terminal, transcript)  # fails at a cell whose picture isn't there
        assert len(terminal.images) <= IDLE + KEPT_ROWS // (8 * 12) + 3
        transcript.do("end")
        await pilot.pause()
        show(terminal, transcript)
        assert len(terminal.said) > len(set(said[1:] for said in terminal.said))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_never_reaches_the_terminal(tmp_path, name):
    path = tmp_path / "file.png"
    path.write_bytes(hostile(tmp_path)[name])
    sent: list[str] = []
    assert KittyGallery(sent.append).hang(0, str(path), 40) == []
    assert sent == []


def test_only_pixels_reach_the_terminal(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ("PNG", "JPEG", "WEBP"):
        path = tmp_path / name
        Image.new("RGB", (20, 20), "red").save(path, name, icc_profile=profile, exif=b"Exif\0\0MM\0*", comment=b"tEXt")
        terminal = KittyTerminal()  # which refuses all other chunks
        KittyGallery(terminal.feed).hang(0, str(path), 40)
        [image] = terminal.images.values()
        assert image.info == {}


@pytest.mark.usefixtures("true_colours")
async def test_a_terminal_that_was_lent_out_gets_its_pictures_again(tmp_path):
    async with in_kitty(plotted(plot(png(tmp_path / "plot.png", (40, 40))))) as (terminal, transcript, pilot):
        [id] = terminal.images
        terminal.images.clear()
        terminal.placements.clear()
        pilot.app.app_resume_signal.publish(pilot.app)
        await until(pilot, lambda: terminal.images)
        show(terminal, transcript)
        assert terminal.whole(id)


@pytest.mark.usefixtures("true_colours")
async def test_what_is_selected_stays_a_picture_and_is_not_copied(tmp_path):
    async with in_kitty(plotted(plot(png(tmp_path / "plot.png", (40, 40))))) as (terminal, transcript, pilot):
        for start in (0, 3 + 5):  # from the picture on, and from within a cell of it, which has three characters
            transcript.screen.selections = {transcript: Selection(Offset(start, start and 3), None)}
            await pilot.pause()
            show(terminal, transcript)
            assert terminal.whole(next(iter(terminal.images)))
            copied = pilot.app.screen.get_selected_text() or ""
            assert [line.split()[0] for line in copied.splitlines()] == (["▫"] if start else ["●", "plot()", "▫"])


@pytest.mark.usefixtures("own_folders", "true_colours")
async def test_exit_takes_all_pictures_out_of_the_terminal(tmp_path):
    app = make_app([], config=Config(ui=UiConfig(pictures="kitty")))
    terminal = KittyTerminal()
    async with app.run_test(size=(80, 50)) as pilot:
        assert app._driver
        app._driver.write = terminal.feed  # type: ignore[method-assign]
        app.transcript.put(*[plotted(plot(png(tmp_path / f"{i}.png", (40, 40)))) for i in range(3)])
        await until(pilot, lambda: len(terminal.images) == 3)
        app.exit()
        await until(pilot, lambda: not terminal.images)
    assert [said[0] for said in terminal.said] == ["t"] * 3 + ["d"] * 3


@pytest.mark.parametrize(
    ("facts", "speaks"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-ghostty"}, True),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x,1,0"}, False),
        ({"TERM": "xterm-kitty", "ZELLIJ": "0"}, False),
        ({"TERM": "screen", "STY": "1.x"}, False),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1", "TERM_PROGRAM": "ghostty"}, False),
        ({}, False),
    ],
)
def test_term_tells_who_knows_placeholders(facts, speaks):
    assert speaks_kitty(facts) is speaks


def test_the_setting_and_the_terminal_decide(monkeypatch, true_colours):
    def way(choice: str) -> type | None:
        found = gallery_of(App(), choice)
        return type(found) if found else None

    assert [way(choice) for choice in ("auto", "kitty", "blocks", "off")] == [KittyGallery, KittyGallery, Gallery, None]
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    assert (way("auto"), way("kitty")) == (Gallery, KittyGallery)
    monkeypatch.delenv("TMUX")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert (way("auto"), way("kitty")) == (Gallery, KittyGallery)
    monkeypatch.setenv("NO_COLOR", "1")
    assert way("kitty") is Gallery


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_pictures_kitty import Shown
Shown(sys.argv[2]).run()
"""


class Shown(Alone):
    """Shows one picture and leaves."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def on_ready(self) -> None:
        self.transcript.gallery = gallery_of(self, "auto")
        self.transcript.load([plotted(plot(self.path))])
        self.set_timer(0.5, self.exit)

    def on_exit_app(self) -> None:
        assert self.transcript.gallery
        self.transcript.gallery.close()


@pytest.mark.usefixtures("true_colours")
@pytest.mark.parametrize("colours", ["truecolor", ""])
def test_a_terminal_reads_it_in_this_order(tmp_path, colours):
    """Through Textual's own driver: the picture, its cells, its end, and only then the screen is left."""
    path = noise(tmp_path / "plot.png", (300, 200))
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), path],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"COLORTERM": colours, "COLUMNS": "80", "LINES": "40"},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # the other end is closed
        pass
    assert program.wait() == 0
    text = written.decode()
    terminal = KittyTerminal()
    shown, deleted, left = text.partition("\x1b_Ga=d")
    terminal.feed(shown)
    [id] = terminal.images
    assert terminal.whole(id)
    terminal.feed(deleted + left)
    assert not terminal.images
    assert "\x1b[?1049l" in left
    assert "\x1b[?1049l" not in shown
