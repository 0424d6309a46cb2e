"""The files of one session: what it is given, what it offers, and what must outlive a worker. Knows no process."""

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Artifact
from llamachat.tools.python.files import Offered, carry_over
from llamachat.tools.python.zygotes import base
from llamachat.tools.tidy import remove_tree

MAX_NAME = 255  # bytes


@dataclass(frozen=True, slots=True)
class Room:
    """Where a worker lives, for the one who brings its files."""

    scratch: int
    """Descriptor of the folder that it works in."""
    attached: Path
    """What is put in here it can read …"""
    shown: str
    """… by this name."""

    def show(self, given: Path) -> bool:
        """Let the worker read a file of ours; whether its name was free."""
        with contextlib.suppress(OSError, ValueError):
            os.symlink(f"{self.shown}/{given.name}", given.name, dir_fd=self.scratch)
            os.link(given, self.attached / given.name)
            return True
        return False


@dataclass(slots=True)
class Home:
    """Made on first use, emptied by ``clear``."""

    _folder: Path | None = None
    _offered: Offered | None = None
    _given: list[Path] = field(default_factory=list)
    _room: Room | None = None
    _left: int | None = None
    """The scratch folder of a worker that is gone, as a descriptor: it is in memory, and lives as long as this."""
    _cells: int = 0

    @property
    def folder(self) -> Path:
        """Raises StorageError if it can't be made."""
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(dir=base()))
                (self._folder / "given").mkdir(mode=0o700)
                self._offered = Offered(self._folder / "offered")
            except OSError as error:
                raise StorageError(
                    f"The python tool can't make its working folder: {error.strerror}.",
                    "Free some space, or set TMPDIR to a folder that can be written.",
                ) from error
        return self._folder

    def attach(self, path: Path, name: str) -> None:
        """Take a copy of ``path`` for this worker and those to come. Raises ConfigError, StorageError."""
        given = self.folder / "given" / name
        if not _is_plain(name) or given.exists():
            raise ConfigError(f"A file can't be attached as {name!r}.", "Choose another name.")
        try:
            shutil.copyfile(path, given)
            given.chmod(0o444)
        except OSError as error:
            raise StorageError(f"{path} can't be attached: {error.strerror}.", "Check it, and the disk.") from error
        if self._room and not self._room.show(given):
            given.unlink()
            raise ConfigError(f"A file can't be attached as {name!r}.", "Choose another name.")
        self._given.append(given)

    def move_in(self, room: Room) -> None:
        """Fill the room of a new worker: what is attached, and the files of the worker before."""
        assert self._offered
        self._room = room
        for given in self._given:
            room.show(given)
        if self._left is not None:
            carry_over(self._left, room.scratch)
            self._close_left()
        self._offered.mark(room.scratch)

    def move_out(self) -> None:
        """Hold on to the scratch folder of a worker that is about to go."""
        if self._room:
            self._close_left()
            self._left = os.dup(self._room.scratch)
            self._room = None

    def collect(self, images: tuple[bytes, ...]) -> tuple[list[Artifact], int]:
        """The figures and new files of a cell, copied out, and how many were left out."""
        assert self._offered
        assert self._room
        self._cells += 1
        count = len(images)
        numbers = [str(self._cells) if count == 1 else f"{self._cells}-{place}" for place in range(1, count + 1)]
        figures = [self._offered.figure(image, number) for image, number in zip(images, numbers, strict=True)]
        files, left_out = self._offered.collect(self._room.scratch)
        return [*filter(None, figures), *files], left_out + figures.count(None)

    def clear(self) -> None:
        """Remove everything."""
        self._close_left()
        if self._folder:
            remove_tree(self._folder)
        self._folder = self._offered = self._room = None
        self._given.clear()

    def _close_left(self) -> None:
        if self._left is not None:
            os.close(self._left)
            self._left = None


def _is_plain(name: str) -> bool:
    """Whether a file in a folder can be called so."""
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        return False
    return "\0" not in name and Path(name).name == name and name not in ("", ".", "..") and size <= MAX_NAME
