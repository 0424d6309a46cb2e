"""Pictures that tools made, as half blocks, and what becomes of files that are none."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from test_transcript import alone, card, until, window

from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.widgets.look import Look
from llamachat.widgets.pictures import HIGHEST, caption, picture
from llamachat.widgets.toolcard import ToolCard

CALL = ToolCall("python", {"code": "plot()"})


def png(path: Path, size: tuple[int, int], mode: str = "RGB", colour: object = "red") -> str:
    Image.new(mode, size, colour).save(path, "PNG")  # type: ignore[arg-type]
    return str(path)


def plotted(*artifacts: Artifact) -> ToolCard:
    return card(ToolResult(CALL, "completed", artifacts=artifacts))


def test_two_pixels_are_one_cell_and_large_pictures_fit(tmp_path):
    small = picture(png(tmp_path / "small.png", (4, 3)), 80)
    assert [line.plain for line in small] == ["▀▀▀▀", "▀▀▀▀"]
    assert str(small[0].spans[0].style) == "#ff0000 on #ff0000"
    assert str(small[1].spans[0].style) == "#ff0000"  # nothing is below the third row of pixels
    wide = picture(png(tmp_path / "wide.png", (1600, 400)), 60)
    assert (len(wide[0].plain), len(wide)) == (60, 8)
    assert len(picture(png(tmp_path / "high.png", (100, 4000)), 60)) == HIGHEST


def test_a_transparent_ground_becomes_paper(tmp_path):
    for mode, colour in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("1", 1)):
        lines = picture(png(tmp_path / f"{mode}.png", (2, 2), mode, colour), 10)
        assert str(lines[0].spans[0].style) == "#ffffff on #ffffff"


def test_pictures_can_be_left_out(tmp_path):
    plot = Artifact("plot.png", "image/png", png(tmp_path / "plot.png", (4, 4)))
    shown = plotted(plot)
    assert len(shown.draw(60, Look())) == 5
    shown.gallery = None
    lines = shown.draw(60, Look())
    assert [line.plain.strip() for line in lines[2:]] == [caption(plot)]


def test_a_picture_that_was_drawn_anew_is_shown_anew(tmp_path):
    path = png(tmp_path / "plot.png", (2, 2))
    assert len(picture(path, 10)) == 1
    png(tmp_path / "plot.png", (2, 8))
    assert len(picture(path, 10)) == 4


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


HOSTILE = ["empty", "text", "torn", "header", "bomb", "large", "no pixels", "wrong", "xbm"]


def hostile(folder: Path) -> dict[str, bytes]:
    whole = Path(png(folder / "whole.png", (90, 90))).read_bytes()
    header = b"\x89PNG\r\n\x1a\n"

    def bomb(side: int) -> bytes:
        data = zlib.compress(b"\0" * 1000)
        size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        return header + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    return {
        "empty": b"",
        "text": b"not a picture",
        "torn": whole[: len(whole) // 2],
        "header": whole[:20],
        "bomb": bomb(60_000),
        "large": bomb(10_000),
        "no pixels": bomb(0),
        "wrong": header + chunk(b"IHDR", b"\xff" * 13),
        "xbm": b"#define a_width 9\n#define a_height 9\nstatic char a_bits[] = {0};",
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(tmp_path, name):
    path = tmp_path / "file.png"
    path.write_bytes(hostile(tmp_path)[name])
    assert picture(str(path), 40) == []
    lines = plotted(Artifact("file.png", "image/png", str(path))).draw(60, Look())
    assert len(lines) == 3
    assert "can't be shown here · o opens" in lines[-1].plain


def test_captions_say_what_is_there(tmp_path):
    table = tmp_path / "table.csv"
    table.write_bytes(b"x" * 12_345)
    for artifact, expected in (
        (Artifact("table.csv", "text/csv", str(table)), "▫ table.csv · 12 kB · o opens"),
        (Artifact("a\nb\x1b", "text/csv", str(tmp_path / "gone")), "▫ a␊b␛ · no longer there"),
        (Artifact("nul", "image/png", "a\0b"), "▫ nul · no longer there"),
    ):
        assert caption(artifact) == expected
    assert picture("a\0b", 10) == picture(str(tmp_path), 10) == []


async def test_a_plot_stands_below_its_card_and_opens(tmp_path):
    path = png(tmp_path / "plot.png", (40, 20))
    async with alone(plotted(Artifact("plot.png", "image/png", path)), size=(60, 30)) as (transcript, pilot):
        rows = window(transcript)
        assert rows[3] == "    " + "▀" * 40
        assert rows[13].strip().startswith("▫ plot.png · ")
        await pilot.press("tab", "o")
        await pilot.click(transcript, offset=(10, 5))
        await until(pilot, lambda: pilot.app.heard == [path, path])
