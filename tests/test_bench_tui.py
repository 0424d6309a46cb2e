"""The bench of the screen, made small: every figure comes, and the report says what is good."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from llamachat.doors import bench_tui
from llamachat.doors.bench_tui import BenchError, Row, first_frames, key_echoes, report
from llamachat.widgets import probe


@pytest.mark.parametrize("subject", [probe.Ours, probe.Textuals])
def test_a_small_probe_gives_every_figure(monkeypatch, subject):
    for name, value in (("TURNS", 2), ("LONG", 400), ("TOKENS", 60), ("MOST_APPENDS", 2), ("KEYS", 2)):
        monkeypatch.setattr(probe, name, value)
    found = asyncio.run(probe.measure(subject))
    assert set(found) == {
        *("open", "key", "key_empty", "focus", "resize", "memory_first", "memory_second"),
        *("append_prose", "append_fence", "append_list", "append_table"),
    }
    assert all(found[name] > 0 for name in found if not name.startswith("memory"))


def test_the_program_is_measured_from_outside(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_tui, "STARTS", 1)
    monkeypatch.setattr(bench_tui, "KEYS", 3)
    assert 0 < next(first_frames(str(tmp_path))) < 60_000
    echoes = key_echoes(str(tmp_path))
    assert len(echoes) >= 3
    assert echoes == sorted(echoes)


def test_what_never_comes_is_an_error(monkeypatch, tmp_path):
    with bench_tui._running(str(tmp_path), "--version") as terminal, pytest.raises(BenchError, match="has ended"):
        terminal.wait("The prompt", lambda: False)
    assert "llamachat 0." in terminal.seen
    monkeypatch.setattr(bench_tui, "PATIENCE", 0.0)
    with pytest.raises(BenchError, match="The first frame did not come"):
        next(first_frames(str(tmp_path)))


ROWS = [Row("open", 60.5, "ms", 1000, 19_000), Row("key", 2.0, "×", 1.3, 10.0), Row("memory", 0.0, "MB", None, 5.0)]


def test_the_report_shows_targets_and_ratios():
    console = Console(file=io.StringIO(), width=120)
    console.print(report(ROWS))
    rows = [line.split("│") for line in console.file.getvalue().splitlines() if "│" in line]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]
    assert cells == [
        ["open", "60.50 ms", "✓ ≤ 1,000 ms", "19,000 ms", "314.0"],
        ["key", "2 ×", "✗ ≤ 1.30 ×", "10 ×", "5.0"],
        ["memory", "0 MB", "", "5 MB", ""],
    ]


def test_the_command_prints_json(monkeypatch, capsys):
    monkeypatch.setattr(bench_tui, "measure", lambda: iter(ROWS))
    bench_tui.tui(as_json=True)
    assert [(row["name"], row["good"]) for row in json.loads(capsys.readouterr().out)] == [
        ("open", True),
        ("key", False),
        ("memory", True),
    ]
    bench_tui.tui(as_json=False)
    assert "Textual Markdown" in capsys.readouterr().out
