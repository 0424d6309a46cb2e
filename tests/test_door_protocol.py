"""The protocol door: golden vectors through it, bad lines, and quiet ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamachat.doors.protocol import app

Golden = Callable[[str], list[dict[str, Any]]]
Door = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def door(tokenizer_file: Path) -> Door:
    """Sends lines (objects, or raw bytes) through a command and returns what comes out."""

    def send(command: str, *lines: dict[str, Any] | bytes) -> list[dict[str, Any]]:
        raw = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        result = CliRunner().invoke(app, [command, "--tokenizer", str(tokenizer_file)], input=raw)
        assert (result.exit_code, result.exception, result.stderr) == (0, None, "")
        assert result.stdout.isascii()
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(answers) == len(lines)
        return answers

    return send


@pytest.mark.parametrize("family", ["dialogs", "dialogs_legacy_tag"])
def test_golden_encode(door: Door, golden: Golden, family: str) -> None:
    cases = golden(family)
    assert door("encode", *cases) == [{"id": case["id"], "ids": case["expected_token_ids"]} for case in cases]


def test_golden_decode_and_stream(door: Door, golden: Golden) -> None:
    cases = golden("decode")
    assert door("decode", *cases) == [{"id": case["id"], "text": case["text_31"]} for case in cases]
    older = [{**case, "variant": "3.0"} for case in cases]
    expected = [{"id": case["id"], "text": case.get("text_30", case["text_31"])} for case in cases]
    assert door("decode", *older) == expected
    cases = golden("stream")
    assert door("stream", *cases) == [{"id": case["id"], "chunks": case["chunks"]} for case in cases]


def test_golden_tokenize(door: Door, golden: Golden) -> None:
    cases = golden("tokenizer")
    assert door("tokenize", *cases) == [{"id": case["id"], "ids": case["ids"]} for case in cases]


def test_golden_parse(door: Door, golden: Golden) -> None:
    cases = golden("parse_public")
    assert door("parse", *cases) == [{"id": case["id"], "parts": case["expected"]} for case in cases]


def test_encode_takes_what_the_golden_files_take(door: Door) -> None:
    message = {"role": "user", "content": ["a", "b"], "context": "c"}
    listed, plain = door("encode", {"id": 1, "messages": [message]}, {"id": 2, "messages": [], "variant": "3.0"})
    assert listed["ids"][5:9] == [64, 65, 271, 66]
    assert plain["ids"] == [128000, 128006, 78191, 128007, 271]
    tool = {"role": "tool", "content": "x", "tool_calls": [], "stop": None, "context": None}
    (answer,) = door("encode", {"messages": [tool], "add_generation_prompt": False})
    assert answer == {"id": None, "ids": [128000, 128006, 23799, 4690, 128007, 271, 87, 128009]}


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": name, "arguments": arguments}]}]}


DEEP = (
    b'{"id": 7, "tool_prompt_format": "python_list", "messages": [{"role": "assistant", "content": "", "tool_calls": ['
    + (b'{"name": "f", "arguments": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}]}]}")
)
BAD: list[tuple[str, dict[str, Any] | bytes, str]] = [
    ("encode", b"", "no JSON"),
    ("encode", b"   ", "no JSON"),
    ("encode", b"nope", "no JSON"),
    ("encode", b"[" * 100_000, "no JSON"),
    ("encode", b'{"id": NaN}', "no JSON"),
    ("encode", b'{"id": ' + b"9" * 5000 + b"}", "no JSON"),
    ("encode", b"\xff\xfe", "not UTF-8"),
    ("encode", b"[1]", "no JSON object"),
    ("encode", b"null", "no JSON object"),
    ("encode", {"id": 7}, '"messages" is missing'),
    ("encode", {"id": 7, "messages": {}}, '"messages" must be a list'),
    ("encode", {"id": 7, "messages": ["x"]}, "must be an object"),
    ("encode", {"id": 7, "messages": [{"role": "user"}]}, '"content" is missing'),
    ("encode", {"id": 7, "messages": [{"content": "x"}]}, '"role" is missing'),
    ("encode", {"id": 7, "messages": [{"role": "judge", "content": "x"}]}, '"role" must be one of'),
    ("encode", {"id": 7, "messages": [{"role": ["user"], "content": "x"}]}, '"role" must be one of'),
    ("encode", {"id": 7, "messages": [{"role": "user", "content": 5}]}, "a string or a list"),
    ("encode", {"id": 7, "messages": [{"role": "user", "content": ["x", 5]}]}, "strings only"),
    ("encode", {"id": 7, "messages": [{"role": "user", "content": "x", "context": 5}]}, "a string or null"),
    ("encode", {"id": 7, "messages": [{"role": "assistant", "content": "x", "stop": "end"}]}, '"stop" must be one of'),
    ("encode", {"id": 7, **call("f", [])}, '"arguments" must be an object'),
    ("encode", {"id": 7, **call("brave_search", {"q": 1})}, 'needs the argument "query"'),
    ("encode", {"id": 7, **call("code_interpreter", {})}, 'needs the argument "code"'),
    ("encode", {"id": 7, "messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]}, "must be an object"),
    ("encode", {"id": 7, "messages": [], "variant": "4"}, '"variant" must be one of'),
    ("encode", {"id": 7, "messages": [], "variant": 3.1}, '"variant" must be one of'),
    ("encode", {"id": 7, "messages": [], "tool_prompt_format": "xml"}, '"tool_prompt_format" must be one of'),
    ("encode", {"id": 7, "messages": [], "add_generation_prompt": 1}, "true or false"),
    ("encode", DEEP, "nested too deeply"),
    ("decode", {"id": 7}, '"ids" is missing'),
    ("decode", {"id": 7, "ids": "12"}, '"ids" must be a list'),
    ("decode", {"id": 7, "ids": [1, True]}, "integers only"),
    ("decode", {"id": 7, "ids": [1, 2.0]}, "integers only"),
    ("decode", {"id": 7, "ids": [-1]}, "Token id -1 is outside"),
    ("decode", {"id": 7, "ids": [128_256]}, "Token id 128256 is outside"),
    ("stream", {"id": 7, "ids": [10**30]}, "is outside the vocabulary"),
    ("tokenize", {"id": 7, "text": 5, "bos": True, "eos": True, "allowed_special": []}, '"text" must be a string'),
    ("tokenize", {"id": 7, "text": "x", "eos": True, "allowed_special": []}, '"bos" is missing'),
    ("tokenize", {"id": 7, "text": "x", "bos": 1, "eos": True, "allowed_special": []}, "true or false"),
    ("tokenize", {"id": 7, "text": "x", "bos": True, "eos": True}, '"allowed_special" is missing'),
    ("tokenize", {"id": 7, "text": "x", "bos": True, "eos": True, "allowed_special": [1]}, "strings only"),
    ("parse", {"id": 7, "ids": [1]}, '"ctx" is missing'),
    ("parse", {"id": 7, "ids": [None], "ctx": {}}, "integers only"),
    ("parse", {"id": 7, "ids": [1], "ctx": {"tools": "f"}}, '"tools" must be a list'),
    ("parse", {"id": 7, "ids": [1], "ctx": {"code": "yes"}}, "true or false"),
]


@pytest.mark.parametrize("command", ["encode", "decode", "stream", "tokenize", "parse"])
def test_bad_lines_are_answered_and_the_rest_go_on(door: Door, command: str) -> None:
    bad = [(line, says) for name, line, says in BAD if name == command]
    good = {
        "id": "good",
        "messages": [],
        "ids": [13347],
        "text": "Hi",
        "bos": False,
        "eos": False,
        "allowed_special": [],
    }
    answers = door(command, *(line for line, _ in bad), {**good, "ctx": {}})
    assert answers[-1]["id"] == "good"
    assert "error" not in answers[-1]
    for (line, says), answer in zip(bad, answers[:-1], strict=True):
        readable = isinstance(line, dict) or line is DEEP
        assert answer == {"id": 7 if readable else None, "error": answer["error"]}
        assert says in answer["error"]
        assert answer["error"].endswith(".")


def test_ids_that_are_no_plain_values_are_not_repeated(door: Door) -> None:
    lines = [b'{"id": [1], "messages": []}', b'{"id": 1e999, "messages": []}', {"id": "\ud800", "messages": []}]
    assert [answer["id"] for answer in door("encode", *lines)] == [None, None, "\ud800"]


def test_any_ids_are_parsed(door: Door) -> None:
    (answer,) = door("parse", {"id": 1, "ids": [-5, 13347, 128_256, 10**30], "ctx": {}})
    assert [part["text"] for part in answer["parts"]] == ["Hi"]


def test_without_a_tokenizer_the_embedded_one_is_used() -> None:
    result = CliRunner().invoke(app, ["encode"], input='{"id":1,"messages":[],"add_generation_prompt":false}\n')
    assert (result.exit_code, len(json.loads(result.stdout)["ids"])) == (0, 1)


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["encode", "--tokenizer", str(tmp_path / "absent")], input="{}\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Can't read the tokenizer" in result.stderr
    assert "hint:" in result.stderr


@pytest.fixture
def process(tokenizer_file: Path) -> Any:
    command = [sys.executable, "-m", "llamachat.doors.protocol", "decode", "--tokenizer", str(tokenizer_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        yield running
        running.kill()


def test_every_line_is_answered_at_once_and_ctrl_c_is_quiet(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"id":1,"ids":[13347]}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"id": 1, "text": "Hi"}
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_broken_pipe_is_quiet(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(b'{"id":1,"ids":[13347]}\n' * 3)
    assert (process.returncode, errors) == (0, b"")
