"""The bench of the number of slices: its steps on a few, and what it makes of its readings."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import kept, scale, scale_step
from benchmarks.measure import Clock
from kidneyct_lib.splitting import near_duplicates


def readings(step, slices, seconds):
    rows = {"step": step, "slices": slices, "seconds": seconds}
    return pd.DataFrame(rows | {"peak_memory_mb": 100.0, "disk_mb": 1.0})


def test_exponents_are_those_of_the_power_that_seconds_follow():
    n = np.array([4000, 500, 2000, 1000])  # in any order
    rows = [readings("line", n, 3e-3 * n), readings("pairs", n, 2e-9 * n**2.0)]
    bend = np.array([0.1, 0.1, 0.2, 0.4])  # fixed costs first, then linear
    rows += [readings("late", np.sort(n), bend), readings("two", n[:2], [8.0, 1.0])]
    table = scale.growth(pd.concat(rows)).set_index("step")
    assert table.loc["line", "exponent"] == pytest.approx(1)
    assert table.loc["pairs", ["exponent", "exponent, largest"]].tolist() == pytest.approx([2, 2])
    late = table.loc["late"]
    assert late["exponent, largest"] == pytest.approx(1)
    assert late["exponent"] < 0.8
    assert table.loc["two", "exponent"] == pytest.approx(1)
    assert np.isnan(table.loc["two", "exponent, largest"])
    assert table["sizes"].tolist() == [4, 4, 4, 2]


def test_tables_have_a_column_for_each_size_and_keep_the_order_of_the_steps():
    rows = pd.concat([readings("z", [500, 12446], [1.0, 2.0]), readings("a", [500], [3.0])])
    table = scale.wide(rows, "seconds")
    assert table.columns.tolist() == ["step", "500", "12,446"]
    assert table["step"].tolist() == ["z", "a"]
    assert np.isnan(table.loc[1, "12,446"])


def test_too_few_slices_for_a_split_are_refused(capsys):
    with pytest.raises(SystemExit):
        scale.parse(["--sizes", "100", "500"])
    assert "at least 360 slices" in capsys.readouterr().err


def test_every_step_without_the_network_runs_once_on_each_size(tmp_path, monkeypatch):
    ran = []

    def here(module, job):
        ran.append(job["step"])
        clock = Clock()
        facts = scale_step.STEPS[job["step"]](job, clock) or {}
        return {"seconds": clock.seconds, "peak_memory_mb": 1.0} | facts

    monkeypatch.setattr(scale, "measured", here)
    monkeypatch.setattr(scale_step, "SLICES_A_SERIES", 3)
    options = scale.parse(["--sizes", "38", "50", "--network-sizes", "0", "--image-size", "64"])
    rows = pd.DataFrame(scale.steps(options, tmp_path))
    for size, one in rows.groupby("slices"):
        counts = pd.read_csv(tmp_path / str(size) / "catalog.csv")["label"].value_counts()
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1
        assert {"catalog", "grouping", "splits", "hidden twins"} < set(one["step"])
        disk = one.set_index("step")["disk_mb"]
        assert disk["decoding"] >= size * 64**2 / 1e6
        assert disk["thumbnails"] >= size * near_duplicates.SOURCE_SIZE**2 / 1e6
    assert rows["step"].value_counts().unique().tolist() == [2]
    assert (rows["seconds"] > 0).all()
    assert len(ran) == 1 + 2 * len(scale_step.CHEAP)
    (tmp_path / "50/measured-split.json").unlink()  # as if the call had ended before
    again = pd.DataFrame(scale.steps(options, tmp_path))
    assert ran[1 + 2 * len(scale_step.CHEAP) :] == ["split"]
    pd.testing.assert_frame_equal(again.query("step != 'splits'"), rows.query("step != 'splits'"))


def test_many_thumbnails_are_grouped_in_a_process_of_their_own(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()  # what marks a project's root: its outputs are written there
    monkeypatch.chdir(tmp_path)
    assert scale.main(["--grouping", "700"]) == 0
    folder = tmp_path / "outputs/scale-grouping"
    told = pd.read_csv(folder / "grouping.csv").set_index("measure")["value"]
    assert told["of which thumbnails, MB"] == pytest.approx(700 * 64**2 * 4 / 1e6)
    assert told["peak memory, MB"] > told["of which thumbnails, MB"]
    assert told["grouping, s"] > 0
    # Copies of one slice are near-duplicates, and most links are between these.
    assert told["links above 0.94"] >= 0.9 * 700 / 30 * (30 * 29 / 2)
    assert told["groups above 0.86"] <= told["groups above 0.94"] <= 700 / 30
    assert json.loads((folder / "scale.json").read_text())["options"]["grouping"] == "700"
    assert not (folder / "work").exists()


def test_an_interrupted_bench_gives_what_it_measured():
    def rows():
        yield {"step": "catalog"}
        raise KeyboardInterrupt

    measured, whole = scale._until_interrupted(rows())
    assert measured["step"].tolist() == ["catalog"]
    assert not whole


def test_measurements_with_other_settings_are_not_kept(tmp_path):
    work = kept.work_folder(tmp_path, {"image_size": 64})
    (work / "measured-index.json").write_text("{}")
    assert (kept.work_folder(tmp_path, {"image_size": 64}) / "measured-index.json").exists()
    assert not (kept.work_folder(tmp_path, {"image_size": 128}) / "measured-index.json").exists()
