"""The figures of the exported files: a panel for each file, a bar for each way."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_all_tested, assert_sound

from kidneyct_lib.plots import deployment

EXPECTED = np.array([[0.2, 0.8], [0.6, 0.4]])
TIMES = pd.DataFrame(
    [
        {"way": way, "precision": "int8", "threads": threads, "batch": batch, "milliseconds": 3.0}
        for way in ("onnx", "litert")
        for threads in (1, 2)
        for batch in (1, 32)
    ]
)

DRAWN = {
    "parity": lambda: deployment.parity(EXPECTED, {"a": EXPECTED, "b": EXPECTED}),
    "latency": lambda: deployment.latency(TIMES),
}


def test_every_figure_of_the_module_is_tested_here():
    assert_all_tested(deployment, DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_nothing_is_cut_off_and_pyplot_keeps_nothing(name):
    assert_sound(DRAWN[name])


def test_figures_show_each_file_and_each_way():
    assert [axes.get_title() for axes in DRAWN["parity"]().axes] == ["a", "b"]
    figure = DRAWN["latency"]()
    assert [axes.get_title() for axes in figure.axes] == [
        "1 image at a time",
        "32 images at a time",
    ]
    assert len(figure.axes[0].patches) == 4
