"""The whole way with a model that another engine runs: constraints, turns, and every door that opens an engine."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_server import DRAWN, EOT, HELLO, KINDS, PROMPT, TOKENIZER, EngineServer, open_remote, without_weights
from typer.testing import CliRunner

from llamachat.agent import run_turn
from llamachat.cli import app
from llamachat.config import Config, RemoteConfig
from llamachat.doors.doctor import _remote, _safely
from llamachat.messages import Dialog, Message, MessageEnd, TurnEnd
from llamachat.protocol import Dialect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return without_weights(tmp_path_factory.mktemp("model") / "m")


# -- a constraint here, the sampler there -----------------------------------------------------------------------------


class Only:
    """Allows the ids of ``text``, in order."""

    def __init__(self, text: bytes, few: bool = True) -> None:
        self.text, self.heard, self.few, self.free = [*text, EOT], list[int](), few, False

    def allows(self, token_id: int) -> bool:
        return self.free or token_id == self.text[len(self.heard)]

    replaces = allows

    def accept(self, token_id: int) -> None:
        self.heard.append(token_id)

    def replacements(self) -> Sequence[int]:
        at = self.text[len(self.heard)]
        return [at] if self.few else [at, *range(400)]

    def release(self) -> None:
        self.free = True


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_id_is_asked_for_again(kind: str) -> None:
    with EngineServer(kind, [[*b"Hexxo"], [*b"l"], [*b"lo", EOT]]) as server:
        runtime, only = open_remote(server), Only(b"Hello")
        said = [i async for i in runtime.generate(PROMPT, DRAWN, TOKENIZER.stop_ids, only)]
        assert said == only.heard == [*b"Hello", EOT]
        assert (runtime.stats.refused_tokens, runtime.stats.released) == (1, False)
        again = server.asked[1].get("sampling_params", server.asked[1])
    assert again["logit_bias"] in ({"108": 100.0}, [[108, 100.0]])
    assert 1 in (again.get("max_tokens"), again.get("max_new_tokens"), again.get("n_predict"))


async def test_of_many_that_may_come_the_refused_ones_are_named() -> None:
    with EngineServer("vllm", [[*b"Hex"], [*b"y"], [*b"l"], [*b"lo", EOT]]) as server:
        runtime, only = open_remote(server), Only(b"Hello", few=False)
        assert [i async for i in runtime.generate(PROMPT, DRAWN, TOKENIZER.stop_ids, only)] == [*b"Hello", EOT]
        assert server.asked[2]["logit_bias"] == {str(ord("x")): -100.0, str(ord("y")): -100.0}


async def test_a_server_that_ignores_the_bias_is_let_go() -> None:
    with EngineServer("vllm", [[*b"Hex"]] * 40) as server:
        runtime, only = open_remote(server), Only(b"Hello")
        said = [i async for i in runtime.generate(PROMPT, replace(DRAWN, max_tokens=6), TOKENIZER.stop_ids, only)]
        assert said[:3] == [*b"He", ord("H")]
        assert runtime.stats.released


# -- the whole way ----------------------------------------------------------------------------------------------------


async def test_a_turn_over_http() -> None:
    with EngineServer("vllm", [[*b"Hi."[:2], EOT], [*b"Again", EOT]]) as server:
        runtime = open_remote(server)
        runtime.dialect = Dialect(dates=False)
        dialog = Dialog((Message("user", "Hello?"),))
        events = [event async for event in run_turn(dialog, runtime)]
        assert [event.message.text for event in events if isinstance(event, MessageEnd)] == ["Hi"]
        ends = [event for event in events if isinstance(event, TurnEnd)]
        assert ends[0].usage.generated_tokens == 3
        assert server.asked[0]["prompt"][0] == TOKENIZER.bos_id


@pytest.mark.parametrize("kind", KINDS)
def test_one_answer_on_the_command_line(kind: str, folder: Path) -> None:
    with EngineServer(kind, [HELLO], context=4000) as server:
        arguments = ["--remote", server.url, "-m", str(folder), "--no-tools", "-p", "Hello?"]
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.output) == (0, "Hello!\n")


def test_tasks_over_http(folder: Path, tmp_path: Path) -> None:
    task = {"id": "one", "category": "talk", "turns": [{"user": "Greet me.", "expect": {"answer_any": ["Hello"]}}]}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task))
    with EngineServer("llama", [HELLO], context=4000) as server:
        arguments = [
            "eval",
            str(tmp_path / "tasks.jsonl"),
            "--remote",
            server.url,
            "-m",
            str(folder),
            "--output",
            "json",
        ]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert '"passed": 1' in result.output


def test_the_doctor_asks_the_server(folder: Path) -> None:
    def look(url: str) -> list[Any]:
        own = Config()
        chat, remote = replace(own.chat, model=str(folder)), RemoteConfig(url)
        return list(_safely("server", _remote, replace(own, chat=chat, remote=remote)))

    with EngineServer("sglang", context=77) as server:
        (good,) = look(server.url)
        assert good.state == "ok"
        assert good.detail == f"SGLang at {server.url} runs Llama-3.1-8B, context 77"
    (bad,) = look(server.url)
    assert (bad.state, "Nobody answers" in bad.detail, bool(bad.hint)) == ("bad", True, True)
