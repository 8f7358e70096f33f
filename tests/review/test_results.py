"""Metrics, predictions, tables and figures of two runs, against slow or hand-made answers."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from changed_branch import CLASSES, make_runs
from PIL import Image

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import EvaluationError
from kidneyct_lib.review import figures, paired, results, tables

BOOTSTRAP = Bootstrap(resamples=200, seed=3)
COLUMNS = [f"p_{name}" for name in CLASSES]


def predictions(chosen, *, group=(0, 0, 1, 1, 2, 2), label=(0, 0, 1, 1, 2, 2), sure=0.8):
    """A predictions table of six slices of which these classes are predicted."""
    scores = np.full((len(chosen), 3), (1 - sure) / 2)
    scores[np.arange(len(chosen)), list(chosen)] = sure
    table = pd.DataFrame(scores, columns=COLUMNS)
    table["path"] = [f"{k}.png" for k in range(len(chosen))]
    table["label"] = [CLASSES[k] for k in label]
    return table.assign(group=group, scheme="patient", stage=2, split="test", fold=0)


def sides(before, after):
    return paired.Sides("metrics/test.json:patient.", "patient", before, after, True)


def slowly(before, after, value, bootstrap):
    """Value of each resample of the groups, drawn slice by slice."""
    groups = [np.flatnonzero(before["group"] == code) for code in range(3)]
    drawn = []
    for times in bootstrap.times(3):
        rows = np.concatenate([g for g, n in zip(groups, times, strict=True) for _ in range(n)])
        drawn.append(value(after.iloc[rows]) - value(before.iloc[rows]))
    return np.quantile([x for x in drawn if np.isfinite(x)], [0.025, 0.975])


def loss(table):
    scores = table[COLUMNS].to_numpy()[np.arange(len(table)), table["label"].map(CLASSES.index)]
    return -np.log(scores).mean()


def recall_of_first(table):
    of_class = table[table["label"] == CLASSES[0]]
    return (of_class[COLUMNS].to_numpy().argmax(axis=1) == 0).mean() if len(of_class) else np.nan


def test_paired_differences_are_those_of_a_slow_bootstrap():
    mixed = (0, 1, 0, 2, 0, 1)
    before = predictions([0, 1, 1, 2, 1, 2], label=mixed)
    after = predictions([0, 0, 0, 2, 0, 1], label=mixed, sure=0.6)
    found = paired.differences(sides(before, after), BOOTSTRAP)
    for name, value in (("loss", loss), ("per_class.Cyst.recall", recall_of_first)):
        difference = found[f"metrics/test.json:patient.{name}"]
        assert difference.value == pytest.approx(value(after) - value(before))
        expected = slowly(before, after, value, BOOTSTRAP)
        assert (difference.low, difference.high) == pytest.approx(tuple(expected))
    right = found["metrics/test.json:patient.accuracy"]
    assert right.value == pytest.approx(5 / 6 - 3 / 6)


def test_one_group_of_a_class_tells_nothing():
    before, after = predictions([1, 1, 1, 1, 2, 2]), predictions([0, 0, 1, 1, 2, 2])
    recall = paired.differences(sides(before, after), BOOTSTRAP)[
        "metrics/test.json:patient.per_class.Cyst.recall"
    ]
    assert (recall.value, recall.low, recall.high) == (1, -1, 1)
    assert not recall.beyond_noise


def test_beyond_noise_is_an_interval_without_zero():
    assert paired.Difference(0.2, 0.1, 0.3).beyond_noise
    assert paired.Difference(-0.2, -0.3, -0.1).beyond_noise
    assert not paired.Difference(0.2, 0.0, 0.3).beyond_noise
    assert not paired.Difference(0.2, -0.1, 0.3).beyond_noise


def test_flips_are_counted_by_class_and_group():
    before, after = predictions([0, 0, 1, 0, 2, 0]), predictions([0, 1, 1, 1, 2, 1])
    found = paired.flips(sides(before, after))
    assert found.slices["path"].tolist() == ["1.png", "3.png", "5.png"]
    assert found.slices["kind"].tolist() == list(paired.FLIP_KINDS)
    assert found.by_class.values.tolist() == [
        ["Cyst", 2, 1, 1, 0, 0],
        ["Normal", 2, 1, 0, 1, 0],
        ["Stone", 2, 1, 0, 0, 1],
    ]
    assert found.by_group[["group", "flipped"]].values.tolist() == [[0, 1], [1, 1], [2, 1]]


def test_equal_predictions_do_not_flip():
    table = predictions([0, 1, 1, 0, 2, 0])
    assert paired.flips(sides(table, table.copy())).slices.empty


def test_other_slices_or_groups_are_not_paired(tmp_path):
    for name, table in (
        ("a", predictions([0] * 6)),
        ("b", predictions([0] * 6, group=(0, 1, 2, 3, 4, 5))),
    ):
        (tmp_path / name / "tables").mkdir(parents=True)
        table.to_csv(tmp_path / name / "tables/predictions.csv", index=False)
    pairs, notes = paired.read_sides(tmp_path / "a", tmp_path / "b")
    assert pairs == []
    assert "group them otherwise" in notes[0]
    pairs, notes = paired.read_sides(tmp_path / "a", tmp_path / "a")
    assert (len(pairs), notes) == (1, [])


def test_other_classes_are_not_compared():
    before = predictions([0] * 6)
    with pytest.raises(EvaluationError, match="other classes"):
        paired.flips(sides(before, before.rename(columns={"p_Cyst": "p_Lump"})))


# --- two whole runs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def found(runs):
    return results.compare(*runs, BOOTSTRAP)


def test_a_run_equals_itself(runs):
    same = results.compare(runs[0], runs[0], BOOTSTRAP)
    assert not same.moved
    assert same.beyond_noise == [] and same.notes == []
    assert same.same_figures > 5
    assert all(flips.slices.empty for flips in same.flips)


def test_what_moved_is_found_with_its_intervals(found):
    moved = {change.key: change for change in found.beyond_noise}
    accuracy = moved["patient.accuracy"]
    assert accuracy.after == 1.0 and accuracy.before < 0.8
    assert accuracy.difference == pytest.approx(accuracy.paired.value)
    assert accuracy.paired.low > 0
    assert len(accuracy.before_interval) == 2
    assert all(key.startswith("patient.") for key in moved)
    assert not any("stage1" in key or "other_window" in key for key in moved)
    assert found.metrics[: len(moved)] == found.beyond_noise, "beyond noise stands first"
    unpaired = [change for change in found.metrics if change.key == "patient.per_class.Cyst.f1"]
    assert unpaired[0].paired is None and not unpaired[0].beyond_noise


def test_flips_are_those_of_the_final_models(found):
    counts = {flips.scheme: len(flips.slices) for flips in found.flips}
    assert counts["slice"] == 0 and counts["patient"] > 0
    patient = next(flips for flips in found.flips if flips.scheme == "patient")
    assert set(patient.slices["kind"]) == {"wrong to right"}


def test_the_table_and_the_figure_that_changed_are_found_alone(found):
    assert [change.name for change in found.tables] == ["tables/predictions.csv"]
    (figure,) = found.figures
    assert figure.name == "01_download__class_counts"


def test_a_metric_that_the_predictions_do_not_give_gets_no_interval(runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "run")
    path = tmp_path / "run/metrics/test.json"
    metrics = json.loads(path.read_text())
    metrics["patient"]["accuracy"] = 0.123
    path.write_text(json.dumps(metrics))
    changes = results.compare(runs[0], tmp_path / "run", BOOTSTRAP).metrics
    (accuracy,) = [change for change in changes if change.key == "patient.accuracy"]
    assert accuracy.after == 0.123 and accuracy.paired is None


def test_an_empty_folder_is_no_run(runs, tmp_path):
    with pytest.raises(StudyError, match="no metrics and no tables"):
        results.compare(runs[0], tmp_path, BOOTSTRAP)


# --- tables --------------------------------------------------------------------------------------

TABLE = pd.DataFrame({"name": ["a", "b", "c"], "n": [1, 2, 3], "score": [0.5, np.nan, 0.25]})


def table_change(tmp_path, old, new):
    for side, table in (("old", old), ("new", new)):
        (tmp_path / side / "tables").mkdir(parents=True)
        table.to_csv(tmp_path / side / "tables/t.csv", index=False)
    return tables.table_changes(tmp_path / "old", tmp_path / "new")


def test_equal_tables_and_rows_in_another_order_are_no_change(tmp_path):
    assert table_change(tmp_path, TABLE, TABLE[::-1]) == []


def test_each_cell_that_differs_is_listed(tmp_path):
    new = TABLE.assign(score=[0.5, 0.75, 0.125], n=[1, 2, 4])
    (change,) = table_change(tmp_path, TABLE, new)
    cells = {(cell.row, cell.column): (cell.before, cell.after) for cell in change.cells}
    assert change.differing == 3
    assert cells["c", "n"] == (3, 4) and cells["c", "score"] == (0.25, 0.125)
    assert np.isnan(cells["b", "score"][0]) and cells["b", "score"][1] == 0.75
    assert {cell.difference for cell in change.cells if cell.row == "c"} == {1, -0.125}


def test_rows_and_columns_that_came_and_went(tmp_path):
    new = pd.DataFrame({"name": ["a", "c", "d"], "score": [0.5, 0.25, 1], "more": "x"})
    (change,) = table_change(tmp_path, TABLE, new)
    assert (change.rows_added, change.rows_removed) == (["d"], ["b"])
    assert (change.columns_added, change.columns_removed) == (["more"], ["n"])
    assert change.differing == 0


def test_rows_are_told_apart_by_the_fewest_leading_columns(tmp_path):
    old = pd.DataFrame({"scheme": ["a", "a", "b"], "fold": [0, 1, 0], "score": [1.0, 2.0, 3.0]})
    (change,) = table_change(tmp_path, old, old.assign(score=[1.0, 2.5, 3.0]))
    (cell,) = change.cells
    assert (cell.row, cell.before, cell.after) == ("a, 1", 2.0, 2.5)


def test_of_many_cells_those_that_moved_most_are_listed(tmp_path):
    old = pd.DataFrame({"name": [f"row {k}" for k in range(300)], "score": 0.0})
    (change,) = table_change(tmp_path, old, old.assign(score=np.arange(300.0)))
    assert (change.differing, len(change.cells)) == (299, tables.MOST_CELLS)
    assert change.cells[0].row == "row 299"


# --- figures -------------------------------------------------------------------------------------


def save(folder, colours, **options):
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).save(folder / "figures/f.png", **options)
    return folder / "figures/f.png"


def test_one_pixel_is_found_and_marked(tmp_path):
    before = np.full((20, 30, 3), 255, np.uint8)
    after = before.copy()
    after[4, 7] = 254
    files = [save(tmp_path / side, c) for side, c in (("a", before), ("b", after))]
    (change,), same = figures.figure_changes(tmp_path / "a", tmp_path / "b")
    assert (change.share, same) == (pytest.approx(1 / 600), 0)
    marked = np.asarray(figures.difference_picture(*figures.on_one_canvas(*files)), int)
    away = np.abs(marked - 255).sum(axis=2)
    assert np.argwhere(away > 100).tolist() == [[4, 7]]
    assert (away > 0).sum() == 1


def test_the_same_pixels_in_another_file_are_no_change(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    save(tmp_path / "a", colours, compress_level=0)
    save(tmp_path / "b", colours, compress_level=9)
    assert figures.figure_changes(tmp_path / "a", tmp_path / "b") == ([], 1)


def test_sizes_that_differ_are_set_on_one_canvas(tmp_path):
    small, large = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 20, 3), np.uint8)
    files = [save(tmp_path / side, c) for side, c in (("a", small), ("b", large))]
    (change,), _ = figures.figure_changes(tmp_path / "a", tmp_path / "b")
    assert change.share == 0.5
    assert {picture.size for picture in figures.on_one_canvas(*files)} == {(20, 10)}


def test_figures_of_one_side_alone(tmp_path):
    save(tmp_path / "a", np.zeros((2, 2, 3), np.uint8)).rename(tmp_path / "a/figures/old.png")
    save(tmp_path / "b", np.zeros((2, 2, 3), np.uint8)).rename(tmp_path / "b/figures/new.png")
    changes, same = figures.figure_changes(tmp_path / "a", tmp_path / "b")
    assert [(c.name, c.state) for c in changes] == [("new", "added"), ("old", "removed")]
    assert same == 0
    assert figures.figure_changes(tmp_path / "none", tmp_path / "b") == ([], None)


def test_a_damaged_figure_is_named(tmp_path):
    save(tmp_path / "a", np.zeros((2, 2, 3), np.uint8))
    save(tmp_path / "b", np.zeros((2, 2, 3), np.uint8)).write_bytes(b"no picture")
    with pytest.raises(StudyError, match=r"f.png can't be read as a picture"):
        figures.figure_changes(tmp_path / "a", tmp_path / "b")
