"""The train door: from a chat to a model that learned from it, as a user types it, with the embedded model."""

import json
from pathlib import Path

import pytest
import torch
from program import run
from safetensors.torch import load_file
from typer.testing import CliRunner

from llamachat.checkpoints import open_checkpoint
from llamachat.cli import app
from llamachat.errors import ConfigError, LlamaChatError
from llamachat.paths import bundled_model

WEIGHTS = bundled_model() / "model.safetensors"


def told(home: dict[str, str], *arguments: str, given: str = "") -> str:
    done = run(home, *arguments, given=given, folder=Path(home["HOME"]))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chat_prefer_export_train_chat(home: dict[str, str], tmp_path: Path) -> None:
    told(home, "--plain", given="What is 12 + 30?\n/retry no tools\nWhat is 5 * 9?\n/retry no tools\n/quit\n")
    (session,) = json.loads(told(home, "sessions", "list", "--output", "json"))
    told(home, "sessions", "export", session["id"], "--format", "dpo", "-o", "pairs.jsonl")
    assert len((tmp_path / "pairs.jsonl").read_text().splitlines()) == 2
    learned = told(home, "train", "dpo", "pairs.jsonl", "-o", "my-model")
    assert "Learned from 2 pairs" in learned
    assert open_checkpoint(tmp_path / "my-model").name == "my-model"
    assert json.loads(told(home, "-m", "my-model", "-p", "Hello!", "--output", "json"))["messages"][-1]["content"]


def door(*words: str) -> str:
    result = CliRunner().invoke(app, ["train", *words], env={"COLUMNS": "100"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("dpo", "empty.jsonl", "-o", "new"), "There is nothing in"),
        (("sft", "torn.jsonl", "-o", "new"), r"no JSON \(is it torn\?\)"),
        (("sft", "nothing.jsonl", "-o", "new"), "Can't read"),
        (("sft", "good.jsonl", "-o", "there"), "is there already"),
        (("sft", "good.jsonl", "-o", "new", "-m", "nowhere"), "doesn't exist"),
        (("sft", "good.jsonl", "-o", "new", "--lr", "7"), "The learning rate is"),
        (("sft", "good.jsonl", "-o", "new", "--context", "64"), "longer than 64 tokens"),
        (("average", "there", "-o", "new", "--weights", "x"), "no list of numbers"),
        (("average", "there", "-o", "new"), "holds no weights|describes a model"),
        (("reject", "--tasks", "empty.jsonl", "-o", "new"), "There are no tasks"),
    ],
)
def test_bad_input_gets_one_sentence_and_a_hint(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    good = json.dumps({"messages": [{"role": "user", "content": "Hi " * 90}, {"role": "assistant", "content": "Yo"}]})
    (tmp_path / "good.jsonl").write_text(good)
    (tmp_path / "torn.jsonl").write_text(good + "\n" + good[:40])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    with pytest.raises(LlamaChatError, match=sentence) as caught:
        door(*words)
    assert caught.value.hint
    assert not (tmp_path / "new" / "config.json").exists()


def test_a_wrong_size_is_told_by_its_option() -> None:
    with pytest.raises(ConfigError, match="TIES takes no weights"):
        door("average", "a", "b", "-o", "new-model", "--base", "c", "--weights", "1,2")


def test_a_copy_of_one_model_in_another_dtype_says_the_same(tmp_path: Path) -> None:
    """The embedded model is in bfloat16, so nothing is lost on the way to float32 and back."""
    assert "Averaged 1 model." in door("average", str(bundled_model()), "-o", str(tmp_path / "wide"))
    door("average", str(tmp_path / "wide"), "-o", str(tmp_path / "nano"), "--dtype", "bfloat16")
    assert (tmp_path / "wide" / "model.safetensors").stat().st_size > 1.9 * WEIGHTS.stat().st_size
    back = load_file(tmp_path / "nano" / "model.safetensors")
    assert all(torch.equal(weight, back[name]) for name, weight in load_file(WEIGHTS).items())
