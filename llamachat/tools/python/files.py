"""Files between the scratch folder and the host: what is new is copied out, what was there is carried over. No names
are trusted: every step goes from an open folder to a plain entry of it, links are never followed, fifos never opened.
"""

import contextlib
import mimetypes
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from llamachat.messages import Artifact

MAX_FILES, MAX_FILE, MAX_TOTAL = 20, 32 << 20, 256 << 20
"""Files of one cell that are offered; bytes of one; bytes of a session."""
_MAX_ENTRIES, _MAX_DEPTH = 5000, 8  # of a scratch folder that are looked at

Stamp = tuple[int, int, int]
"""What changes when a file does: inode, size in bytes, mtime in ns."""
_MEDIA = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".json": "application/json",
    ".parquet": "application/octet-stream",
}


@dataclass(slots=True)
class Offered:
    """The files of a session that are copied out for its user, into a private folder."""

    folder: Path
    total: int = 0
    seen: dict[str, Stamp] = field(default_factory=dict)

    def figure(self, image: bytes, number: str) -> Artifact | None:
        """Keep a PNG; None if the session has had its share."""
        return self._keep(f"figure-{number}.png", image, "image/png")

    def collect(self, scratch: int) -> tuple[list[Artifact], int]:
        """What is new in the scratch folder since the last call, and how many files were left out for their size or
        number."""
        found: list[Artifact] = []
        left_out = 0
        for name, entry, folder in _walk(scratch):
            if name.startswith(".") or "/." in name:
                continue
            try:
                stamp = _stamp(entry, folder)
            except OSError:  # a thread of the code took it away
                continue
            if self.seen.get(name) == stamp:
                continue
            self.seen[name] = stamp
            data = _read(entry, folder) if len(found) < MAX_FILES else None
            artifact = None if data is None else self._keep(name, data, _media_type(name))
            if artifact:
                found.append(artifact)
            else:
                left_out += 1
        return found, left_out

    def mark(self, scratch: int) -> None:
        """Take what is in the scratch folder now for known."""
        for name, entry, folder in _walk(scratch):
            with contextlib.suppress(OSError):
                self.seen[name] = _stamp(entry, folder)

    def _keep(self, name: str, data: bytes, media_type: str) -> Artifact | None:
        if self.total + len(data) > MAX_TOTAL:
            return None
        self.total += len(data)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self.folder)) / _plain(name)
        place.write_bytes(data)
        return Artifact(_plain(name), media_type, str(place))


def carry_over(old: int, new: int) -> None:
    """Copy the plain files of one scratch folder into another, that no code has seen yet, as far as they fit."""
    owner = os.fstat(new)
    for name, entry, folder in _walk(old):
        data = _read(entry, folder)
        if data is None:
            continue
        with contextlib.suppress(OSError):
            parts = name.split("/")
            for end in range(1, len(parts)):
                with contextlib.suppress(FileExistsError):
                    os.mkdir("/".join(parts[:end]), 0o700, dir_fd=new)
                    os.chown("/".join(parts[:end]), owner.st_uid, owner.st_gid, dir_fd=new)
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=new)
            with open(fd, "wb") as file:
                file.write(data)
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)


def _walk(folder: int) -> Iterator[tuple[str, str, int]]:
    """The plain files below ``folder``: path, name, and the open folder that it is in (closed at the next step)."""
    waiting = [("", os.dup(folder), 0)]
    looked_at = 0
    try:
        while waiting:
            prefix, here, depth = waiting.pop()
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, here)
                for entry in _entries(here):
                    looked_at += 1
                    if looked_at > _MAX_ENTRIES:
                        return
                    if entry.is_dir(follow_symlinks=False) and depth < _MAX_DEPTH and len(waiting) < 64:
                        with contextlib.suppress(OSError):
                            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                            waiting.append(
                                (f"{prefix}{entry.name}/", os.open(entry.name, flags, dir_fd=here), depth + 1)
                            )
                    elif entry.is_file(follow_symlinks=False):
                        yield prefix + entry.name, entry.name, here
    finally:
        for _, fd, _ in waiting:
            os.close(fd)


def _entries(folder: int) -> list["os.DirEntry[str]"]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry for entry, _ in zip(entries, range(_MAX_ENTRIES), strict=False)]
    return []


def _read(entry: str, folder: int) -> bytes | None:
    """What a plain file holds; None if it is none, is larger than allowed or can't be read."""
    try:
        fd = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE:
            return None
        data = file.read(MAX_FILE + 1)
    return data if len(data) <= MAX_FILE else None


def _stamp(entry: str, folder: int) -> Stamp:
    status = os.stat(entry, dir_fd=folder, follow_symlinks=False)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _plain(name: str) -> str:
    """``name`` without folders and without what a terminal or another system might take for more than a name."""
    return re.sub(r"[^\w .()\[\]+,=@-]", "_", name.rpartition("/")[2]).lstrip(".- ")[-100:] or "file"


def _media_type(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    return _MEDIA.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
