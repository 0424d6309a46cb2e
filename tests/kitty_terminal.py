"""As much of a kitty as reads what a program sends for pictures, strictly: what its specification doesn't allow fails.

https://sw.kovidgoyal.net/kitty/graphics-protocol/
"""

import base64
import io
import re
from dataclasses import dataclass, field

from PIL import Image

from llamachat.widgets.kitty import MARKS, PLACEHOLDER

TOKEN = re.compile(
    r"\x1b_G(?P<graphics>[^\x1b]*)\x1b\\"
    r"|\x1b\[(?P<sgr>[0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\a\x1b]*(?:\a|\x1b\\)|\x1bP[^\x1b]*\x1b\\|\x1b[ -/]*[0-~]"
    r"|(?P<cell>\U0010eeee[^\x1b]{2})|(?P<character>[^\x1b])",
    re.DOTALL,
)
FIRST = {"a", "t", "f", "i", "q", "m"}


@dataclass
class KittyTerminal:
    """Pictures it holds, and the cells of them that were written."""

    images: dict[int, Image.Image] = field(default_factory=dict)
    placements: dict[int, tuple[int, int]] = field(default_factory=dict)
    cells: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    _colour: int = 0
    _half: tuple[int, str] | None = None

    def feed(self, text: str) -> None:
        """What the program writes."""
        place = 0
        while place < len(text):
            token = TOKEN.match(text, place)
            assert token, text[place : place + 80]
            place = token.end()
            if token["graphics"] is not None:
                self._graphics(token["graphics"])
            elif token["sgr"] is not None:
                self._sgr([int(part or 0) for part in token["sgr"].split(";")])
            elif token["cell"]:
                self._cell(token["cell"])
            else:
                assert token["character"] not in {PLACEHOLDER, *MARKS}

    def _graphics(self, code: str) -> None:
        head, _, payload = code.partition(";")
        keys = dict(pair.split("=") for pair in head.split(","))
        assert keys["q"] == "2", "an answer would come in as keys"
        if self._half is not None:
            self._chunk(*self._half, keys, payload)
        elif keys["a"] == "t":
            assert (keys.keys(), keys["t"], keys["f"]) == (FIRST, "d", "100")
            self.said.append(f"t{keys['i']}")
            self._chunk(int(keys["i"]), "", {"q": "2", "m": keys["m"]}, payload)
        elif keys["a"] == "p":
            assert keys.keys() == {"a", "U", "i", "c", "r", "q"}
            assert (int(keys["i"]) in self.images, keys["U"], payload) == (True, "1", "")
            self.placements[int(keys["i"])] = int(keys["c"]), int(keys["r"])
            self.cells[int(keys["i"])] = set()
        else:
            assert (keys.keys(), keys["a"], keys["d"], payload) == ({"a", "d", "i", "q"}, "d", "I", "")
            self.said.append(f"d{keys['i']}")
            del self.images[int(keys["i"])], self.placements[int(keys["i"])]

    def _chunk(self, id: int, before: str, keys: dict[str, str], payload: str) -> None:
        assert keys.keys() == {"q", "m"}
        assert 0 < len(payload) <= 4096
        assert len(payload) % 4 == 0
        self._half = (id, before + payload) if keys["m"] == "1" else None
        if keys["m"] == "0":
            data = base64.b64decode(before + payload, validate=True)
            assert set(re.findall(rb"IHDR|IDAT|IEND|iCCP|tEXt|zTXt|iTXt|eXIf|gAMA", data)) <= {
                b"IHDR",
                b"IDAT",
                b"IEND",
            }
            self.images[id] = Image.open(io.BytesIO(data), formats=["PNG"])
            self.images[id].load()

    def _sgr(self, codes: list[int]) -> None:
        match codes:
            case [*_, 38, 2, red, green, blue] | [38, 2, red, green, blue, *_]:
                self._colour = (red << 16) + (green << 8) + blue
            case [*_, 38, 5, number] | [38, 5, number, *_]:
                self._colour = number
            case [*_, 0] | [0, *_]:
                self._colour = 0

    def _cell(self, cell: str) -> None:
        """A cell must stand for a part of a picture that is there; what is in another colour shows nothing."""
        row, column = MARKS.index(cell[1]), MARKS.index(cell[2])
        columns, rows = self.placements[self._colour]
        assert row < rows
        assert column < columns
        self.cells[self._colour].add((row, column))

    def whole(self, id: int) -> bool:
        """Whether every cell of the picture was written."""
        columns, rows = self.placements[id]
        return self.cells[id] == {(row, column) for row in range(rows) for column in range(columns)}
