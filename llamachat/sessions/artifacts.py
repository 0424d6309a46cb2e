"""The files of a session, kept by the hash of their bytes, since the folders that tools work in vanish."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from llamachat.messages import Artifact


class Artifacts:
    """A folder of files. The name of each is its SHA-256, with the suffix of the original for the viewers' sake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, artifact: Artifact) -> Artifact:
        """A copy of ``artifact`` that stays; the artifact itself if its file can't be read any more. OSError if the
        copy can't be written."""
        if Path(artifact.path).parent == self.folder:
            return artifact
        try:
            source = open(artifact.path, "rb")  # noqa: SIM115  # only opening may fail quietly
        except OSError:
            return artifact
        with source:
            return Artifact(artifact.name, artifact.media_type, str(self.add(artifact.name, source)))

    def named(self, artifact: Artifact) -> Artifact:
        """With its bare name for a path, if it lies here: the folder may move. ``located`` is the reverse."""
        path = Path(artifact.path)
        return replace(artifact, path=path.name) if path.parent == self.folder else artifact

    def located(self, artifact: Artifact) -> Artifact:
        """With its whole path."""
        return replace(artifact, path=str(self.folder / artifact.path))

    def add(self, name: str, pieces: Iterable[bytes]) -> Path:
        """Write what ``pieces`` hold, unless it is there already."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        handle, draft = tempfile.mkstemp(dir=self.folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            path = self.folder / (digest.hexdigest() + _suffix(name))
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
        return path

    def remove_all_but(self, wanted: set[str]) -> None:
        """Remove the files whose names are not in ``wanted``."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in wanted:
                path.unlink(missing_ok=True)


def _suffix(name: str) -> str:
    """The suffix of a foreign name, if it is a plain one."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 10 else ""
