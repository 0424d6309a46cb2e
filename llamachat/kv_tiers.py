"""Where keys and values are that are not live: branches in RAM, dialogs on disk. Knows ids and a cache only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamachat.kv_store import KVStore
from llamachat.kv_tree import KVTree, default_budget
from llamachat.model import KVCache


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bytes for each tier: ``ram`` of this runtime (None: a share of what is free), ``disk`` of all models together in
    ``folder``, which is not used where there is none."""

    ram: int | None = None
    disk: int = 0
    folder: Path | None = None


class Tiers:
    """RAM first, then disk. ``fingerprint`` tells the model, when it is first asked for."""

    def __init__(self, budgets: Budgets, fingerprint: Callable[[], str]) -> None:
        self.tree = KVTree(default_budget() if budgets.ram is None else budgets.ram)
        self.on_disk = budgets.folder is not None and budgets.disk > 0
        self._budgets, self._fingerprint = budgets, fingerprint
        self._store: KVStore | None = None

    def switch(self, cache: KVCache, live: Sequence[int], ids: Sequence[int]) -> int:
        """Make ``cache``, which holds ``live``, hold as much of ``ids`` as is known; return how many that are.
        Raises what torch raises if memory is short."""
        length = self.tree.switch(cache, live, ids)
        if self.on_disk and len(ids) > length:
            length = cache.length = self._disk().restore(cache, ids, length)
        return length

    def save(self, cache: KVCache | None, live: Sequence[int]) -> None:
        """Write to the disk what is new of ``live``."""
        if self.on_disk and cache:
            self._disk().save(cache, live)

    def learned(self, ids: int, seconds: float) -> None:
        """The model read so many ids in so many seconds."""
        if self.on_disk:
            self._disk().learned(ids, seconds)

    def clear(self) -> None:
        """Forget what is in RAM: the live cache is lost, or its memory is wanted."""
        self.tree.clear()

    def _disk(self) -> KVStore:
        if self._store is None:
            assert self._budgets.folder
            self._store = KVStore(self._budgets.folder, self._fingerprint(), self._budgets.disk)
        return self._store
