"""What a function gave or raised, as text for a model. Knows no processes and calls no function.

Whatever the value is, something is said: JSON where it can be, else its repr, cut with the size told.
"""

import asyncio
import inspect
import itertools
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from llamachat.errors import LlamaChatError
from llamachat.protocol import frame_failure
from llamachat.threads import in_thread
from llamachat.tools import ToolOutput
from llamachat.tools.shorten import printable, shorten

MAX_RESULT = 16 << 10  # characters of a result that the model sees
MAX_ITEMS = 1000  # of an iterator, which may be endless
_LARGEST = 10_000  # elements of an array or a table; the repr of a larger one sums it up
_LISTS = ("tolist", "to_dicts", "to_list", "to_pylist")  # numpy and torch, polars, pyarrow


def settle(call: Callable[[], Any]) -> ToolOutput:
    """What ``call()`` gives or raises, whatever it is."""
    try:
        return answer(call())
    except BaseException as error:  # noqa: BLE001 a function that exits or interrupts has failed, no more
        return failure(error)


async def settle_async(work: Awaitable[Any]) -> ToolOutput:
    """What ``work`` gives or raises. Only cancelling this task goes through, not a function's own CancelledError."""
    try:
        value = await work
        if isinstance(value, AsyncIterator):
            value = await _collected(value)
        return await in_thread(lambda: answer(value))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return failure(error)
    except BaseException as error:  # noqa: BLE001 as above
        return failure(error)


def needs_loop(value: Any) -> bool:
    """Whether only an event loop can tell what ``value`` comes to."""
    return inspect.isawaitable(value) or isinstance(value, AsyncIterator)


async def awaited(value: Any) -> Any:
    """``value``, or what it comes to."""
    return await value if inspect.isawaitable(value) else value


def answer(value: Any) -> ToolOutput:
    """``value`` as JSON that the model sees. May raise what the value's own methods raise."""
    if isinstance(value, ToolOutput):
        return ToolOutput(shorten(printable(value.text), MAX_RESULT), value.ok, value.artifacts)
    note = ""
    if isinstance(value, Iterator):
        items = list(itertools.islice(value, MAX_ITEMS + 1))
        value, note = _first(items)
    return ToolOutput(shorten(printable(_as_json(value)), MAX_RESULT) + note)


def failure(error: BaseException) -> ToolOutput:
    """``{"error": "Type: message"}``; what llamachat itself refuses is framed as other refusals are."""
    if isinstance(error, LlamaChatError):
        return ToolOutput(frame_failure(printable(error.message)), ok=False)
    return failed(told(error))


def failed(message: str) -> ToolOutput:
    """A result that only says what went wrong."""
    return ToolOutput(shorten(printable(json.dumps({"error": message}, ensure_ascii=False)), MAX_RESULT), ok=False)


def told(error: BaseException) -> str:
    """``Type: message``, also if str() of the error fails."""
    lines = traceback.format_exception_only(error)  # of a SyntaxError, the indented place comes first
    text = next((line for line in lines if not line.startswith(" ")), type(error).__name__)
    return text.strip().removeprefix(f"{type(error).__module__}.")


async def _collected(items: AsyncIterator[Any]) -> Iterator[Any]:
    found: list[Any] = []
    async for item in items:
        found.append(item)
        if len(found) > MAX_ITEMS:
            break
    return iter(found)


def _first(items: list[Any]) -> tuple[list[Any], str]:
    if len(items) <= MAX_ITEMS:
        return items, ""
    return items[:MAX_ITEMS], f"\n[only the first {MAX_ITEMS:,} items; there are more]"


def _as_json(value: Any) -> str:
    """``value`` as JSON: dataclasses, models, enums, dates, sets, arrays and tables too; else the JSON of its repr."""
    try:
        return json.dumps(to_jsonable_python(value, fallback=_plain), ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):  # circular, too deep, bytes that are no text, NaT, …
        return json.dumps(repr(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON can hold of a value that pydantic does not know."""
    size = getattr(value, "size", 0)
    if isinstance(size, int) and size > _LARGEST:
        return repr(value)
    if callable(getattr(value, "to_json", None)) and hasattr(value, "index"):
        return _table(value)
    method = next((found for name in _LISTS if callable(found := getattr(value, name, None))), None)
    return repr(value) if method is None or isinstance(value, type) else method()


def _table(frame: Any) -> Any:
    """A pandas DataFrame as rows, a Series as a list; by its index where that means something."""
    orient = "records" if type(frame.index).__name__ == "RangeIndex" else "index"
    try:
        text = frame.to_json(orient=orient, date_format="iso", double_precision=15, default_handler=str)
    except ValueError:  # an index or columns that are not unique
        text = frame.to_json(orient="split", date_format="iso", double_precision=15, default_handler=str)
    return json.loads(text)
