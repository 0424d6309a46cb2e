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
