"""Sessions as text and back: nothing gets lost on the way, whatever was done to the tree."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saying import CALL, CONDITIONS, END, reopened, reply, said, user

from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Artifact, Message, MessageEnd, StopReason, TextDelta, ToolEnd, ToolResult, ToolStart
from llamachat.sessions import Conditions, Recorder, Session, Store
from llamachat.sessions.bundle import from_bundle, to_bundle
from llamachat.sessions.export import fenced, to_dpo, to_json, to_markdown


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "sessions.db", clock=lambda: 1_800_000_000.5)) as store:
        yield store


TEXTS = st.text(st.characters(codec=None), max_size=12)  # lone surrogates and NULs too
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
                    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2))  # fmt: skip
MESSAGES = st.builds(
    Message,
    st.sampled_from(("system", "user", "assistant", "ipython")),
    TEXTS | st.lists(TEXTS, max_size=3).map(tuple),
    st.lists(st.builds(type(CALL), TEXTS, st.dictionaries(TEXTS, JSON, max_size=2)), max_size=2).map(tuple),
    st.none() | st.sampled_from(StopReason),
    st.none() | st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple),
    st.none() | TEXTS,
)
CONDITION = st.builds(Conditions, TEXTS, st.none() | TEXTS, st.sampled_from(("nano", "big")),
                      st.dictionaries(st.sampled_from(("seed", "top_p")), st.none() | st.integers(), max_size=2),
                      st.lists(TEXTS, max_size=2).map(tuple))  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from("add aside edit ask go turn name flag retry compact reply cut rename".split()),
              st.integers(0, 30), MESSAGES, CONDITION), min_size=1, max_size=25,
)  # fmt: skip


def do(  # noqa: C901, PLR0912  # a list of cases
    session: Session, action: str, place: int, message: Message, conditions: Conditions
) -> None:
    """One thing that a user may do, at some message of the tree."""
    ids = [*session.tree.nodes]
    id = ids[place % len(ids)] if ids else None
    match action:
        case "ask":
            session.ask(message, conditions)
        case "reply" | "cut":
            recorder = Recorder(session, conditions)
            recorder.feed(TextDelta("half"))
            if action == "reply":
                recorder.feed(MessageEnd(message))
                recorder.feed(END)
            recorder.close()
        case "rename":
            session.rename(message.text)
        case _ if id is None:
            session.add(session.make(message))
        case "add" | "aside":
            node = session.make(message, "retry", below=id, origin=id, conditions=conditions)
            session.add(node, visit=action == "add")
        case "edit":
            session.edit(id, message if place % 2 else message.text)
        case "go":
            session.go(id)
        case "turn":
            session.turn_to(id, place % 5 - 2)
        case "name":
            session.name(id, message.text)
        case "flag":
            session.flag(id, ("", "pin", "drop")[place % 3])  # type: ignore[arg-type]
        case "retry":
            session.retry(id)
        case "compact":
            session.compact(message, conditions, [id])


def seen(session: Session) -> dict[str, Any]:
    """All that a user can find out about a session."""
    tree = session.tree
    return {
        "info": session.info,
        "nodes": list(tree.nodes.values()),
        "walk": list(tree.walk()),
        "leaves": {id: tree.leaf(id) for id in (None, *tree.nodes)},
        "dialogs": {id: tree.dialog(id) for id in tree.nodes},
        "head": session.dialog() if session.head else None,
    }


def test_whatever_is_done_to_a_tree_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    """Nothing is overwritten, reopening shows the same, and so does an export that is taken in elsewhere."""
    other = Store(tmp_path / "elsewhere" / "sessions.db")

    @settings(max_examples=40)
    @given(STEPS)
    def check(steps: list[tuple[str, int, Message, Conditions]]) -> None:
        session = store.create("/cwd")
        before: dict[str, Message] = {}

        def kept() -> bool:
            return {id: node.message for id, node in session.tree.nodes.items() if id in before} == before

        for step in steps:
            do(session, *step)
            assert kept()
            before = {id: node.message for id, node in session.tree.nodes.items()}
        if not before:
            return
        if session.head is None:  # before the first message: it is reopened at the last
            session.go(session.tree.leaf(None))
        session = reopened(store, session)  # which mends calls without an answer; what is there then must stay
        assert kept()
        shown = seen(session)
        session = reopened(store, session)
        assert session.repaired == ()
        assert seen(session) == shown
        session.close()
        other.insert(*from_bundle(json.loads(to_json(session.info, session.tree)), tmp_path))
        taken = other.open(session.id)
        assert seen(taken) == shown
        taken.close()
        assert to_markdown(session.info, session.tree).encode()
        assert all(json.loads(line) for line in to_dpo(session.info, session.tree).splitlines())

    with closing(other):
        check()


def test_an_export_carries_its_files(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_bytes(b"a,b\n\xff")
    session = store.create()
    session.ask(user("q"), CONDITIONS, [Artifact("../../t.csv", "text/csv", str(source))])
    session = reopened(store, session)
    data = json.loads(to_json(session.info, session.tree))
    session.close()
    with pytest.raises(ConfigError, match="here already"):
        store.insert(*from_bundle(data, tmp_path))
    store.remove(session.id)
    assert store.sessions() == []
    (tmp_path / "in").mkdir()
    store.insert(*from_bundle(data, tmp_path / "in"))
    (artifact,) = store.open(session.id).path[0].artifacts
    assert artifact.name == "../../t.csv"
    assert Path(artifact.path).parent == store.files.folder
    assert Path(artifact.path).read_bytes() == b"a,b\n\xff"


def broken() -> Iterator[Any]:
    """Bundles in which one thing is wrong."""
    yield from (None, [], {}, "x", {"format": "other"})
    for keys, value in [
        (("version",), 2), (("version",), "1"), (("session",), None), (("session", "id"), "../x"),
        (("session", "id"), ""), (("session", "head"), "nobody"), (("session", "created"), float("nan")),
        (("session", "title"), None), (("nodes",), {}), (("nodes", 0), "x"), (("nodes", 0, "id"), "\n"),
        (("nodes", 1, "parent"), "nobody"), (("nodes", 0, "parent"), "SELF"), (("nodes", 0, "conditions"), 7),
        (("nodes", 0, "conditions"), True), (("nodes", 0, "kind"), "odd"), (("nodes", 0, "flag"), 1),
        (("nodes", 0, "created"), "now"), (("nodes", 0, "message"), []), (("nodes", 0, "message", "role"), "judge"),
        (("nodes", 0, "message", "content"), 5), (("nodes", 0, "message", "content"), [5]),
        (("nodes", 0, "message", "token_ids"), [-1]), (("nodes", 0, "message", "token_ids"), [1.5]),
        (("nodes", 0, "message", "tool_calls"), [5]), (("nodes", 0, "message", "tool_calls"), [{"name": "f"}]),
        (("nodes", 0, "message", "stop"), "later"), (("nodes", 1, "turn"), {"stop": "end_of_turn"}),
        (("nodes", 1, "turn", "usage"), {"seconds": "long"}), (("nodes", 0, "artifacts"), [{}]),
        (("files",), {"a": "no base64!"}), (("files",), []), (("chosen",), 5), (("conditions",), [5]),
    ]:  # fmt: skip
        data = json.loads(BUNDLE)
        *way, last = keys
        inner = data
        for key in way:
            inner = inner[key]
        inner[last] = data["nodes"][0]["id"] if value == "SELF" else value
        yield data


def bundle() -> str:
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "s.db")) as store:
        session = store.create()
        session.ask(user("q"), CONDITIONS)
        reply(session, "a")
        return to_json(session.info, session.tree)


BUNDLE = bundle()


@pytest.mark.parametrize("data", broken())
def test_what_is_no_session_is_refused(data: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        from_bundle(data, tmp_path)
    assert caught.value.hint


def test_the_form_of_a_bundle_stays(tmp_path: Path) -> None:
    """A file that version 1 wrote is read for ever, and written the same."""
    data = json.loads((Path(__file__).parent / "data" / "sessions" / "version1.json").read_text())
    assert to_bundle(*from_bundle(data, tmp_path)) == data


def test_markdown_shows_the_path_to_the_head(store: Store) -> None:
    session = store.create()
    session.ask(user("What is ```x```?"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    call = type(CALL)("code_interpreter", {"code": "print('```')"})
    recorder.feed(MessageEnd(Message("assistant", "Let me see.", (call, CALL), StopReason.end_of_message, (7,))))
    for made in (call, CALL):
        recorder.feed(ToolStart(made))
        recorder.feed(ToolEnd(ToolResult(made, "out", ok=made is call), 0.1))
        recorder.feed(MessageEnd(Message("ipython", "out\n```")))
    first = recorder.feed(MessageEnd(said("It is x.")))
    recorder.close()
    assert first is not None
    session.retry(first.id)
    session.turn_to(session.tree.children(session.head)[0].id, 0)
    text = to_markdown(session.info, session.tree)
    assert text == (Path(__file__).parent / "data" / "sessions" / "export.txt").read_text(encoding="utf-8").replace(
        "SESSION", session.id
    )


def test_a_fence_is_longer_than_any_inside() -> None:
    assert fenced("a ````` b", "md") == "``````md\na ````` b\n``````"
    assert fenced("x") == "```\nx\n```"


def pairs(session: Session) -> list[tuple[str, str, str]]:
    """Last words of better and worse, and why."""
    lines = [json.loads(line) for line in to_dpo(session.info, session.tree).splitlines()]
    return sorted((p["chosen"][-1]["content"], p["rejected"][-1]["content"], p["preferred"]) for p in lines)


def test_preferences_are_edited_chosen_rejected(store: Store) -> None:
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    first = reply(session, "first")
    session.retry(first.id)
    second = reply(session, "second")
    assert pairs(session) == [("second", "first", "chosen")]
    edited = session.edit(second.id, "edited")
    assert pairs(session) == [("edited", "first", "edited"), ("edited", "second", "edited")]
    session.turn_to(edited.id, -2)
    assert pairs(session) == [
        ("edited", "first", "edited"), ("edited", "second", "edited"), ("first", "second", "chosen"),
    ]  # fmt: skip
    (pair, *_) = [json.loads(line) for line in to_dpo(session.info, session.tree).splitlines()]
    assert [message["role"] for message in pair["prompt"]] == ["system", "user"]
    assert pair["rejected"][0]["token_ids"] == [1, 128009]


def test_what_can_not_be_compared_makes_no_pair(store: Store) -> None:
    """Cut replies, equal ones, ones under another instruction, other questions, and a dialog without branches."""
    session = store.create()
    question = session.ask(user("q"), CONDITIONS)
    reply(session, "same")
    session.go(question.id)
    reply(session, "same")
    session.go(question.id)
    reply(session, "other persona", Conditions(system="Be terse."))
    session.go(question.id)
    recorder = Recorder(session, CONDITIONS)
    recorder.feed(TextDelta("cut"))
    recorder.close()
    session.edit(question.id, "another question")
    reply(session, "answer")
    assert pairs(session) == []


def test_a_reply_with_its_tools_is_one_side_of_a_pair(store: Store) -> None:
    session = store.create()
    session.ask(user("q"), CONDITIONS)
    recorder = Recorder(session, CONDITIONS)
    first = recorder.feed(MessageEnd(Message("assistant", "", (CALL,), StopReason.end_of_message, (7,))))
    recorder.feed(ToolStart(CALL))
    recorder.feed(ToolEnd(ToolResult(CALL, "4"), 0.1))
    recorder.feed(MessageEnd(Message("ipython", "4")))
    recorder.feed(MessageEnd(said("four")))
    recorder.feed(END)
    session.ask(user("thanks"), CONDITIONS)
    assert first is not None
    session.retry(first.id)
    reply(session, "five")
    (line,) = to_dpo(session.info, session.tree).splitlines()
    pair = json.loads(line)
    assert [message["role"] for message in pair["rejected"]] == ["assistant", "ipython", "assistant"]
    assert [message["content"] for message in pair["chosen"]] == ["five"]
