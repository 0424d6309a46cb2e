"""Personas: Markdown files with front matter. Knows the files and their keys; the text is the system prompt, verbatim.

Ours lie beside this file, the user's in the config folder's ``system_prompts/``; the user's win.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from llamachat.errors import ConfigError
from llamachat.paths import config_dir
from llamachat.sampling import SamplingParams

FENCE = "---"
KEYS = ("name", "description", "tools", "sampling")


@dataclass(frozen=True, slots=True)
class Persona:
    """Who answers. ``tools`` None leaves all tools on; ``sampling`` overrides the model's defaults, by field name."""

    name: str
    text: str
    description: str = ""
    tools: tuple[str, ...] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)


def load_personas(own: Path | None = None) -> dict[str, Persona]:
    """All personas by name, default first. ``own``: the user's folder, else the config folder's.

    Raises ConfigError for a file that can't be read or has a key that we don't know.
    """
    folders = (Path(__file__).parent, own or config_dir() / "system_prompts")
    found = [read_persona(path) for folder in folders for path in _listing(folder)]
    personas = {persona.name: persona for persona in found}
    return {"default": personas.pop("default"), **dict(sorted(personas.items()))}


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.md"))
    except OSError:  # a home that can't be read has no personas of its own
        return []


def read_persona(path: Path) -> Persona:
    """One persona file. Without front matter the whole text is the prompt and the file's stem the name."""
    hint = f"Front matter is YAML between two {FENCE} lines, with the keys {', '.join(KEYS)}."
    try:
        raw = path.read_text(encoding="utf-8")
        head, body = _split(raw)
        meta = yaml.safe_load(head) or {}
    except OSError as error:
        raise ConfigError(f"Can't read the persona {path}: {error.strerror}.", "Check its permissions.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The persona {path} has broken front matter or is not UTF-8.", hint) from error
    if not isinstance(meta, dict) or (unknown := [key for key in meta if key not in KEYS]):
        what = f"an unknown key {unknown[0]!r}" if isinstance(meta, dict) else "no keys"
        raise ConfigError(f"The front matter of {path} has {what}.", hint)
    tools = meta.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(t, str) for t in tools)):
        raise ConfigError(f"In {path}, tools is not a list of names.", "Write for example: tools: [python, search]")
    return Persona(
        name=str(meta.get("name") or path.stem),
        text=body.strip(),
        description=str(meta.get("description") or ""),
        tools=tuple(tools) if tools is not None else None,
        sampling=_sampling(path, meta.get("sampling") or {}),
    )


def _split(raw: str) -> tuple[str, str]:
    """Front matter and body."""
    if not raw.startswith(FENCE + "\n"):
        return "", raw
    head, fence, body = raw[len(FENCE) + 1 :].partition(f"\n{FENCE}\n")
    return (head, body) if fence else ("", raw)


def _sampling(path: Path, given: Any) -> Mapping[str, Any]:
    """The overrides, checked by making a SamplingParams of them."""
    known = [f.name for f in fields(SamplingParams)]
    if not isinstance(given, dict) or any(key not in known for key in given):
        raise ConfigError(f"In {path}, sampling has a key that we don't know.", f"Known: {', '.join(known)}.")
    try:
        SamplingParams(**given)
    except TypeError as error:
        raise ConfigError(
            f"In {path}, sampling has a value that is no number.", "Write for example: {top_p: 0.9}"
        ) from error
    return given
