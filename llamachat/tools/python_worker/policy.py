"""What code may say: RestrictedPython's transformer, opened for everyday code. Knows no process, pipe or file.

It gives the model clear messages and stops casual misuse; it is no security boundary. Source that libraries compile
by themselves (a dataclass's methods, ``sympy.lambdify``) can't be rewritten; ``harm`` says what is wrong with it.
"""

import ast
import re
from types import CodeType
from typing import Any

from RestrictedPython.transformer import INSPECT_ATTRIBUTES, RestrictingNodeTransformer, copy_locations

GUARDS = frozenset({"_getattr_", "_write_", "_dotted_", "_pattern_", "_echo_", "_Interrupted_"})
"""Names that rewritten code uses; they live among the builtins and can't be rebound."""


def words(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


_AST = ast.PyCF_ONLY_AST
_OPERATORS = words("add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift")
_METHODS = words("""
    init new del repr str bytes format bool hash len length_hint contains iter next reversed call getitem setitem
    delitem missing class_getitem eq ne lt le gt ge enter exit getattr setattr delattr get set delete set_name
    init_subclass post_init neg pos abs invert int float complex index round trunc floor ceil copy deepcopy
    instancecheck subclasscheck subclasshook sizeof dir fspath array array_ufunc getattribute await aiter anext
    aenter aexit mro_entries
""")
_DATA = words("""
    name qualname module doc version author all annotations slots members dataclass_fields class dict debug
    cause context suppress_context traceback notes wrapped defaults kwdefaults match_args args origin parameters
    orig_bases mro base bases subclasses abstractmethods isabstractmethod signature metadata supertype constraints
    bound covariant contravariant total required_keys optional_keys
""")
_DEFINED = words("__reduce__ __reduce_ex__ __getstate__ __setstate__ __getnewargs__ __getnewargs_ex__ __prepare__")
"""Methods that a class may define, for copy and pickle, and that nobody may call by name."""
SAFE_DUNDERS = frozenset(
    f"__{name}__" for name in _METHODS | _DATA | {prefix + name for name in _OPERATORS for prefix in ("", "r", "i")}
)
"""Double-underscore names that harmless code uses; ``guards`` shows some of them on the code's own classes only.
``__class__`` can only be set on them."""
_RUNNERS = words("""
    eval exec compile open getattr setattr delattr vars globals locals input breakpoint __import__ __loader__ __spec__
    __builtins__ system popen modules importlib subprocess
""")
_WALKS = words("""
    os sys posix nt ctypes mro __mro__ __base__ __bases__ __subclasses__ __dict__ __getattribute__ __globals__ __code__
    __closure__ __self__ __func__ __reduce__ __reduce_ex__ __subclasshook__ __init_subclass__ __traceback__
""")
"""Names, and attributes, that no library writes into source that it compiles for honest code."""


_TEXT = ("format", "format_map")


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

    Code that awaits at its top level becomes a coroutine's. Raises NotAllowed for what the policy refuses, and what
    ``ast.parse`` raises (SyntaxError, ValueError, RecursionError, MemoryError).
    """
    source = plain(source)
    tree = ruled(compile(source, filename, "exec", _AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
    if tree.body and isinstance(last := tree.body[-1], ast.Expr) and not _after(source, last).startswith(";"):
        last.value = _call("_echo_", last, last.value)
    code: CodeType = compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def compile_text(source: str, mode: str, filename: str = "<cell text>") -> CodeType:
    """What ``eval`` and ``exec`` need: ``source`` under the same rules. Raises what ``compile_cell`` raises."""
    tree = ruled(compile(source.strip() if mode == "eval" else source, filename, mode, _AST, dont_inherit=True))
    code: CodeType = compile(tree, filename, mode, dont_inherit=True)
    return code


def harm(source: str) -> str | None:
    """What is wrong with source that a library is about to compile, or None."""
    try:
        tree = ast.parse(source, "<unknown>")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the library will see for itself
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or ""
        if name in _RUNNERS or name in INSPECT_ATTRIBUTES:
            return name
        if isinstance(node, ast.Attribute) and name in _WALKS:
            return name
    return None


def plain(source: str) -> str:
    """``source`` as a cell of ipython takes it: a block may be indented as a whole, and plots need no magic."""
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if indent := re.match(r"(?:[ \t]*\n)*([ \t]+)\S", source):
        source = re.sub(f"^{indent[1]}", "", source, flags=re.MULTILINE)
    return re.sub(r"^%(matplotlib|config)\b.*$", "", source, flags=re.MULTILINE)


def _after(source: str, statement: ast.Expr) -> str:
    """What follows the last statement of ``source``."""
    lines = source.encode("utf-8", "surrogatepass").split(b"\n")[(statement.end_lineno or 1) - 1 :]
    return b"\n".join(lines)[statement.end_col_offset :].decode("utf-8", "replace").lstrip()


def ruled(tree: Any) -> Any:
    """``tree`` as the policy wants it; raises NotAllowed."""
    policy = Policy()
    tree = policy.visit(tree)
    if policy.errors:
        raise NotAllowed("; ".join(dict.fromkeys(policy.errors[:3])))
    return ast.fix_missing_locations(tree)


def _call(guard: str, where: Any, *arguments: ast.expr) -> ast.Call:
    call = ast.Call(ast.Name(guard, ast.Load()), list(arguments), [])
    copy_locations(call, where)
    return call


class Policy(RestrictingNodeTransformer):
    """The rules. What a visitor lacks, in this or a later Python, is refused by the base class."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: list[str] = []

    def error(self, node: ast.AST, info: str) -> None:
        self.errors.append(f"line {getattr(node, 'lineno', '?')}: {info}")

    def not_allowed(self, node: ast.AST) -> None:
        kind = type(node).__name__
        if kind == "TryStar":
            self.error(node, "except* can't be used here; catch ExceptionGroup and look at its .exceptions")
        else:
            self.error(node, f"{kind} can't be used here; write it another way")

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        if name is None:
            return
        if name == "__import__":
            self.error(node, "__import__ can't be called here; use an import statement")
        elif name == "__file__":
            self.error(node, "there is no script file here; the working folder is os.getcwd()")
        elif name in GUARDS or (_dunder(name) and name not in SAFE_DUNDERS):
            self.error(node, f"the name {name!r} is not available here")

    def _contents(self, node: Any) -> Any:
        return self.node_contents_visit(node)

    # Items, iteration and unpacking stay plain Python: what they give is only dangerous by its attributes.
    visit_Subscript = visit_For = visit_comprehension = visit_With = visit_Assign = _contents
    visit_AnnAssign = visit_Call = visit_Module = visit_match_case = visit_MatchSingleton = _contents
    visit_MatchSequence = visit_MatchOr = visit_TypeAlias = _contents
    visit_Await = visit_AsyncFor = visit_AsyncWith = _contents

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """``a.b += c`` reads ``a.b`` unguarded, so it must be nothing special."""
        if isinstance(target := node.target, ast.Attribute) and (_dunder(target.attr) or target.attr in _TEXT):
            self.error(node, f"{target.attr!r} can't be changed here")
        return self._contents(node)

    def visit_Name(self, node: ast.Name) -> Any:
        self.check_name(node, node.id)
        return self._contents(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """``a.b`` becomes ``_getattr_(a, "b")``; ``a.b = c`` becomes ``_write_(a, "b").b = c``."""
        load = isinstance(node.ctx, ast.Load)
        if reason := hidden(node.attr):
            self.error(node, reason)
        value = self.visit(node.value)
        guard = "_getattr_" if load else "_write_"
        call = _call(guard, node, value, ast.Constant(self._mangled(node.attr)))
        if load:
            return call
        node.value = call
        return node

    def _mangled(self, name: str) -> str:
        """``__x`` inside class C is ``_C__x``; the compiler can't do this in a string."""
        owner = self._classes[-1].lstrip("_") if self._classes else ""
        return f"_{owner}{name}" if owner and name.startswith("__") and not name.endswith("__") else name

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Any:
        if not (self._classes and node.name in _DEFINED):
            self.check_name(node, node.name)
        return self._contents(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return self._contents(node)

    def visit_arg(self, node: ast.arg) -> Any:
        self.check_name(node, node.arg)
        return self._contents(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """The guards are global in its body: a metaclass's ``__prepare__`` can't put others in their place."""
        self.check_name(node, node.name)
        self._classes.append(node.name)
        node = self._contents(node)
        self._classes.pop()
        node.body.insert(ast.get_docstring(node) is not None, ast.Global(sorted(GUARDS)))
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

    def visit_Match(self, node: ast.Match) -> Any:
        """Patterns can't call guards: what they name is looked at before, ``a.b`` by _dotted_, classes by _pattern_."""
        checks: list[ast.stmt] = []
        for part in (part for case in node.cases for part in ast.walk(case.pattern)):
            values = [part.value] if isinstance(part, ast.MatchValue) else getattr(part, "keys", [])
            for value in values:
                if isinstance(value, ast.Attribute):
                    checks.append(ast.Expr(self._dotted(value)))
            if isinstance(part, ast.MatchClass):
                attributes = ast.Constant(bool(_attributes(part)))
                checks.append(ast.Expr(_call("_pattern_", part.cls, self._dotted(part.cls), attributes)))
        return [*checks, self._contents(node)]

    def _dotted(self, node: ast.expr) -> ast.expr:
        """The guarded value of a pattern's ``a``, or ``a.b.c``."""
        root, *names = ast.unparse(node).split(".")
        self.check_name(node, root)
        for reason in filter(None, map(hidden, names)):
            self.error(node, reason)
        plain = ast.copy_location(ast.Name(root, ast.Load()), node)
        return _call("_dotted_", node, plain, *map(ast.Constant, names)) if names else plain

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        return node if isinstance(node.value, ast.Attribute) else self._contents(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        for name in node.kwd_attrs:
            if reason := hidden(name):
                self.error(node, reason)
        for pattern in _attributes(node):
            self.visit(pattern)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        self.check_name(node, node.rest)
        node.keys = [key if isinstance(key, ast.Attribute) else self.visit(key) for key in node.keys]
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def visit_MatchAs(self, node: Any) -> Any:
        self.check_name(node, node.name)
        return self._contents(node)

    visit_MatchStar = visit_TypeVar = visit_ParamSpec = visit_TypeVarTuple = visit_MatchAs


def _attributes(node: ast.MatchClass) -> list[ast.pattern]:
    return [*node.patterns, *node.kwd_patterns]


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
