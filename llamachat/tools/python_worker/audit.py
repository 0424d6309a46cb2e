"""What the worker's process may do: an audit hook over files, processes and sockets. Knows no code and no names.

It also sees what libraries do on the code's behalf: ``pandas.read_csv("/etc/passwd")``, a pickle in ``numpy.load``,
``os.system`` from wherever. Not covered: what compiled libraries open by themselves, and ``stat``; only walls of the
operating system stop those.
"""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType, FunctionType
from typing import Any

from llamachat.tools.python_worker.policy import harm, words

_PATHS = {"os.listdir": 1, "os.scandir": 1, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2,
          "os.link": 2, "os.symlink": 2, "os.truncate": 1, "os.utime": 1, "os.chmod": 1, "os.chown": 1, "os.chdir": 1,
          "os.setxattr": 1, "shutil.rmtree": 1, "shutil.chown": 1, "os.removexattr": 1, "os.chflags": 1}  # fmt: skip
"""Events whose first so many arguments are paths."""
_READING = frozenset({"os.listdir", "os.scandir"})
_FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill", "pty.",
    "subprocess.", "socket.", "sqlite3.enable_load", "sqlite3.load_ext", "signal.", "syslog.", "sys.setprofile",
    "sys.addaudithook", "code.__new__",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = ("/usr/share/zoneinfo", "/etc/localtime", "/usr/share/fonts", "/etc/fonts", "/etc/mime.types",
           "/dev/null", "/dev/urandom")  # fmt: skip
_PLAIN = frozenset(t.__name__ for t in (set, frozenset, complex, bytearray, slice, range, object, list, dict, tuple))
_REBUILDERS = words("""
    _reconstruct _frombuffer scalar _unpickle_block _new_Index _new_DatetimeIndex _new_PeriodIndex new_block
    _reconstructor __newobj__ __newobj_ex__ __generator_ctor __bit_generator_ctor __randomstate_ctor
    _unpickle_timestamp _timedelta_unpickle _nat_unpickle
""")
"""Functions by which pickles rebuild arrays, tables and plain objects."""
_NEVER = words("FunctionType CodeType FileIO attrgetter methodcaller ForwardRef Formatter Connection partial")
"""Classes of allowed modules that open doors."""


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
    unpickled = frozenset(modules) | {"copyreg", "__main__"}

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if check := _CHECKS.get(event):
            check(args, files, unpickled)
        elif event in _PATHS:
            for path in args[: _PATHS[event]]:
                files.check(path, write=event not in _READING)
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event.rstrip('.')} is not possible here: no processes, network or signals")

    sys.addaudithook(hook)


def _open(args: tuple[Any, ...], files: Files, _modules: frozenset[str]) -> None:
    files.check(args[0], write=bool(args[2] & _WRITING))


def _import(args: tuple[Any, ...], files: Files, _modules: frozenset[str]) -> None:
    """Refuse to import while a library looks for modules in the working folder, as unittest's discovery makes it do:
    what lies there is the code's, and no rule was applied to it."""
    if not all(files.holds_runtime(place) for place in args[2] or ()):
        raise PermissionError("modules can't be imported from the working folder; put their code into a cell")


def _database(args: tuple[Any, ...], files: Files, _modules: frozenset[str]) -> None:
    if args[0] not in (":memory:", b":memory:", ""):
        files.check(args[0], write=True)


def _library(args: tuple[Any, ...], _files: Files, _modules: frozenset[str]) -> None:
    if args[0] is not None:
        raise PermissionError("libraries can't be loaded here")


def _attribute(args: tuple[Any, ...], _files: Files, _modules: frozenset[str]) -> None:
    """Libraries compile functions by setting ``__code__``; nobody may do so with ours."""
    home = str(getattr(args[0], "__globals__", {}).get("__name__"))
    if args[1] == "__code__" and home.startswith("llamachat."):
        raise PermissionError("the code of this function can't be changed")


def _source(args: tuple[Any, ...], files: Files, _modules: frozenset[str]) -> None:
    """Refuse source that a library compiles from text of the code's, if it names what the policy hides."""
    source, filename = args
    name = os.fsdecode(filename) if isinstance(filename, str | bytes) else str(filename)
    if source is None or name == "<unknown>" or name.startswith("<cell"):
        return  # a tree, or what ``ast.parse`` makes one of
    if name[:1] != "<" and files.holds_runtime(name):
        return
    found = harm(source.decode("utf-8", "replace") if isinstance(source, bytes) else str(source))
    if found and not _at_import():
        raise PermissionError(f"text that uses {found!r} can't be evaluated here")


def _at_import() -> bool:
    """Whether a module of a library compiles this while it is imported: nothing of the code's can be in it then."""
    frame: FrameType | None = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith("<cell"):
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _pickled(args: tuple[Any, ...], _files: Files, modules: frozenset[str]) -> None:
    module, name = args
    if not _picklable(module, name, modules):
        raise PermissionError(f"a pickle that needs {module}.{name} can't be loaded here")


def _picklable(module: str, name: str, modules: frozenset[str]) -> bool:
    """Whether a pickle may name this: a class, or one of the functions that rebuild arrays and tables."""
    if module == "builtins":
        return name in _PLAIN
    if name in _REBUILDERS or name.startswith("__pyx_unpickle_"):
        return module.partition(".")[0] in modules
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = vars(found).get(part) if found is not None else None
        if not isinstance(found, type | FunctionType):
            return False
    if module == "__main__":
        return str(getattr(found, "__module__", "")) == "__main__"
    home = getattr(found, "__module__", "")
    same = str(home).partition(".")[0] == module.partition(".")[0]
    return module.partition(".")[0] in modules and isinstance(found, type) and same and name not in _NEVER


_CHECKS: dict[str, Callable[[tuple[Any, ...], Files, frozenset[str]], None]] = {
    "open": _open,
    "import": _import,
    "pickle.find_class": _pickled,
    "sqlite3.connect": _database,
    "compile": _source,
    "object.__setattr__": _attribute,
    "ctypes.dlopen": _library,
}
