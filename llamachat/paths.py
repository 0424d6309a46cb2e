"""Where things live on disk (XDG, by platformdirs). The only reader of environment variables."""

import os
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("llamachat", appauthor=False)


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def config_dir() -> Path:
    """The user's config: ``config.toml``, ``system_prompts/``. LLAMACHAT_CONFIG_DIR overrides."""
    return _folder("LLAMACHAT_CONFIG_DIR", _DIRS.user_config_dir)


def data_dir() -> Path:
    """What must not be lost: prompt history, sessions. LLAMACHAT_DATA_DIR overrides."""
    return _folder("LLAMACHAT_DATA_DIR", _DIRS.user_data_dir)


def cache_dir() -> Path:
    """What can be fetched again: search answers. LLAMACHAT_CACHE_DIR overrides."""
    return _folder("LLAMACHAT_CACHE_DIR", _DIRS.user_cache_dir)


def bundled_model() -> Path:
    """The embedded checkpoint."""
    return Path(__file__).parent / "bundled" / "nano"


def settings_from_environment() -> dict[str, str]:
    """LLAMACHAT_SECTION_KEY=value, as "SECTION_KEY" in lower case; the folders above are no settings."""
    prefix, folders = "LLAMACHAT_", {"config_dir", "data_dir", "cache_dir"}
    found = {name[len(prefix) :].lower(): value for name, value in os.environ.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if name not in folders}


def editor() -> str:
    """The command that edits a file: VISUAL or EDITOR, else vi."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"


def write_whole(file: Path, text: str) -> None:
    """All or nothing: a full disk leaves the old file. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = file.resolve()  # a link to somebody's dotfiles stays one
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o600)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def use_huge_pages() -> None:
    """Let torch ask Linux for pages of 2 MiB, unless the user says otherwise: a core then reads weights up to twice as
    fast. torch looks at it when it first takes memory."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def variable(name: str) -> str | None:
    """An environment variable that the user names in a file of theirs; None if it is not set."""
    return os.environ.get(name)


def rank() -> int | None:
    """Which of the processes that torchrun started this is; None if it did not."""
    return int(os.environ.get("RANK", 0)) if "TORCHELASTIC_RUN_ID" in os.environ else None


def terminal_facts() -> dict[str, str]:
    """What the environment says of the terminal; what it doesn't say is not there."""
    names = ("TERM", "COLORTERM", "NO_COLOR", "TMUX", "STY", "ZELLIJ", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ}


def shell() -> str:
    """The user's shell."""
    return os.environ.get("SHELL") or "/bin/sh"
