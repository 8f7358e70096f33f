"""Runs find one another by their run.json, whatever their folders are called."""

import numpy as np
import pytest

from kidneyct_lib.study import sibling_runs
from kidneyct_lib.study.run_folder import Run


def finished(folder, accuracy, study="mine", weights="imagenet", **changes):
    run = Run(folder)
    parameters = {"seed": changes.get("seed", 2026), "weights": weights}
    run.record(parameters=parameters, study=study, changes=changes)
    scores = {"n": 20, "groups": 5, "accuracy": accuracy, "macro_f1": accuracy / 2, "loss": 1.0}
    run.write_metrics("test", {"slice": scores | {"accuracy": 1.0}, "patient": scores})
    return run


@pytest.fixture
def runs(tmp_path):
    """Runs of two studies in folders whose names tell nothing."""
    result = {
        "own": finished(tmp_path / "a", 0.5),
        "seed 12": finished(tmp_path / "b", 0.7, seed=12),
        "seed 7": finished(tmp_path / "c", 0.6, seed=7),
        "large": finished(tmp_path / "d", 0.2, image_size=448),
        "large, seed 7": finished(tmp_path / "e", 0.3, image_size=448, seed=7),
        "patient, seed 7": finished(tmp_path / "f", 0.9, recipe="patient", seed=7),
        "untrained, seed 7": finished(tmp_path / "i", 0.1, weights="none", seed=7),
        "another study": finished(tmp_path / "g", 0.1, study="other", seed=12),
    }
    Run(tmp_path / "h").record(study="mine", changes={"seed": 8})  # begun, not finished
    return result


@pytest.mark.parametrize("name", ["own", "seed 7"])
def test_repetitions_are_found_from_any_of_them(runs, name):
    table = sibling_runs.by_seed(runs[name])
    assert table["seed"].tolist() == [7, 7, 12, 12, 2026, 2026]
    patient = table[table["scheme"] == "patient"]
    assert patient["accuracy"].tolist() == [0.6, 0.7, 0.5]
    assert patient["macro_f1"].tolist() == [0.3, 0.35, 0.25]


def test_seeds_of_another_image_size_are_apart(runs):
    table = sibling_runs.by_seed(runs["large"])
    assert table["seed"].tolist() == [7, 7, 2026, 2026]
    assert set(table.loc[table["scheme"] == "patient", "accuracy"]) == {0.3, 0.2}


def test_the_spread_is_mean_and_range(runs):
    table = sibling_runs.spread(sibling_runs.by_seed(runs["own"])).set_index("scheme")
    assert table.loc["patient", "seeds"] == 3
    np.testing.assert_allclose(
        table.loc["patient", ["accuracy", "accuracy_min", "accuracy_max"]].astype(float),
        [0.6, 0.5, 0.7],
    )
    assert table.loc["slice", ["accuracy", "accuracy_min", "accuracy_max"]].eq(1).all()


def test_a_run_alone_is_its_only_seed(tmp_path):
    run = finished(tmp_path / "alone", 0.5, seed=3)
    assert sibling_runs.by_seed(run)["seed"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("patient, seed 7", {"recipe": None}, "seed 7"),
        ("large, seed 7", {"image_size": None}, "seed 7"),
        ("seed 7", {"recipe": "patient"}, "patient, seed 7"),
        ("own", {"recipe": None}, "own"),
    ],
)
def test_the_run_that_differs_by_the_changes_alone_is_found(runs, name, changes, expected):
    assert sibling_runs.beside(runs[name], **changes).folder == runs[expected].folder


def test_a_run_that_is_not_there_is_none(runs):
    assert sibling_runs.beside(runs["large"], recipe="patient") is None


def test_a_run_of_no_known_study_has_none_beside_it(runs, tmp_path):
    unknown = Run(tmp_path / "z")
    assert sibling_runs.beside(unknown, recipe="patient") is None
    assert sibling_runs.by_seed(unknown).empty
