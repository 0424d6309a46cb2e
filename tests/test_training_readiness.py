"""Where a message begins a call is as much less likely as was asked, and nothing else is touched."""

import sys
from pathlib import Path

import pytest
import torch

from llamachat.checkpoints import open_checkpoint
from llamachat.errors import ConfigError
from llamachat.model import ModelConfig
from llamachat.paths import bundled_model
from llamachat.training import readiness
from llamachat.training.bpe import write
from llamachat.training.export import export
from llamachat.training.train import Recipe, Trainer

TOKENIZER = open_checkpoint(bundled_model()).load_tokenizer()
TINY = ModelConfig(dim=64, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=96, vocab_size=TOKENIZER.n_words, context=1024)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["readiness", *arguments])
    readiness.main()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two layers that have learned for a moment, as a checkpoint."""
    trainer = Trainer(TINY, Recipe(seed=3, budget=1024, micro=2), TOKENIZER)
    for _ in range(3):
        trainer.step()
    folder = tmp_path / "tiny"
    folder.mkdir()
    trainer.save(folder / "last.pt")
    write({TOKENIZER.token_bytes(i): i for i in range(TOKENIZER.n_base)}, folder / "tokenizer.model")
    export(folder / "last.pt", folder)
    return folder


def test_calls_become_less_likely_by_as_much_as_was_asked(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(monkeypatch, "--model", str(tiny), "--nats", "0.6", "--count", "80", "--out", str(out))
    before, after = (
        open_checkpoint(folder).load_model(torch.device("cpu"), torch.float32).state_dict() for folder in (tiny, out)
    )
    assert [name for name in before if not torch.equal(before[name], after[name])] == [readiness.HEAD]
    changed = (before[readiness.HEAD] != after[readiness.HEAD]).any(1).nonzero()[:, 0].tolist()
    assert changed == [TOKENIZER.python_tag_id]
    model = open_checkpoint(tiny).load_model(torch.device("cpu"), torch.float32)
    states = readiness.decisions(model, TOKENIZER, 40, seed=32)  # others than were read for it
    moved = states @ (after[readiness.HEAD] - before[readiness.HEAD])[changed[0]]
    assert len(states) > 60
    assert abs(float(moved.mean()) + 0.6) < 0.05
    assert float(moved.std()) < 0.1
    assert (out / "tokenizer.model").read_bytes() == (tiny / "tokenizer.model").read_bytes()


def test_what_is_there_is_not_written_over(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (tiny / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        run(monkeypatch, "--model", str(tiny), "--nats", "0.6", "--out", str(tiny))
    assert (tiny / "model.safetensors").read_bytes() == weights
