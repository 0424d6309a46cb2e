"""The walls of the python tool: which layers there are, what each needs, and the command that raises the outer ones.

    house       bubblewrap around the zygote and its workers, where it is installed
    namespaces  a room for each worker (user, mount, pid, net, ipc, uts, cgroup), made by us
    landlock    only the named folders can be opened; no TCP, no abstract sockets, no signals to the outside
    seccomp     an allow list of system calls: no fork, exec, socket, ptrace, mount, io_uring, bpf, memfd, keyring …
    limits      memory, processor and wall time, file size, open files, scratch size, output; no core files
    policy      RestrictedPython and an audit hook: clear words for the model, not a boundary

The walls stand if the namespaces (or bubblewrap, or Seatbelt) are on, or Landlock and seccomp both are. Otherwise the
tool is off, unless the caller says ``unwalled``.

NOT covered, by any layer:
  * Holes in the kernel that are reached through the allowed system calls, and in the processor (Spectre and its kin):
    one kernel is shared. For hostile code that is worth such a hole to somebody, use a virtual machine.
  * Timing and load: a cell may use all processors and its share of memory for as long as it may run, and can tell from
    that what else runs. Sessions in parallel each have their limits; the machine has no limit for the sum of them.
  * What the code may read: attached files, the Python installation with its packages, /usr/lib, fonts, time zones, and
    what machine this is (kernel, processors, uptime, the user's number). A secret that lies in there (a token in
    site-packages) is readable, though it can't be sent anywhere.
  * Rights behind the walls: root's workers are nobody, but an ordinary user's keep the user's number. What gets through
    the walls has the user's rights.
  * Likeness: workers of one zygote have the same addresses and hash seed. What one learns of them helps in the next.
  * What the model then says: the output of a cell goes to the model and to the screen. Code can print what makes the
    model say or call something; other tools (search, functions) have their own permissions.
  * Files that are offered to the user are what the code wrote: a spreadsheet may hold macros, a page scripts.
  * A lie of a cell about itself: without the policy, code shares its process with the writer of result frames, so it
    can forge its own result. It can't forge that of another session, and nothing is unpickled.
  * What passes the policy: names that libraries resolve from text by themselves (pandas' Styler, Series.agg("name")),
    and C code without bounds (numpy's as_strided, parsers of pictures). It meets the audit hook and the walls.
  * Copies of attached files stay in the temporary folder, readable for the user only, if the program is killed behind
    bubblewrap, until the python tool starts the next time.
With fewer layers, more is open:
  * Landlock and seccomp only (no namespaces): stat() shows what exists (names, sizes, processes) though not what is in
    files; modes and times can't be set, since Landlock doesn't guard them, so shutil.copy fails; the scratch folder is
    on disk and has no limit for the sum of its files; kernels before 6.12 (Landlock ABI 6) leave abstract sockets to
    seccomp, which allows no socket but a stream pair.
  * bubblewrap only, and no Landlock: files in /dev/shm have no limit but the machine's memory.
  * macOS: the Seatbelt profile is written by the book and has never been run by us. Apple calls it deprecated.
  * Windows, and kernels that have nothing of the above: no walls at all, the tool is off.
  * ``unwalled``: limits and policy only; RestrictedPython's authors say that it is no sandbox by itself.
"""

import asyncio
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llamachat.errors import ConfigError, LlamaChatError

Choice = Literal["auto", "bubblewrap", "namespaces", "landlock", "none"]

PACKAGE = Path(__file__).resolve().parent
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/usr/share/fonts",
    "/usr/local/share/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts",
)  # fmt: skip
_HINTS = {
    "bubblewrap": "Install bubblewrap (bwrap) for one more wall.",
    "namespaces": "Allow user namespaces: on Ubuntu, sysctl kernel.apparmor_restrict_unprivileged_userns=0.",
    "landlock": "Linux 5.13 or newer has Landlock; it may have to be in the kernel's lsm= list.",
    "seccomp": "A kernel with seccomp filters on x86_64 or aarch64 is needed.",
    "seatbelt": "sandbox-exec is missing from /usr/bin.",
}

HINT = (
    "Install bubblewrap, or allow user namespaces; unwalled = true in [tools.python] of the config runs it regardless."
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of defence: whether it is on, what there is to say of it, and what the user can do if it is off."""

    name: str
    on: bool
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Walls:
    """The layers that hold a worker, outermost first."""

    layers: tuple[Layer, ...]

    @property
    def stand(self) -> bool:
        """Whether the operating system holds the code."""
        on = {layer.name for layer in self.layers if layer.on}
        return bool(on & {"bubblewrap", "namespaces", "seatbelt"}) or on >= {"landlock", "seccomp"}

    @property
    def missing(self) -> tuple[Layer, ...]:
        """The layers that are off and could be on. Either of bubblewrap and our namespaces does for both."""
        on = {layer.name for layer in self.layers if layer.on}
        spared = {"bubblewrap", "namespaces"} if on & {"bubblewrap", "namespaces"} else set()
        return tuple(layer for layer in self.layers if not layer.on and layer.name not in spared)

    def __str__(self) -> str:
        return ", ".join(layer.name for layer in self.layers if layer.on)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to raise the outer walls: ``house`` is bubblewrap or Seatbelt around the zygote, ``room`` our own namespaces
    around each worker. Without a room, every worker needs a zygote of its own."""

    house: bool = False
    room: bool = False

    @property
    def shared(self) -> bool:
        """Whether one zygote serves all sessions."""
        return self.room or not self.house


def plans(choice: Choice) -> tuple[Plan, ...]:
    """What to try for ``choice``, the strongest first. Raises ConfigError if there is nothing to try."""
    if os.name != "posix" or not (sys.platform == "linux" or sys.platform == "darwin"):
        if choice == "none":
            raise ConfigError("The python tool can't run on this system.", "Use Linux, macOS or WSL.")
        return ()
    house = bool(outer_command())
    if sys.platform == "darwin":
        return (Plan(house=house),)
    wanted = {
        "auto": (Plan(True, True), Plan(True), Plan(False, True), Plan()),
        "bubblewrap": (Plan(True),),
        "namespaces": (Plan(False, True),),
        "landlock": (Plan(),),
        "none": (Plan(),),
    }[choice]
    return tuple(plan for plan in wanted if house or not plan.house)


def outer_command() -> str:
    """The program that makes a house here; empty if there is none."""
    return (
        shutil.which("sandbox-exec" if sys.platform == "darwin" else "bwrap", path="/usr/bin:/usr/local/bin:/bin") or ""
    )


def packages() -> str:
    """The folder that RestrictedPython is installed in: an isolated Python (-I) doesn't know a user's site-packages."""
    spec = importlib.util.find_spec("RestrictedPython")
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else ""


def places() -> list[str]:
    """What Python needs to read: its libraries and the system's. Never a home or the root folder."""
    of_python = {
        path for key, path in sysconfig.get_paths().items() if key in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    prefixes = {os.path.realpath(prefix) for prefix in (sys.base_prefix, sys.prefix)}
    of_python |= {f"{prefix}/{name}" for prefix in prefixes for name in ("lib", "lib64")}
    return _outermost({*of_python, packages(), *_SYSTEM})


def _interpreter() -> set[str]:
    """What it takes to start Python, file by file: a prefix as a whole keeps its mode, and one that ``mkdtemp`` made
    for root is closed to nobody."""
    return {os.path.realpath(sys.executable), sys.executable, f"{sys.prefix}/pyvenv.cfg"}


def _outermost(paths: Iterable[str]) -> list[str]:
    """Those that exist and aren't within another; a home, or what holds one, is left out."""
    home = os.path.realpath(Path.home())
    kept: list[str] = []
    for path in sorted(filter(None, paths)):
        real = os.path.realpath(path)
        holds_home = home == real or home.startswith(real.rstrip("/") + "/")
        if os.path.exists(real) and not holds_home and not any(path.startswith(one + "/") for one in kept):
            kept.append(path)
    return kept


def house(plan: Plan, attached: str, fonts: str, scratch_bytes: int) -> list[str]:
    """The start of the zygote's command line: nothing, or bubblewrap and its options."""
    if not plan.house:
        return []
    if sys.platform == "darwin":
        return [outer_command(), "-p", _seatbelt(attached, fonts)]
    command = [outer_command(), "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    command += ["--cap-add", "ALL"] if os.geteuid() == 0 else ["--unshare-user"]  # a worker drops all of them
    shown = _outermost({*places(), *_interpreter(), str(PACKAGE)})
    for parent in sorted({str(parent) for path in shown for parent in Path(path).parents} - {"/"}):
        command += ["--perms", "0755", "--dir", parent]  # bwrap's own would be closed to nobody
    for path in shown:
        command += ["--ro-bind", os.path.realpath(path), path]
    if plan.room:
        command += ["--proc", "/proc", "--bind", attached, attached, "--bind", fonts, fonts]
    else:
        command += [
            "--perms",
            "0700",
            "--size",
            str(scratch_bytes),
            "--tmpfs",
            "/scratch",
        ]
        command += [
            "--ro-bind",
            fonts,
            fonts,
            "--ro-bind",
            attached,
            "/attached",
            "--perms",
            "0700",
            "--size",
            str(4 << 20),
            "--tmpfs",
            "/mpl",
        ]
    return [*command, "--dev", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]


def fonts_within(plan: Plan, fonts: str) -> str:
    """Where the zygote keeps its list of fonts: bubblewrap shows it ours read-only, of which it makes a copy."""
    return "/mpl" if plan.house and not plan.room and sys.platform == "linux" else fonts


def _seatbelt(scratch: str, fonts: str) -> str:
    """A profile for sandbox-exec: nothing but reading the runtime, and the scratch folder. Untested."""
    readable = "".join(
        f'(subpath "{path}")' for path in [*places(), sys.prefix, sys.base_prefix, str(PACKAGE), scratch]
    )
    return (
        "(version 1)(deny default)(allow process-fork)(allow process-exec)(allow signal (target self))"
        "(allow sysctl-read)(allow file-read-metadata)"
        f'(allow file-read* {readable}(subpath "/System")(literal "/dev/urandom")(literal "/dev/null"))'
        f'(allow file-write* (subpath "{scratch}")(subpath "{fonts}")(literal "/dev/null"))'
    )


def walls(reported: Iterable[tuple[str, bool, str]], failures: Mapping[str, str], unwalled: bool) -> Walls:
    """What a worker says of itself, with what went wrong before it could start, in the user's words."""
    layers = []
    for name, on, detail in reported:
        if name == "bubblewrap" and sys.platform == "darwin":
            name = "seatbelt"
        why = failures.get(name, "") if not on else ""
        layers.append(Layer(name, on, detail or why, "" if on else _HINTS.get(name, "")))
    found = Walls(tuple(layers))
    if not found.stand and not unwalled:
        raise ConfigError(
            f"The python tool is off: this system ({platform.system()}) has no wall to run foreign code behind.",
            HINT,
        )
    return found


def layers(choice: Choice = "auto") -> tuple[Layer, ...]:
    """The layers that a worker has here, found by starting one; also when they don't stand. Not for a running loop."""
    from llamachat.tools.python import PythonSession

    async def look() -> Walls:
        session = PythonSession(walls=choice, unwalled=True, warm=False)
        try:
            return await session.look()
        finally:
            await session.close()

    try:
        return asyncio.run(look()).layers
    except LlamaChatError as error:
        return (Layer("worker", False, error.message, error.hint),)
