"""A task of several steps, as a user would set it: a table attached, a grouped mean computed, a plot seen inline."""

from pathlib import Path

import pytest
from screen import make_app, say, shown, until

from llamachat.config import Config
from llamachat.workshop import gather

pytestmark = pytest.mark.usefixtures("own_folders")

MEAN = """<|python_tag|>import pandas as pd
table = pd.read_csv("sales.csv")
table.groupby("city")["sold"].mean()<|eom_id|>"""
PLOT = """<|python_tag|>import matplotlib.pyplot as plt
table.groupby("city")["sold"].mean().plot.bar()
plt.show()<|eom_id|>"""


def magic(file: str) -> bytes:
    return Path(file).read_bytes()[:4]


async def test_a_table_is_attached_its_means_computed_and_their_plot_seen(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("city,sold\nOslo,10\nRio,30\nOslo,20\n")
    app = make_app([MEAN, PLOT, "Rio sells twice as much.<|eot_id|>"], workshop=gather(Config()))
    async with app.run_test(size=(100, 60)) as pilot:
        await say(pilot, f"/attach {tmp_path / 'sales.csv'}")
        await until(pilot, lambda: "Attached sales.csv (3 rows × 2 columns)" in shown(app))
        await say(pilot, "Mean by city, and a plot, please")
        await until(pilot, lambda: "Rio sells twice as much." in shown(app))
        await until(pilot, lambda: "Oslo    15.0" in shown(app))
        await until(pilot, lambda: "Rio     30.0" in shown(app))
        assert "▀" in shown(app)  # half blocks: the picture itself
        files = [file for view in app.transcript.views for file in view.files if file.endswith(".png")]
        assert [magic(file) for file in files] == [b"\x89PNG"]
