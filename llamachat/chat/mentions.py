"""Files that a message names as ``@path``: where they are named, and how a path completes. Reads no file."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from llamachat.chat.commands import Completion

MOST = 5_000  # names of a folder that are looked at: a key must not wait for a folder of a million files
SHOWN = 50
_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|([^\s"]+))')
_BEGUN = re.compile(r'(?<!\S)@(?:"([^"\n]*)|([^\s"]*))$')
_BEHIND = ".,;:!?)]}…"  # what ends a sentence or a clause, and may stand right behind a path


@dataclass(frozen=True, slots=True)
class Mention:
    """``text[start:end]`` names the file at ``path``."""

    start: int
    end: int
    path: Path


def mentions(text: str) -> list[Mention]:
    """The files that ``text`` names; what is no file is not meant. Asks the disk."""
    return [mention for match in _MENTION.finditer(text) if (mention := _mention(match))]


def _mention(match: re.Match[str]) -> Mention | None:
    if match[1]:
        return Mention(match.start(), match.end(), _path(match[1])) if _is_file(match[1]) else None
    for name in dict.fromkeys((match[2], match[2].rstrip(_BEHIND))):
        if name and _is_file(name):
            return Mention(match.start(), match.start() + 1 + len(name), _path(name))
    return None


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))


def _is_file(name: str) -> bool:
    return os.path.isfile(os.path.expanduser(name))  # unlike Path's, it takes any text


def with_names(text: str, found: Iterable[Mention]) -> str:
    """``text`` with the bare names of files, as the model and python call them."""
    parts, end = [], 0
    for mention in found:
        parts += [text[end : mention.start], mention.path.name]
        end = mention.end
    return "".join((*parts, text[end:]))


def complete_path(text: str) -> list[Completion]:
    """What ``text`` may become if it ends in a path that is half written: folders end in a slash, names with spaces
    are quoted, hidden ones are shown when they are asked for."""
    match = _BEGUN.search(text)
    if not match:
        return []
    written = match[1] if match[1] is not None else match[2]
    folder, _, beginning = written.rpartition("/")
    prefix = written[: len(written) - len(beginning)]
    before = text[: match.start()]
    names = sorted(
        islice(_names(folder, prefix, beginning), MOST), key=lambda name: (name.startswith("."), name.lower())
    )
    return [_completion(before, prefix + name, name, match[1] is not None) for name in names[:SHOWN]]


def _names(folder: str, prefix: str, beginning: str) -> Iterator[str]:
    try:
        with os.scandir(os.path.expanduser(folder or prefix or ".")) as entries:
            for entry in islice(entries, MOST):
                fits = entry.name.lower().startswith(beginning.lower()) and entry.name.isprintable()
                if fits and '"' not in entry.name and (beginning.startswith(".") or not entry.name.startswith(".")):
                    yield f"{entry.name}/" if entry.is_dir() else entry.name
    except (OSError, ValueError):  # no such folder, one that may not be read, a NUL in its name
        return


def _completion(before: str, path: str, name: str, quoted: bool) -> Completion:
    start, end = ('@"', "" if path.endswith("/") else '"') if quoted or " " in path else ("@", "")
    return Completion(f"{before}{start}{path}{end}", face=name)
