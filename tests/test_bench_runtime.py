"""llamachat bench decode|prefill|turn: both engines compute the same, and every row is there."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import typer
from typer.testing import CliRunner

from llamachat.doors import bench_llama_cpp, bench_load, bench_peers, bench_runtime, bench_start
from llamachat.model import ModelConfig, RopeScaling
from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime

TINY = ModelConfig(64, 2, 4, 2, 96, 2200, 64, rope_scaling=RopeScaling(8.0, original_context=16))

app = typer.Typer()
app.command()(bench_runtime.decode)
app.command()(bench_runtime.prefill)
app.command()(bench_runtime.turn)
app.command()(bench_load.load)
app.command()(bench_start.start)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_peers.SHAPES, "tiny", lambda context: TINY)


def test_the_peer_computes_what_we_compute() -> None:
    model, ids = bench_peers.random_model("tiny", "cpu", "float32", 64), bench_runtime.prompt(50, 3)
    for name, weight in model.named_parameters():
        weight *= 10 if "wq" in name or "wk" in name else 5 if "norm" not in name else 1
    expected = model(torch.tensor([ids]))[0]
    assert expected.std() > 0.1
    found = bench_peers.Peer(model, 1).logits(ids)
    assert (found - expected).norm() / expected.norm() < 1e-4


def test_llama_cpps_file_has_our_weights(tmp_path: Path) -> None:
    model = bench_peers.random_model("tiny", "cpu", "float32", 64)
    for kind, error in (("F32", 1e-6), ("BF16", 0.005), ("Q8_0", 0.02)):
        reader = gguf.GGUFReader(bench_llama_cpp.save_gguf(model, tmp_path / f"{kind}.gguf", kind))
        stored = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
        for name, ours in (
            ("token_embd", model.tok_embeddings), ("output", model.output),
            ("blk.1.attn_q", model.layers[1].attention.wq),
            ("blk.0.ffn_down", model.layers[0].feed_forward.w2), ("blk.0.ffn_norm", model.layers[0].ffn_norm),
        ):  # fmt: skip
            theirs = torch.tensor(stored[f"{name}.weight"])
            assert (theirs - ours.weight).norm() / ours.weight.norm() < error
        assert stored["rope_freqs.weight"].max() == pytest.approx(8.0)


def test_no_prompt_that_is_new_was_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cached, timed = [], bench_runtime.time_ours

    async def watched(runtime: LlamaRuntime, *arguments: Any) -> bench_runtime.Timing:
        timing = await timed(runtime, *arguments)
        cached.append(runtime.stats.cached_tokens)
        return timing

    monkeypatch.setattr(bench_runtime, "time_ours", watched)
    options = ["--shape", "tiny", "--device", "cpu", "--dtype", "float32", "--peer", "none", "--rounds", "3"]
    assert CliRunner().invoke(app, ["prefill", *options, "--context", "32"]).exit_code == 0
    assert cached == [0] * 4  # the first one warms up


@pytest.mark.parametrize(
    ("what", "sizes", "rows"),
    [
        ("decode", ["--context", "16", "--tokens", "8"], 3),
        ("prefill", ["--context", "32"], 1),
        ("turn", ["--context", "32", "--new", "4"], 2),
    ],
)
def test_each_measures_both(what: str, sizes: list[str], rows: int) -> None:
    options = [what, "--shape", "tiny", "--device", "cpu", "--dtype", "float32", "--rounds", "2", *sizes]
    done = CliRunner().invoke(app, [*options, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["rows"]
    bandwidth = [row for row in found if row["unit"] in ("GB/s", "%")]
    assert len(bandwidth) == (4 if what == "decode" else 1)
    assert all(row["ours"] > 0 for row in bandwidth)
    found = [row for row in found if row not in bandwidth]
    assert len(found) == rows
    assert all(row["ours"] > 0 and row["ratio"] > 0 and row["theirs"] > 0 for row in found)
    alone = CliRunner().invoke(app, [*options, "--peer", "none"])
    assert alone.exit_code == 0
    assert found[0]["name"][:8] in alone.stdout
    assert "peak memory" in alone.stdout


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--dtype", "int8", "--peer", "none"], "llama.cpp's decoding only"),
        (["--shape", "9b"], "no shape called '9b'"),
        (["--shape", "tiny", "--peer", "them"], "no peer called 'them'"),
        (["--shape", "tiny", "--dtype", "int3"], "dtype is int3"),
        (["--shape", "tiny", "--device", "cuda:77"], "cuda:77"),
    ],
)
def test_what_can_not_be_measured(options: list[str], reason: str) -> None:
    done = CliRunner().invoke(app, ["prefill", "--context", "32", *options])
    assert done.exit_code == 2
    assert reason in done.stderr


def test_a_shape_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "free_memory", lambda device: 10**9)
    done = CliRunner().invoke(app, ["decode", "--shape", "8b", "--device", "cpu"])
    assert done.exit_code == 2
    assert "takes 15.0 GiB, and 0.9 GiB are free" in done.stderr


def test_a_start_is_measured() -> None:
    done = CliRunner().invoke(app, ["start", "--rounds", "1", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["unit"] for row in rows] == ["ms", "ms", "tok/s", "MB"]
    assert all(row["ours"] > 0 for row in rows)


def test_loading_is_measured_beside_a_plain_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["load", "--device", "cpu", "--rounds", "2", "--json"])
    assert done.exit_code == 0, done.output
    seconds, rate = json.loads(done.stdout)["rows"]
    assert (seconds["unit"], rate["unit"]) == ("s", "MB/s")
    assert seconds["ratio"] == rate["ratio"] > 0
    size = sum(file.stat().st_size for file in bench_load.weight_files(bundled_model()))
    assert rate["ours"] == pytest.approx(size / seconds["ours"] / 1e6)
    for options, reason in (([str(tmp_path)], "is empty"), (["--dtype", "int3"], "dtype is int3")):
        done = CliRunner().invoke(app, ["load", "--device", "cpu", *options])
        assert done.exit_code == 2
        assert reason in done.stderr
