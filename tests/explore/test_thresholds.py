"""Measures at a threshold, against counting by hand."""

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.explore.thresholds import MEASURES, at_threshold, counted

CLASSES = ["Cyst", "Normal", "Stone"]
BOOTSTRAP = Bootstrap(100, 1)


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(15), 4)
    scores = rng.dirichlet([1, 1, 1], len(group))
    table = pd.DataFrame(scores, columns=[f"p_{name}" for name in CLASSES])
    label = np.array(CLASSES)[group % 3]
    path = [f"{name}/{k}.png" for k, name in enumerate(label)]
    return table.assign(path=path, label=label, group=group)


def by_hand(table, threshold):
    """{measure: value} of Stone, row by row."""
    hits = misses = alarms = spared = 0
    for row in table.itertuples():
        called = row.p_Stone >= threshold
        if row.label == "Stone":
            hits, misses = hits + called, misses + (not called)
        else:
            alarms, spared = alarms + called, spared + (not called)
    return {
        "sensitivity": hits / (hits + misses),
        "specificity": spared / (alarms + spared),
        "false_alarms_per_100": 100 * alarms / (alarms + spared),
        "found": hits,
        "false_alarms": alarms,
    }


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_measures_are_those_counted_by_hand(rows, threshold):
    elsewhere = rows.assign(p_Stone=rows["p_Normal"], p_Normal=rows["p_Stone"])
    pooled = rows.groupby(["group", "label"], as_index=False)[["p_Stone"]].mean()
    table = at_threshold(
        counted(rows, elsewhere, CLASSES), CLASSES, "Stone", threshold, bootstrap=BOOTSTRAP
    ).set_index("counted")
    swapped = elsewhere.groupby(["group", "label"], as_index=False)[["p_Stone"]].mean()
    expected = {
        "slices, split by slice": rows,
        "slices, split by patient": elsewhere,
        "series, split by patient": swapped,
    }
    assert list(table.index) == list(expected)
    assert len(pooled) == table["n"].iloc[-1] == 15
    for name, side in expected.items():
        for measure, value in by_hand(side, threshold).items():
            assert table.loc[name, measure] == pytest.approx(value), (name, measure)


def test_intervals_are_those_of_resampled_groups(rows):
    row = at_threshold({"all": rows}, CLASSES, "Stone", 0.3, bootstrap=BOOTSTRAP).iloc[0]
    drawn = []
    for times in BOOTSTRAP.times(15):
        sample = pd.concat([rows[rows["group"] == g] for g in np.repeat(np.arange(15), times)])
        if (sample["label"] == "Stone").any():
            drawn.append(by_hand(sample, 0.3)["sensitivity"])
    ends = [row["sensitivity_low"], row["sensitivity_high"]]
    np.testing.assert_allclose(ends, np.quantile(drawn, [0.025, 0.975]))
    for measure in MEASURES:
        assert row[f"{measure}_low"] <= row[measure] <= row[f"{measure}_high"]
    assert row["false_alarms_per_100_low"] == pytest.approx(100 * (1 - row["specificity_high"]))


def test_a_class_without_rows_has_no_sensitivity(rows):
    other = rows[rows["label"] != "Stone"]
    row = at_threshold({"all": other}, CLASSES, "Stone", 0.3, bootstrap=BOOTSTRAP).iloc[0]
    assert np.isnan(row["sensitivity"]) and np.isnan(row["sensitivity_low"])
    assert 0 < row["specificity"] < 1
