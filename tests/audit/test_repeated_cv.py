import json

import numpy as np
import pytest

from kidneyct_lib.audit import repeated_cv
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation, near_duplicates

SCORING = Bootstrap(100, 1)


@pytest.fixture(scope="module")
def probe(synthetic_probe):
    return synthetic_probe(groups=10, slices=8, step=0.02)


@pytest.fixture(scope="module")
def grouping(probe):
    thumbs = probe.features - probe.features.mean(axis=1, keepdims=True)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    return near_duplicates.find_groups(thumbs, [0.3, 0.95, 0.99999], probe.table["label"], block=64)


def test_a_threshold_that_parts_patients_brings_the_leak_back(probe, grouping):
    result = repeated_cv.threshold_sweep(
        probe, grouping, [0.95, 0.99999], folds=4, bootstrap=SCORING
    )
    together, apart = result
    assert together["groups"] == 20
    assert apart["groups"] > 100
    assert apart["accuracy"] > 0.95 > together["accuracy"] + 0.2
    json.dumps(result, allow_nan=False)


def test_the_studys_threshold_gives_the_studys_number(probe, grouping):
    (row,) = repeated_cv.threshold_sweep(probe, grouping, [0.95], folds=4, bootstrap=SCORING)
    tested = cross_validation.assign_folds(probe.table, "patient", folds=4, seed=1)
    everything = np.ones(len(tested), bool)
    expected = probe.score(probe.out_of_fold(tested), everything, bootstrap=SCORING)
    for key in ("accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95"):
        assert row[key] == expected[key]


def test_a_threshold_that_leaves_too_few_groups_is_skipped_and_said(probe, grouping):
    low, high = repeated_cv.threshold_sweep(
        probe, grouping, [0.3, 0.95], folds=4, bootstrap=SCORING
    )
    assert low["groups"] < 8
    assert "4 folds by patient are impossible" in low["skipped"]
    assert "accuracy" not in low
    assert high["skipped"] == ""


def test_repeats_differ_and_their_range_holds_the_first(probe):
    first = {s: {"accuracy": 0.5, "macro_f1": 0.25} for s in ("slice", "patient")}
    result = repeated_cv.repeat_cv(probe, first, folds=4, repeats=3, seed=1)
    assert set(result) == {"slice", "patient"}
    for by_measure in result.values():
        assert by_measure["repeats"] == 3
        for measure, value in (("accuracy", 0.5), ("macro_f1", 0.25)):
            spread = by_measure[measure]
            assert spread["low"] <= min(value, spread["mean"])
            assert spread["high"] >= max(value, spread["mean"])
    assert result == repeated_cv.repeat_cv(probe, first, folds=4, repeats=3, seed=1)


def test_the_mean_is_over_all_repeats(probe):
    everything = np.ones(len(probe.table), bool)
    values = []
    for seed in (1, 1001, 2001):
        tested = cross_validation.assign_folds(probe.table, "patient", folds=4, seed=seed)
        values.append(
            probe.score(probe.out_of_fold(tested), everything, bootstrap=SCORING)["accuracy"]
        )
    assert len(set(values)) > 1
    first = {"patient": {"accuracy": values[0], "macro_f1": 0.5}}
    result = repeated_cv.repeat_cv(probe, first, folds=4, repeats=3, seed=1)["patient"]
    assert result["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert (result["accuracy"]["low"], result["accuracy"]["high"]) == (min(values), max(values))


def test_a_repeat_that_cannot_be_made_is_left_out(probe):
    first = {"patient": {"accuracy": 0.5, "macro_f1": 0.5}}
    result = repeated_cv.repeat_cv(probe, first, folds=11, repeats=3, seed=1)
    assert result["patient"]["repeats"] == 1
