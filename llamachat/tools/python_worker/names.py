"""The builtins of a cell and the text that it evaluates. Knows the guards, and no process, pipe or wall."""

import builtins
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any, NoReturn

from llamachat.tools.python_worker import figures, guards, libraries
from llamachat.tools.python_worker.modules import import_, open_
from llamachat.tools.python_worker.policy import GUARDS, compile_text, hidden, words

_BUILTINS = words("""
    abs aiter all anext any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter
    float format frozenset hash hex id int isinstance issubclass iter len list map max memoryview min next object oct
    ord pow print property range repr reversed round set slice sorted staticmethod str sum super tuple type zip
    Ellipsis NotImplemented __build_class__ __debug__
""")
_REFUSED = {
    "compile": "compile() is not available here; write the code itself, or give its text to exec()",
    "input": "input() is not available here, nobody can type; put the values into the code",
    "breakpoint": "breakpoint() is not available here; print what you want to see",
    "help": "help() is not available here; print the __doc__ of the object",
    "get_ipython": "magics are not available here; write plain Python",
}


def make_builtins(namespace: dict[str, Any], echo: Callable[[Any], None]) -> dict[str, Any]:
    """The builtins of code that runs in ``namespace``; ``echo`` gets the value of a last expression."""
    errors = {name: value for name, value in vars(builtins).items() if isinstance(value, type) and _is_error(value)}
    refused = {name: partial(_refuse, text) for name, text in _REFUSED.items()}
    made = {
        **{name: getattr(builtins, name) for name in _BUILTINS if hasattr(builtins, name)}, **errors, **refused,
        "__import__": import_, "_getattr_": guards.get, "_write_": guards.writable, "_dotted_": guards.dotted,
        "_pattern_": guards.pattern,
        "_echo_": echo, "_Interrupted_": guards.Interrupted, "open": open_, "getattr": guards.getattr_,
        "hasattr": guards.hasattr_, "setattr": guards.setattr_, "delattr": guards.delattr_,
        "exit": sys.exit, "quit": sys.exit, "display": figures.display, **_mirrors(namespace),
    }  # fmt: skip
    libraries.BUILTINS = made
    return made


def _mirrors(namespace: dict[str, Any]) -> dict[str, Any]:
    """The builtins that show or use the names of their caller."""

    view = _view(namespace)

    def globals_() -> MutableMapping[str, Any]:
        return view

    def _own(names: Any) -> Any:
        return None if names is view else names

    def locals_() -> MutableMapping[str, Any]:
        local = _local(2, namespace)
        return globals_() if local is None else local

    def vars_(*owner: Any) -> Any:
        if not owner:
            local = _local(2, namespace)
            return globals_() if local is None else local
        return guards.get(owner[0], "__dict__")

    def dir_(*owner: Any) -> list[str]:
        local = _local(2, namespace)
        shown = dir(owner[0]) if owner else sorted(globals_() if local is None else local)
        return [name for name in shown if not hidden(name)]

    def eval_(source: Any, globals: Any = None, locals: Any = None, /) -> Any:
        """The builtin eval, of text under the rules of a cell."""
        return _evaluate(source, "eval", _own(globals), _own(locals), namespace, _local(2, namespace))

    def exec_(source: Any, globals: Any = None, locals: Any = None, /) -> None:
        """The builtin exec, of text under the rules of a cell."""
        _evaluate(source, "exec", _own(globals), _own(locals), namespace, _local(2, namespace))

    return {"globals": globals_, "locals": locals_, "vars": vars_, "dir": dir_, "eval": eval_, "exec": exec_}


def _local(depth: int, namespace: dict[str, Any]) -> dict[str, Any] | None:
    """A copy of the names of the calling function of the code's, or the names of the class that it makes; None at the
    top level and in libraries."""
    frame = sys._getframe(depth)
    if frame.f_globals is not namespace or frame.f_locals is namespace:
        return None
    if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return frame.f_locals  # the guards are global there
    return {name: value for name, value in frame.f_locals.items() if name.isidentifier() and name not in GUARDS}


def _evaluate(
    source: Any, mode: str, given: Any, local: Any, namespace: dict[str, Any], callers: dict[str, Any] | None
) -> Any:
    if isinstance(source, bytes | bytearray):
        source = bytes(source).decode()
    if not isinstance(source, str):
        raise TypeError(f"{mode}() takes text here, not {type(source).__name__}")
    if given is None:
        code = compile_text(str(source), mode)
        scope = local if local is not None else callers
        plain = None if scope is None else _without_guards(scope)
        run: Callable[..., Any] = eval if mode == "eval" else exec
        value = run(code, namespace, plain)
        _give_back(plain, scope if scope is local else None)
        return value
    names = _without_guards(given)
    only = names.get("__builtins__")
    if isinstance(only, Mapping):
        own = _without_guards(only) | {name: libraries.BUILTINS[name] for name in GUARDS}
    else:
        own = libraries.BUILTINS
    names["__builtins__"] = own
    plain = None if local is None else _without_guards(local)
    value = (eval if mode == "eval" else exec)(compile_text(str(source), mode), names, plain)
    del names["__builtins__"]
    _give_back(names if plain is None else plain, given if plain is None else local)
    names["__builtins__"] = own
    return value


def _without_guards(names: Mapping[str, Any]) -> dict[str, Any]:
    plain = {str.__str__(name): value for name, value in dict(names).items()}
    return {name: value for name, value in plain.items() if name not in GUARDS}


def _give_back(names: dict[str, Any] | None, to: Any) -> None:
    if names is not None and to is not None:
        to.update({name: value for name, value in names.items() if name != "__builtins__"})


def _view(namespace: dict[str, Any]) -> MutableMapping[str, Any]:
    """``globals()``: the cell's names but for the guards, which no attribute of it leads to."""

    class Names(MutableMapping[str, Any]):
        __slots__ = ()

        def __getitem__(self, name: str) -> Any:
            return namespace[_checked(name, KeyError)]

        def __setitem__(self, name: str, value: Any) -> None:
            namespace[_checked(name, ValueError)] = value

        def __delitem__(self, name: str) -> None:
            del namespace[_checked(name, KeyError)]

        def __iter__(self) -> Iterator[str]:
            return iter([name for name in namespace if name not in GUARDS and not hidden(name)])

        def __len__(self) -> int:
            return sum(1 for _ in self)

        def __repr__(self) -> str:
            return repr(dict(self))

    return Names()


def _checked(name: str, error: type[Exception]) -> str:
    if not isinstance(name, str):
        raise error(name)
    name = str.__str__(name)
    if name in GUARDS or hidden(name):
        raise error(name)
    return name


def _is_error(value: type) -> bool:
    return issubclass(value, BaseException)


def _refuse(text: str, *_args: object, **_kwargs: object) -> NoReturn:
    raise RuntimeError(text)
