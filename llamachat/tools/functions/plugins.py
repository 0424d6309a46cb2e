"""Functions of installed packages, found by the entry point group ``llamachat.tools``. Imports none of them.

[project.entry-points."llamachat.tools"]
weather = "my_package.weather"            # a module: its public functions
units = "my_package.units:convert"        # a function, or a list of them
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import entry_points

from llamachat.errors import ConfigError
from llamachat.tools import Tool
from llamachat.tools.functions.process import SECONDS, FunctionProcess, Source

GROUP = "llamachat.tools"


def load_plugins(taken: Iterable[str] = (), *, timeout: float = SECONDS) -> tuple[list[Tool], list[ConfigError]]:
    """The tools of all installed packages, and what is wrong with those that can't be used.

    Each package has a process of its own; a package that is broken, or wants a name that is ``taken`` by a tool of
    yours or of a package before it, is left out as a whole. The tools ask before they run.
    """
    sources = _sources()
    names, tools, errors = set(taken), list[Tool](), list[ConfigError]()
    with ThreadPoolExecutor(max(1, len(sources))) as pool:
        for source, found in zip(sources, pool.map(partial(_load, seconds=timeout), sources), strict=True):
            if isinstance(found, ConfigError):
                errors.append(ConfigError(f"The plug-in {source.name} can't be used: {found.message}", found.hint))
            elif twice := sorted(names.intersection(tool.name for tool in found)):
                what = f"The plug-in {source.name} can't be used: there is a tool {twice[0]!r} already."
                errors.append(ConfigError(what, "Remove one of the two."))
            else:
                names.update(tool.name for tool in found)
                tools += found
    return tools, errors


def _sources() -> list[Source]:
    """One of each distribution, by name."""
    found: dict[str, dict[str, str]] = {}
    for point in sorted(entry_points(group=GROUP)):
        found.setdefault(point.dist.name if point.dist else point.name, {})[point.name] = point.value
    return [Source(name, {"objects": objects}) for name, objects in sorted(found.items())]


def _load(source: Source, seconds: float) -> list[Tool] | ConfigError:
    try:
        return FunctionProcess(source, seconds).tools()
    except ConfigError as error:
        return error
