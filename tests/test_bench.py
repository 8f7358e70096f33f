"""The benchmark's tables and agreement check; nothing here is timed."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench, full_set, job, tables
from kidneyct_lib.data import catalog, phantom

N = 50


def test_scores_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    predictions, truth = rng.dirichlet(np.ones(4), N), rng.integers(0, 4, N)
    result = tables.scores(predictions.tolist(), truth)
    hits = sum(row.tolist().index(max(row)) == t for row, t in zip(predictions, truth, strict=True))
    losses = [-np.log(row[t]) for row, t in zip(predictions, truth, strict=True)]
    assert result["test accuracy"] == hits / N
    assert result["test loss"] == pytest.approx(sum(losses) / N)


@pytest.mark.parametrize(
    ("accuracy", "loss", "wrong"),
    [
        (0.80, 0.500, []),
        (0.82, 0.515, []),  # one image of 50
        (0.84, 0.500, ["test accuracy"]),
        (0.80, 0.521, ["test loss"]),
        (0.70, 0.400, ["test accuracy", "test loss"]),
        (0.80, float("nan"), ["test loss"]),
    ],
)
def test_sides_that_lie_apart_are_named(accuracy, loss, wrong):
    ours = {"test accuracy": 0.80, "test loss": 0.500}
    theirs = {"test accuracy": accuracy, "test loss": loss}
    lines = tables.disagreements(ours, theirs, N)
    assert [line.split(":")[0] for line in lines] == wrong


def side(factor, *phases, **more):
    return {
        "seconds": {name: factor * (i + 1) for i, name in enumerate(("start-up", *phases))},
        "process_seconds": 40 * factor,
        "peak_memory_mb": 1000 * factor,
        "scores": {"test accuracy": 0.5, "test loss": 1.0},
    } | more


OURS = side(1, "decode", "prefix", "pooled features", "stage 1", "stage 2", stored_bytes=5e6)
THEIRS = side(10, "stage 1", "stage 2", "test predictions")


def test_folds_table_shares_once_and_counts_the_common_recipe_every_time():
    ours = side(1, "decode", "prefix", "pooled features", "training 1", "training 2")
    theirs = side(10, "stage 1", "stage 2", "test predictions")
    table = tables.folds_table(ours, theirs, 2).set_index("measure")
    assert table.loc["shared by all trainings, s", tables.OURS] == 2 + 3 + 4
    further = table.loc["a further training, s"]
    assert (further[tables.OURS], further[tables.THEIRS]) == (5.5, 90)
    whole = table.loc["all 2 trainings, s"]
    assert (whole[tables.OURS], whole[tables.THEIRS], whole["ratio"]) == (20, 180, 9)
    assert tables.folds_table(ours, None, 2)["ratio"].isna().all()


def test_first_figures_are_counted_from_the_start_of_the_notebook(tmp_path):
    def cell(end, **data):
        times = {"papermill": {"end_time": f"2026-01-01T00:00:{end}"}}
        return {"metadata": times, "outputs": [{"data": data}]}

    table, figure = ({"text/html": text} for text in ("<div>", '<img alt="seen" src="data:">'))
    cells = [cell("05.0", **table), cell("07.5", **figure)]
    cells += [{"metadata": {}}, cell("09.0", **figure)]
    times = {"start_time": "2026-01-01T00:00:01.0", "duration": 11.5}
    notebook = {"metadata": {"papermill": times}, "cells": cells}
    (tmp_path / "02_b.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "01_a.ipynb").write_text(json.dumps(notebook | {"cells": cells[:1]}))
    table = tables.first_figures(tmp_path)
    assert table["first figure, s"].isna().tolist() == [True, False]
    assert tuple(table.iloc[1]) == ("02_b", 6.5, 11.5)
    assert tables.first_figures(tmp_path / "nowhere").empty


def test_study_table_sums_phases_and_divides_sides():
    table = tables.study_table(OURS, THEIRS, {"prefix": 30, "stage 2": 600}).set_index("measure")
    assert table.loc["stage 1, s", "ratio"] == 20 / 5
    needed = table.loc["stage 1 with all that it needs, s"]
    assert needed[tables.OURS] == 2 + 3 + 4 + 5
    assert needed["ratio"] == 20 / 14
    study = table.loc["study without start-up, s"]
    assert (study[tables.OURS], study[tables.THEIRS]) == (20, 90)
    assert table.loc["prefix, s", f"images/s, {tables.OURS}"] == 10
    assert table.loc["stage 2, s", f"images/s, {tables.THEIRS}"] == 20
    assert table["ratio"].drop(["start-up, s"]).notna().sum() == 6
    assert np.isnan(table.loc["test accuracy", "ratio"])


def test_study_table_without_the_other_side_has_no_ratio():
    table = tables.study_table(OURS, None, {"prefix": 30})
    assert table["ratio"].isna().all()
    assert "test predictions, s" not in set(table["measure"])


def test_shares_are_of_the_fastest_multiplication():
    machine = {
        "matmul_gflops": {"NumPy": 100.0, "Keras": 80.0},
        "steady": {
            "prefix": {"images_per_second": 10, "multiply_adds": 2_500_000_000},
            "whole network, forward": {"multiply_adds": 4_000_000_000},
        },
    }
    ours = {"multiply_adds": {"prefix": 60_000_000_000}, "seconds": {"prefix": 3}}
    table = tables.machine_table(machine, ours)
    assert table["GFLOP/s"].tolist() == [100, 80, 50, 40]
    assert table["share_of_peak"].tolist() == [1, 0.8, 0.5, 0.4]


def test_markdown_rounds_and_leaves_missing_cells_blank():
    table = pd.DataFrame({"what": ["a", "b"], "value": [12446.4, 0.01234], "x": [np.nan, 3.0]})
    assert tables.markdown(table).splitlines() == [
        "| what | value | x |",
        "| --- | ---: | ---: |",
        "| a | 12,446 |  |",
        "| b | 0.0123 | 3 |",
    ]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A folder of 48 small slices of 16 patients."""
    folder = tmp_path_factory.mktemp("bench")
    phantom.write_cohort(
        folder / "cohort",
        phantom.CohortSpec(
            classes=["Cyst", "Normal", "Stone", "Tumor"],
            patients_per_class=4,
            slices_per_patient=(3, 3),
            seed=1,
            plane="axial",
            scanner="A",
            size=64,
        ),
    )
    return folder / "cohort"


@pytest.fixture(scope="module")
def prepared(cohort, tmp_path_factory):
    """The job on the small cohort with three folds."""
    options = ["--data", str(cohort), "--images", "40", "--folds", "3", "--epochs2", "2"]
    return job.prepare(bench.parse(options), tmp_path_factory.mktemp("scratch"))


def test_rows_are_spread_over_classes_and_weighed_by_the_training_part(prepared):
    rows, classes = pd.read_csv(prepared["rows"]), prepared["classes"]
    assert rows["label"].value_counts().to_dict() == dict.fromkeys(classes, 10)
    train = rows[rows["split"] == "train"]
    assert train["weight"].mean() == pytest.approx(1)
    assert set(rows["split"]) == {"train", "validation", "test"}
    assert [classes[i] for i in rows["target"]] == rows["label"].tolist()
    assert prepared["stage2_epochs"] == 2


def test_every_image_is_tested_once_in_the_folds_of_each_scheme(prepared):
    assert len(prepared["splits"]) == 6
    for scheme in ("slice", "patient"):
        files = [path for path in prepared["splits"] if path.endswith(f"-{scheme}.csv")]
        parts = [pd.read_csv(path).query("split == 'test'")["path"] for path in files]
        tested = pd.concat(parts)
        assert tested.is_unique
        assert set(tested) == set(pd.read_csv(prepared["rows"])["path"])


@pytest.mark.long
def test_the_whole_bench_runs_on_a_few_small_images(cohort, tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()  # what marks a project's root: its outputs are written there
    monkeypatch.chdir(tmp_path)
    options = ["--data", str(cohort), "--images", "24", "--image-size", "64", "--weights", "none"]
    options += ["--epochs1", "1", "--epochs2", "1", "--folds", "2", "--synthetic-files", "16"]
    options += ["--baseline-xla", "off"]  # compiling it takes longer than all else
    assert bench.main(options) == 0
    report = (tmp_path / "outputs/bench/bench.md").read_text()
    for section in ("Study", "Folds", "Machine", "Imports", "Files"):
        assert f"## {section}" in report
    results = json.loads((tmp_path / "outputs/bench/bench.json").read_text())
    sides = {"machine", "two_stage", "baseline", "folds", "folds_baseline", "files"}
    assert sides <= set(results)
    assert results["two_stage"]["seconds"]["stage 2"] > 0
    assert not list((tmp_path / "outputs/bench").glob(".scratch*"))


def test_a_generated_full_set_has_the_counts_of_the_public_one(tmp_path, monkeypatch, capsys):
    """As the study checks them; two slices of a series differ, and files are as large as there."""
    expected = {"Cyst": 5, "Normal": 33, "Stone": 2, "Tumor": 3}
    load = full_set.parameters.load
    monkeypatch.setattr(full_set.parameters, "load", lambda *a: load(*a, expected_counts=expected))
    folder = tmp_path / "set"
    assert full_set.main([str(folder)]) == 0
    index = catalog.index_folder(folder, list(expected))
    assert index.table["label"].value_counts().to_dict() == expected
    assert set(index.table["width"]) == {512}
    assert index.table["sha256"].is_unique
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert full_set.main([str(folder)]) == 1
    assert "exists" in capsys.readouterr().err
