"""Makes a library of native.cpp with the user's own compiler, once a machine. Knows the compiler and the cache folder;
nothing of models.

It is compiled for the very processor it runs on, so it can't be shipped. Beside the running chat that takes some
seconds, in which the model computes by torch; where there is no compiler it stays at that.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock, Timeout

from llamachat.paths import cache_dir

SOURCE = Path(__file__).parent / "native.cpp"
HEADERS = ("arithmetic.h", "sampling.h", "team.h")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-pthread")
COMPILERS = ("c++", "g++", "clang++")
INSTALL = 'file=$1; shift; "$@" && mv -f "$0" "$file"'  # by a shell, which may outlive us: one answer takes less time
PATIENCE = 300.0  # seconds for the compiler, and for another program that is at it


class Build:
    """The library of ``source``: there, being made, or why not. ``more``: flags beside FLAGS."""

    def __init__(self, source: Path = SOURCE, more: tuple[str, ...] = ()) -> None:
        self.library: ctypes.CDLL | None = None
        self.problem = ""
        """Why there is none, when that is certain."""
        self._source, self._flags, self._done = source, (*FLAGS, *more), Event()
        self.file = place(source, self._flags)
        if not self._load():
            Thread(target=self._make, name="llamachat-compiler", daemon=True).start()

    @property
    def possible(self) -> bool:
        """Whether it is there, or there is a compiler to make it."""
        return self.library is not None or compiler() is not None

    def wait(self, seconds: float = PATIENCE) -> ctypes.CDLL | None:
        """The library once it is certain whether there is one."""
        self._done.wait(seconds)
        return self.library

    def _make(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(self.file.with_suffix(".lock"), timeout=PATIENCE):
                if not self._load():  # another program may have been faster
                    self._compile()
                    self._load()
        except (OSError, Timeout, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            self.problem = str(said).strip().splitlines()[0]
        self._done.set()

    def _compile(self) -> None:
        found, fresh = compiler(), self.file.with_suffix(f".{os.getpid()}")
        if found is None:
            raise FileNotFoundError(f"there is no C++ compiler ({', '.join(COMPILERS)})")
        try:
            command = [found, *self._flags, "-o", str(fresh), str(self._source)]
            both = ["/bin/sh", "-c", INSTALL, str(fresh), str(self.file), *command]
            subprocess.run(both, check=True, capture_output=True, text=True, timeout=PATIENCE)
        finally:
            fresh.unlink(missing_ok=True)

    def _load(self) -> bool:
        """Whether the file is there and whole."""
        if not self.file.exists():
            return False
        try:
            self.library = ctypes.CDLL(str(self.file))
        except OSError as error:
            self.problem = str(error)
            return False
        self.problem = ""
        self._done.set()
        return True


@cache
def native() -> Build:
    """The one of this program."""
    return Build()


def machine(library: ctypes.CDLL) -> str:
    """Which vectors it was built for."""
    library.llamachat_machine.restype = ctypes.c_char_p
    return str(library.llamachat_machine().decode())


def place(source: Path = SOURCE, flags: tuple[str, ...] = FLAGS) -> Path:
    """The file of its library."""
    return cache_dir() / "native" / f"{source.stem}-{_key(source, flags)}.so"


def compiler() -> str | None:
    """The user's C++ compiler."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def _key(source: Path, flags: tuple[str, ...]) -> str:
    """Changes with the source, the flags, the compiler and the processor."""
    files = [source, *(source.with_name(name) for name in HEADERS)]
    facts = [file.read_bytes() for file in files if file.exists()]
    facts += map(str.encode, (*flags, compiler() or "", platform.machine(), _processor()))
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:16]


def _processor() -> str:
    """What it can do, as far as the system tells; folders of a home may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
