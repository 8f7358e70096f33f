import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.evaluation.predictions import (
    EvaluationError,
    check_predictions,
    predictions_table,
)

CLASSES = ["Normal", "Stone"]
CATALOG = pd.DataFrame(
    {"path": ["b", "a"], "label": ["Stone", "Normal"], "group": [7, 3], "width": 512},
    index=[40, 12],
)
ANSWERS = np.array([[0.1, 0.9], [0.6, 0.4]])
NAMED = {"scheme": "slice", "stage": 2, "fold": 0}


def test_rows_keep_the_catalogs_order_and_columns_the_contracts():
    table = predictions_table(CATALOG, ["test", "train"], ANSWERS, CLASSES, **NAMED)
    columns = ["path", "label", "group", "scheme", "stage", "split", "fold"]
    assert list(table) == [*columns, "p_Normal", "p_Stone"]
    assert list(table["path"]) == ["b", "a"]
    assert list(table["split"]) == ["test", "train"]
    assert list(table["p_Stone"]) == [0.9, 0.4]


def test_what_is_collected_can_be_checked():
    table = predictions_table(CATALOG, ["test", "test"], ANSWERS, CLASSES, **NAMED)
    codes, answers = check_predictions(table, CLASSES, columns=["group"])
    assert list(codes) == [1, 0]
    np.testing.assert_array_equal(answers, ANSWERS)


@pytest.mark.parametrize(("split", "answers"), [(["test"], ANSWERS), (["test"] * 2, ANSWERS[:1])])
def test_other_lengths_than_the_catalogs_are_refused(split, answers):
    with pytest.raises(EvaluationError, match="do not fit 2 images"):
        predictions_table(CATALOG, split, answers, CLASSES, **NAMED)
