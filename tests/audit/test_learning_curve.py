import json
from itertools import pairwise

import numpy as np
import pytest

from kidneyct_lib.audit import learning_curve
from kidneyct_lib.audit.learning_curve import MEASURES, describe, draw_groups, extrapolate
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation

LABELS = np.repeat(["A", "B"], [80, 20])
GROUP = np.repeat(np.arange(25), 4)  # 20 groups of A, 5 of B
TRAIN = np.arange(100) >= 8  # two groups of A are tested


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.01, (1, 1)), (0.25, (5, 2)), (0.5, (9, 3)), (1, (18, 5))]
)
def test_whole_groups_of_each_class_are_kept(fraction, kept):
    chosen = draw_groups(LABELS, GROUP, TRAIN, fraction, seed=0)
    assert not (chosen & ~TRAIN).any()
    assert tuple(len(set(GROUP[chosen & (name == LABELS)])) for name in "AB") == kept
    assert chosen.sum() == 4 * sum(kept)


def test_smaller_shares_are_nested_and_seeds_differ():
    shares = [draw_groups(LABELS, GROUP, TRAIN, f, seed=5) for f in (0.2, 0.5, 0.9, 1)]
    for smaller, larger in pairwise(shares):
        assert (larger | ~smaller).all()
    assert (shares[0] != draw_groups(LABELS, GROUP, TRAIN, 0.2, seed=6)).any()


def test_all_patients_give_the_number_by_patient_and_fewer_give_less(synthetic_probe):
    probe = synthetic_probe(groups=30, informed=1.5, slices=3)
    tested = cross_validation.assign_folds(probe.table, "patient", folds=3, seed=1)
    points = learning_curve.patient_curve(probe, tested, [0.1, 0.5, 1], repeats=4, seed=1)
    everything = np.ones(len(tested), bool)
    expected = probe.score(probe.out_of_fold(tested), everything, bootstrap=Bootstrap(10, 1))
    few, _, most = points
    for measure in MEASURES:
        assert most[measure] == most[f"{measure}_low"] == most[f"{measure}_high"]
        assert most[measure] == expected[measure]
        assert few[measure] < most[measure] - 0.05
        assert few[f"{measure}_low"] < few[measure] < few[f"{measure}_high"]
    assert [point["groups"] for point in points] == [4, 20, 40]
    json.dumps(points, allow_nan=False)


def curve_of(values, groups=(6, 12, 18, 24, 30, 36, 42, 48)):
    return [{"groups": n, "accuracy": v} for n, v in zip(groups, values, strict=True)]


def test_a_known_law_is_found_again():
    n = np.array([6, 12, 18, 24, 30, 36, 42, 48])
    points = curve_of(0.9 - 1.2 * n**-0.6)
    fit = extrapolate(points, "accuracy", (2, 4))
    assert (fit["a"], fit["b"], fit["c"]) == pytest.approx((0.9, 1.2, 0.6), rel=1e-3)
    assert [p["groups"] for p in fit["projections"]] == [96, 192]
    expected = [0.9 - 1.2 * far**-0.6 for far in (96, 192)]
    assert [p["value"] for p in fit["projections"]] == pytest.approx(expected, abs=1e-4)
    assert all(p["error"] < 0.01 for p in fit["projections"])
    json.dumps(fit, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0.6, 0.58, 0.56, 0.55, 0.5, 0.5, 0.48, 0.45], "does not rise"),
        ([0.2, 0.7, 0.1, 0.8, 0.2, 0.75, 0.3, 0.8], "standard error"),
        ([0.5] * 8, "does not rise"),
    ],
)
def test_a_fit_of_no_use_is_said(values, why):
    fit = extrapolate(curve_of(values), "accuracy", (2, 4))
    assert not fit["use"]
    assert why in fit["why"]
    assert why in describe({"accuracy": fit})
    json.dumps(fit, allow_nan=False)


def test_few_points_are_not_extrapolated():
    fit = extrapolate(curve_of([0.4, 0.5, 0.6, 0.6], groups=(2, 4, 6, 6)), "accuracy", (2,))
    assert "3 numbers of patients are too few" in fit["why"]


def test_promises_are_told_as_extrapolations():
    n = np.array([6, 12, 18, 24, 30, 36, 42, 48])
    message = describe({"accuracy": extrapolate(curve_of(0.9 - 1.2 * n**-0.6), "accuracy", (2,))})
    assert "extrapolated and not measured" in message
    assert "with 96 patients in training (2 times as many)" in message
    assert "levels off" not in message
    rising = describe({"accuracy": extrapolate(curve_of(1 - n**-0.2), "accuracy", (2,))})
    assert "do not show where it levels off" in rising
