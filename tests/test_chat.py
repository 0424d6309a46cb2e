"""The chat without a screen: what is typed, and what becomes of the dialog, its tree and its window."""

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import pytest
from front import Desk

from llamachat.chat.commands import COMMANDS
from llamachat.chat.permissions import Answer
from llamachat.chat.verbs import VERBS
from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.messages import MessageEnd, ToolEnd
from llamachat.sampling import TokenScore
from llamachat.sessions import Store
from llamachat.tools import Tool, ToolOutput

pytestmark = pytest.mark.usefixtures("own_folders")


def reply(text: str) -> str:
    return f"{text}<|eot_id|>"


async def pay(arguments: Mapping[str, Any]) -> ToolOutput:
    return ToolOutput("paid")


PAY = Tool("pay", "Pays.", {"type": "object", "properties": {"euros": {"type": "integer"}}}, pay, permission="ask")
PAYS = '{"name": "pay", "parameters": {"euros": 5}}<|eom_id|>'


def test_every_command_is_done_by_something() -> None:
    assert {command.name for command in COMMANDS} == set(VERBS)


async def test_a_message_is_answered_and_kept() -> None:
    desk = Desk([reply("Hello.")])
    await desk.type("hi")
    assert desk.said == ["hi", "Hello."]


async def test_retry_is_a_sibling_and_both_stay() -> None:
    desk = Desk([reply("one"), reply("two")])
    await desk.type("hi")
    await desk.type("/retry")
    session = desk.chat.conversation.session
    assert desk.said == ["hi", "two"]
    assert session.tree.place(session.head or "") == (2, 2)
    assert desk.runtime.prompts[0] == desk.runtime.prompts[1]


async def test_retry_without_tools_offers_none() -> None:
    desk = Desk([reply("one"), reply("two")], tools=(PAY,))
    await desk.type("hi")
    await desk.type("/retry no tools")
    offered, bare = (desk.runtime.tokenizer.decode(prompt) for prompt in desk.runtime.prompts)
    assert "pay" in offered
    assert "pay" not in bare


async def test_one_message_is_answered_without_tools_and_the_next_with_them() -> None:
    desk = Desk([reply("one"), reply("two")], tools=(PAY,))
    await desk.type("/tools off once")
    await desk.type("hi")
    await desk.type("and now?")
    bare, offered = (desk.runtime.tokenizer.decode(prompt) for prompt in desk.runtime.prompts)
    assert "pay" not in bare
    assert "pay" in offered


async def test_a_question_that_is_edited_is_asked_on_its_own_branch() -> None:
    desk = Desk([reply("four"), reply("six")], answers=["3+3?"])
    await desk.type("2+2?")
    await desk.type("/edit 1")
    assert desk.said == ["3+3?", "six"]
    assert [row.node.message.text for row in desk.chat.conversation.session.tree.walk()] == [
        "2+2?", "four", "3+3?", "six"
    ]  # fmt: skip


async def test_a_call_is_named_in_lists_by_what_it_does() -> None:
    script = [PAYS, reply("Done.")]
    desk = Desk(script, tools=(PAY,), answers=[None] * 3, asked=[Answer("once")])
    await desk.type("pay")
    for command in ("/edit", "/tree", "/context"):
        await desk.type(command)
        assert any('→ pay: {"euros": 5}' in row.text for row in desk.front.picked[-1])


async def test_a_reply_that_is_edited_just_stands_there() -> None:
    desk = Desk([reply("five")], answers=["four"])
    await desk.type("2+2?")
    await desk.type("/edit 2")
    assert desk.said == ["2+2?", "four"]
    assert desk.chat.conversation.session.path[-1].message.token_ids is None


async def test_a_reply_goes_on_behind_a_beginning_of_the_users() -> None:
    desk = Desk([reply("I can't."), reply(" name is Bo.")], answers=["My"])
    await desk.type("who?")
    await desk.type("/continue")
    assert desk.said == ["who?", "My name is Bo."]
    prompt = desk.runtime.tokenizer.decode(desk.runtime.prompts[1])
    assert prompt.endswith("<|start_header_id|>assistant<|end_header_id|>\n\nMy")
    ids = desk.chat.conversation.session.path[-1].message.token_ids
    assert desk.runtime.tokenizer.decode(ids or ()) == "My name is Bo.<|eot_id|>"


async def test_the_best_of_several_replies_is_picked() -> None:
    desk = Desk([reply("one"), reply("two"), reply("three")], answers=["two"])
    await desk.type("count")
    await desk.type("/best 3")
    assert desk.said == ["count", "two"]
    assert len(desk.front.picked[0]) == 3
    assert desk.runtime.prompts[1] == desk.runtime.prompts[0]


async def test_undo_goes_back_and_gives_the_question_again() -> None:
    desk = Desk([reply("one"), reply("two"), reply("other")])
    await desk.type("first")
    await desk.type("second")
    await desk.type("/undo")
    assert desk.said == ["first", "one"]
    assert desk.front.prompt == "second"
    await desk.type("third")
    assert desk.said == ["first", "one", "third", "other"]


async def test_the_tree_leads_back_to_a_branch_that_was_left() -> None:
    desk = Desk([reply("one"), reply("two")], answers=["one"])
    await desk.type("hi")
    await desk.type("/name first try")
    await desk.type("/retry")
    await desk.type("/tree")
    assert desk.said == ["hi", "one"]
    assert any("[first try]" in choice.text for choice in desk.front.picked[0])


async def test_a_compaction_is_a_branch_and_can_be_left_again() -> None:
    desk = Desk([reply("A long answer. " * 40), reply("They spoke."), reply("Yes.")], answers=["A long"])
    await desk.type("tell me " * 20)
    await desk.type("/compact")
    assert desk.said == ["What was said before, in short:\nThey spoke."]
    await desk.type("go on?")
    assert desk.said[-1] == "Yes."
    await desk.type("/tree")
    assert desk.said[-1].startswith("A long answer.")


async def test_a_compaction_that_fails_changes_nothing() -> None:
    desk = Desk([reply("Hm."), "cut off", reply("long " * 200)])
    await desk.type("hi")
    for why in ("no whole summary", "no shorter"):
        with pytest.raises(EngineError, match=why):
            await desk.type("/compact")
        assert desk.said == ["hi", "Hm."]


async def test_a_dialog_that_the_window_cannot_hold_is_summed_up_in_parts() -> None:
    desk = Desk([*(reply(f"answer {i} " + "x" * 100) for i in range(8)), *(reply(f"Sum {i}.") for i in range(9))])
    for i in range(8):
        await desk.type(f"question {i}")
    desk.runtime.context = 900
    await desk.type("/compact")
    asked = [desk.runtime.tokenizer.decode(prompt) for prompt in desk.runtime.prompts[8:]]
    assert len(asked) > 2
    assert all(len(prompt) <= 900 for prompt in desk.runtime.prompts[8:])
    read = [i for prompt in asked for i in range(8) if f"answer {i} " in prompt]
    assert read == list(range(8))  # each once, in order
    assert all(f"in short:\nSum {i}." in prompt for i, prompt in enumerate(asked[1:]))
    assert desk.said == [f"What was said before, in short:\nSum {len(asked) - 1}."]
    assert [note for note in desk.front.notes if "%" in note]


async def test_a_message_that_alone_is_too_long_to_be_summed_up_is_told() -> None:
    desk = Desk([reply("x" * 2000)])
    await desk.type("hi")
    desk.runtime.context = 900
    with pytest.raises(ContextOverflow, match="One message has 2,0"):
        await desk.type("/compact")
    assert desk.said == ["hi", "x" * 2000]


async def test_pinned_messages_survive_a_compaction_word_for_word() -> None:
    desk = Desk([reply("Noted. " * 60), reply("Short.")], answers=["remember", None])
    await desk.type("remember 4711")
    await desk.type("/context")
    await desk.type("/compact")
    assert desk.said == ["What was said before, in short:\nShort.", "remember 4711"]


async def test_the_context_map_stays_where_one_is_and_the_system_prompt_stays() -> None:
    desk = Desk([reply("one")], answers=["system prompt", "first", None])
    await desk.type("first")
    await desk.type("/context")
    assert len(desk.front.picked) == 3
    first = desk.chat.conversation.session.path[0]
    assert desk.front.cursors == ["", "", first.id]
    assert first.flag == "pin"


async def test_what_is_dropped_is_not_shown_to_the_model_and_stays_in_the_tree() -> None:
    desk = Desk([reply("one"), reply("two")], answers=["secret", "secret", None])
    await desk.type("a secret")
    await desk.type("/context")
    await desk.type("next")
    assert "secret" not in desk.runtime.tokenizer.decode(desk.runtime.prompts[1])
    assert desk.said[0] == "a secret"


async def test_a_full_window_is_said_and_nothing_is_cut() -> None:
    desk = Desk([reply("x" * 150)], context=400)
    await desk.type("hi")
    with pytest.raises(ContextOverflow, match="window holds 400"):
        await desk.type("y" * 200)
    assert desk.said == ["hi", "x" * 150]
    assert len(desk.runtime.prompts) == 1


async def test_a_call_is_asked_about_once_and_granted_for_the_session() -> None:
    desk = Desk([PAYS, PAYS, reply("Done.")], tools=(PAY,), asked=[Answer("session")])
    await desk.type("pay twice")
    assert len(desk.questions) == 1
    assert [e.result.ok for e in desk.events if isinstance(e, ToolEnd)] == [True, True]
    assert desk.kept == []


async def test_a_new_session_asks_anew_and_always_is_kept() -> None:
    desk = Desk([PAYS, reply("a"), PAYS, reply("b")], tools=(PAY,), asked=[Answer("session"), Answer("always")])
    await desk.type("pay")
    await desk.type("/new")
    await desk.type("pay")
    assert len(desk.questions) == 2
    assert desk.kept == ["pay"]


async def test_a_reason_for_no_goes_to_the_model() -> None:
    desk = Desk([PAYS, reply("Sorry.")], tools=(PAY,), asked=[Answer("no", "Too dear.")])
    await desk.type("pay")
    ends = [event.message for event in desk.events if isinstance(event, MessageEnd)]
    assert "declined this call. Too dear." in ends[1].text


async def test_a_session_is_found_and_opened_again() -> None:
    with_store = Store()
    desk = Desk([reply("Llamas sleep."), reply("Hi.")], store=with_store, answers=["llamas"])
    await desk.type("how do llamas sleep?")
    await desk.type("/rename Animals")
    await desk.type("/new")
    await desk.type("hello")
    assert desk.said == ["hello", "Hi."]
    await desk.type("/search llamas")
    assert desk.said == ["how do llamas sleep?", "Llamas sleep."]
    await desk.type("/new")
    desk.front.answers = ["Animals"]
    await desk.type("/resume")
    assert desk.said[0] == "how do llamas sleep?"
    with_store.close()


async def test_a_file_is_attached_with_its_cost_and_reaches_the_model(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    desk = Desk([reply("Two columns.")])
    await desk.type(f"/attach {tmp_path / 'data.csv'}")
    assert desk.front.notes[-1].startswith("Attached data.csv (1 row × 2 columns): ")
    await desk.type("what is in it?")
    assert "Attached file data.csv (1 row × 2 columns).\na,b\n1,2\n" in desk.runtime.tokenizer.decode(
        desk.runtime.prompts[0]
    )
    node = desk.chat.conversation.session.path[0]
    assert [artifact.name for artifact in node.artifacts] == ["data.csv"]


async def test_the_inspector_gets_the_very_ids_of_the_prompt() -> None:
    desk = Desk([reply("Hello.")])
    await desk.type("hi <|eot_id|>")
    await desk.type("/tokens")
    assert desk.front.inspected
    tokens, cursor, badges = (getattr(desk.front.inspected, name) for name in ("tokens", "cursor", "badges"))
    prompt = desk.runtime.prompts[0]
    assert [token.id for token in tokens][: len(prompt)] == prompt
    assert tokens[cursor].role == "assistant"
    assert badges == ["<|eot_id|>"]


async def test_an_engine_that_tells_no_probabilities_says_so() -> None:
    desk = Desk([reply("Hello.")])
    with pytest.raises(ConfigError, match="no reply yet"):
        await desk.type("/likely")
    await desk.type("hi")
    with pytest.raises(EngineError, match="tells no probabilities"):
        await desk.type("/likely")


async def test_another_token_in_a_reply_begins_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def score(prefix: list[int], continuations: list[list[int]], alternatives: int) -> list[list[TokenScore]]:
        return [[TokenScore(id, log(0.5), ((id, log(0.5)), (ord("o"), log(0.25)))) for id in continuations[0]]]

    desk = Desk([reply("cat."), "w.<|eot_id|>"], answers=["'a'", "'o'", "'<|eot_id|>'", "'<|eot_id|>'"])
    monkeypatch.setattr(desk.runtime, "score", score, raising=False)
    await desk.type("An animal?")
    await desk.type("/likely")
    assert [choice.text for choice in desk.front.picked[0]][:2] == [" 50%  'c'", " 50%  'a'"]
    assert desk.said == ["An animal?", "cow."]
    assert desk.chat.conversation.session.tree.place(desk.chat.conversation.session.path[1].id) == (2, 2)
    with pytest.raises(ConfigError, match="what stands there"):
        await desk.type("/likely")


async def test_settings_are_changed_through_a_line() -> None:
    desk = Desk([], answers=["sampling.temperature", "0.25"])
    await desk.type("/settings")
    assert "sampling.temperature is set in" in desk.front.notes[-1]


async def test_a_theme_is_kept() -> None:
    desk = Desk([], answers=["light"])
    await desk.type("/theme")
    assert desk.front.theme == "light"
    with pytest.raises(ConfigError, match="no theme"):
        await desk.type("/theme nothing")


@pytest.mark.parametrize("line", ["/retry", "/edit", "/edit 3", "/continue", "/best 4", "/best 99", "/undo", "/tree",
                                  "/name x", "/resume", "/search x", "/nonsense", "/attach nowhere.txt"])  # fmt: skip
async def test_what_can_not_be_done_is_said(line: str) -> None:
    desk = Desk([])
    with pytest.raises(ConfigError) as caught:
        await desk.type(line)
    assert caught.value.hint
    assert desk.said == []


async def test_an_export_writes_no_file_twice(tmp_path: Path) -> None:
    desk = Desk([reply("Hello.")])
    await desk.type("hi")
    await desk.type(f"/export {tmp_path / 'a.md'}")
    await desk.type(f"/export {tmp_path / 'a.json'}")
    assert "Hello." in (tmp_path / "a.md").read_text()
    assert '"version"' in (tmp_path / "a.json").read_text()
    with pytest.raises(Exception, match="can't be written"):
        await desk.type(f"/export {tmp_path / 'a.md'}")
