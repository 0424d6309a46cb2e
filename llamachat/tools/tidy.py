"""Removing a folder that strangers have filled. Knows no limit of depth and follows no link."""

import os
from contextlib import suppress
from pathlib import Path


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
