"""The main screens, cell by cell. After a wanted change: look at the report, then run with --snapshot-update."""

from collections.abc import Callable

import pytest
from screen import make_app, shown, until
from textual.pilot import Pilot

from llamachat.errors import ContextOverflow
from llamachat.messages import (
    CallDelta,
    Event,
    Message,
    MessageEnd,
    StopReason,
    TextDelta,
    ToolCall,
    ToolEnd,
    ToolResult,
    ToolStart,
    TurnEnd,
    Usage,
)
from llamachat.tui import LlamaChatApp

REPLY = """The sum is **5021**. In `python`, with *names*:

## How it goes

1. Multiply.
2. Add.
   - carefully

```python
def total(a: int, b: int = 29) -> int:
    \"\"\"a * b + 4\"\"\"
    return a * b + 4  # the whole trick
```

| Step     | Value |
|:---------|------:|
| multiply | 5,017 |
| add      | 5,021 |

> See [the docs](https://example.org).
"""
CODE = "\n".join(f"total_{i} = {i} ** 2" for i in range(14))
CALL = ToolCall("code_interpreter", {"code": CODE})
WEATHER = ToolCall("get_weather", {"city": "Oslo", "days": 3})
USAGE = Usage(3_180, 3_148, 32, 62, 1.4, 1.0, 0.11)
OUTPUT = "completed\n[stdout]\n" + "\n".join(f"line {i}" for i in range(14)) + "\n[/stdout]"

pytestmark = pytest.mark.usefixtures("own_folders")

Do = Callable[[LlamaChatApp], None]
Compare = Callable[..., bool]


@pytest.fixture
def look(snap_compare: Compare) -> Callable[..., bool]:
    """Compares the screen after ``do`` and ``press`` as soon as it shows ``seen``, without a blinking cursor."""

    def compare(do: Do = lambda _: None, *press: str, size: tuple[int, int] = (80, 30), seen: str = "") -> bool:
        async def prepare(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, LlamaChatApp)
            app.prompt.cursor_blink = False
            await until(pilot, lambda: app.status_line.status.activity == "")
            do(app)
            await pilot.press(*press)
            await until(pilot, lambda: seen in shown(app) and app.stage.meter == app.status_line.status.meter)
            await pilot.pause()

        return snap_compare(make_app(), terminal_size=size, run_before=prepare)

    return compare


def events(*events: Event) -> Do:
    def show(app: LlamaChatApp) -> None:
        app.transcript.ask("What is 173 * 29 + 4?", "")
        for event in events:
            app.stage.show(event)

    return show


def reply(text: str, stop: StopReason = StopReason.end_of_turn) -> tuple[Event, ...]:
    message = Message("assistant", text, stop=stop, token_ids=(1,) * 34)
    return TextDelta(text), MessageEnd(message), TurnEnd(stop, USAGE)


def test_welcome(look):
    assert look()


def test_reply_with_code_and_table(look):
    assert look(events(*reply(REPLY)), size=(80, 40))


def test_folded_tool_card_and_interrupted_reply(look):
    result = ToolResult(CALL, OUTPUT)
    assert look(events(ToolStart(CALL), ToolEnd(result, 0.12), *reply("It is", StopReason.cancelled)))


def test_open_tool_card(look):
    result = ToolResult(CALL, OUTPUT)
    assert look(events(ToolStart(CALL), ToolEnd(result, 0.12)), "ctrl+o", size=(80, 45))


def test_calls_that_run_fail_and_are_being_written(look):
    failure = ToolResult(WEATHER, "failed\n[stderr]There is no function 'get_weather'.[/stderr]", ok=False)
    assert look(events(ToolStart(WEATHER), ToolEnd(failure, 0.0), CallDelta("import math\nmath.sq")), seen="math.sq")


def test_error_and_queued_message(look):
    def do(app: LlamaChatApp) -> None:
        app.transcript.ask("Tell me all about it.", "queued")
        app.transcript.say(ContextOverflow("The prompt has 9,000 tokens, the context 8,192.", "Begin a new dialog."))

    assert look(do)


def test_completions_of_a_command(look):
    assert look(lambda _: None, "slash", "t")


def test_focused_message_in_a_tiny_terminal(look):
    assert look(events(*reply("It is **5021**.")), "shift+tab", size=(40, 10))


def test_help(look):
    assert look(lambda _: None, "f1", size=(80, 45))
