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
from llamachat.tools.python_worker.policy import compile_text, hidden, ruled

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
        return _annotation(texts[code], names, local) if _the_codes(names) else eval(code, names, local)

    vars(module).update(compile=compile_, eval=eval_)


def _inspect(module: ModuleType) -> None:
    def eval_(text: str, names: dict[str, Any], local: Mapping[str, Any]) -> Any:
        return _annotation(text, names, local) if _the_codes(names) else eval(text, names, local)

    vars(module)["eval"] = eval_


def _the_codes(names: dict[str, Any]) -> bool:
    """Whether these are names of the code's, not of a library."""
    return names.get("__builtins__") not in (builtins, vars(builtins))


def _annotation(text: str, names: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
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
    "matplotlib": _matplotlib,
    "matplotlib.ticker": _ticker,
    "pandas": _pandas,
    "pandas.core.computation.expr": _pandas_expressions,
    "sqlite3": _sqlite,
    "threading": _threading,
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
