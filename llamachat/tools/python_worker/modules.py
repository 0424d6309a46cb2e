"""What an import statement gives: allowed modules, and stand-ins that show the harmless part of others. Knows no files.

Filled in here: FACADES (os, sys, asyncio, threading, inspect…) and REPLACED (io.open, functools.wraps…) of ``guards``.
"""

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import IO, Any

from llamachat.tools.python_worker import guards, libraries
from llamachat.tools.python_worker.guards import ALLOWED, FACADES, REPLACED, hasattr_
from llamachat.tools.python_worker.policy import words

_ADVICE = {
    "socket ssl urllib.request http.client requests httpx aiohttp ftplib smtplib yfinance": "there is no network here",
    "webbrowser": "there is no screen here; print the address",
    "subprocess signal pty pexpect sh": "no other programs can be run here",
    "multiprocessing": "code runs in one process; use concurrent.futures.ThreadPoolExecutor or a plain loop",
    "ctypes cffi numba": "write plain Python or numpy",
    "shelve marshal dill cloudpickle": "save data as text, with json or csv, or with pickle",
    "builtins importlib runpy code codeop": "name what you need directly",
    "torch tensorflow keras transformers jax": "use numpy",
    "tkinter turtle pygame cv2": "there is no screen here; draw with matplotlib, whose figures are shown",
    "cProfile profile pstats": "measure with time.perf_counter() or timeit",
    "pip ensurepip venv": "nothing can be installed here",
}
_OS = words("""
    path sep linesep name curdir pardir extsep altsep pathsep devnull getcwd listdir scandir walk mkdir makedirs remove
    unlink rename renames replace rmdir removedirs stat lstat fspath fsencode fsdecode PathLike DirEntry urandom
    cpu_count getpid access F_OK R_OK W_OK X_OK chdir truncate utime strerror error get_terminal_size terminal_size
    stat_result times getcwdb SEEK_SET SEEK_CUR SEEK_END
""")
_SYS = words("""
    version version_info maxsize maxunicode float_info int_info hash_info byteorder platform implementation
    getsizeof getrecursionlimit getdefaultencoding getfilesystemencoding getrefcount intern exc_info hexversion
    get_int_max_str_digits set_int_max_str_digits float_repr_style copyright thread_info getswitchinterval
    is_finalizing builtin_module_names stdlib_module_names api_version
""")
_LAZY = {
    "atexit": "register unregister",
    "asyncio": """
        sleep gather wait wait_for create_task ensure_future Task Future Queue PriorityQueue LifoQueue QueueEmpty
        QueueFull Lock Event Condition Semaphore BoundedSemaphore Barrier BrokenBarrierError TaskGroup timeout
        timeout_at Timeout CancelledError TimeoutError InvalidStateError current_task all_tasks shield as_completed
        iscoroutine iscoroutinefunction isfuture run_coroutine_threadsafe to_thread get_running_loop FIRST_COMPLETED
        FIRST_EXCEPTION ALL_COMPLETED AbstractEventLoop""",
    "concurrent": "",
    "concurrent.futures": """
        ThreadPoolExecutor Executor Future as_completed wait FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED
        CancelledError TimeoutError BrokenExecutor InvalidStateError""",
    "dis": "dis opname opmap",
    "http": "HTTPStatus HTTPMethod",
    "urllib": "",
    "urllib.parse": """
        urlparse urlunparse urljoin urldefrag urlsplit urlunsplit urlencode parse_qs parse_qsl quote quote_plus
        quote_from_bytes unquote unquote_plus unquote_to_bytes ParseResult SplitResult""",
    "gc": "collect enable disable isenabled get_count get_threshold set_threshold get_stats freeze",
    "inspect": """
        signature Signature Parameter BoundArguments isclass isfunction ismethod isbuiltin isroutine isgenerator
        iscoroutine isgeneratorfunction iscoroutinefunction isasyncgen isasyncgenfunction isabstract isawaitable
        ismodule ismethoddescriptor isdatadescriptor getdoc cleandoc getmro getsource getsourcelines getfullargspec
        FullArgSpec getcomments""",
    "threading": """
        Thread Timer Lock RLock Event Condition Semaphore BoundedSemaphore Barrier BrokenBarrierError local
        current_thread main_thread active_count enumerate get_ident get_native_id TIMEOUT_MAX ThreadError""",
    "timeit": "default_timer default_number default_repeat",
    "IPython": "version_info",
    "IPython.display": "",
}
"""Stand-ins that are made when they are imported, and the names that they have from the real module."""
MAX_RECURSION = 10_000  # Python frames are 0.5 KiB of C stack at most; 8 MiB hold them


def import_(
    name: str, _globals: object = None, _locals: object = None, wanted: Iterable[str] = (), level: int = 0
) -> Any:
    """``__import__``: what an import statement calls. ``from m import a`` gets only what may be reached in m."""
    if type(wanted) is list:  # C code of a library imports (PyImport_Import); statements give a tuple or None
        return __import__(name, {}, {}, wanted, 0)
    top = name.partition(".")[0]
    stands_in = top in FACADES or top in _LAZY
    if level or not (top in ALLOWED or stands_in):
        raise ImportError(_refusal(name))
    wanted = tuple(wanted or ())
    module = _stand_in(name) if stands_in else _load(name, wanted)
    if not wanted:
        return FACADES[top] if stands_in else module
    if "*" in wanted:
        public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
        return SimpleNamespace(**{key: guards.get(module, key) for key in public if hasattr_(module, key)})
    if missing := next((key for key in wanted if not hasattr_(module, key)), None):
        raise ImportError(f"cannot import name {missing!r} from {name!r}{guards.why(name, missing)}")
    return SimpleNamespace(**{key: guards.get(module, key) for key in wanted})


def _refusal(name: str) -> str:
    """That a module can't be imported, and what to do instead."""
    advice = next((text for names, text in _ADVICE.items() if {name, name.partition(".")[0]} & {*names.split()}), "")
    return f"the module {name or '.'} can't be imported here" + (f": {advice}" if advice else "")


def _load(name: str, wanted: tuple[str, ...]) -> Any:
    parts = name.split(".")
    for place, part in enumerate(parts[1:], 1):
        if part.startswith("_") or guards.concealed(".".join(parts[:place]), part):
            raise ImportError(f"the module {name} can't be imported here")
    try:
        module = __import__(name, {}, {}, wanted, 0)
    except ModuleNotFoundError as error:
        if error.name != parts[0]:
            raise
        raise ModuleNotFoundError(f"{parts[0]} is not installed here; do without it", name=parts[0]) from None
    libraries.mend()
    return module


def _stand_in(name: str) -> ModuleType:
    if name not in FACADES:
        if name not in _LAZY:
            raise ModuleNotFoundError(_refusal(name), name=name)
        parent, _, last = name.rpartition(".")
        try:
            real = importlib.import_module(name)
        except ModuleNotFoundError:  # IPython, which is not needed for its display
            real = ModuleType(name)
        FACADES[name] = _facade(real, _LAZY[name].split(), **libraries.stand_ins(name))
        if parent:
            setattr(_stand_in(parent), last, FACADES[name])
    return FACADES[name]


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


def update_wrapper(
    wrapper: Any,
    wrapped: Any,
    assigned: Iterable[str] = functools.WRAPPER_ASSIGNMENTS,
    updated: Iterable[str] = functools.WRAPPER_UPDATES,
) -> Any:
    """functools.update_wrapper, for names that the policy passes."""
    assigned, updated = tuple(assigned), tuple(updated)
    for name in (*assigned, *updated):
        guards.check(name)
    return functools.update_wrapper(guards.writable(wrapper), wrapped, assigned, updated)


def wraps(
    wrapped: Any,
    assigned: Iterable[str] = functools.WRAPPER_ASSIGNMENTS,
    updated: Iterable[str] = functools.WRAPPER_UPDATES,
) -> Callable[[Any], Any]:
    """functools.wraps."""
    return lambda wrapper: update_wrapper(wrapper, wrapped, assigned, updated)


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


def _getenv(name: str, default: Any = None) -> Any:
    return FACADES["os"].environ.get(name, default)


FACADES |= {
    "os": _facade(os, _OS, environ={}, getenv=_getenv),
    "os.path": os.path,
    "sys": _facade(
        sys,
        _SYS,
        argv=[""],
        path=[],
        flags=None,
        modules={},
        executable="",
        exit=sys.exit,
        setrecursionlimit=_set_recursion_limit,
        __getattr__=_stream,
    ),
}
REPLACED |= {
    "io": {"open": open_},
    "codecs": {"open": open_},
    "string": {"Formatter": guards.SafeFormatter},
    "functools": {"update_wrapper": update_wrapper, "wraps": wraps},
    "operator": {"attrgetter": guards.attrgetter, "methodcaller": guards.methodcaller},
}
