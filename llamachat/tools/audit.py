"""What the worker's process may do: an audit hook over files, processes and sockets. Knows no code and no names.

It also sees what libraries do on the code's behalf: ``pandas.read_csv("/etc/passwd")``, a pickle in ``numpy.load``,
``os.system`` from wherever. Not covered: what compiled libraries open by themselves, and ``stat``; only walls of the
operating system stop those.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_PATHS = {"os.listdir": 1, "os.scandir": 1, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2,
          "os.link": 2, "os.symlink": 2, "os.truncate": 1, "os.utime": 1, "os.chmod": 1, "os.chown": 1, "os.chdir": 1,
          "os.setxattr": 1, "os.removexattr": 1, "os.chflags": 1}  # fmt: skip
"""Events whose first so many arguments are paths."""
_READING = frozenset({"os.listdir", "os.scandir"})
_FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill", "pty.",
    "subprocess.", "socket.", "sqlite3.", "signal.", "syslog.", "sys.settrace", "sys.setprofile", "sys.addaudithook",
    "code.__new__",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = ("/usr/share/zoneinfo", "/etc/localtime", "/usr/share/fonts", "/etc/fonts", "/dev/null", "/dev/urandom")
_PLAIN = frozenset(t.__name__ for t in (set, frozenset, complex, bytearray, slice, range, object, list, dict, tuple))


@dataclass(slots=True)
class Files:
    """Where the code may read and write: ``scratch`` both, ``readable`` and the Python installation only read."""

    scratch: str
    readable: tuple[str, ...] = ()
    pipes: frozenset[int] = frozenset()
    """Descriptors of ours that nobody else may open."""
    packages: str = ""
    """Where our libraries are installed, if not within the Python installation: a user's own site-packages."""
    _runtime: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        places = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__), *_SYSTEM}
        self._runtime = tuple({os.path.realpath(place) for place in (*places, self.packages) if place} - {"/"})
        self.scratch = os.path.realpath(self.scratch)

    def holds_runtime(self, path: str) -> bool:
        """Whether ``path`` belongs to the Python installation."""
        return _inside(os.path.realpath(path), self._runtime)

    def check(self, path: Any, *, write: bool) -> None:
        """Raise PermissionError if ``path`` (text, bytes, a path or a descriptor) is out of bounds."""
        if isinstance(path, int):
            if path in self.pipes:
                raise PermissionError(f"descriptor {path} is not yours")
            return
        real = os.path.realpath(os.fsdecode(path) if path is not None else ".")
        if _inside(real, (self.scratch,)):
            return
        if write:
            raise PermissionError(
                f"{os.fsdecode(path)}: files can only be written in the working folder, by plain names"
            )
        if not _inside(real, (*self.readable, *self._runtime)):
            raise PermissionError(
                f"{os.fsdecode(path)}: only files in the working folder can be read; see os.listdir()"
            )


def _inside(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(place + os.sep) for place in places)


def watch(files: Files, modules: Iterable[str]) -> None:
    """Install the hook for the rest of the process's life. Pickles may hold classes of ``modules`` only."""
    unpickled = frozenset(modules) | {"copyreg"}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            files.check(args[0], write=bool(args[2] & _WRITING))
        elif event in _PATHS:
            for path in args[: _PATHS[event]]:
                files.check(path, write=event not in _READING)
        elif event == "pickle.find_class":
            module, name = args
            if module.partition(".")[0] not in unpickled and not (module == "builtins" and name in _PLAIN):
                raise PermissionError(f"a pickle that needs {module}.{name} can't be loaded here")
        elif event == "ctypes.dlopen" and args[0] is not None:
            raise PermissionError("libraries can't be loaded here")
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event.rstrip('.')} is not possible here: no processes, network or signals")

    sys.addaudithook(hook)
