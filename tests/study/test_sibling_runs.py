import numpy as np
import pytest

from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.study.sibling_runs import by_seed, spread


def finished(folder, seed, accuracy):
    run = Run(folder)
    run.record(parameters={"seed": seed})
    scores = {"n": 20, "groups": 5, "accuracy": accuracy, "macro_f1": accuracy / 2, "loss": 1.0}
    run.write_metrics("test", {"slice": scores | {"accuracy": 1.0}, "patient": scores})


@pytest.fixture
def folder(tmp_path):
    finished(tmp_path / "mine", 2026, 0.5)
    finished(tmp_path / "mine-seed12", 12, 0.7)
    finished(tmp_path / "mine-seed7", 7, 0.6)
    finished(tmp_path / "mine-untrained", 1, 0.1)
    finished(tmp_path / "mine-448px", 2026, 0.2)
    finished(tmp_path / "mine-448px-seed7", 7, 0.3)
    finished(tmp_path / "mine-seed7-old", 1, 0.1)
    (tmp_path / "mine-seed8").mkdir()  # begun, not finished
    return tmp_path / "mine"


@pytest.mark.parametrize("name", ["mine", "mine-seed7"])
def test_repetitions_are_found_from_any_of_them(folder, name):
    table = by_seed(folder.with_name(name))
    assert table["seed"].tolist() == [7, 7, 12, 12, 2026, 2026]
    patient = table[table["scheme"] == "patient"]
    assert patient["accuracy"].tolist() == [0.6, 0.7, 0.5]
    assert patient["macro_f1"].tolist() == [0.3, 0.35, 0.25]


def test_seeds_of_another_image_size_are_apart(folder):
    table = by_seed(folder.with_name("mine-448px"))
    assert table["seed"].tolist() == [7, 7, 2026, 2026]
    assert set(table.loc[table["scheme"] == "patient", "accuracy"]) == {0.3, 0.2}


def test_the_spread_is_mean_and_range(folder):
    table = spread(by_seed(folder)).set_index("scheme")
    assert table.loc["patient", "seeds"] == 3
    np.testing.assert_allclose(
        table.loc["patient", ["accuracy", "accuracy_least", "accuracy_most"]].astype(float),
        [0.6, 0.5, 0.7],
    )
    assert table.loc["slice", ["accuracy", "accuracy_least", "accuracy_most"]].eq(1).all()


def test_a_run_alone_is_its_only_seed(tmp_path):
    finished(tmp_path / "alone", 3, 0.5)
    assert by_seed(tmp_path / "alone")["seed"].tolist() == [3, 3]
