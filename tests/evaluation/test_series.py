"""Slices with their neighbours: means worked out by hand, in the order of the series."""

import pandas as pd
import pytest

from kidneyct_lib.evaluation import series
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import EvaluationError

CLASSES = ["Normal", "Stone"]
STONE = {"a (2)": 0.1, "a (10)": 0.7, "a (1)": 0.4, "b (1)": 0.9}  # in no order of the series


@pytest.fixture
def predictions():
    table = pd.DataFrame({"path": list(STONE), "p_Stone": list(STONE.values())})
    table.index = [7, 3, 5, 4]
    return table.assign(p_Normal=1 - table["p_Stone"], label="Stone", group=[0, 0, 0, 1])


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (0, [0.1, 0.7, 0.4, 0.9]),
        (1, [(0.4 + 0.1 + 0.7) / 3, (0.1 + 0.7) / 2, (0.4 + 0.1) / 2, 0.9]),
        (2, [0.4, 0.4, 0.4, 0.9]),
        (None, [0.4, 0.4, 0.4, 0.9]),
    ],
)
def test_a_slice_gets_the_mean_of_its_part_of_the_series(predictions, reach, expected):
    result = series.with_neighbours(predictions, CLASSES, reach)
    assert result["p_Stone"].tolist() == pytest.approx(expected)
    assert result["p_Normal"].tolist() == pytest.approx([1 - value for value in expected])
    others = ["path", "label", "group"]
    pd.testing.assert_frame_equal(result[others], predictions[others])


def test_the_order_of_the_rows_plays_no_part(predictions):
    shuffled = predictions.iloc[[2, 0, 3, 1]]
    for reach in series.REACHES.values():
        result = series.with_neighbours(shuffled, CLASSES, reach).loc[predictions.index]
        expected = series.with_neighbours(predictions, CLASSES, reach)
        pd.testing.assert_frame_equal(result, expected)


def test_scores_are_those_of_the_means(predictions):
    found = series.by_reach(predictions, CLASSES, bootstrap=Bootstrap(50, 0))
    assert {name: one["accuracy"] for name, one in found.items()} == {
        "0": 0.5,  # 0.7 and 0.9
        "1": 0.25,
        "2": 0.25,
        "4": 0.25,
        "8": 0.25,
        "whole series": 0.25,
    }
    table = series.table({"as shown": found})
    assert table["reach"].tolist() == list(series.REACHES)
    assert table["accuracy"].tolist() == [one["accuracy"] for one in found.values()]
    assert table["recall_Stone"].tolist() == table["accuracy"].tolist()


def test_slices_of_two_models_are_refused(predictions):
    twice = pd.concat([predictions, predictions], ignore_index=True)
    with pytest.raises(EvaluationError, match="more than once"):
        series.by_reach(twice, CLASSES, bootstrap=Bootstrap(50, 0))


def test_each_patient_votes_once_with_the_mean_of_its_slices(predictions):
    votes = series.votes(predictions, CLASSES)
    assert votes["group"].tolist() == [0, 1]
    assert votes["p_Stone"].tolist() == pytest.approx([0.4, 0.9])
    two_labels = predictions.assign(label=["Stone", "Normal", "Stone", "Stone"])
    assert len(series.votes(two_labels, CLASSES)) == 3
