"""What several tests share: the 128k tokenizer file from the llama-models package, and the golden vectors."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from llamachat.tokenizer import Tokenizer

settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    spec = importlib.util.find_spec("llama_models")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "llama3" / "tokenizer.model"


@pytest.fixture(scope="session")
def llama_tokenizer(tokenizer_file: Path) -> Tokenizer:
    """That of 3.1, 3.2 and 3.3."""
    return Tokenizer.from_file(tokenizer_file, "3.1")


@pytest.fixture(scope="session")
def llama_tokenizer_30(tokenizer_file: Path) -> Tokenizer:
    return Tokenizer.from_file(tokenizer_file, "3.0")


@pytest.fixture(scope="session")
def golden() -> Callable[[str], list[dict[str, Any]]]:
    """Reads a family of golden vectors (tests/data/golden/README.md)."""
    folder = Path(__file__).parent / "data" / "golden"

    def read(family: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / f"{family}.jsonl").read_text(encoding="utf-8").splitlines()]

    return read


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and config of the user who runs the tests stay out of them."""
    monkeypatch.setenv("LLAMACHAT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LLAMACHAT_CONFIG_DIR", str(tmp_path / "config"))
