"""Pictures as half blocks and as PNG for a terminal, and the caption of any file that a tool made. Knows Pillow; knows
no widget.

A file is foreign: only common formats are tried, nothing is decoded before its size is known, and what is torn or too
large gets a sentence in place of a picture. None of its bytes reach the terminal: what is sent is a PNG of our own.
"""

import io
import os
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from rich.text import Text

from llamachat.messages import Artifact
from llamachat.visible import visible

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
MOST_BYTES = 32 * 1024 * 1024
MOST_PIXELS = 16_000_000  # decoding them takes about 0.2 s; a figure of 10 × 8 inches at 300 dpi has 7,200,000
WIDEST, HIGHEST = 80, 24  # cells and rows
# Pixels of a cell, about; the terminal scales to its own. So matplotlib's default figure of 640 × 480 stays as it is.
CELL = (10, 20)
# What Pillow's decoders raise for torn and hostile files; its UnidentifiedImageError is an OSError.
TORN = (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, IndexError, TypeError, struct.error)
KEPT = 32  # pictures; each is at most 2 × WIDEST × HIGHEST coloured cells
KEPT_BITMAPS = 8  # each is at most 1.2 MB

Stamp = tuple[int, int]
"""Time of the last change in ns and bytes: a file that was written anew has another."""


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A PNG that was made here, and the cells that it fills."""

    png: bytes
    columns: int
    rows: int


def is_picture(media_type: str) -> bool:
    """Whether it is worth a try."""
    return media_type.startswith("image/") and "svg" not in media_type


def picture(path: str, width: int) -> list[Text]:
    """The picture in ``path``, at most ``width`` cells wide; empty if it can't be shown. Without colours it is grey."""
    version = stamp(path)
    return list(_drawn(path, version, min(width, WIDEST))) if version else []


def bitmap(path: str, width: int) -> Bitmap | None:
    """The picture in ``path``, at most ``width`` cells wide; None if it can't be shown."""
    version = stamp(path)
    return _bitmap(path, version, min(width, WIDEST)) if version else None


def stamp(path: str) -> Stamp | None:
    """Which version of the file ``path`` is there; None if there is none."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return stat.st_mtime_ns, stat.st_size


def caption(artifact: Artifact, *, unseen: bool = False) -> str:
    """Name, size, and how to see more; ``unseen``: a picture that should stand above it, and doesn't."""
    name = visible(artifact.name).replace("\n", "␊")
    try:
        size = os.stat(artifact.path).st_size
    except (OSError, ValueError):
        return f"▫ {name} · no longer there"
    why = " · can't be shown here" if unseen else ""
    return f"▫ {name} · {_readable(size)}{why} · o opens"


def _readable(size: int) -> str:
    return f"{size:,} B" if size < 1000 else f"{size / 1000:,.0f} kB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"


@lru_cache(KEPT)
def _drawn(path: str, version: Stamp, width: int) -> tuple[Text, ...]:
    """Two pixels of the image are one cell; a cell is about twice as high as it is wide."""
    image = _scaled(path, version[1], width, 2 * HIGHEST)
    return _half_blocks(image) if image else ()


@lru_cache(KEPT_BITMAPS)
def _bitmap(path: str, version: Stamp, width: int) -> Bitmap | None:
    image = _scaled(path, version[1], width * CELL[0], HIGHEST * CELL[1])
    if image is None:
        return None
    coded = io.BytesIO()
    image.save(coded, "PNG", compress_level=2)
    return Bitmap(coded.getvalue(), -(-image.width // CELL[0]), -(-image.height // CELL[1]))


def _scaled(path: str, size: int, width: int, height: int) -> "Image | None":
    """The picture in a file of ``size`` bytes, at most ``width`` × ``height`` pixels large; None if it isn't one."""
    from PIL import Image

    if size > MOST_BYTES or not Path(path).is_file():
        return None
    try:
        with warnings.catch_warnings(action="error"), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS or not image.width or not image.height:
                return None
            return _on_paper(image, min(width / image.width, height / image.height, 1.0))
    except (*TORN, Image.DecompressionBombError, Warning):
        return None


def _on_paper(image: "Image", scale: float) -> "Image":
    """The pixels of ``image`` and nothing else that it carries: Pillow would write its colour profile into our PNG."""
    from PIL import Image

    size = max(1, round(image.width * scale)), max(2, round(image.height * scale))
    if image.mode not in ("RGB", "RGBA", "L", "LA"):
        image = image.convert("RGBA")
    scaled = image.resize(size, reducing_gap=2.0).convert("RGBA")
    paper = Image.new("RGB", size, "white")  # figures with a transparent ground are made for white paper
    paper.paste(scaled, mask=scaled.getchannel("A"))
    return paper


def _half_blocks(image: "Image") -> tuple[Text, ...]:
    pixels = image.tobytes()
    width, height = image.size

    def colour(x: int, y: int) -> Color:
        start = 3 * (y * width + x)
        red, green, blue = pixels[start : start + 3]
        return Color.from_triplet(ColorTriplet(red, green, blue))

    lines = []
    for y in range(0, height, 2):
        line = Text(end="")
        for x in range(width):
            below = colour(x, y + 1) if y + 1 < height else None
            line.append("▀", Style(color=colour(x, y), bgcolor=below))
        lines.append(line)
    return tuple(lines)
