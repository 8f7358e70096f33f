"""Exported files against the Keras model, and the stopwatch."""

import numpy as np
import pytest
from made_up_graph import write_graph

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


def test_maps_that_are_all_zero_differ_by_what_the_file_says():
    expected = predictions([[0.5, 0.5]], [0])
    assert parity.compare(expected, predictions([[0.5, 0.5]], [0]))["map_difference"] == 0
    assert parity.compare(expected, predictions([[0.5, 0.5]], [3]))["map_difference"] == 3


def test_a_file_is_timed_in_a_process_of_its_own(tmp_path):
    write_graph(tmp_path / "red.onnx")
    rows = latency.clock(["onnx"], tmp_path / "red.onnx", threads=1, size=32, batches=[1, 4])
    assert [(row["way"], row["batch"]) for row in rows] == [("onnx", 1), ("onnx", 4)]
    assert all(row["milliseconds"] > 0 and 20 < row["memory_mb"] < 500 for row in rows)


def test_a_file_that_cannot_be_timed_is_named(tmp_path):
    (tmp_path / "no.onnx").write_text("no graph")
    with pytest.raises(StudyError, match=r"no\.onnx could not be timed as onnx"):
        latency.clock(["onnx"], tmp_path / "no.onnx", threads=1, size=32, batches=[1])
