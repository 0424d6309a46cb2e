"""The files of one session: what it is given, what it offers, and what must outlive a worker. Knows no process."""

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Artifact
from llamachat.tools.python_files import Offered, carry_over
from llamachat.tools.python_pool import base


@dataclass(slots=True)
class Home:
    """Made on first use, emptied by ``clear``."""

    _folder: Path | None = None
    _offered: Offered | None = None
    _names: list[str] = field(default_factory=list)
    _left: int | None = None
    """The scratch folder of a worker that is gone, as a descriptor: it is in memory, and lives as long as this."""
    _cells: int = 0
    shown: str = "/attached"
    """Where a worker sees the attached files."""

    @property
    def folder(self) -> Path:
        """Raises StorageError if it can't be made."""
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(dir=base()))
                (self._folder / "attached").mkdir(mode=0o755)
                self._offered = Offered(self._folder / "offered")
            except OSError as error:
                raise StorageError(
                    f"The python tool can't make its working folder: {error.strerror}.",
                    "Free some space, or set TMPDIR to a folder that can be written.",
                ) from error
        return self._folder

    def attach(self, path: Path, name: str, scratch: int | None) -> None:
        """Put a copy of ``path`` where workers see it, and a link to it into ``scratch`` if there is one."""
        target = self.folder / "attached" / name
        taken = name in (".", "..") or Path(name).name != name or "\0" in name or target.exists()
        if taken or (scratch is not None and not self._link(name, scratch)):
            raise ConfigError(f"A file can't be attached as {name!r}.", "Choose another name.")
        try:
            shutil.copyfile(path, target)
            target.chmod(0o444)
        except OSError as error:
            raise StorageError(f"{path} can't be attached: {error.strerror}.", "Check it, and the disk.") from error
        self._names.append(name)

    def move_in(self, scratch: int) -> None:
        """Fill the scratch folder of a new worker: links to what is attached, and the files of the worker before."""
        assert self._offered
        for name in self._names:
            self._link(name, scratch)
        if self._left is not None:
            carry_over(self._left, scratch)
            self._close_left()
        else:
            self._offered.seen.clear()
        self._offered.mark(scratch)

    def keep(self, scratch: int) -> None:
        """Hold on to the scratch folder of a worker that is about to go."""
        self._close_left()
        self._left = os.dup(scratch)

    def collect(self, scratch: int, images: tuple[bytes, ...]) -> tuple[list[Artifact], int]:
        """The figures and new files of a cell, copied out, and how many were left out."""
        assert self._offered
        self._cells += 1
        numbers = [
            f"{self._cells}" if len(images) == 1 else f"{self._cells}-{place}" for place in range(1, len(images) + 1)
        ]
        figures = [self._offered.figure(image, number) for image, number in zip(images, numbers, strict=True)]
        files, left_out = self._offered.collect(scratch)
        return [*filter(None, figures), *files], left_out + figures.count(None)

    def clear(self) -> None:
        """Remove everything."""
        self._close_left()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._offered = None
        self._names.clear()

    def _close_left(self) -> None:
        if self._left is not None:
            os.close(self._left)
            self._left = None

    def _link(self, name: str, scratch: int) -> bool:
        with contextlib.suppress(OSError, ValueError):
            os.symlink(f"{self.shown}/{name}", name, dir_fd=scratch)
            return True
        return False
