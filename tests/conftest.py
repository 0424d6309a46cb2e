"""What several tests share: folders of their own, the 128k tokenizer file of llama-models, golden vectors."""

import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from program import mould

from llamachat.paths import cache_dir
from llamachat.tokenizer import Tokenizer

os.environ["OMP_NUM_THREADS"] = "1"  # torch's; every core has a worker already

settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")

TRITON = (platform.system(), platform.machine()) == ("Linux", "x86_64")  # the only machines that it is made for
collect_ignore = [] if TRITON else ["test_triton.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested."""
    if not TRITON:
        terminalreporter.write_line("NOT TESTED HERE: the GPU's kernels, which need Triton, so Linux on x86-64.")


SLOW_TO_MAKE = {name: cache_dir() / name for name in ("native", "matplotlib")}
"""The user's compiled library and list of fonts: the same for all, and seconds of work."""


def new_cache(folder: Path) -> str:
    """A cache that is empty, but for what is slow to make."""
    folder.mkdir()
    for name, made in SLOW_TO_MAKE.items():
        made.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(made)
    return str(folder)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the user's chats have cached stays out of the tests, and other workers' tests too."""
    os.environ["LLAMACHAT_CACHE_DIR"] = new_cache(tmp_path_factory.mktemp("cache") / "llamachat")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment for a process, whose folders are empty."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "LLAMACHAT_CACHE_DIR": new_cache(tmp_path / "cache")}


@pytest.fixture(scope="session", autouse=True)
def no_mould_left() -> Iterator[None]:
    yield
    if mould.cache_info().currsize:
        mould().close()


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
