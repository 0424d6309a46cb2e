"""What code may reach: the builtins, attributes and modules of the python worker. Knows no syntax, file or pipe.

Whatever is refused says what to do instead, with the exception that Python itself would raise.
"""

import builtins
import operator
import os
import re
import string
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import IO, Any, NoReturn

from llamachat.tools.policy import hidden, words

ALLOWED = words("""
    __future__ abc array ast base64 binascii bisect calendar cmath collections colorsys contextlib contextvars copy
    csv dataclasses datetime decimal difflib enum errno fnmatch fractions functools glob graphlib gzip hashlib heapq
    hmac html io itertools json keyword locale logging math numbers operator pathlib posixpath pprint queue random re
    reprlib secrets statistics string struct tempfile textwrap time token traceback types typing unicodedata uuid
    warnings weakref xml zipfile zlib zoneinfo
    dateutil matplotlib mpl_toolkits mpmath networkx numpy openpyxl pandas PIL pypdf pytz scipy seaborn sklearn
    statsmodels sympy tabulate tzdata
""")
"""Top-level modules that code may import: harmless parts of the standard library, and what is installed of the rest."""

_ADVICE = {
    "socket ssl http urllib requests httpx aiohttp ftplib smtplib webbrowser": "there is no network here",
    "subprocess multiprocessing threading signal pty ctypes": "code runs here in one process and one thread",
    "pickle shelve marshal dill joblib": "save data as text, with json or csv",
    "asyncio concurrent": "write plain functions",
    "timeit": "measure with time.perf_counter()",
    "pip": "nothing can be installed here",
}
_BUILTINS = words("""
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter
    float format frozenset hash hex id int isinstance issubclass iter len list map max memoryview min next object oct
    ord pow print property range repr reversed round set slice sorted staticmethod str sum super tuple type zip
    Ellipsis NotImplemented __build_class__ __debug__
""")
_REFUSED = {
    "eval": "eval() is not available here; write the expression itself, or read data with ast.literal_eval",
    "exec": "exec() is not available here; write the code itself",
    "compile": "compile() is not available here; write the code itself",
    "input": "input() is not available here, nobody can type; put the values into the code",
    "breakpoint": "breakpoint() is not available here; print what you want to see",
    "help": "help() is not available here; print the __doc__ of the object",
}
_OS = words("""
    path sep linesep name curdir pardir extsep getcwd listdir scandir walk mkdir makedirs remove unlink rename
    replace rmdir removedirs stat fspath PathLike urandom cpu_count getpid
""")
_SYS = words("""
    version version_info maxsize maxunicode float_info int_info hash_info byteorder platform implementation
    getsizeof getrecursionlimit getdefaultencoding getrefcount intern exc_info get_int_max_str_digits
    set_int_max_str_digits
""")
MAX_RECURSION = 10_000  # Python frames are 0.5 KiB of C stack at most; 8 MiB hold them


class Interrupted(BaseException):
    """The user or the clock stops the code."""


class SafeFormatter(string.Formatter):
    """``str.format`` whose fields can't walk into hidden attributes."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        for name in re.findall(r"\.(\w+)", field_name):
            if name.startswith("_") or hidden(name):
                raise AttributeError(f"{name!r} can't be reached from a format string; pass the value itself")
        return super().get_field(field_name, args, kwargs)


def _format(text: str, /, *args: Any, **kwargs: Any) -> str:
    return SafeFormatter().vformat(text, args, kwargs)


def _format_map(text: str, mapping: Mapping[str, Any], /) -> str:
    return SafeFormatter().vformat(text, (), mapping)


_FORMATS: dict[str, Callable[..., str]] = {"format": _format, "format_map": _format_map}


def get(owner: Any, name: str) -> Any:
    """``owner.name``, for a name that the policy has passed; modules show only what is harmless."""
    if isinstance(owner, ModuleType):
        return _of_module(owner, name)
    if name in _FORMATS and isinstance(owner, str):
        return partial(_FORMATS[name], owner)
    if isinstance(owner, type):
        if name in _FORMATS and issubclass(owner, str):
            return _FORMATS[name]
        if name == "__dict__":
            return {key: value for key, value in vars(owner).items() if not hidden(key)}
    return getattr(owner, name)


def _of_module(module: ModuleType, name: str) -> Any:
    own = module.__name__
    if module not in _FACADES.values() and not _allowed(module):
        raise AttributeError(f"the module {own} can't be used here")
    if name in _REPLACED.get(own, ()):
        return _REPLACED[own][name]
    if name in _HIDDEN.get(own, ()):
        raise AttributeError(f"{own}.{name} can't be used here")
    if name.startswith("_") and name not in ("__name__", "__doc__", "__version__", "__all__"):
        raise AttributeError(f"{own}.{name} is private and can't be used here")
    if not hasattr(module, name) and module in _FACADES.values():
        raise AttributeError(f"{own}.{name} is not available here; see dir({own})")
    value = getattr(module, name)
    if not isinstance(value, ModuleType):
        return value
    if value.__name__ not in _FACADES and not _allowed(value):
        raise AttributeError(f"{own}.{name} leads to a module that can't be used here")
    return _FACADES.get(value.__name__, value)


def _allowed(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] in ALLOWED


def getattr_(owner: Any, name: str, *default: Any) -> Any:
    """The builtin getattr, for names that are only known now."""
    _pass(name)
    try:
        return get(owner, name)
    except AttributeError:
        if default:
            return default[0]
        raise


def hasattr_(owner: Any, name: str) -> bool:
    """The builtin hasattr."""
    return getattr_(owner, name, _FACADES) is not _FACADES


def setattr_(owner: Any, name: str, value: Any) -> None:
    """The builtin setattr."""
    _pass(name)
    setattr(writable(owner), name, value)


def delattr_(owner: Any, name: str) -> None:
    """The builtin delattr."""
    _pass(name)
    delattr(writable(owner), name)


def _pass(name: str) -> None:
    if type(name) is not str:
        raise TypeError("the name of an attribute must be a string")
    if reason := hidden(name):
        raise AttributeError(reason)


def writable(owner: Any) -> Any:
    """``owner``, if attributes may be set on it."""
    if isinstance(owner, ModuleType):
        raise AttributeError(f"the module {owner.__name__} can't be changed here; contextlib.redirect_stdout may help")
    return owner


def attrgetter(*names: str) -> Callable[[Any], Any]:
    """operator.attrgetter."""
    for name in names:
        for part in name.split("."):
            _pass(part)
    return operator.attrgetter(*names)


def methodcaller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """operator.methodcaller."""
    _pass(name)
    return lambda owner: get(owner, name)(*args, **kwargs)


def open_(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
) -> IO[Any]:
    """The builtin open, without ``opener``: it could hand out descriptors that the audit hook never sees."""
    return open(file, mode, buffering, encoding, errors, newline, closefd)


_REPLACED: dict[str, dict[str, Any]] = {
    "io": {"open": open_},
    "string": {"Formatter": SafeFormatter},
    "operator": {"attrgetter": attrgetter, "methodcaller": methodcaller},
}
_HIDDEN = {
    "io": ("FileIO", "open_code"),
    "typing": ("get_type_hints", "ForwardRef"),
    "types": ("CodeType", "FunctionType"),
}


def import_(
    name: str, _globals: object = None, _locals: object = None, wanted: Iterable[str] = (), level: int = 0
) -> Any:
    """``__import__``: what an import statement calls. ``from m import a`` gets only what may be reached in m."""
    top = name.partition(".")[0]
    if level or (top not in ALLOWED and top not in _FACADES):
        advice = next((text for names, text in _ADVICE.items() if top in names.split()), "")
        raise ImportError(f"the module {name or '.'} can't be imported here" + (f": {advice}" if advice else ""))
    wanted = tuple(wanted or ())
    module = _FACADES.get(name) or _load(name, wanted)
    if not wanted:
        return _FACADES.get(top, module)
    if "*" in wanted:
        public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
        return SimpleNamespace(**{key: get(module, key) for key in public if hasattr_(module, key)})
    if missing := next((key for key in wanted if not hasattr_(module, key)), None):
        raise ImportError(f"cannot import name {missing!r} from {name!r}")
    return SimpleNamespace(**{key: get(module, key) for key in wanted})


def _load(name: str, wanted: tuple[str, ...]) -> Any:
    try:
        return __import__(name, {}, {}, wanted, 0)
    except ModuleNotFoundError as error:
        if error.name != (top := name.partition(".")[0]):
            raise
        raise ModuleNotFoundError(f"{top} is not installed here; do without it", name=top) from None


def _facade(real: ModuleType, names: Iterable[str], **more: Any) -> ModuleType:
    facade = ModuleType(real.__name__, real.__doc__)
    facade.__dict__.update({name: getattr(real, name) for name in names if hasattr(real, name)}, **more)
    return facade


def _stream(name: str) -> Any:
    """sys.stdout and its like: what they are at the moment, so that contextlib.redirect_stdout works."""
    if name in ("stdin", "stdout", "stderr"):
        return getattr(sys, name)
    raise AttributeError(name)


def _set_recursion_limit(limit: int) -> None:
    sys.setrecursionlimit(min(limit, MAX_RECURSION))


_FACADES: dict[str, ModuleType] = {
    "os": _facade(os, _OS, environ={}, getenv=lambda name, default=None: default),
    "os.path": os.path,
    "sys": _facade(
        sys,
        _SYS,
        argv=[""],
        path=[],
        executable="",
        exit=sys.exit,
        setrecursionlimit=_set_recursion_limit,
        __getattr__=_stream,
    ),
}


def make_builtins(namespace: dict[str, Any], echo: Callable[[Any], None]) -> dict[str, Any]:
    """The builtins of code that runs in ``namespace``; ``echo`` gets the value of a last expression."""
    errors = {name: value for name, value in vars(builtins).items() if isinstance(value, type) and _is_error(value)}
    refused = {name: partial(_refuse, text) for name, text in _REFUSED.items()}

    def names() -> dict[str, Any]:
        return {name: value for name, value in namespace.items() if name != "__builtins__"}

    def vars_(*owner: Any) -> Any:
        return get(owner[0], "__dict__") if owner else names()

    def dir_(*owner: Any) -> list[str]:
        return [name for name in (dir(owner[0]) if owner else sorted(names())) if not hidden(name)]

    return {
        **{name: getattr(builtins, name) for name in _BUILTINS}, **errors, **refused,
        "__import__": import_, "_getattr_": get, "_write_": writable, "_echo_": echo, "_Interrupted_": Interrupted,
        "open": open_, "getattr": getattr_, "hasattr": hasattr_, "setattr": setattr_, "delattr": delattr_,
        "globals": names, "locals": names, "vars": vars_, "dir": dir_, "exit": sys.exit, "quit": sys.exit,
    }  # fmt: skip


def _is_error(value: type) -> bool:
    return issubclass(value, BaseException)


def _refuse(text: str, *_args: object, **_kwargs: object) -> NoReturn:
    raise RuntimeError(text)
