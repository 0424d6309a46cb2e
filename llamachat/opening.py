"""Which engine answers: ours with a checkpoint, or one behind an address. Knows the settings; imports late."""

from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.config import Config
from llamachat.paths import bundled_model, cache_dir, variable

if TYPE_CHECKING:
    from llamachat.remote import RemoteRuntime
    from llamachat.runtime import LlamaRuntime


def open_runtime(settings: Config, name: str | None = None) -> "LlamaRuntime | RemoteRuntime":
    """What ``settings`` ask for, or in its place the checkpoint or the address ``name``. Slow: it may import torch and
    read weights. Raises LlamaChatError."""
    own = Path(settings.chat.model).expanduser() if settings.chat.model else bundled_model()
    url = settings.remote.url if name is None else name if "://" in name else None
    if url:
        from llamachat.remote import Address, RemoteRuntime

        key = settings.remote.key_variable
        return RemoteRuntime.open(Address.read(url, variable(key) if key else None, settings.remote.patience), own)
    from llamachat.kv_tiers import Budgets
    from llamachat.runtime import LlamaRuntime

    ram, disk = settings.cache.ram_mb, settings.cache.disk_mb
    return LlamaRuntime.open(
        Path(name).expanduser() if name else own,
        weights=settings.chat.weights,
        budgets=Budgets(None if ram is None else ram << 20, disk << 20, cache_dir() / "kv"),
    )
