"""Class weights are held against scikit-learn's and against counting by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.class_weight import compute_class_weight

from kidneyct_lib.splitting.holdout import SplitError
from kidneyct_lib.training import class_weights

CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]


def test_class_weights_are_the_balanced_ones_in_the_order_asked_for():
    labels = np.repeat(CLASSES, [30, 50, 5, 15])
    order = ["Tumor", "Cyst", "Stone", "Normal"]
    weights = class_weights.by_slice(labels, order)
    assert list(weights) == order
    assert weights == pytest.approx({n: 100 / (4 * (labels == n).sum()) for n in order})
    expected = compute_class_weight("balanced", classes=np.array(order), y=labels)
    np.testing.assert_allclose(list(weights.values()), expected)
    assert np.mean([weights[name] for name in labels]) == pytest.approx(1)


def test_group_weights_count_groups_not_slices():
    labels = ["Cyst"] * 90 + ["Stone"] * 10
    groups = [0] * 90 + list(range(1, 11))
    weights = class_weights.weightings(labels, groups, ["Cyst", "Stone"])["group"]
    assert weights == pytest.approx({"Cyst": 11 / 2, "Stone": 11 / 20})
    by_slice = class_weights.by_slice(labels, ["Cyst", "Stone"])
    assert by_slice["Cyst"] < 1 < weights["Cyst"]


def test_a_mixed_group_counts_for_each_of_its_classes():
    labels, groups = ["A", "B", "A", "A"], [0, 0, 1, 2]
    weights = class_weights.weightings(labels, groups, ["A", "B"])["group"]
    assert weights == pytest.approx({"A": 4 / (2 * 3), "B": 4 / (2 * 1)})


def test_absent_and_unknown_classes_are_refused():
    with pytest.raises(SplitError, match="Class 'Tumor' has no training images"):
        class_weights.by_slice(["Cyst", "Stone"], ["Cyst", "Stone", "Tumor"])
    with pytest.raises(SplitError, match="Label 'Stone' is not one of the classes"):
        class_weights.weightings(["Cyst", "Stone"], [0, 1], ["Cyst"])


def test_only_the_training_part_has_a_say_in_the_weights_of_images():
    table = pd.DataFrame({"label": list("AABBBB"), "group": [0, 1, 2, 2, 3, 4]})
    part = np.array(["train", "test", "train", "train", "train", "validation"])
    result = class_weights.of_images(table, part, ["A", "B"], "slice")
    np.testing.assert_allclose(result, [2, 2, 2 / 3, 2 / 3, 2 / 3, 2 / 3])
    by_group = class_weights.of_images(table, part, ["A", "B"], "group")
    np.testing.assert_allclose(by_group, [1.5, 1.5, 0.75, 0.75, 0.75, 0.75])
