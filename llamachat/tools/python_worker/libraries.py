"""Libraries that evaluate strings or want a screen, set right once they are loaded. Knows no syntax, pipe or wall."""

import builtins
import inspect
import logging
import sys
import timeit
from collections.abc import Callable, Mapping
from types import CodeType, ModuleType
from typing import Any

from llamachat.tools.python_worker import event_loop, figures, guards
from llamachat.tools.python_worker.policy import GUARDS, compile_text, hidden, ruled

MAX_THREADS = 64
BUILTINS: dict[str, Any] = {}
"""Those of the session, for text that is evaluated in names of its own; ``names`` fills them in."""
_mended: set[str] = set()


def mend() -> None:
    """Set right what has been loaded since the last call."""
    for name, mending in _MENDINGS.items():
        if name not in _mended and name in sys.modules:
            _mended.add(name)
            mending(sys.modules[name])


def evaluate(source: str, mode: str, names: dict[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """``eval`` or ``exec`` of a text under the cell's rules, with the cell's builtins."""
    names["__builtins__"] = BUILTINS
    return (eval if mode == "eval" else exec)(compile_text(source, mode), names, local)


def _doctest(module: ModuleType) -> None:
    vars(module)["compile"] = lambda source, filename, mode, *_: compile_text(source, mode, filename)
    vars(module)["exec"] = lambda code, names: exec(code, names.update(__builtins__=BUILTINS) or names)


def _typing(module: ModuleType) -> None:
    """Annotations in text, as ``functools.singledispatch`` reads them."""
    texts: dict[CodeType, str] = {}

    def compile_(text: str, filename: str, mode: str) -> CodeType:
        code = compile(text, filename, mode)
        texts[code] = text
        return code

    def eval_(code: CodeType, names: dict[str, Any], local: Mapping[str, Any]) -> Any:
        return _annotation(texts[code], names, local)

    vars(module).update(compile=compile_, eval=eval_)
    guards.REPLACED["typing"] = guards.REPLACED["typing_extensions"] = {"get_type_hints": _type_hints}


def _type_hints(
    of: Any, globalns: Mapping[str, Any] | None = None, localns: Mapping[str, Any] | None = None, **_: object
) -> dict[str, Any]:
    """typing.get_type_hints, of the code's own classes and functions: text is read by the cell's names, whatever module
    a class says that it is of."""
    names = vars(sys.modules["__main__"]) | dict(globalns or {})
    holders = reversed(type.mro(of)) if isinstance(of, type) else [of]
    found: dict[str, Any] = {}
    for holder in filter(guards.mine, holders):
        found |= inspect.get_annotations(holder)
    for name, hint in found.items():
        if isinstance(hint, str):
            found[name] = _annotation(hint, names, localns)
        if found[name] is None:
            found[name] = type(None)
    return found


def _inspect(module: ModuleType) -> None:
    vars(module)["eval"] = _annotation


def _annotation(text: str, names: Mapping[str, Any], local: Mapping[str, Any] | None) -> Any:
    """The value of an annotation. Its names may be a library's, and the text the code's all the same: a function can
    say that it wraps another, a class that it is of another module."""
    home = str(names.get("__name__", "__main__"))
    if home != "__main__" and home.partition(".")[0] not in guards.ALLOWED:
        raise NameError(f"text can't be evaluated with the names of {home}")
    return evaluate(text, "eval", dict(names), local)


def _string(module: Any) -> None:
    module.Formatter.get_field = guards.SafeFormatter.get_field


def _logging(module: ModuleType) -> None:
    def _format(style: Any, record: logging.LogRecord) -> str:
        return guards.SafeFormatter().vformat(style._fmt, (), {**(style._defaults or {}), **vars(record)})

    vars(module)["StrFormatStyle"]._format = _format


def _matplotlib(module: Any) -> None:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of fonts
    figures.connect(module)
    guards.REPLACED["matplotlib"] = {"use": figures.stay}
    guards.REPLACED["matplotlib.pyplot"] = {"switch_backend": figures.stay}


def _ticker(module: Any) -> None:
    def call(formatter: Any, x: float, pos: int | None = None) -> str:
        return guards.SafeFormatter().vformat(formatter.fmt, (), {"x": x, "pos": pos})

    module.StrMethodFormatter.__call__ = call


def _pandas(module: Any) -> None:
    module.set_option("display.width", 120, "display.max_columns", 20)


def _pandas_expressions(module: Any) -> None:
    """``pd.eval`` and ``df.query`` read attributes as the cell's own code would."""
    visitor = module.BaseExprVisitor
    plain = visitor.visit_Attribute

    def visit_attribute(self: Any, node: Any, **kwargs: Any) -> Any:
        if reason := hidden(node.attr) or (node.attr.startswith("_") and f"{node.attr!r} is private"):
            raise AttributeError(reason)
        owner = self.visit(node.value).value
        if isinstance(owner, ModuleType):
            guards.get(owner, node.attr)
        return plain(self, node, **kwargs)

    visitor.visit_Attribute = visit_attribute


def _sympy(module: Any) -> None:
    """``sympify`` evaluates what it is given, and so do all functions that take text for an expression."""
    plain = module.evaluateFalse

    def eval_expr(code: str | CodeType, local_dict: Any, global_dict: dict[str, Any]) -> Any:
        names = {key: value for key, value in global_dict.items() if value is not getattr(builtins, key, module)}
        if isinstance(code, str):
            return evaluate(code, "eval", names, local_dict)
        return eval(code, names | {"__builtins__": BUILTINS}, local_dict)

    module.eval_expr = eval_expr
    module.evaluateFalse = lambda text: ruled(plain(text))


def _sympy_var(module: Any) -> None:
    def var(names: Any, **options: Any) -> Any:
        """sympy.var: symbols that become names of the cell."""
        made = module.symbols(names, **options)
        waiting = [made]
        while waiting:
            if isinstance(one := waiting.pop(), list | tuple | set):
                waiting += one
            elif (name := str(getattr(one, "name", one))) in GUARDS or hidden(name):
                raise ValueError(f"{name!r} can't be a name here")
            else:
                vars(sys.modules["__main__"])[name] = one
        return made

    for home in ("sympy", "sympy.core", "sympy.core.symbol"):
        guards.REPLACED[home] = {"var": var}


def _yaml(module: Any) -> None:
    def refuse(_loader: Any, name: str, mark: object, unsafe: bool = False) -> None:
        raise module.constructor.ConstructorError(None, None, f"{name} can't be loaded from YAML here", mark)

    loader = module.constructor.FullConstructor
    loader.find_python_name = loader.find_python_module = refuse


def _unittest(module: Any) -> None:
    loader = module.loader.TestLoader
    load = loader.loadTestsFromName

    def load_from_name(self: Any, name: str, module: Any = None) -> Any:
        if module is None or any(part.startswith("_") for part in name.split(".")):
            raise AttributeError(f"tests can't be loaded by the name {name!r} here; use loadTestsFromTestCase")
        return load(self, name, module)

    loader.loadTestsFromName = load_from_name


def _pictures(module: Any) -> None:
    module.Image.show = lambda image, *_args, **_kwargs: figures.display(image)


def _threading(module: Any) -> None:
    start = module.Thread.start

    def counted(thread: Any) -> None:
        if module.active_count() > MAX_THREADS:
            raise RuntimeError(f"can't start new thread: {MAX_THREADS} run already")
        start(thread)

    module.Thread.start = counted


def _sqlite(module: Any) -> None:
    denied = {module.SQLITE_ATTACH, module.SQLITE_DETACH}
    guards.REPLACED["sqlite3"] = {"connect": _connector(module, denied)}


def _connector(module: Any, denied: set[int]) -> Callable[..., Any]:
    def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
        """sqlite3.connect; other databases can't be attached, for sqlite would open them unseen."""
        if kwargs.pop("uri", False):
            raise module.OperationalError("databases can't be opened by URI here; give a file name or ':memory:'")
        connection = module.connect(database, *args, **kwargs)
        connection.set_authorizer(lambda action, *_: module.SQLITE_DENY if action in denied else module.SQLITE_OK)
        return connection

    return connect


_MENDINGS: dict[str, Callable[[Any], None]] = {
    "doctest": _doctest,
    "inspect": _inspect,
    "string": _string,
    "typing": _typing,
    "logging": _logging,
    "PIL.Image": _pictures,
    "matplotlib": _matplotlib,
    "matplotlib.ticker": _ticker,
    "pandas": _pandas,
    "pandas.core.computation.expr": _pandas_expressions,
    "sqlite3": _sqlite,
    "threading": _threading,
    "unittest": _unittest,
    "yaml": _yaml,
    "sympy.core.symbol": _sympy_var,
    "sympy.parsing.sympy_parser": _sympy,
}


def stand_ins(module: str) -> dict[str, Any]:
    """What the stand-in for ``module`` has instead of the real thing."""
    if module == "asyncio":
        return event_loop.DOORS
    if module == "inspect":
        return {"getmembers": _members}
    if module == "timeit":
        return {"Timer": _Timer, "timeit": _timeit, "repeat": _repeat}
    if module == "IPython":
        return {"get_ipython": lambda: None}
    return figures.DISPLAY if module == "IPython.display" else {}


def _members(owner: Any, predicate: Callable[[Any], bool] | None = None) -> list[tuple[str, Any]]:
    """inspect.getmembers, of what is not hidden."""
    names = [name for name in dir(owner) if not hidden(name) and guards.hasattr_(owner, name)]
    found = [(name, guards.get(owner, name)) for name in names]
    return [(name, value) for name, value in found if predicate is None or predicate(value)]


class _Timer(timeit.Timer):
    """timeit.Timer; text is run under the cell's rules."""

    def __init__(
        self,
        stmt: str | Callable[[], Any] = "pass",
        setup: str | Callable[[], Any] = "pass",
        timer: Callable[[], float] = timeit.default_timer,
        globals: dict[str, Any] | None = None,
    ) -> None:
        names = {key: value for key, value in (globals or {}).items() if not hidden(key)}
        super().__init__(_callable(stmt, names), _callable(setup, names), timer)


def _callable(what: str | Callable[[], Any], names: dict[str, Any]) -> Callable[[], Any]:
    if callable(what):
        return what
    names["__builtins__"] = BUILTINS
    code = compile_text(inspect.cleandoc(what), "exec", "<timeit>")
    return lambda: exec(code, names)


def _timeit(
    stmt: Any = "pass", setup: Any = "pass", timer: Any = timeit.default_timer, number: int = 1_000_000,
    globals: dict[str, Any] | None = None,
) -> float:  # fmt: skip
    """timeit.timeit."""
    return _Timer(stmt, setup, timer, globals).timeit(number)


def _repeat(
    stmt: Any = "pass", setup: Any = "pass", timer: Any = timeit.default_timer, repeat: int = 5,
    number: int = 1_000_000, globals: dict[str, Any] | None = None,
) -> list[float]:  # fmt: skip
    """timeit.repeat."""
    return _Timer(stmt, setup, timer, globals).repeat(repeat, number)
