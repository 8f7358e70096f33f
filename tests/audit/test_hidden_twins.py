"""Groups that may be one patient: planted ones are found, strangers are not."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.audit import hidden_twins
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import near_duplicates


def bodies(twins):
    """Images of eight groups of three slices, four a class; `twins` share one body."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"group": np.repeat(np.arange(8), 3)})
    table["label"] = np.where(table["group"] < 4, "Cyst", "Stone")
    images = np.empty((24, 32, 32), np.uint8)
    shapes = {}
    for row, group in enumerate(table["group"]):
        body = min(twins) if group in twins else group
        if body not in shapes:
            shapes[body] = rng.uniform(60, 120, (32, 32))
        gain = 1.4 if group == max(twins, default=-1) else 1  # another window
        noise = rng.normal(0, 25, (32, 32))
        images[row] = (gain * (shapes[body] + noise)).clip(0, 255)
    return near_duplicates.thumbnails(images, 32), table


def test_planted_twins_are_found_in_another_window_and_no_strangers():
    compared = hidden_twins.pairs(*bodies({1, 3}))
    assert len(compared) == 28
    assert compared["one_class"].sum() == 12
    assert compared["correlation"].is_monotonic_decreasing
    twins = hidden_twins.likely(compared)
    assert twins[["group_a", "group_b"]].to_numpy().tolist() == [[1, 3]]
    thumbs, table = bodies({1, 3})
    (pair,) = twins.itertuples()
    assert table["group"][pair.row_a] == 1
    assert pair.correlation == pytest.approx(thumbs[pair.row_a] @ thumbs[pair.row_b])
    between = thumbs[table["group"] == 1] @ thumbs[table["group"] == 3].T
    assert pair.correlation == pytest.approx(between.max())


def test_one_body_in_two_classes_makes_nobody_twins():
    assert hidden_twins.likely(hidden_twins.pairs(*bodies({2, 6}))).empty


def test_twins_of_twins_are_one_patient():
    links = pd.DataFrame({"group_a": [7, 2], "group_b": [4, 7]})
    joined = hidden_twins.joined_groups([4, 4, 2, 9, 7, 9], links)
    assert len(set(joined[[0, 1, 2, 4]])) == 1
    assert joined[3] == joined[5] != joined[0]
    assert len(set(hidden_twins.joined_groups([4, 4, 2, 9], links[:0]))) == 3


def test_twins_kept_together_cost_what_they_gave(synthetic_probe):
    """The class hangs on the body alone: with its twin in training a group is known, else not."""
    probe = synthetic_probe(groups=8, slices=4, informed=0.0)
    features = probe.features.copy()
    for group in range(0, 16, 2):
        rows = (probe.table["group"] == group).to_numpy()
        features[probe.table["group"] == group + 1] = features[rows] + 0.01
    probe = replace(probe, features=features)
    thumbs = features - features.mean(axis=1, keepdims=True)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    compared = hidden_twins.pairs(thumbs, probe.table)
    how = {"folds": 4, "seed": 1, "bootstrap": Bootstrap(50, 1)}
    result = hidden_twins.summarise(compared, probe, **how)
    assert result["likely"] == 8
    assert (result["pairs"], result["stranger_pairs"]) == (56, 64)
    assert result["auroc"] > 0.5
    assert result["likely_by_chance"] == pytest.approx(56 / 65)
    assert result["apart"]["accuracy"] > result["together"]["accuracy"] + 0.2
    json.dumps(result, allow_nan=False)
    fewer = hidden_twins.summarise(compared, probe, **how | {"folds": 7})
    assert fewer["together"]["groups"] == 16  # of eight patients, in folds of four a class
    one = (compared["group_a"] < 8) & (compared["group_b"] < 8)
    compared.loc[one, "correlation"] = 2.0  # all of a class are one patient
    assert "together" not in hidden_twins.summarise(compared, probe, **how)
