"""What code may reach: attributes, modules and their stand-ins. Knows no syntax, file or pipe.

Whatever is refused says what to do instead, with the exception that Python itself would raise. ``modules`` fills
FACADES and REPLACED; ``names`` makes the builtins of it all.
"""

import builtins
import importlib
import string
import sys
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from abc import ABCMeta
from collections.abc import Callable, Mapping
from enum import EnumMeta
from functools import partial
from types import BuiltinMethodType, FunctionType, GenericAlias, ModuleType
from typing import Any, Generic, TypeVar
from weakref import CallableProxyType, ProxyType

from llamachat.tools.python_worker.policy import hidden, words

ALLOWED = words("""
    __future__ abc argparse array ast base64 binascii bisect calendar cmath codecs collections colorsys configparser
    contextlib contextvars copy csv dataclasses datetime decimal difflib doctest email enum errno filecmp fnmatch
    fractions functools getopt glob graphlib gzip hashlib heapq hmac html io ipaddress itertools json keyword linecache
    locale logging lzma math mimetypes numbers operator pathlib pickle platform plistlib posixpath pprint queue
    quopri random re reprlib sched secrets shlex shutil sqlite3 stat statistics string struct tarfile tempfile textwrap
    time token tokenize tomllib traceback tracemalloc types typing unicodedata unittest uuid warnings wave weakref xml
    zipfile zlib zoneinfo bz2
    dateutil joblib matplotlib mpl_toolkits mpmath networkx numpy openpyxl pandas PIL plotly pypdf pyarrow pytz
    scipy seaborn sklearn statsmodels sympy tabulate tqdm typing_extensions tzdata xlsxwriter yaml
""")
"""Top-level modules that code may import: harmless parts of the standard library, and what is installed of the rest."""

FACADES: dict[str, ModuleType] = {}
"""Stand-ins for modules that show only some of their names."""
REPLACED: dict[str, dict[str, Any]] = {}
"""By module: names that are something else here."""
_HIDDEN = {
    "enum": ("global_enum",),
    "io": ("FileIO", "open_code"),
    "linecache": ("cache", "lazycache"),
    "logging": ("config", "handlers"),
    "mpmath.libmp.backend": ("exec_",),
    "joblib": ("externals",),
    "numpy": ("ctypeslib", "f2py", "distutils"),
    "numpy.testing": ("runstring", "measure", "rundocs", "extbuild"),
    "pandas.core": ("computation",),
    "pickle": ("_Unpickler", "_Pickler"),
    "platform": ("os",),
    "sqlite3": ("Connection", "dbapi2", "enable_callback_tracebacks"),
    "sympy": ("external", "testing", "interactive"),
    "sympy.utilities": ("magic",),
    "traceback": ("walk_tb", "walk_stack"),
    "types": ("CodeType", "FrameType", "TracebackType"),
    "typing": ("ForwardRef",),
    "typing_extensions": ("ForwardRef", "evaluate_forward_ref", "get_annotations"),
    "unittest": ("mock",),
}
_METHODS = {
    "_convert_": ("enum", "EnumType"),
    "from_custom_template": ("pandas.io.formats.style", "Styler"),
    "get_stack": ("asyncio", "Future"),
    "set_authorizer": ("sqlite3", "Connection"),
    "enable_load_extension": ("sqlite3", "Connection"),
    "load_extension": ("sqlite3", "Connection"),
}
"""Methods that lead to frames, files or other modules' names, and the classes that have them."""
_OWN_ONLY = words("__subclasses__ __mro__ __bases__ __base__")
_WEAK = (ProxyType, CallableProxyType)
_PROXIES = (*_WEAK, GenericAlias, type(list[int] | None), type(Generic[TypeVar("T")]))  # type: ignore[index]
"""Classes whose objects pass attributes on to another object."""
_OF_ALIASES = words("__origin__ __args__ __parameters__ __metadata__ __class__ __name__ __doc__ __module__ copy_with")
_RAW = (eval, exec, compile, open, getattr, hasattr, setattr, delattr, vars, dir, globals, locals, input, breakpoint)
_REPLACEMENTS: dict[Any, str] = {raw: raw.__name__ for raw in _RAW} | {
    builtins.__import__: "__import__", importlib.import_module: "__import__", sys._getframe: "frames"
}  # fmt: skip
"""Functions that no module may hand out."""


class Interrupted(KeyboardInterrupt):
    """The user or the clock stops the code. asyncio lets a KeyboardInterrupt, and no other, through its tasks."""


class SafeFormatter(string.Formatter):
    """``str.format`` whose fields can't walk into hidden attributes."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        first, rest = formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            if is_attribute and (key.startswith("_") or hidden(key)):
                raise AttributeError(f"{key!r} can't be reached from a format string; pass the value itself")
            value = get(value, key) if is_attribute else value[key]
        return value, first


def _format(text: str, /, *args: Any, **kwargs: Any) -> str:
    if not isinstance(text, str):
        raise TypeError("format needs a string")
    return SafeFormatter().vformat(str.__str__(text), args, kwargs)


def _format_map(text: str, mapping: Mapping[str, Any], /) -> str:
    if not isinstance(text, str):
        raise TypeError("format_map needs a string")
    return SafeFormatter().vformat(str.__str__(text), (), mapping)


_FORMATS: dict[str, Callable[..., str]] = {"format": _format, "format_map": _format_map}


def get(owner: Any, name: str) -> Any:
    """``owner.name``, for a name that the policy has passed; modules show only what is harmless."""
    if issubclass(type(owner), _PROXIES):
        owner = _behind(owner, name)
    if issubclass(type(owner), ModuleType):
        return _of_module(owner, name)
    if name in _SPECIAL:
        return _SPECIAL[name](owner, name)
    value = getattr(owner, name)
    kind = type(value)
    if kind is ModuleType:
        return _shown(value, f"{type(owner).__name__}.{name}")
    if kind is BuiltinMethodType or kind is FunctionType:
        return _harmless(value)
    return value


def _behind(proxy: Any, name: str) -> Any:
    """What really has the attribute. Raises AttributeError for a weak reference to what has rules of its own."""
    if not issubclass(type(proxy), _WEAK):
        return proxy if name in _OF_ALIASES else getattr(proxy, "__origin__", proxy)
    if isinstance(proxy, ModuleType | type):  # isinstance sees through it
        raise AttributeError("modules and classes can't be reached by a weak reference here")
    return proxy


def _harmless(value: Any) -> Any:
    if value in _REPLACEMENTS:
        raise AttributeError(f"{_REPLACEMENTS[value]} can't be reached this way")
    return value


def _of_text(owner: Any, name: str) -> Any:
    """``format`` of a string, of its class, or of the super of one."""
    if isinstance(owner, type):
        return _FORMATS[name] if issubclass(owner, str) and own(owner, name) is None else getattr(owner, name)
    value = getattr(owner, name)
    if type(value) is BuiltinMethodType and isinstance(value.__self__, str):
        return partial(_FORMATS[name], value.__self__)
    return value


def own(owner: type, name: str) -> Any:
    """What a class of the code's itself defines as ``name``, or None."""
    return next((vars(kind)[name] for kind in owner.__mro__ if mine(kind) and name in vars(kind)), None)


def mine(owner: Any) -> bool:
    """Whether the code itself has made this class or function."""
    holder = type.__dict__["__dict__"].__get__(owner) if isinstance(owner, type) else {}
    return bool(holder.get("__module__", getattr(owner, "__module__", None)) == "__main__")


def _dict(owner: Any, name: str) -> Any:
    if not isinstance(owner, type):
        return getattr(owner, name)
    shown = {key: value for key, value in vars(owner).items() if not hidden(key)}
    if mine(owner):
        return shown
    return {key: value for key, value in shown.items() if not key.startswith("__") and key not in _FORMATS}


def _own_only(owner: Any, name: str) -> Any:
    if not issubclass(type(owner), type) or not mine(owner):
        label = getattr(owner, "__name__", "cls")
        raise AttributeError(f"{name!r} is hidden here, but for your own classes; {label}.mro() may help")
    return vars(type)[name].__get__(owner)  # of this class, also if it is a metaclass and so has type's methods unbound


def _getattribute(owner: Any, name: str) -> Any:
    raw = getattr(owner, name)

    def guarded(*args: Any) -> Any:
        check(args[-1])
        asked = args[0] if len(args) == 2 else getattr(raw, "__self__", None)
        if issubclass(type(asked), ModuleType) or issubclass(type(asked), _PROXIES) or args[-1] in _SPECIAL:
            return get(asked, args[-1])
        return _harmless_value(raw(*args), args[-1])

    return guarded


def _harmless_value(value: Any, name: str) -> Any:
    return _shown(value, name) if issubclass(type(value), ModuleType) else value


def _setter(owner: Any, name: str) -> Any:
    raw = getattr(owner, name)
    bound = getattr(raw, "__self__", None) if not isinstance(owner, type) or isinstance(owner, super) else None

    def guarded(*args: Any) -> None:
        name = args[0] if bound is not None else args[1]
        check(name)
        writable(args[0] if bound is None else bound, name)
        raw(*args)

    return guarded


def _of_others(owner: Any, name: str) -> Any:
    """A method that only some library's objects may not give away."""
    module, kind = _METHODS[name]
    base = getattr(sys.modules.get(module), kind, None)
    value = getattr(owner, name)
    bound = type(getattr(value, "__self__", None))
    if base and any(issubclass(k, base) for k in (bound, type(owner), owner) if isinstance(k, type)):
        raise AttributeError(f"{kind}.{name} can't be used here")
    return value


_SPECIAL: dict[str, Callable[[Any, str], Any]] = {
    "format": _of_text, "format_map": _of_text, "__dict__": _dict, "__getattribute__": _getattribute,
    "__setattr__": _setter, "__delattr__": _setter, **dict.fromkeys(_OWN_ONLY, _own_only),
    **dict.fromkeys(_METHODS, _of_others),
}  # fmt: skip


def _of_module(module: ModuleType, name: str) -> Any:
    label = module.__name__
    if module not in FACADES.values() and not _allowed(module):
        raise AttributeError(f"the module {label} can't be used here")
    if name in REPLACED.get(label, ()):
        return REPLACED[label][name]
    if concealed(label, name):
        raise AttributeError(f"{label}.{name} can't be used here")
    if name.startswith("_") and name not in ("__name__", "__doc__", "__version__", "__all__", "_"):
        raise AttributeError(f"{label}.{name} is private and can't be used here")
    if not hasattr(module, name) and module in FACADES.values():
        raise AttributeError(f"{label}.{name} is not available here{why(label, name) or f'; see dir({label})'}")
    value = getattr(module, name)
    if issubclass(type(value), ModuleType):
        return _shown(value, f"{label}.{name}")
    return _harmless(value) if isinstance(value, BuiltinMethodType | FunctionType) else value


def why(module: str, name: str) -> str:
    """What to say of a name that a stand-in lacks, or ""."""
    if module == "os" and (name in ("system", "popen", "fork", "kill") or name.startswith(("spawn", "exec"))):
        return ": no other programs can be run here"
    return ": use ThreadPoolExecutor" if name == "ProcessPoolExecutor" else ""


def _shown(module: ModuleType, label: str) -> ModuleType:
    name = module.__name__
    parent, _, last = name.rpartition(".")
    if (name not in FACADES and not _allowed(module)) or concealed(parent, last):
        raise AttributeError(f"{label} leads to a module that can't be used here")
    return FACADES.get(name, module)


def _allowed(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] in ALLOWED


def getattr_(owner: Any, name: str, *default: Any) -> Any:
    """The builtin getattr, for names that are only known now."""
    check(name)
    try:
        return get(owner, name)
    except AttributeError:
        if default:
            return default[0]
        raise


def hasattr_(owner: Any, name: str) -> bool:
    """The builtin hasattr."""
    return getattr_(owner, name, FACADES) is not FACADES


def setattr_(owner: Any, name: str, value: Any) -> None:
    """The builtin setattr."""
    check(name)
    setattr(writable(owner, name), name, value)


def delattr_(owner: Any, name: str) -> None:
    """The builtin delattr."""
    check(name)
    delattr(writable(owner, name), name)


def concealed(module: str, name: str) -> bool:
    """Whether ``module`` is harmless but for ``name``."""
    return name in _HIDDEN.get(module, ())


def check(name: str) -> None:
    """Raise AttributeError if no attribute of this name may be used."""
    if type(name) is not str:
        raise TypeError("the name of an attribute must be a string")
    if reason := hidden(name):
        raise AttributeError(reason)


def writable(owner: Any, name: str = "") -> Any:
    """``owner``, if this attribute may be set on it."""
    if name == "__class__" and not mine(type(owner)):
        raise AttributeError("'__class__' can't be changed here, but for objects of your own classes")
    if owner is FACADES.get("sys"):
        return _Streams()
    if issubclass(type(owner), _PROXIES):
        owner = _behind(owner, name)
    if issubclass(type(owner), ModuleType):
        raise AttributeError(f"the module {owner.__name__} can't be changed here; contextlib.redirect_stdout may help")
    if issubclass(type(owner), (type, FunctionType)) and not mine(owner):
        raise AttributeError(f"{owner.__name__} is not yours and can't be changed here; make a subclass or a function")
    return owner


class _Streams:
    """Takes what code sets on sys: its streams."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("stdout", "stderr", "stdin"):
            raise AttributeError(f"sys.{name} can't be changed here")
        setattr(sys, name, value)


def dotted(owner: Any, *names: str) -> Any:
    """``owner.a.b``, which a pattern will read unguarded: a stand-in's module must not hide another value there."""
    for name in names:
        value = get(owner, name)
        if issubclass(type(owner), ModuleType) and getattr(owner, name) is not value:
            raise AttributeError(f"{owner.__name__}.{name} can't stand in a pattern here; give it a name before")
        owner = value
    return owner


def pattern(kind: Any, attributes: bool) -> None:
    """Look at the class of a class pattern, whose attributes Python then reads by itself.

    Raises AttributeError if it would match a module, or names a hidden attribute by position.
    """
    if not (isinstance(kind, type) and attributes):
        return
    meta = type(kind)
    tricky = [m for m in type.mro(meta) if m not in (type, ABCMeta, EnumMeta, object) and mine(m)]
    names = next((vars(k)["__match_args__"] for k in kind.__mro__ if "__match_args__" in vars(k)), ())
    if any(words("__instancecheck__ __match_args__ __getattribute__ __getattr__") & vars(m).keys() for m in tricky):
        raise AttributeError(f"{kind.__name__} can't be a pattern here: its metaclass decides what matches")
    if issubclass(ModuleType, kind):
        raise AttributeError(f"{kind.__name__} with attributes can't be a pattern here; name a class of your own")
    if type(names) is tuple and (bad := next(filter(None, (hidden(str(name)) for name in names)), None)):
        raise AttributeError(bad)


def attrgetter(*names: str) -> Callable[[Any], Any]:
    """operator.attrgetter."""
    chains = [name.split(".") for name in names]
    for part in (part for chain in chains for part in chain):
        check(part)

    def walk(owner: Any, chain: list[str]) -> Any:
        for part in chain:
            owner = get(owner, part)
        return owner

    return lambda owner: walk(owner, chains[0]) if len(chains) == 1 else tuple(walk(owner, chain) for chain in chains)


def methodcaller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """operator.methodcaller."""
    check(name)
    return lambda owner: get(owner, name)(*args, **kwargs)
