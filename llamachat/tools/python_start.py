"""How a worker comes to stand behind the strongest walls that this system has. Knows plans and failures, no cells."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError, StorageError
from llamachat.tools import python_pool, sandbox
from llamachat.tools.python_process import NoWorker, WorkerProcess


@dataclass(slots=True)
class _Experience:
    """What this program has learnt about a choice of walls: the plan that works, and why the better ones don't."""

    plan: sandbox.Plan | None = None
    failures: dict[str, str] = field(default_factory=dict)


_learnt: dict[sandbox.Choice, _Experience] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session asks for."""

    limits: dict[str, Any]
    choice: sandbox.Choice = "auto"
    policy: bool = True
    unwalled: bool = False
    warm: bool = True


async def start(wanted: Wanted, folder: Path) -> tuple[WorkerProcess, sandbox.Walls]:
    """A worker within its walls, that sees ``attached`` in ``folder``.

    Raises ConfigError if there are none, StorageError if Python does not come up."""
    known = _learnt.setdefault(wanted.choice, _Experience())
    reason = "no way is known to run it on this system"
    for plan in [known.plan] if known.plan else sandbox.plans(wanted.choice):
        try:
            worker = await _start(plan, wanted, folder)
        except NoWorker as failure:
            reason = str(failure)
            known.failures.setdefault("bubblewrap" if plan.house else "namespaces", reason)
            continue
        try:
            walls = sandbox.walls(worker.link.layers, known.failures, wanted.unwalled)
        except ConfigError:
            worker.end()
            raise
        known.plan = plan
        return worker, walls
    if not sandbox.plans(wanted.choice):
        raise ConfigError("The python tool is off: this system has no wall to run foreign code behind.", sandbox.HINT)
    raise StorageError(f"Python did not start: {reason}", "Reinstall llamachat.")


async def _start(plan: sandbox.Plan, wanted: Wanted, folder: Path) -> WorkerProcess:
    attached, scratch = folder / "attached", folder / "scratch"
    if not (plan.house or plan.room):
        scratch.mkdir(mode=0o700, exist_ok=True)
    request = {
        "room": plan.room,
        "house": plan.house,
        "scratch": str(scratch),
        "attached": str(attached),
        "fonts": python_pool.fonts_folder(),
        "places": sandbox.places(),
        "packages": sandbox.packages(),
        "limits": wanted.limits,
        "policy": wanted.policy,
        "warm": wanted.warm,
    }
    try:
        zygote = python_pool.zygote(plan, wanted.limits["scratch_bytes"], str(attached))
    except OSError as error:
        raise StorageError(f"Python can't be started: {error.strerror}.", "Close some programs.") from error
    return await WorkerProcess.start(zygote, request, wanted.limits["captured"])
