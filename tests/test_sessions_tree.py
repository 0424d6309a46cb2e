"""Sessions as trees: retries, edits, compactions, drops and bookmarks, here and after reopening."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from saying import CALL, CONDITIONS, END, reopened, reply, said, texts, user

from llamachat.messages import (
    Message,
    MessageEnd,
    StopReason,
    TextDelta,
)  # fmt: skip
from llamachat.sessions import Conditions, Recorder, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    ticks = count(1_800_000_000)
    with closing(Store(path, clock=lambda: float(next(ticks)))) as store:
        yield store


def test_the_system_message_of_each_turn_is_kept(store: Store) -> None:
    session = store.create()
    session.ask(user("a"), CONDITIONS)
    first = reply(session, "arr")
    other = Conditions("terse", None, "nano")
    session.ask(user("b"), other)
    last = reply(session, "b.", other)
    session = reopened(store, session)
    assert [m.role for m in session.dialog(first.id)] == ["system", "user", "assistant"]
    assert [m.role for m in session.dialog(last.id)] == ["user", "assistant"] * 2
    assert session.tree.conditions(last.id) == other


def test_ids_of_another_model_are_left_out(store: Store) -> None:
    session = store.create()
    session.ask(user("a"), CONDITIONS)
    reply(session, "by nano")
    session.ask(user("b"), Conditions(model="big"))
    reply(session, "by big", Conditions(model="big"))
    assert [m.token_ids for m in session.dialog(model="big")] == [None, None, None, (1, 128009)]
    assert [m.token_ids for m in session.dialog()] == [None, (1, 128009), None, (1, 128009)]


def test_retry_edit_and_the_way_back(store: Store) -> None:
    session = store.create()
    question = session.ask(user("one"), CONDITIONS)
    first = reply(session, "first")
    session.ask(user("two"), CONDITIONS)
    last = reply(session, "end of first")
    assert session.retry(first.id) == question
    second = reply(session, "second")
    assert (second.kind, second.origin) == ("retry", first.id)
    assert texts(session) == ["one", "second"]
    assert session.tree.place(second.id) == (2, 2)
    session = reopened(store, session)
    assert texts(session) == ["one", "second"]
    assert session.turn_to(second.id, -1).id == first.id
    assert session.head == last.id
    assert session.turn_to(first.id, -1).id == first.id
    edited = session.edit(first.id, "better")
    assert edited.message == Message("assistant", "better", stop=StopReason.end_of_turn)
    assert (edited.kind, edited.origin, session.tree.place(edited.id)) == ("edit", first.id, (3, 3))
    asked = session.edit(question.id, "one, in other words")
    assert [node.id for node in session.tree.siblings(asked.id)] == [question.id, asked.id]
    session = reopened(store, session)
    assert session.head == asked.id
    assert session.tree.leaf(question.id) == edited.id
    session.go(last.id)
    assert texts(reopened(store, session)) == ["one", "first", "two", "end of first"]
    rows = [(row.depth, row.node.message.text, row.index, row.count) for row in session.tree.walk()]
    assert rows == [
        (1, "one", 1, 2), (2, "first", 1, 3), (2, "two", 1, 1), (2, "end of first", 1, 1), (2, "second", 2, 3),
        (2, "better", 3, 3), (1, "one, in other words", 2, 2),
    ]  # fmt: skip


def test_a_partial_reply_is_continued_beside_itself(store: Store) -> None:
    session = store.create()
    session.ask(user("count"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(TextDelta("one two "))
    recorder.close()
    partial = session.path[-1]
    assert (partial.message.text, partial.message.stop, partial.cut) == ("one two ", StopReason.cancelled, True)
    session.go(partial.parent)
    recorder = Recorder(session, CONDITIONS, continuing=partial, begun="one 2 ")
    recorder.feed(TextDelta("3"))
    recorder.feed(MessageEnd(said("one 2 3")))
    recorder.close()
    assert (session.path[-1].kind, session.path[-1].origin) == ("continue", partial.id)
    assert texts(reopened(store, session)) == ["count", "one 2 3"]


def test_replies_to_choose_from_leave_the_head(store: Store) -> None:
    session = store.create()
    question = session.ask(user("q"), CONDITIONS)
    first = reply(session, "a")
    for text in "bc":
        session.add(session.make(said(text), "retry", below=question.id, conditions=CONDITIONS), visit=False)
    assert session.head == first.id
    session = reopened(store, session)
    assert session.tree.leaf(question.id) == first.id
    assert [node.message.text for node in session.tree.children(question.id)] == ["a", "b", "c"]


def test_looking_elsewhere_while_a_reply_streams(store: Store) -> None:
    session = store.create()
    question = session.ask(user("q"), CONDITIONS)
    first = reply(session, "old")
    session.retry(first.id)
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(TextDelta("n"))
    session.go(first.id)
    recorder.feed(MessageEnd(said("new")))
    recorder.feed(END)
    assert session.head == first.id
    assert [node.message.text for node in session.tree.children(question.id)] == ["old", "new"]
    assert session.tree.leaf(question.id) == first.id


def test_compaction_is_another_root_and_can_be_taken_back(store: Store) -> None:
    session = store.create()
    session.ask(user("long"), CONDITIONS)
    end = reply(session, "talk")
    pinned = session.path[0]
    session.flag(pinned.id, "pin")
    session.compact(user("Summary."), CONDITIONS, [pinned.id])
    assert texts(session) == ["Summary.", "long"]
    assert [(n.kind, n.origin) for n in session.path] == [("compaction", end.id), ("copy", pinned.id)]
    session = reopened(store, session)
    assert session.path[1].flag == "pin"
    session.go(end.id)
    assert texts(session) == ["long", "talk"]


def test_a_dropped_call_goes_with_its_result(store: Store) -> None:
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    call = session.add(session.make(Message("assistant", "", (CALL,), StopReason.end_of_message)))
    result = session.add(session.make(Message("ipython", "4")))
    last = session.add(session.make(said("four")))
    session.flag(result.id, "drop")
    session.name(last.id, "the answer")
    session = reopened(store, session)
    assert session.tree.dropped(last.id) == {call.id, result.id}
    assert [m.text for m in session.dialog()] == ["Say arr.", "q", "four"]
    assert session.tree.nodes[last.id].name == "the answer"
    session.flag(result.id, "")
    assert len(session.dialog()) == 5
