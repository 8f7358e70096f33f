"""Exported files against the Keras model, and the stopwatch."""

import numpy as np
import pandas as pd
import pytest
from made_up_graph import write_graph

from kidneyct_lib import plots
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.deployment import latency, parity


def predictions(probabilities, maps):
    return {"probabilities": np.array(probabilities), "maps": np.array(maps, float)}


def test_answers_are_compared_picture_by_picture():
    expected = predictions([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]], [2, -4, 1, 0])
    result = predictions([[0.9, 0.1], [0.6, 0.4], [0.25, 0.75], [0.7, 0.3]], [2, -3, 1, 0])
    scores = parity.compare(expected, result)
    assert scores["n"] == 4
    assert scores["probability_difference"] == pytest.approx(0.2)
    assert scores["map_difference"] == 0.25
    assert scores["label_changed"] == 0.25


def test_a_file_is_timed_in_a_process_of_its_own(tmp_path):
    write_graph(tmp_path / "red.onnx")
    rows = latency.clock(["onnx"], tmp_path / "red.onnx", threads=1, size=32, batches=[1, 4])
    assert [(row["way"], row["batch"]) for row in rows] == [("onnx", 1), ("onnx", 4)]
    assert all(row["milliseconds"] > 0 and 20 < row["memory_mb"] < 500 for row in rows)


def test_a_file_that_cannot_be_timed_is_named(tmp_path):
    (tmp_path / "no.onnx").write_text("no graph")
    with pytest.raises(StudyError, match=r"no\.onnx could not be timed as onnx"):
        latency.clock(["onnx"], tmp_path / "no.onnx", threads=1, size=32, batches=[1])


def test_figures_show_each_file_and_each_way():
    expected = np.array([[0.2, 0.8], [0.6, 0.4]])
    figure = plots.parity(expected, {"a": expected, "b": expected})
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    rows = [
        {"way": way, "precision": "int8", "threads": threads, "batch": batch, "milliseconds": 3.0}
        for way in ("onnx", "litert")
        for threads in (1, 2)
        for batch in (1, 32)
    ]
    figure = plots.latency(pd.DataFrame(rows))
    assert [axes.get_title() for axes in figure.axes] == [
        "1 image at a time",
        "32 images at a time",
    ]
    assert len(figure.axes[0].patches) == 4
