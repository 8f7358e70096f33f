import json

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.audit import leakage, probes
from kidneyct_lib.audit.probes import Nearest
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation
from kidneyct_lib.splitting.holdout import SplitError

FRACTIONS = {"test_fraction": 0.2, "validation_fraction": 0.2}
SCORING = Bootstrap(100, 1)


def folds_of(table, most=5, seed=1):
    split = cross_validation.study_splits(table, folds=1, **FRACTIONS, seed=seed)
    return leakage.audit_folds(table, split, most=most, seed=seed)


# --- folds --------------------------------------------------------------------------------------


def test_the_studys_own_folds_are_taken(synthetic_probe):
    table = synthetic_probe().table
    split = cross_validation.study_splits(table, folds=3, **FRACTIONS, seed=7)
    shuffled = split.sample(frac=1, random_state=0)
    folds = leakage.audit_folds(table, shuffled, most=5, seed=99)
    assert folds.count == 3
    for scheme in ("slice", "patient"):
        expected = cross_validation.assign_folds(table, scheme, folds=3, seed=7)
        np.testing.assert_array_equal(folds.tested[scheme], expected)


def test_one_split_gets_folds_dealt_fewer_where_groups_are_few(synthetic_probe):
    folds = folds_of(synthetic_probe(groups=8).table)
    assert (folds.count, folds.note) == (5, "5 folds made for the audit")
    folds = folds_of(synthetic_probe(groups=3).table)
    assert folds.count == 3
    assert "instead of 5" in folds.note
    assert "has 3 groups" in folds.note
    assert all(set(tested) == {0, 1, 2} for tested in folds.tested.values())


def test_a_class_of_one_group_cannot_be_audited(synthetic_probe):
    table = synthetic_probe(groups=3).table
    split = cross_validation.study_splits(table, folds=1, **FRACTIONS, seed=1)
    table["group"] = table["label"].map({"Normal": 0, "Stone": 1})
    with pytest.raises(SplitError, match="2 folds by patient are impossible"):
        leakage.audit_folds(table, split, most=5, seed=1)


def test_a_leaking_fold_is_refused(synthetic_probe):
    table = synthetic_probe().table
    split = cross_validation.study_splits(table, folds=3, **FRACTIONS, seed=7)
    table.loc[0, "group"] = 5
    with pytest.raises(SplitError, match="leaks: group"):
        leakage.audit_folds(table, split, most=5, seed=1)


# --- models -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audited(synthetic_probe):
    """A probe, the folds, the nearest slices and all answers."""
    probe = synthetic_probe(informed=1.0)
    folds = folds_of(probe.table, most=3)
    thumbs = probe.features / np.linalg.norm(probe.features, axis=1, keepdims=True)
    nearest = {s: probes.nearest_training(thumbs, t, block=9) for s, t in folds.tested.items()}
    return probe, folds, nearest, leakage.predict_all({"mine": probe}, nearest, folds)


def test_every_model_answers_every_image_once_a_scheme(audited):
    probe, folds, _, answers = audited
    assert list(answers["model"].unique()) == ["pixel kNN", "mine"]
    for (_, scheme), rows in answers.groupby(["model", "scheme"]):
        assert list(rows["path"]) == list(probe.table["path"])
        np.testing.assert_array_equal(rows["fold"], folds.tested[scheme])
        parts = rows.groupby("group")["fold"].nunique()
        assert parts.max() == (1 if scheme == "patient" else 3)


def test_seen_patients_are_known_and_new_ones_less(audited):
    _, _, _, answers = audited
    scores = leakage.score_all(answers, ["Normal", "Stone"], bootstrap=SCORING)
    assert list(scores) == ["pixel kNN", "mine"]
    for by_scheme in scores.values():
        assert by_scheme["slice"]["accuracy"] > 0.95 > by_scheme["patient"]["accuracy"] + 0.1
    rows = answers[(answers["model"] == "mine") & (answers["scheme"] == "patient")]
    expected = metrics.summarise(rows, ["Normal", "Stone"], bootstrap=SCORING)
    assert scores["mine"]["patient"] == expected
    json.dumps(scores, allow_nan=False)


def test_the_stages_join_from_the_predictions_table(audited):
    _, _, _, answers = audited
    mine = answers[answers["model"] == "mine"].drop(columns="model")
    saved = pd.concat([mine.assign(stage=1, split="train"), mine.assign(stage=2)])
    rows = leakage.stage_rows(saved)
    assert set(rows["model"]) == {"stage 2"}
    both = leakage.score_all(pd.concat([answers, rows]), ["Normal", "Stone"], bootstrap=SCORING)
    assert list(both) == ["pixel kNN", "mine", "stage 2"]
    assert both["stage 2"] == both["mine"]


def test_the_table_has_one_row_a_model_and_scheme(audited):
    _, _, _, answers = audited
    scores = leakage.score_all(answers, ["Normal", "Stone"], bootstrap=SCORING)
    table = leakage.score_table(scores)
    assert list(table["model"]) == ["pixel kNN", "pixel kNN", "mine", "mine"]
    assert list(table["scheme"]) == ["slice", "patient"] * 2
    row, result = table.iloc[3], scores["mine"]["patient"]
    assert [row["accuracy_low"], row["accuracy_high"]] == result["accuracy_ci95"]
    assert row["recall_Stone"] == result["per_class"]["Stone"]["recall"]
    assert "stage" not in table


# --- nearest training slice ---------------------------------------------------------------------


def test_errors_are_binned_by_the_nearest_training_slice():
    right = [True, True, False, False, True, False]
    predictions = pd.DataFrame(
        {
            "label": "A",
            "group": [0, 0, 1, 1, 2, 2],
            "scheme": "slice",
            "p_A": np.where(right, 0.9, 0.2),
            "p_B": np.where(right, 0.1, 0.8),
        }
    )
    correlation = np.array([0.95, 0.9, 0.9, 0.3, 0.99, 0.6], np.float32)
    nearest = {"slice": Nearest(np.zeros(6, int), correlation)}
    edges = [-1, 0.2, 0.5, 0.92, 1]
    result = leakage.nearest_error(predictions, nearest, ["A", "B"], edges, bootstrap=SCORING)
    assert [(row["above"], row["up_to"], row["n"], row["groups"]) for row in result] == [
        (0.2, 0.5, 1, 1),
        (0.5, 0.92, 3, 3),
        (0.92, 1, 2, 2),
    ]
    assert [row["error"] for row in result] == pytest.approx([1, 2 / 3, 0])
    assert result[1]["correlation"] == pytest.approx(0.9)
    assert all(0 <= low <= high <= 1 for low, high in (row["error_ci95"] for row in result))
    json.dumps(result, allow_nan=False)


def test_bins_hold_every_slice(audited):
    _, _, nearest, answers = audited
    mine = answers[answers["model"] == "mine"]
    edges = [-1, 0, 0.5, 0.9, 1]
    result = leakage.nearest_error(mine, nearest, ["Normal", "Stone"], edges, bootstrap=SCORING)
    for scheme, rows in mine.groupby("scheme"):
        assert sum(row["n"] for row in result if row["scheme"] == scheme) == len(rows)
