"""What code may say: RestrictedPython's transformer, opened for everyday code. Knows no process, pipe or file.

It gives the model clear messages and stops casual misuse; it is no security boundary. What it can't see: names that
libraries resolve from strings (``pandas.eval``, annotations read by ``functools.singledispatch``), and positional class
patterns, whose attributes are only known when they run. Those meet ``guards``' audit hook.
"""

import ast
from types import CodeType
from typing import Any

from RestrictedPython.transformer import INSPECT_ATTRIBUTES, RestrictingNodeTransformer, copy_locations

GUARDS = frozenset({"_getattr_", "_write_", "_echo_", "_Interrupted_"})
"""Names that rewritten code uses; they live among the builtins and can't be rebound."""


def words(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


_OPERATORS = words("add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift")
_METHODS = words("""
    init new del repr str bytes format bool hash len length_hint contains iter next reversed call getitem setitem
    delitem missing class_getitem eq ne lt le gt ge enter exit getattr setattr delattr get set delete set_name
    init_subclass post_init neg pos abs invert int float complex index round trunc floor ceil copy deepcopy
    instancecheck subclasscheck sizeof dir fspath array array_ufunc
""")
_DATA = words("""
    name qualname module doc version author all annotations slots members dataclass_fields class dict debug
    cause context
""")
SAFE_DUNDERS = frozenset(
    f"__{name}__" for name in _METHODS | _DATA | {prefix + name for name in _OPERATORS for prefix in ("", "r", "i")}
)
"""Double-underscore names that harmless code uses. ``__class__`` and ``__dict__`` can be read, not set."""


class NotAllowed(Exception):
    """The code asks for something that the policy refuses; the message says where, and what to do instead."""

    __module__ = "builtins"  # so that a traceback shows the bare name


def hidden(name: str) -> str | None:
    """Why attribute ``name`` can't be used, or None if it can."""
    if name in INSPECT_ATTRIBUTES:
        return f"{name!r} is hidden: frames and code objects can't be reached here; work with values and functions"
    if _dunder(name) and name not in SAFE_DUNDERS:
        return f"{name!r} is hidden here; use the plain function or operator instead, like type(x), vars(x), len(x)"
    return None


def compile_cell(source: str, filename: str) -> CodeType:
    """Compile ``source`` so that its last expression, unless a ``;`` follows, is given to ``_echo_``.

    Raises NotAllowed for what the policy refuses, and what ``ast.parse`` raises (SyntaxError, ValueError,
    RecursionError, MemoryError).
    """
    tree = ast.parse(source, filename)
    policy = Policy()
    policy.visit(tree)
    if policy.errors:
        raise NotAllowed("; ".join(dict.fromkeys(policy.errors[:3])))
    if tree.body and isinstance(last := tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        echo = ast.Call(ast.Name("_echo_", ast.Load()), [last.value], [])
        copy_locations(echo, last.value)
        last.value = echo
    return compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)


class Policy(RestrictingNodeTransformer):
    """The rules. What a visitor lacks, in this or a later Python, is refused by the base class."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: list[str] = []

    def error(self, node: ast.AST, info: str) -> None:
        self.errors.append(f"line {getattr(node, 'lineno', '?')}: {info}")

    def not_allowed(self, node: ast.AST) -> None:
        kind = type(node).__name__
        if "Async" in kind or kind == "Await":
            self.error(node, "async code can't run here; write plain functions")
        else:
            self.error(node, f"{kind} can't be used here; write it another way")

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        if name is None:
            return
        if name == "__import__":
            self.error(node, "__import__ can't be called here; use an import statement")
        elif name in GUARDS or (_dunder(name) and name not in SAFE_DUNDERS):
            self.error(node, f"the name {name!r} is not available here")

    def _contents(self, node: Any) -> Any:
        return self.node_contents_visit(node)

    # Items, iteration and unpacking stay plain Python: what they give is only dangerous by its attributes.
    visit_Subscript = visit_For = visit_comprehension = visit_With = visit_Assign = visit_AugAssign = _contents
    visit_AnnAssign = visit_Call = visit_Module = visit_Match = visit_match_case = _contents
    visit_MatchValue = visit_MatchSingleton = visit_MatchSequence = visit_MatchOr = visit_TypeAlias = _contents

    def visit_Name(self, node: ast.Name) -> Any:
        self.check_name(node, node.id)
        return self._contents(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """``a.b`` becomes ``_getattr_(a, "b")``; ``a.b = c`` becomes ``_write_(a).b = c``."""
        load = isinstance(node.ctx, ast.Load)
        if reason := hidden(node.attr):
            self.error(node, reason)
        elif not load and node.attr in ("__class__", "__dict__"):
            self.error(node, f"{node.attr!r} can't be changed here")
        value = self.visit(node.value)
        guard = ast.Name("_getattr_" if load else "_write_", ast.Load())
        arguments = [value, ast.Constant(self._mangled(node.attr))] if load else [value]
        call = ast.Call(guard, arguments, [])
        copy_locations(call, node)
        if load:
            return call
        node.value = call
        return node

    def _mangled(self, name: str) -> str:
        """``__x`` inside class C is ``_C__x``; the compiler can't do this in a string."""
        owner = self._classes[-1].lstrip("_") if self._classes else ""
        return f"_{owner}{name}" if owner and name.startswith("__") and not name.endswith("__") else name

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.check_name(node, node.name)
        return self._contents(node)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return self._contents(node)

    def visit_arg(self, node: ast.arg) -> Any:
        self.check_name(node, node.arg)
        return self._contents(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        self.check_name(node, node.name)
        self._classes.append(node.name)
        node = self._contents(node)
        self._classes.pop()
        return node

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> Any:
        for alias in node.names:
            self.check_name(node, alias.asname or alias.name.partition(".")[0])
        return self._contents(node)

    visit_ImportFrom = visit_Import

    def visit_Nonlocal(self, node: ast.Nonlocal | ast.Global) -> Any:
        for name in node.names:
            self.check_name(node, name)
        return node

    visit_Global = visit_Nonlocal

    def visit_Try(self, node: ast.Try) -> Any:
        """The first handler lets an interrupt pass, so that a bare ``except:`` in a loop can't swallow it."""
        node = self._contents(node)
        if node.handlers:
            handler = ast.ExceptHandler(ast.Name("_Interrupted_", ast.Load()), None, [ast.Raise()])
            copy_locations(handler, node.handlers[0])
            node.handlers.insert(0, handler)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        for name in node.kwd_attrs:
            if reason := hidden(name):
                self.error(node, reason)
        return self._contents(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        self.check_name(node, node.rest)
        return self._contents(node)

    def visit_MatchAs(self, node: Any) -> Any:
        self.check_name(node, node.name)
        return self._contents(node)

    visit_MatchStar = visit_TypeVar = visit_ParamSpec = visit_TypeVarTuple = visit_MatchAs


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
