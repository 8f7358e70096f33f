"""The figure of the shortcuts: a row for each kind and model, and nothing beyond its edge."""

import pytest
from figure_checks import assert_within_border

from kidneyct_lib import plots


def scores(accuracy):
    return {"accuracy": accuracy, "accuracy_ci95": [accuracy - 0.1, accuracy + 0.1]}


KINDS = {"display window": scores(0.58), "couch": scores(0.3)}
MODELS = {"network": {"patient": scores(0.67), "other_window": scores(0.5)}}


@pytest.fixture(scope="module")
def figure():
    return plots.shortcuts(KINDS, MODELS, chance=0.25)


def test_each_kind_has_a_row_and_each_model_two_markers(figure):
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["Display window", "Couch", "Network"]
    markers = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [line.get_xdata()[0] for line in markers] == [0.58, 0.3, 0.67, 0.5]
    intervals = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert [0.48, 0.68] in [pytest.approx(list(ends)) for ends in intervals]


def test_the_legend_names_each_look_once(figure):
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        "Acquisition alone",
        "By patient",
        "By patient, in another window",
        "Chance level",
    ]


def test_nothing_is_cut_off(figure):
    assert_within_border(figure)
