"""What the tests of sessions say, and how they say it."""

from llamachat.messages import Message, MessageEnd, StopReason, TextDelta, ToolCall, TurnEnd, Usage
from llamachat.sessions import Conditions, Node, Recorder, Session, Store

CONDITIONS = Conditions("pirate", "Say arr.", "nano", {"temperature": 0.5, "seed": None}, ("python",))
CALL = ToolCall("code_interpreter", {"code": "print('ä')", "n": [1, 2.5, None, {"k": True}]})
END = TurnEnd(StopReason.end_of_turn, Usage(prompt_tokens=9, seconds=0.25), steps=2, note="so")


def user(text: str) -> Message:
    return Message("user", text)


def said(text: str, ids: tuple[int, ...] = (1, 128009)) -> Message:
    return Message("assistant", text, stop=StopReason.end_of_turn, token_ids=ids)


def reply(session: Session, text: str, conditions: Conditions = CONDITIONS) -> Node:
    """A turn without tools."""
    recorder = Recorder(session, conditions)
    recorder.feed(TextDelta(text))
    node = recorder.feed(MessageEnd(said(text)))
    recorder.feed(END)
    recorder.close()
    assert node is not None
    return node


def reopened(store: Store, session: Session) -> Session:
    session.close()
    return store.open(session.id)


def texts(session: Session) -> list[str]:
    return [node.message.text for node in session.path]
