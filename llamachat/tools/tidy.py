"""Removing folders that strangers have filled, or a killed program left. Follows no link, knows no limit of depth."""

import os
from contextlib import suppress
from pathlib import Path

_HELD = "held"


def hold(folder: Path) -> int:
    """Mark ``folder`` as ours until this process ends, however it does. Returns the descriptor that does so."""
    import fcntl  # Windows has none

    lock = os.open(folder / f"{_HELD}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(folder / f"{_HELD}.new", folder / _HELD)  # so that nobody finds it unlocked
    return lock


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove those of our folders in ``parent`` that were held by a process that is gone."""
    import fcntl

    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # no lock in it, not ours, or held
            lock = os.open(folder / _HELD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid() == folder.lstat().st_uid:
                    remove_tree(folder)
            finally:
                os.close(lock)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` with all that is in it, as far as the system lets us.

    ``shutil.rmtree`` recurses: a thousand folders within each other are too many for it. Here what is deep is moved up.
    """
    with suppress(OSError):
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(folder)


def _empty(top: int) -> None:
    moved = 0
    while names := [name for name in os.listdir(top) if not _unlinked(name, top)]:
        for name in names:
            here = _opened(name, top)
            try:
                for child in os.listdir(here):
                    if not _unlinked(child, here):
                        os.close(_opened(child, here))
                        moved += 1
                        os.rename(child, f".moved-{os.getpid()}-{moved}", src_dir_fd=here, dst_dir_fd=top)
            finally:
                os.close(here)
            os.rmdir(name, dir_fd=top)


def _opened(name: str, folder: int) -> int:
    """A descriptor of a folder in ``folder``, made writable."""
    with suppress(OSError, NotImplementedError):
        os.chmod(name, 0o700, dir_fd=folder)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def _unlinked(name: str, folder: int) -> bool:
    """Whether the entry is gone; a folder is not."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):  # macOS says so with EPERM
        return False
    return True
