"""How workers come to stand behind the strongest walls that this system has, and one ahead of need. Knows no cells."""

import contextlib
import re
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError, StorageError
from llamachat.tools import sandbox
from llamachat.tools.python import zygotes
from llamachat.tools.python.process import NoWorker, WorkerProcess
from llamachat.tools.tidy import remove_tree


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session asks for; sessions that ask for the same share what is ready."""

    limits: tuple[tuple[str, Any], ...]
    choice: sandbox.Choice = "auto"
    policy: bool = True
    unwalled: bool = False
    warm: bool = True


@dataclass(slots=True)
class _Experience:
    """What this program has learnt about a choice of walls: the plan that works, and why the better ones don't."""

    plan: sandbox.Plan | None = None
    failures: dict[str, str] = field(default_factory=dict)


_SLOW = {
    r"\bnumpy\b": ("numpy",),
    r"\bpandas\b": ("pandas",),
    r"\b(matplotlib|seaborn|plt)\b|\.(plot|hist|boxplot)\b": ("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    r"\bsympy\b": ("sympy",),
}
"""What code says → modules: half a second of processor time each, or nearly, and as much for a first list of fonts."""
_learnt: dict[sandbox.Choice, _Experience] = {}
_pools: "weakref.WeakValueDictionary[Wanted, Pool]" = weakref.WeakValueDictionary()


class Pool:
    """One worker ahead for sessions that want the same. All ends when the last session lets go of it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._spare: WorkerProcess | None = None
        self._zygote: zygotes.Zygote | None = None

    async def take(self, code: str) -> tuple[WorkerProcess, sandbox.Walls]:
        """A worker within its walls, for ``code``. Raises ConfigError if there are none, StorageError if Python doesn't
        come up."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.ready:
            worker, walls = spare, self._judge(spare)
        else:
            worker, walls = await self._start(code)
            if spare is not None and spare.alive:  # it may still be on its way
                self._spare = self._spare or spare
        if self._wanted.warm and self._spare is None:
            plan = _learnt[self._wanted.choice].plan
            assert plan
            with contextlib.suppress(StorageError):  # it can be done without
                self._spare = self._ask(plan, spare=True, libraries=())
        return worker, walls

    async def warm_up(self, seconds: float) -> bool:
        """Wait for the spare worker; whether it is ready."""
        return self._spare is not None and await self._spare.wait(seconds)

    async def _start(self, code: str) -> tuple[WorkerProcess, sandbox.Walls]:
        known = _learnt.setdefault(self._wanted.choice, _Experience())
        plans = (known.plan,) if known.plan else sandbox.plans(self._wanted.choice)
        if not plans:
            raise ConfigError(
                "The python tool is off: this system has no wall to run foreign code behind.", sandbox.HINT
            )
        reason = ""
        for plan in plans:
            worker = self._ask(plan, spare=False, libraries=_named(code))
            try:
                await worker.come_up()
            except NoWorker as failure:
                reason = str(failure)
                known.failures.setdefault("bubblewrap" if plan.house else "namespaces", reason)
                continue
            walls = self._judge(worker)
            known.plan = plan
            return worker, walls
        raise StorageError(f"Python did not start: {reason}", "Reinstall llamachat.")

    def _judge(self, worker: WorkerProcess) -> sandbox.Walls:
        try:
            failures = _learnt[self._wanted.choice].failures
            return sandbox.walls(worker.link.layers, failures, self._wanted.unwalled)
        except ConfigError:
            worker.end()
            raise

    def _ask(self, plan: sandbox.Plan, *, spare: bool, libraries: Sequence[str]) -> WorkerProcess:
        limits = dict(self._wanted.limits)
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(dir=zygotes.base()))
            attached, scratch = folder / "attached", folder / "scratch"
            folder.chmod(0o711)  # root's workers are nobody
            attached.mkdir(mode=0o755)
            scratch.mkdir(mode=0o700)
            self._zygote = zygotes.zygote(plan, limits["scratch_bytes"], str(attached))
            request = {
                "room": plan.room,
                "house": plan.house,
                "scratch": str(scratch),
                "attached": str(attached),
                "fonts": zygotes.fonts_folder(),
                "places": sandbox.places(),
                "packages": sandbox.packages(),
                "limits": limits,
                "policy": self._wanted.policy,
                "warm": self._wanted.warm,
                "spare": spare,
                "libraries": libraries,
            }
            return WorkerProcess(self._zygote, request, folder)
        except OSError as error:
            if folder:
                remove_tree(folder)
            raise StorageError(f"Python can't be started: {error.strerror}.", "Close some programs.") from error


def _named(code: str) -> list[str]:
    """The slow libraries that ``code`` needs. They are loaded before it runs: on a busy machine that takes longer than
    a call may."""
    return [library for words, libraries in _SLOW.items() if re.search(words, code) for library in libraries]


def pool(wanted: Wanted) -> Pool:
    """The pool of all sessions that want this."""
    found = _pools.get(wanted)
    if found is None:
        found = _pools[wanted] = Pool(wanted)
    return found
