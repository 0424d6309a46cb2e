"""The doors without a screen, on a scripted runtime and the real loop; and replay of what they write."""

import io
import json
import os
import signal
from pathlib import Path

import pytest

from llamachat.errors import EngineError, StorageError
from llamachat.messages import Dialog, Message, MessageEnd, TextDelta, TurnEnd
from llamachat.plain import Talk, one_shot, repl
from llamachat.sampling import SamplingParams
from llamachat.testing import Script, ScriptedRuntime, replay
from llamachat.tools import Toolbox

Captured = pytest.CaptureFixture[str]


def talk(*script: Script) -> Talk:
    return Talk(ScriptedRuntime(script), Toolbox(), Dialog((Message("system", "Be kind."),)), SamplingParams(), 10)


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
    assert answer["messages"][-1]["content"] == "Half a"
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

    speaking = talk("Once upon a time<|eot_id|>")
    speaking.runtime = Interrupting(["Once upon a time<|eot_id|>"])
    assert await one_shot(speaking, "A story.", "json") == 130
    answer = json.loads(capsys.readouterr().out)
    assert answer["stop"] == "cancelled"
    assert "Once upon a time".startswith(answer["messages"][-1]["content"])
    assert answer["messages"][-1]["content"]


def test_the_line_chat_answers_commands_and_survives_errors(capsys: Captured) -> None:
    chat = talk("One.<|eot_id|>", "Two.<|eot_id|>")
    lines = "hi\n/tools off\n/nonsense\n/system Be brief.\nagain\n/tools python\nmore\n/new\n/quit\nnever read\n"
    assert repl(chat, io.StringIO(lines)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["One.", "tools on: none"]
    assert "There is no command /nonsense" in out
    assert "Two." in out
    assert "There is no tool 'python'." in err
    assert "The script has no more replies." in err
    assert [m.text for m in chat.dialog] == ["Be brief."]


def test_the_line_chat_keeps_the_dialog_between_turns() -> None:
    chat = talk("One.<|eot_id|>", "Two.<|eot_id|>")
    repl(chat, io.StringIO("first\nsecond\n"))
    assert [m.text for m in chat.dialog] == ["Be kind.", "first", "One.", "second", "Two."]


def test_a_message_that_does_not_fit_leaves_the_dialog_as_it_was(capsys: Captured) -> None:
    chat = talk("One.<|eot_id|>")
    repl(chat, io.StringIO("x" * 9000 + "\nshort\n"))
    out, err = capsys.readouterr()
    assert "The prompt has" in err
    assert out == "One.\n"
    assert [m.text for m in chat.dialog] == ["Be kind.", "short", "One."]
