"""What was asked before, in a file of JSON lines. Knows no widget; works on without the file where it can't be had."""

import json
from pathlib import Path

from llamachat.errors import StorageError

LIMIT = 1_000  # prompts that are kept in reach


class History:
    """Prompts, oldest first, and a place among them."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._prompts: list[str] = []
        self._place = 0
        self._draft = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that are known, oldest first."""
        return tuple(self._prompts)

    def load(self) -> None:
        """Read the file; lines that are torn are passed over. Raises StorageError if it can't be read."""
        if self._path is None or not self._path.exists():
            return
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise _unusable(self._path, error) from error
        self._prompts = [text for line in lines[-LIMIT:] if (text := _text(line))]
        self._place = len(self._prompts)

    def add(self, text: str) -> None:
        """Remember ``text``, unless it repeats the last. Raises StorageError if it can't be written; it is kept in
        memory all the same, and no more writing is tried."""
        self._draft = ""
        repeated = bool(self._prompts) and self._prompts[-1] == text
        if not repeated:
            self._prompts.append(text)
        self._place = len(self._prompts)
        if repeated or self._path is None:
            return
        path, line = self._path, json.dumps({"text": text})
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self._path = None
            raise _unusable(path, error) from error

    def older(self, current: str) -> str | None:
        """The prompt before the present one, None at the first; ``current`` waits at the end meanwhile."""
        if self._place == len(self._prompts):
            self._draft = current
        if self._place == 0:
            return None
        self._place -= 1
        return self._prompts[self._place]

    def newer(self) -> str | None:
        """The prompt after the present one, at last what was being written; None when there."""
        if self._place == len(self._prompts):
            return None
        self._place += 1
        return self._draft if self._place == len(self._prompts) else self._prompts[self._place]


def _text(line: str) -> str:
    """The prompt in a line of the file; nothing if it holds none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    text = entry.get("text") if isinstance(entry, dict) else None
    return text if isinstance(text, str) else ""


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The prompt history in {path} can't be used: {error.strerror}.",
        "The chat works without it; LLAMACHAT_DATA_DIR chooses another folder.",
    )
