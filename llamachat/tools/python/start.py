"""How workers come to stand behind the strongest walls that this system has, and one ahead of need. Knows no cells."""

import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError, StorageError
from llamachat.tools import sandbox
from llamachat.tools.python import zygotes
from llamachat.tools.python.process import NoWorker, WorkerProcess


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


_learnt: dict[sandbox.Choice, _Experience] = {}
_pools: "weakref.WeakValueDictionary[Wanted, Pool]" = weakref.WeakValueDictionary()


class Pool:
    """One worker ahead for sessions that want the same. All ends when the last session lets go of it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._spare: WorkerProcess | None = None
        self._zygote: zygotes.Zygote | None = None

    async def take(self) -> tuple[WorkerProcess, sandbox.Walls]:
        """A worker within its walls. Raises ConfigError if there are none, StorageError if Python doesn't come up."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.ready:
            worker, walls = spare, self._judge(spare)
        else:
            worker, walls = await self._start()
            self._spare = spare if spare is not None and spare.alive else None  # it may still be on its way
        if self._wanted.warm and self._spare is None:
            plan = _learnt[self._wanted.choice].plan
            assert plan
            self._spare = self._ask(plan, spare=True)
        return worker, walls

    async def warm_up(self, seconds: float) -> bool:
        """Wait for the spare worker; whether it is ready."""
        return self._spare is not None and await self._spare.wait(seconds)

    async def _start(self) -> tuple[WorkerProcess, sandbox.Walls]:
        known = _learnt.setdefault(self._wanted.choice, _Experience())
        plans = (known.plan,) if known.plan else sandbox.plans(self._wanted.choice)
        if not plans:
            raise ConfigError(
                "The python tool is off: this system has no wall to run foreign code behind.", sandbox.HINT
            )
        reason = ""
        for plan in plans:
            worker = self._ask(plan, spare=False)
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

    def _ask(self, plan: sandbox.Plan, *, spare: bool) -> WorkerProcess:
        limits = dict(self._wanted.limits)
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
            }
            return WorkerProcess(self._zygote, request, folder)
        except OSError as error:
            raise StorageError(f"Python can't be started: {error.strerror}.", "Close some programs.") from error


def pool(wanted: Wanted) -> Pool:
    """The pool of all sessions that want this."""
    found = _pools.get(wanted)
    if found is None:
        found = _pools[wanted] = Pool(wanted)
    return found
