"""Which engine answers: ours with a checkpoint, in one process or several, or one behind an address. Imports late."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from llamachat.config import Config
from llamachat.errors import ConfigError
from llamachat.paths import bundled_model, cache_dir, rank, variable

if TYPE_CHECKING:
    from llamachat.remote import RemoteRuntime
    from llamachat.runtime import LlamaRuntime


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away: what imports make is no garbage. Looking through what torch's makes takes 0.1 s
    in pieces, and every full collection behind it 0.2 s more, in which no key is heard."""
    was, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:  # else there may be garbage of a model before, which must go
            gc.freeze()
        if was:
            gc.enable()


@contextmanager
def untraced() -> Iterator[None]:
    """Let torch's first import leave out what only tracing and compiling need: the shapes of its operations, in Python.
    It takes 0.63 s then, not 0.84. Who asks for them later gets them; who wants a torch.Generator in this process must
    import torch._prims before (torch says so), which is why we draw numbers with Python's random."""
    name = "torch._meta_registrations"
    if "torch" not in sys.modules:
        sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        if not hasattr(sys.modules.get(name), "__file__"):
            sys.modules.pop(name, None)


def open_runtime(
    settings: Config, name: str | None = None, progress: Callable[[float], None] | None = None
) -> "LlamaRuntime | RemoteRuntime":
    """What ``settings`` ask for, or in its place the checkpoint or the address ``name``. Slow: it may import torch and
    read weights; ``progress`` gets the share that is there. Raises LlamaChatError."""
    own = Path(settings.chat.model).expanduser() if settings.chat.model else bundled_model()
    url = settings.remote.url if name is None else name if "://" in name else None
    if url:
        from llamachat.remote import Address, RemoteRuntime

        key = settings.remote.key_variable
        return RemoteRuntime.open(Address.read(url, variable(key) if key else None, settings.remote.patience), own)
    with uncollected(), untraced():
        from llamachat.kv_tiers import Budgets
        from llamachat.runtime import LlamaRuntime

    if rank() is not None:
        return _lead(settings, own, name, progress)
    ram, disk = settings.cache.ram_mb, settings.cache.disk_mb
    runtime = LlamaRuntime.open(
        Path(name).expanduser() if name else own,
        weights=settings.chat.weights,
        kv=settings.cache.kv,
        budgets=Budgets(None if ram is None else ram << 20, disk << 20, cache_dir() / "kv"),
        progress=progress,
    )
    if settings.chat.draft:
        _guess(runtime, Path(settings.chat.draft).expanduser())
    return runtime


def _guess(runtime: "LlamaRuntime", path: Path) -> None:
    """Let the checkpoint at ``path`` guess for ``runtime``, on the same device. Raises LlamaChatError."""
    from llamachat.checkpoints import open_checkpoint
    from llamachat.devices import default_dtype, engine_error, pick_device
    from llamachat.speculation import DraftModel

    checkpoint, place = open_checkpoint(path), pick_device(None)
    if checkpoint.load_tokenizer().fingerprint != runtime.tokenizer.fingerprint:
        raise ConfigError(
            f"{checkpoint.name} has other words than {runtime.name}, so it can't guess for it.",
            "Set chat.draft to a smaller model of the same family.",
        )
    try:
        model = checkpoint.load_model(place, default_dtype(place, checkpoint))
    except (RuntimeError, MemoryError) as error:
        raise engine_error(error) from error
    runtime.lookup = DraftModel(model, runtime.context)


def follow(settings: Config) -> None:
    """Under torchrun, in all processes but the first: compute a share of the model until the chat is over.

    Raises LlamaChatError."""
    from llamachat.checkpoints import open_checkpoint
    from llamachat.devices import default_dtype
    from llamachat.parallel import Team

    team = Team()
    checkpoint = open_checkpoint(Path(settings.chat.model).expanduser() if settings.chat.model else bundled_model())
    team.follow(team.load(checkpoint, default_dtype(team.device, checkpoint)))


def _lead(settings: Config, own: Path, name: str | None, progress: Callable[[float], None] | None) -> "LlamaRuntime":
    """In the first process of torchrun. Branches that are left are not parked: each process would have to."""
    from llamachat.kv_tiers import Budgets
    from llamachat.parallel import Team
    from llamachat.runtime import LlamaRuntime

    if name is not None:
        raise ConfigError("Under torchrun the model can't be changed.", "Leave, and start again with -m.")
    if settings.chat.weights not in (None, "bf16"):
        raise ConfigError("Quantised weights can't be split over processes.", "Leave out --weights, or torchrun.")
    return LlamaRuntime.open(own, team=Team(), budgets=Budgets(ram=0), progress=progress)
