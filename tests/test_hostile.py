"""Text that is made to be slow to read: brackets and quotes by the thousand cost linear time, and no recursion."""

import time
from collections.abc import Callable

import pytest
from reading import ALL, OSLO

from llamachat.calls import Judge, Prose, read_tagged
from llamachat.calls.keywords import balanced_end, read_call, read_call_list
from llamachat.literals import read_json

EOT = Judge(ALL, "eot")
UNITS = (
    "{", "[", '"', "'", "`", "(", "<function=", '{"a":', "[f(a=", '[{"name": "', "brave_search.call(", "\\",
    "get_weather(city=[", "\n[add(", "```json\n{", '{"name": "add", "parameters": {"a": "', "[ ", "\n\n", " ", "a",
    OSLO, "\n[launch('''", '<function=add>{"a": ', "\nbrave_search.call('x' y) ", "`{", "\n[x(y ", "add(a=1) ",
    """{"a": "{'b': """, "\\'", '{"a": [[', "```\n", "[[[x(", '"name":"add', "1", "f(",
)  # fmt: skip


def read_prose(text: str) -> None:
    prose = Prose(ALL)
    half = len(text) // 2
    prose.feed(text[:half])
    prose.feed(text[half:])
    prose.finish(EOT, alone=True)


READERS: dict[str, Callable[[str], object]] = {
    "prose": read_prose,
    "after words": lambda text: read_prose("Well, " + text),
    "tagged": lambda text: read_tagged(EOT, text),
    "json": read_json,
    "json string": lambda text: read_json('{"name": "' + text),
    "list": lambda text: read_call_list("[f(a=" + text),
    "call": lambda text: read_call("f(a='" + text),
    "brackets": lambda text: balanced_end("[" + text, 0),
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("reader", READERS.values(), ids=list(READERS))
def test_hostile_text_takes_linear_time(reader: Callable[[str], object], unit: str) -> None:
    """Eight times the text may take at most 40 times as long, unless it takes less than a second anyway."""

    def seconds(size: int) -> float:
        start = time.process_time()
        reader(unit * (size // len(unit)))
        return time.process_time() - start

    assert seconds(40_000) < max(1.0, 40 * seconds(5_000))


def test_a_long_reply_streams() -> None:
    """An id costs the same at the end of a long reply as at its beginning: 20,000 in well under ten seconds."""
    prose = Prose(ALL)
    start = time.process_time()
    for _ in range(4_000):
        for piece in ("Some words", " and `code`", ",\n", "[1] {x}", " data\n"):
            prose.feed(piece)
    assert time.process_time() - start < 10
    assert prose.text.startswith("Some words and")
    assert prose.shown == len(prose.text.rstrip())
