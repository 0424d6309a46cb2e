"""Asks the system for the bytes of a file that are needed next, while those before are worked on. Knows no tensors."""

import os
from pathlib import Path

PIECE = 2**20
WINDOW = 256 * PIECE
"""How far to read ahead, a second of a usual disk. The system takes a hint of about a piece at a time."""


class ReadAhead:
    """Hints for one file that is mapped and used from its start to its end; nothing where there are no such hints.

    Without them a core that turns numbers into others waits for the disk at each page, and the disk for the core.
    """

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDONLY) if hasattr(os, "posix_fadvise") else None
        self._size = file.stat().st_size
        self._used = self._asked = 0

    def use(self, size: int) -> None:
        """The next ``size`` bytes are about to be used. It is only a guess: other bytes are read all the same."""
        self._used += size
        end = min(self._used + WINDOW, self._size)
        while self._file is not None and self._asked < end:
            os.posix_fadvise(self._file, self._asked, PIECE, os.POSIX_FADV_WILLNEED)
            self._asked += PIECE

    def close(self) -> None:
        """Done with the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
