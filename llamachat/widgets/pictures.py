"""Pictures as lines of half blocks, and the caption of any file that a tool made. Knows Pillow; knows no widget.

A file is foreign: only common formats are tried, nothing is decoded before its size is known, and what is torn or too
large gets a sentence in place of a picture. Half blocks need no question to the terminal, which would delay the first
frame and swallow keys, so they are the same in tmux, over ssh and in a browser.
"""

import os
import struct
import warnings
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
# What Pillow's decoders raise for torn and hostile files; its UnidentifiedImageError is an OSError.
TORN = (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, IndexError, TypeError, struct.error)
KEPT = 32  # pictures; each is at most 2 × WIDEST × HIGHEST coloured cells


def is_picture(media_type: str) -> bool:
    """Whether it is worth a try."""
    return media_type.startswith("image/") and "svg" not in media_type


def picture(path: str, width: int) -> list[Text]:
    """The picture in ``path``, at most ``width`` cells wide; empty if it can't be shown. Without colours it is grey."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return []
    return list(_drawn(path, stat.st_mtime_ns, stat.st_size, min(width, WIDEST)))


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
def _drawn(path: str, changed: int, size: int, width: int) -> tuple[Text, ...]:
    """The lines; ``changed`` and ``size`` are there so that a file that was written anew is drawn anew."""
    from PIL import Image

    if size > MOST_BYTES or not Path(path).is_file():
        return ()
    try:
        with warnings.catch_warnings(action="error"), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS or not image.width or not image.height:
                return ()
            return _half_blocks(_scaled(image, width))
    except (*TORN, Image.DecompressionBombError, Warning):
        return ()


def _scaled(image: "Image", width: int) -> "Image":
    """Two pixels of the result are one cell; a cell is about twice as high as it is wide. Never larger than it was."""
    scale = min(width / image.width, 2 * HIGHEST / image.height, 1.0)
    size = max(1, round(image.width * scale)), max(2, round(image.height * scale))
    if image.mode not in ("RGB", "RGBA", "L", "LA"):
        image = image.convert("RGBA")
    scaled = image.resize(size, reducing_gap=2.0).convert("RGBA")
    paper = scaled.copy()
    paper.paste("white", (0, 0, *size))
    paper.alpha_composite(scaled)  # figures with a transparent ground are made for white paper
    return paper.convert("RGB")


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
