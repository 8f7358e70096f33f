import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.audit import leakage, negative_controls
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation

FRACTIONS = {"test_fraction": 0.2, "validation_fraction": 0.2}
SCORING = Bootstrap(100, 1)


@pytest.mark.parametrize("k", [2, 4])
def test_random_labels_are_known_on_seen_patients_and_guessed_on_new_ones(synthetic_probe, k):
    classes = ["Cyst", "Normal", "Stone", "Tumor"][:k]
    probe = synthetic_probe(classes=classes, groups=30, width=200, informed=3.0)
    split = cross_validation.study_splits(probe.table, folds=5, **FRACTIONS, seed=1)
    folds = leakage.audit_folds(probe.table, split, most=5, seed=1)
    rows = negative_controls.predict_controls(probe, folds, draws=4, seed=0)
    scores = leakage.score_all(rows, classes, bootstrap=SCORING)
    accuracy = {c: {s: scores[c][s]["accuracy"] for s in scores[c]} for c in scores}
    assert accuracy["labels by group"]["slice"] > 0.9
    assert accuracy["labels by group"]["patient"] == pytest.approx(1 / k, abs=0.08)
    for scheme in ("slice", "patient"):
        assert accuracy["labels by slice"][scheme] == pytest.approx(1 / k, abs=0.08)
    assert scores["labels by group"]["slice"]["n"] == 4 * len(probe.table)
    assert scores["labels by group"]["slice"]["groups"] == 30 * k


def test_control_labels_keep_what_they_promise():
    group = np.repeat(np.arange(50), 4)
    labels = np.resize(["A", "B", "B"], 200)
    drawn = negative_controls.control_labels(labels, group, ["A", "B"], seed=3)
    by_group = pd.Series(drawn["labels by group"]).groupby(group)
    assert by_group.nunique().max() == 1
    assert set(by_group.first()) == {"A", "B"}
    assert sorted(drawn["labels by slice"]) == sorted(labels)
    assert (drawn["labels by slice"] != labels).any()
    again = negative_controls.control_labels(labels, group, ["A", "B"], seed=3)
    other = negative_controls.control_labels(labels, group, ["A", "B"], seed=4)
    for name, result in drawn.items():
        np.testing.assert_array_equal(result, again[name])
        assert (result != other[name]).any()


def test_chance_is_the_largest_class_or_one_of_k():
    assert negative_controls.chance(["A"] * 3 + ["B"], ["A", "B", "C"]) == {
        "majority": 0.75,
        "uniform": pytest.approx(1 / 3),
    }
    rows = pd.DataFrame(
        [
            ("labels by group", scheme, draw, label)
            for scheme in ("slice", "patient")
            for draw, labels in enumerate(("AAAB", "ABAB"))
            for label in labels
        ],
        columns=["model", "scheme", "draw", "label"],
    )
    result = negative_controls.control_chance(rows, ["A", "B"])
    assert result == {"labels by group": {"majority": 0.625, "uniform": 0.5}}
