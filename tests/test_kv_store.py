"""Keys and values on disk: a restart reads a dialog back instead of computing it, and never a stranger's."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tiny_llama import change_weights, edit_json, reference, rope, save_huggingface
from typer.testing import CliRunner

from llamachat.checkpoints import open_checkpoint
from llamachat.cli import app
from llamachat.kv_store import BLOCK, MAGIC, KVStore, fingerprint, usage
from llamachat.kv_tiers import Budgets
from llamachat.model import KVCache
from llamachat.paths import cache_dir
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)
DIALOG = [i * 7 % 251 for i in range(5 * BLOCK + 20)]
ROOM = 1 << 30
PER_BLOCK = 2 * 2 * 2 * BLOCK * 16 * 4 + len(MAGIC) + 4  # bytes of a file of the tiny model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(reference(max_position_embeddings=1024), tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(autouse=True)
def slow_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model is about as fast as a disk; it is taken to be slower, but where that is what is tested."""
    if "faster" not in request.node.name:
        monkeypatch.setattr(KVStore, "learned", lambda *_: None)


async def say(
    folder: Path, kept: Path | None, *prompts: Sequence[int], budget: int = ROOM, dtype: torch.dtype | None = None
) -> tuple[list[int], int]:
    """What a program that is started for them says to ``prompts``, at last, and how many of its ids were cached."""
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1, dtype=dtype, budgets=Budgets(None, budget, kept))
    for prompt in prompts:
        reply = [i async for i in runtime.generate(prompt, GREEDY, ())]
    runtime._worker.submit(lambda: None).result()  # all is saved
    runtime.close()
    return reply, runtime.stats.cached_tokens


def blocks(kept: Path) -> list[Path]:
    return sorted(file for file in kept.glob("*/*") if len(file.name) == 40)


# -- what comes back --------------------------------------------------------------------------------------------------


async def test_a_restart_reads_only_what_no_block_holds(folder: Path, tmp_path: Path) -> None:
    cold, cached = await say(folder, tmp_path, DIALOG)
    assert cached == 0
    assert len(blocks(tmp_path)) == 5
    assert await say(folder, tmp_path, DIALOG) == (cold, 5 * BLOCK)
    assert await say(folder, None, DIALOG) == (cold, 0)
    more = [*DIALOG, *cold, *range(BLOCK)]
    warm, cached = await say(folder, tmp_path, more)
    assert cached == 5 * BLOCK
    assert warm == (await say(folder, None, more))[0]
    assert (await say(folder, tmp_path, more))[1] == len(more) // BLOCK * BLOCK
    assert all(file.stat().st_mode & 0o077 == 0 for file in blocks(tmp_path))


async def test_branches_share_their_blocks(folder: Path, tmp_path: Path) -> None:
    other = [*DIALOG[: 3 * BLOCK], *range(2 * BLOCK)]
    await say(folder, tmp_path, DIALOG, other)
    assert len(blocks(tmp_path)) == 5 + 2
    for prompt in (DIALOG, other):
        assert (await say(folder, tmp_path, [*prompt, 1]))[1] == 5 * BLOCK
    assert (await say(folder, tmp_path, [9, *DIALOG]))[1] == 0  # the same ids at other positions are others


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.bfloat16, 0.01)])
def test_logits_agree_with_cold_ones(folder: Path, tmp_path: Path, dtype: torch.dtype, most: float) -> None:
    model = open_checkpoint(folder).load_model(dtype=dtype)
    mark = fingerprint(model.state_dict(), model.config, dtype)
    with torch.inference_mode():
        cold = KVCache(model.config, 500, device="cpu", dtype=dtype)
        model.hidden(torch.tensor([DIALOG]), cold)
        KVStore(tmp_path, mark, ROOM).save(cold, DIALOG)
        warm = KVCache(model.config, 500, device="cpu", dtype=dtype)
        warm.length = KVStore(tmp_path, mark, ROOM).restore(warm, DIALOG[:-1], 10)
        assert warm.length == 5 * BLOCK
        assert torch.equal(warm.keys[..., : warm.length, :], cold.keys[..., : warm.length, :])
        found = model(torch.tensor([DIALOG[warm.length :]]), warm)[0, -1].float()
        expected = model(torch.tensor([DIALOG]))[0, -1].float()
    assert float((found - expected).norm() / expected.norm()) <= most


# -- what is not its own, or torn -------------------------------------------------------------------------------------


async def test_another_model_dtype_or_rotation_finds_nothing(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    await say(folder, kept, DIALOG)
    tuned = save_huggingface(reference(max_position_embeddings=1024), tmp_path / "tuned")
    change_weights(
        tuned, lambda w: [weight.mul_(1.001) for name, weight in w.items() if "layers.1.self_attn.v" in name]
    )
    turned = save_huggingface(reference(max_position_embeddings=1024), tmp_path / "turned")
    edit_json(turned / "config.json", rope_parameters=rope(8.0))
    for other in (tuned, turned):
        assert (await say(other, kept, DIALOG))[1] == 0
    assert (await say(folder, kept, DIALOG, dtype=torch.bfloat16))[1] == 0
    assert (await say(folder, kept, DIALOG))[1] == 5 * BLOCK
    copy = save_huggingface(reference(max_position_embeddings=1024), tmp_path / "elsewhere")
    assert (await say(copy, kept, DIALOG))[1] == 5 * BLOCK  # it is the content that counts


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:7],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: b"X" + data[1:],
    ],
)
async def test_a_torn_block_is_read_anew(folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    await say(folder, tmp_path, DIALOG[: 2 * BLOCK + 1])
    first = set(blocks(tmp_path))
    await say(folder, tmp_path, DIALOG)
    third = min(set(blocks(tmp_path)) - first, key=lambda file: -file.stat().st_mtime)
    third.write_bytes(damage(third.read_bytes()))
    reply, cached = await say(folder, tmp_path, DIALOG)
    assert cached == 2 * BLOCK
    assert reply == (await say(folder, None, DIALOG))[0]
    assert (await say(folder, tmp_path, DIALOG))[1] == 5 * BLOCK  # it was written again


# -- budgets ----------------------------------------------------------------------------------------------------------


async def test_a_budget_holds_and_the_oldest_goes_first(folder: Path, tmp_path: Path) -> None:
    dialogs = [[first, *DIALOG[: 4 * BLOCK]] for first in (1, 2, 3)]
    for dialog in dialogs:
        await say(folder, tmp_path, dialog, budget=10 * PER_BLOCK)
        assert usage(tmp_path) <= 10 * PER_BLOCK
    found = [(await say(folder, tmp_path, dialog, budget=10 * PER_BLOCK))[1] for dialog in reversed(dialogs)]
    assert found[0] == 4 * BLOCK
    assert found[2] < 4 * BLOCK


@pytest.mark.parametrize("budget", [0, 100, PER_BLOCK - 1])
async def test_a_budget_for_no_block(folder: Path, tmp_path: Path, budget: int) -> None:
    for _ in range(2):
        assert (await say(folder, tmp_path, DIALOG, budget=budget))[1] == 0
    assert blocks(tmp_path) == []


async def test_a_folder_that_can_not_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    expected, _ = await say(folder, None, DIALOG)
    assert await say(folder, tmp_path / "file", [1, *DIALOG], DIALOG) == (expected, 0)


def test_where_the_model_is_faster_than_the_disk_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    model = open_checkpoint(folder).load_model()
    cache = KVCache(model.config, 500, device="cpu", dtype=torch.float32)
    store = KVStore(tmp_path, "mark", ROOM)
    store.learned(10 * BLOCK, 1e-6)
    store.save(cache, DIALOG)
    assert blocks(tmp_path) == []
    store.learned(10 * BLOCK, 10.0)
    store.save(cache, DIALOG)
    assert len(blocks(tmp_path)) == 5
    assert KVStore(tmp_path, "mark", ROOM).restore(cache, DIALOG, 0) == 5 * BLOCK
    store.learned(10 * BLOCK, 1e-6)  # remembered for the next start
    assert KVStore(tmp_path, "mark", ROOM).restore(cache, DIALOG, 0) == 0


# -- being rid of it --------------------------------------------------------------------------------------------------


async def test_it_can_be_seen_and_cleared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE_DIR", str(tmp_path))
    kept = cache_dir() / "kv"
    await say(folder, kept, DIALOG)
    (next(kept.iterdir()) / f".{'a' * 40}.{os.getpid()}").write_bytes(b"x" * 2**20)  # what a crash left
    shown = CliRunner().invoke(app, ["cache", "show"])
    assert "1.2 MiB  keys and values" in shown.output
    cleared = CliRunner().invoke(app, ["cache", "clear"])
    assert cleared.output == "1.2 MiB are free again.\n"
    assert usage(kept) == 0
    assert (await say(folder, kept, DIALOG))[1] == 0
