"""A llamachat that talks to itself until it is killed: ``python talker.py STORE SESSION|new``.

Prints the session's id, then a line for every event that the recorder took: what, how much, when (monotonic).
"""

import sys
import time
from itertools import count
from pathlib import Path

from llamachat.messages import (
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
from llamachat.sessions import Conditions, Recorder, Store

CONDITIONS = Conditions("default", "You count.", "nano")


def say(*words: object) -> None:
    print(*words, time.monotonic(), flush=True)


def turn(session, number: int) -> None:  # type: ignore[no-untyped-def]
    """A question, a call, its result, a reply that streams for about 0.2 s."""
    session.ask(Message("user", f"question {number}"), CONDITIONS)
    say("asked", number)
    recorder = Recorder(session, CONDITIONS)
    call = ToolCall("code_interpreter", {"code": f"print({number})"})
    ids = (number, 128008)
    recorder.feed(MessageEnd(Message("assistant", "", (call,), StopReason.end_of_message, ids)))
    recorder.feed(ToolStart(call))
    say("started", number)
    time.sleep(0.02)
    recorder.feed(ToolEnd(ToolResult(call, str(number)), 0.02))
    recorder.feed(MessageEnd(Message("ipython", str(number))))
    say("returned", number)
    for word in range(60):
        recorder.feed(TextDelta(f"{word} "))
        say("said", number, word)
        time.sleep(0.004)
    text = "".join(f"{word} " for word in range(60))
    recorder.feed(MessageEnd(Message("assistant", text, (), StopReason.end_of_turn, (*range(60), 128009))))
    recorder.feed(TurnEnd(StopReason.end_of_turn, Usage(generated_tokens=60)))
    recorder.close()
    say("ended", number)


def main(path: str, id: str) -> None:
    store = Store(Path(path))
    session = store.create("/") if id == "new" else store.open(id)
    print(session.id, int(session.shared), flush=True)
    for number in count():
        turn(session, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
