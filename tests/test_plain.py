"""The doors without a screen, on a scripted runtime and the real loop; and replay of what they write."""

import io
import json
import os
import pty
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from front import PERSONAS

from llamachat import config
from llamachat.chat.commands import COMMANDS
from llamachat.chat.settings import Settings
from llamachat.config import Config
from llamachat.errors import EngineError, StorageError
from llamachat.messages import Message, MessageEnd, TextDelta, TurnEnd
from llamachat.plain import Talk, one_shot, repl
from llamachat.plain.front import as_text
from llamachat.plain.lines import Lines
from llamachat.sessions import Conditions, Store, unsaved
from llamachat.testing import Script, ScriptedRuntime, replay
from llamachat.tools import Tool, Toolbox, ToolOutput

pytestmark = pytest.mark.usefixtures("own_folders")
Captured = pytest.CaptureFixture[str]


async def pay(arguments: Mapping[str, Any]) -> ToolOutput:
    return ToolOutput("paid")


PAY = Tool("pay", "Pays.", {"type": "object", "properties": {"euros": {"type": "integer"}}}, pay, permission="ask")
PAYS = '{"name": "pay", "parameters": {"euros": 5}}<|eom_id|>'


def talk(*script: Script, given: str = "", tools: tuple[Tool, ...] = (), rules: Any = None, store: Any = None) -> Talk:
    settings = Settings(PERSONAS["default"], PERSONAS, Toolbox(tools), config=Config(permissions=rules or {}))
    session = store.create() if store else unsaved()
    return Talk(ScriptedRuntime(script), settings, session, store=store, source=io.StringIO(given))


def said(chat: Talk) -> list[str]:
    return [message.text for message in chat.conversation.dialog]


def prompts(chat: Talk) -> list[str]:
    runtime = chat.conversation.engine()
    assert isinstance(runtime, ScriptedRuntime)
    return [runtime.tokenizer.decode(ids) for ids in runtime.prompts]


# ── one answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_text_is_the_reply_and_nothing_else(capsys: Captured) -> None:
    assert await one_shot(talk("It is 4.<|eot_id|>"), "2 + 2?", "text") == 0
    assert capsys.readouterr().out == "It is 4.\n"


async def test_json_is_one_object_with_messages_stop_and_usage(capsys: Captured) -> None:
    assert await one_shot(talk("It is 4.<|eot_id|>"), "2 + 2?", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [m["role"] for m in answer["messages"]] == ["system", "user", "assistant"]
    assert answer["messages"][2] == {
        "role": "assistant",
        "content": "It is 4.",
        "tool_calls": [],
        "stop": "end_of_turn",
    }
    assert answer["stop"] == "end_of_turn"
    assert answer["usage"]["generated"] == len("It is 4.") + 1
    assert set(answer["usage"]) == {"prompt", "cached", "generated", "seconds"}


async def test_json_of_a_failed_turn_holds_what_was_said(capsys: Captured) -> None:
    failing = talk(["Half a", EngineError("Out of memory.", "Close something.")])
    with pytest.raises(EngineError):
        await one_shot(failing, "2 + 2?", "json")
    answer = json.loads(capsys.readouterr().out)
    assert [m["content"] for m in answer["messages"]][-2:] == ["2 + 2?", "Half a"]
    assert answer["error"] == {"message": "Out of memory.", "hint": "Close something."}


async def test_stream_json_can_be_replayed(capsys: Captured, tmp_path: Path) -> None:
    await one_shot(talk("It is 4.<|eot_id|>"), "2 + 2?", "stream-json")
    path = tmp_path / "turn.jsonl"
    path.write_text(capsys.readouterr().out)
    events = [event async for event in replay(path)]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "It is 4."
    assert isinstance(events[-1], TurnEnd)
    (end,) = [e for e in events if isinstance(e, MessageEnd)]
    assert end.message.token_ids == (*b"It is 4.", 256 + 9)


@pytest.mark.parametrize("content", ['{"kind": "text_delta"}', "no json", '{"kind": "unheard of"}'])
async def test_replay_of_something_else_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "turn.jsonl"
    path.write_text(content)
    with pytest.raises(StorageError, match="is no recorded turn"):
        await anext(replay(path))
    with pytest.raises(StorageError, match="Can't read"):
        await anext(replay(tmp_path / "none"))


async def test_ctrl_c_keeps_the_partial_reply_and_exits_with_130(capsys: Captured) -> None:
    class Interrupting(ScriptedRuntime):
        async def generate(self, *given):  # type: ignore[no-untyped-def]  # as the parent's
            async for token_id in super().generate(*given):
                yield token_id
                if self.stats.generated_tokens == 4:
                    os.kill(os.getpid(), signal.SIGINT)

    speaking = talk()
    speaking.conversation.runtime = Interrupting(["Once upon a time<|eot_id|>"])
    assert await one_shot(speaking, "A story.", "json") == 130
    answer = json.loads(capsys.readouterr().out)
    assert answer["stop"] == "cancelled"
    assert "Once upon a time".startswith(answer["messages"][-1]["content"])
    assert answer["messages"][-1]["content"]


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_nobody_can_be_asked_a_call_does_not_run_and_both_are_told(capsys: Captured) -> None:
    chat = talk(PAYS, PAYS, "I can't.<|eot_id|>", tools=(PAY,))
    assert await one_shot(chat, "pay", "text") == 0
    out, err = capsys.readouterr()
    assert out == "I can't.\n"
    assert err.count("--allow pay lets it run") == 1
    assert "paid" not in err
    assert "Nobody can be asked" in prompts(chat)[1]


@pytest.mark.parametrize(
    ("rules", "runs"), [({"pay": "allow"}, True), ({"*": "allow"}, True), ({"pay": "deny"}, False)]
)
async def test_rules_decide_without_a_question(rules: dict[str, str], runs: bool, capsys: Captured) -> None:
    chat = talk(PAYS, "Well.<|eot_id|>", tools=(PAY,), rules=rules)
    await one_shot(chat, "pay", "text")
    assert ("paid" in prompts(chat)[1]) is runs
    assert "--allow" not in capsys.readouterr().err


class Person(io.StringIO):
    """Somebody at a terminal, who sees what is printed here, and types, or sends a signal, on seeing certain words."""

    def __init__(self, *script: tuple[str, str | signal.Signals]) -> None:
        super().__init__()
        self._script = list(script)
        self._main, end = pty.openpty()
        self.source = os.fdopen(end, encoding="utf-8")

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def write(self, text: str) -> int:
        if self._script and self._script[0][0] in text:
            _, done = self._script.pop(0)
            self.type(done) if isinstance(done, str) else os.kill(os.getpid(), done)
        return super().write(text)

    def leave(self) -> None:
        self.source.close()
        os.close(self._main)


Sit = Callable[..., Person]


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sit]:
    """Seats a person in front of stdout, stderr and a chat."""
    seated: list[Person] = []

    def seat(chat: Talk, *script: tuple[str, str | signal.Signals]) -> Person:
        person = Person(*script)
        chat.lines = chat.front.lines = Lines(person.source)
        monkeypatch.setattr(sys, "stdout", person)
        monkeypatch.setattr(sys, "stderr", person)
        seated.append(person)
        return person

    yield seat
    for person in seated:
        person.leave()


async def test_a_person_is_asked_with_the_exact_call_and_says_no_with_a_reason(sit: Sit) -> None:
    chat = talk(PAYS, "Sorry.<|eot_id|>", tools=(PAY,))
    person = sit(chat, ('Run pay {"euros": 5}?', "hm\n"), ("Run pay", "n Too dear.\n"))
    await one_shot(chat, "pay", "text")
    assert "The user declined this call. Too dear." in prompts(chat)[1]
    assert person.getvalue().endswith("Sorry.\n")


async def test_what_was_typed_before_the_question_is_no_answer_to_it(sit: Sit) -> None:
    chat = talk(PAYS, "Sorry.<|eot_id|>", tools=(PAY,))
    person = sit(chat, ("Run pay", "n\n"))
    person.type("y\n")
    await one_shot(chat, "pay", "text")
    assert "The user declined this call." in prompts(chat)[1]


async def test_a_grant_holds_for_the_session_and_always_is_written_down(sit: Sit) -> None:
    chat = talk(PAYS, PAYS, "Done.<|eot_id|>", tools=(PAY,))
    person = sit(chat, ("Run pay", "a\n"))
    await one_shot(chat, "pay twice", "text")
    assert person.getvalue().count("paid") == 2
    always = talk(PAYS, "Done.<|eot_id|>", tools=(PAY,))
    sit(always, ("Run pay", "3\n"))
    await one_shot(always, "pay", "text")
    assert config.load().config.permissions == {"pay": "allow"}


async def test_ctrl_c_at_a_question_ends_the_turn(sit: Sit) -> None:
    chat = talk(PAYS, tools=(PAY,))
    sit(chat, ("Run pay", signal.SIGINT))
    assert await one_shot(chat, "pay", "text") == 130
    assert len(prompts(chat)) == 1


def test_ctrl_c_in_a_list_leaves_the_list_and_not_the_chat(sit: Sit) -> None:
    chat = talk("One.<|eot_id|>", "Two.<|eot_id|>")
    person = sit(chat, ("you> ", "hi\n"), ("you> ", "/tree\n"), ("Number, or", signal.SIGINT), ("you> ", "more\n"),
                 ("you> ", "/quit\n"))  # fmt: skip
    assert repl(chat) == 0
    assert said(chat)[1:] == ["hi", "One.", "more", "Two."]
    assert "Two." in person.getvalue()


# ── line by line ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_line_chat_answers_commands_and_survives_errors(capsys: Captured) -> None:
    lines = "hi\n/tools off\n/nonsense\n/system Be brief.\nagain\n/tools hammer\nmore\n/new\n/quit\nnever read\n"
    chat = talk("One.<|eot_id|>", "Two.<|eot_id|>", given=lines, tools=(PAY,))
    assert repl(chat) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["One.", "○ pay Pays. (ask, built in)", "Two."]
    assert "There is no command /nonsense" in err
    assert "There is no tool 'hammer'." in err
    assert "The script has no more replies." in err
    assert said(chat) == ["Be brief."]


def test_the_line_chat_keeps_the_dialog_between_turns() -> None:
    chat = talk("One.<|eot_id|>", "Two.<|eot_id|>", given="first\nsec\\\nond\n")
    repl(chat)
    assert said(chat) == ["You are helpful.", "first", "One.", "sec\nond", "Two."]


def test_a_message_that_does_not_fit_leaves_the_dialog_as_it_was(capsys: Captured) -> None:
    chat = talk("One.<|eot_id|>", given="x" * 9000 + "\nshort\n")
    repl(chat)
    out, err = capsys.readouterr()
    assert "the model's window holds 8,192" in err
    assert out == "One.\n"
    assert said(chat) == ["You are helpful.", "short", "One."]


def test_the_tree_is_walked_by_numbers_and_words(capsys: Captured) -> None:
    given = "hi\n/retry\n/name second\n/tree\none\n1\n/tree\nnothing fits\n\n"
    chat = talk("one<|eot_id|>", "two<|eot_id|>", given=given)
    repl(chat)
    err = capsys.readouterr().err
    assert "‹2/2› [second] two" in err
    assert said(chat)[1:] == ["hi", "one"]
    assert "(at message 2, assistant: one)" in err
    assert "Nothing there fits 'nothing fits'." in err


def test_messages_are_edited_continued_and_taken_back(capsys: Captured) -> None:
    given = "2+2?\n/edit 1\n3+3?\n/continue\nIt is\n/undo\n"
    chat = talk("four<|eot_id|>", "six<|eot_id|>", " 6.<|eot_id|>", given=given)
    repl(chat)
    assert capsys.readouterr().err.endswith("It was: 3+3?\n")
    tree = chat.conversation.session.tree
    assert [row.node.message.text for row in tree.walk()] == ["2+2?", "four", "3+3?", "six", "It is 6."]


def test_enter_keeps_what_stands_there() -> None:
    chat = talk("My name<|eot_id|>", " is Bo.<|eot_id|>", given="who?\n/continue\n\n")
    repl(chat)
    assert said(chat)[-1] == "My name is Bo."


def test_a_setting_that_is_kept_is_not_written(capsys: Captured) -> None:
    repl(talk(given="/settings\nchat.model\n1\n\n/settings\nmax_steps\n1\n7\n"))
    assert config.load().config.chat.model is None
    assert config.load().config.chat.max_steps == 7
    assert "chat.max_steps is set in" in capsys.readouterr().err


def test_the_best_reply_is_picked_by_number() -> None:
    chat = talk("one<|eot_id|>", "two<|eot_id|>", "three<|eot_id|>", given="count\n/best 3\n2\n")
    repl(chat)
    assert said(chat)[-1] == "two"


def test_tokens_are_printed_one_a_line(capsys: Captured) -> None:
    repl(talk("One.<|eot_id|>", given="say <|eot_id|>\n/tokens\n"))
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows[0][1:4] == ["256", "template", '"<|begin_of_text|>"']
    assert [json.loads(row[-1]) for row in rows if "generated" in row] == ["O", "n", "e", ".", "<|eot_id|>"]
    assert "only text: <|eot_id|>" in err


def test_another_model_answers_from_then_on(capsys: Captured) -> None:
    chat = talk("old<|eot_id|>", given="hi\n/model other\nhi\n")
    chat._open_runtime = lambda path: ScriptedRuntime([f"{path} speaks<|eot_id|>"])
    repl(chat)
    assert capsys.readouterr().out == "old\nother speaks\n"


def test_what_a_pipe_can_not_do_is_said(capsys: Captured) -> None:
    repl(talk("One.<|eot_id|>", given="hi\n/copy\n/model x\n!ls\n/tree\n"))
    err = capsys.readouterr().err
    for sentence in (
        "A pipe has no clipboard.",
        "Another model can't be opened here.",
        "! runs nothing here.",
    ):
        assert sentence in err


def test_the_shell_runs_if_it_is_allowed(capsys: Captured) -> None:
    chat = talk(given="!echo a*b\n")
    settings = chat.conversation.settings
    ui = replace(settings.config.ui, shell=True)
    chat.conversation.settings = replace(settings, config=replace(settings.config, ui=ui))
    repl(chat)
    assert capsys.readouterr().out == "! echo a*b\na*b\n"


def test_every_command_is_in_the_help(capsys: Captured) -> None:
    repl(talk(given="/help\n"))
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("/")] == [f"/{c.name}" for c in COMMANDS]


def test_a_session_is_kept_and_gone_on_with(capsys: Captured) -> None:
    repl(talk("Paris.<|eot_id|>", given="capital of France?\n", store=Store()))
    store = Store()
    last = store.latest()
    assert last
    again = talk("And Rome.<|eot_id|>", given="of Italy?\n", store=store)
    again.conversation.session = store.open(last.id)
    capsys.readouterr()
    repl(again)
    assert capsys.readouterr().err.splitlines()[1:3] == ["you: capital of France?", "assistant: Paris."]
    assert said(again)[1:] == ["capital of France?", "Paris.", "of Italy?", "And Rome."]


def test_what_the_end_of_the_program_cut_off_is_told(capsys: Captured) -> None:
    store = Store()
    session = store.create()
    asked = session.ask(Message("user", "a story"), Conditions())
    draft = session.make(Message("assistant", ""), below=asked.id)
    session.draft(draft)
    session.draft_text(draft, "Once upon")
    store.close()
    again = talk(store=Store())
    assert again.chat.store
    again.conversation.session = again.chat.store.open(session.id)
    repl(again)
    assert "llamachat ended under way and interrupted this reply: Once upon" in capsys.readouterr().err


def test_a_file_goes_with_the_next_message_that_is_answered(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    chat = talk("Two columns.<|eot_id|>", given=f"/attach {tmp_path / 'data.csv'}\n{'x' * 9000}\nwhat is it?\n")
    repl(chat)
    assert "Attached file data.csv (1 row × 2 columns).\na,b\n1,2\n" in prompts(chat)[0]


def test_a_person_names_a_file_and_a_pipe_does_not(tmp_path: Path, sit: Sit) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    line = f"what is @{tmp_path / 'data.csv'}?\n"
    piped, chat = talk("Hm.<|eot_id|>", given=line), talk("Two columns.<|eot_id|>")
    repl(piped)
    assert "Attached file" not in prompts(piped)[0]
    person = sit(chat, ("you> ", line), ("you> ", "/quit\n"))
    repl(chat)
    assert said(chat)[1] == "what is data.csv?"
    assert "Attached file data.csv" in prompts(chat)[0]
    assert "Attached data.csv (1 row × 2 columns):" in person.getvalue()


def test_pages_lose_their_marks() -> None:
    assert as_text("● **pay** Pays `now`.\n○ **x**\n\n```text\na*b\n```") == "● pay Pays now.\n○ x\na*b"
