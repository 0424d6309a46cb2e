"""Which projects' settings the user has agreed to. Knows files by their content; knows no setting.

A project's config comes with somebody else's files: it could name functions to run, so it is asked about first.
"""

import hashlib
import json
from pathlib import Path

from llamachat.errors import StorageError
from llamachat.paths import data_dir, write_whole


def trusted(project: Path) -> bool:
    """Whether the user has agreed to this file as it is now: one that changes is asked about again."""
    return _agreed().get(str(project)) == _digest(project)


def trust(project: Path, yes: bool = True) -> None:
    """Remember the user's answer."""
    agreed = {**_agreed(), str(project): _digest(project) if yes else ""}
    try:
        write_whole(data_dir() / "trusted.json", json.dumps(agreed, indent=1))
    except OSError as error:
        raise StorageError(f"The answer can't be kept: {error.strerror}.", "It holds for this time only.") from error


def undecided(project: Path) -> bool:
    """Whether the user should be asked: never asked, or the file has changed since a yes."""
    answer = _agreed().get(str(project))
    return answer is None or (answer != "" and answer != _digest(project))


def _digest(project: Path) -> str:
    try:
        return hashlib.sha256(project.read_bytes()).hexdigest()
    except OSError as error:
        raise StorageError(f"{project} can't be read: {error.strerror}.", "Mend its permissions.") from error


def _agreed() -> dict[str, str]:
    try:
        data = json.loads((data_dir() / "trusted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # nobody is trusted then, which is the safe side
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}
