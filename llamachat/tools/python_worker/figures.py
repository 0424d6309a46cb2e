"""Pictures that a cell shows: figures, PIL images and ``display``, kept as PNGs. Knows no pipe, screen or file.

Nothing here loads matplotlib; ``libraries`` calls ``connect`` when the code has.
"""

import base64
import importlib
import io
import sys
from types import ModuleType
from typing import Any

MAX_IMAGES = 8  # of a cell
MAX_PIXELS = 4_000_000  # of one figure
MAX_BYTES = 2_000_000  # of one image in base64
_SIGNATURE = b"\x89PNG\r\n\x1a\n"

images: list[str] = []
"""Base64 PNGs of the cell that runs."""
notes: list[str] = []
"""What the model should know of pictures it doesn't get."""
_drawn: set[int] = set()
"""Figures of this cell that are among the images."""


def connect(matplotlib: Any) -> None:
    """Make ``show`` what matplotlib calls, by a backend that is Agg in all else."""
    canvas = importlib.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg
    backend = ModuleType("llamachat_figures")
    vars(backend).update(show=show, FigureCanvas=canvas)
    sys.modules[backend.__name__] = backend
    matplotlib.use(f"module://{backend.__name__}")


def show(*_args: object, **_kwargs: object) -> None:
    """``plt.show()``, and the end of a cell: open figures become images and are closed."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    try:
        for manager in helpers.Gcf.get_all_fig_managers():
            keep_figure(manager.canvas.figure)
    finally:
        helpers.Gcf.destroy_all()


def keep_figure(figure: Any) -> None:
    """Add ``figure`` to the images; one that is too large is drawn again, with fewer dots."""
    _drawn.add(id(figure))
    if len(images) >= MAX_IMAGES:
        keep(b"")
        return
    width, height = figure.get_size_inches()
    dpi = min(figure.dpi, (MAX_PIXELS / max(width * height, 1e-3)) ** 0.5)
    png = _painted(figure, dpi)
    if not _fits(png):
        png = _painted(figure, dpi * 0.9 * (MAX_BYTES * 0.75 / len(png)) ** 0.5)
    keep(png)


def _painted(figure: Any, dpi: float) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def keep_value(value: Any) -> None:
    """Add the picture that ``value`` is, if it is one: a figure, a PIL image, or anything with ``_repr_png_``."""
    if type(value).__name__ == "Figure" and hasattr(value, "savefig"):
        if id(value) not in _drawn:
            keep_figure(value)
        return
    painter = getattr(type(value), "_repr_png_", None)
    data = painter(value) if callable(painter) else None
    if isinstance(data, bytes) and data.startswith(_SIGNATURE):
        keep(data)


def keep(png: bytes) -> None:
    """Add one PNG, if it and the number of images stay within bounds."""
    if len(images) >= MAX_IMAGES:
        notes[:] = [f"Only the first {MAX_IMAGES} figures of a cell are shown; use subplots, or show fewer."]
    elif not _fits(png):
        notes.append(f"A picture of {len(png):,} bytes is too large to be shown; make it smaller.")
    else:
        images.append(base64.b64encode(png).decode())


def take() -> tuple[list[str], list[str]]:
    """The cell's images and notes; the next cell begins with none."""
    found = (images[:], notes[:])
    images.clear()
    notes.clear()
    _drawn.clear()
    return found


def _fits(png: bytes) -> bool:
    return len(png) * 4 // 3 + 4 <= MAX_BYTES


def stay(*_args: object, **_kwargs: object) -> None:
    """``matplotlib.use`` and its like: there is one backend here."""


def display(*values: Any, **_options: Any) -> None:
    """ipython's display: pictures are shown, other things printed."""
    for value in values:
        before = len(images) + len(notes)
        keep_value(value)
        if len(images) + len(notes) == before:
            print(value if isinstance(value, Shown) else repr(value))


class Shown(str):
    """ipython's HTML, Markdown and their like: shown as their text."""

    __slots__ = ()

    def __new__(cls, data: object = "", *_args: object, **_kwargs: object) -> "Shown":
        return super().__new__(cls, data)


DISPLAY = {"display": display, "clear_output": stay} | dict.fromkeys(
    ("HTML", "Markdown", "Latex", "Math", "Pretty"), Shown
)
"""What ``IPython.display`` holds here."""
