"""A JSON object on disk, read field by field with checks. Knows no layout and no tensors."""

import json
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamachat.errors import CheckpointError

FETCH_AGAIN = "Download the checkpoint again, or point to another one."
MAX_JSON = 2**22  # bytes; a config has 1 kB, the index of the 405B 120 kB. JSON in memory is up to 30 times as large

BRIEF = reprlib.Repr()
BRIEF.maxstring = BRIEF.maxother = BRIEF.maxlong = 80


def shown(value: object) -> str:
    """A value out of a file, fit for an error message: on one line, without control characters, not too long."""
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 120:
        return value
    return "".join(char if char.isprintable() else "?" for char in BRIEF.repr(value))


def quoted(value: object) -> str:
    """As ``shown``, a string in quotes."""
    return repr(value) if isinstance(value, str) and len(value) <= 80 else shown(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """The object ``data`` that ``path`` holds, or a part of it. Every getter raises CheckpointError naming the file."""

    path: Path
    data: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, limit: int = MAX_JSON) -> "Settings":
        """Parse a JSON file of at most ``limit`` bytes that must hold an object."""
        try:
            if not path.is_file() or path.stat().st_size > limit:
                reason = f"larger than {limit >> 20} MiB" if path.is_file() else "no file"
                raise CheckpointError(f"{path} is {reason}.", FETCH_AGAIN)
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"Can't read {path}: {error.strerror}.", FETCH_AGAIN) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is torn: it is no valid JSON.", FETCH_AGAIN) from error
        if not isinstance(data, dict):
            raise CheckpointError(f"{path} is foreign: it holds no JSON object.", FETCH_AGAIN)
        return cls(path, data)

    @classmethod
    def read_if_there(cls, path: Path) -> "Settings":
        """As ``read``; a missing file is an empty object."""
        return cls.read(path) if path.is_file() else cls(path, {})

    def wrong(self, what: str, hint: str = FETCH_AGAIN) -> CheckpointError:
        """An error that names the file."""
        return CheckpointError(f"{self.path}: {what}.", hint)

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number above 0. Missing or null gives ``default``, or an error if there is none."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(f"{key} is {quoted(value)}, not a whole number above 0")
        return value

    def number(self, key: str, default: float | None = None, *, zero: bool = False) -> float:
        """A number above 0, or 0 too if ``zero``."""
        value = self._get(key, default)
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not 0 <= value < float("inf") or (value == 0 and not zero):
            raise self.wrong(f"{key} is {quoted(value)}, not a number {'of at least' if zero else 'above'} 0")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} is {quoted(value)}, neither true nor false")
        return value

    def section(self, key: str) -> "Settings":
        """The object under ``key``; missing or null gives an empty one."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(f"{key} is {quoted(value)}, not an object")
        return Settings(self.path, value)

    def only(self, known: Collection[str], hint: str) -> None:
        """Refuse keys that we don't know: a silently ignored one would make a quietly wrong model."""
        unknown = sorted(self.data.keys() - set(known))
        if unknown:
            raise self.wrong(f"unknown {'key' if len(unknown) == 1 else 'keys'} {shown(', '.join(unknown))}", hint)

    def _get(self, key: str, default: Any) -> Any:
        value = self.data.get(key)
        if value is None and default is None:
            raise self.wrong(f"{key} is missing")
        return default if value is None else value
