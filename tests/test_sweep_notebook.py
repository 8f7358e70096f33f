"""Notebook 11 on made-up runs: what it says of cells that are known to be alike or not."""

import shutil

import made_up_run
import pytest
from one_process import OneProcess
from tiny_study import ROOT

from kidneyct_lib.evaluation.bootstrap import NO_INTERVAL
from kidneyct_lib.evaluation.metrics import summarise
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.study import sweep_runner
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.study.sweep import Cell, Sweep, read

pytestmark = pytest.mark.usefixtures("surroundings_unseen")
CLASSES = ["Cyst", "Normal", "Stone"]


def make_better(run):
    """By patient every slice is right, in its own window."""
    table = run.read_table("predictions")
    rows = table["scheme"] == "patient"
    truth = table.loc[rows, "label"]
    for name, column in zip(CLASSES, probability_columns(CLASSES), strict=True):
        table.loc[rows, column] = (truth == name).astype(float)
    run.write_table("predictions", table)
    metrics = run.read_metrics("test")
    perfect = summarise(
        table[rows & (table["stage"] == 2) & (table["split"] == "test")],
        CLASSES,
        bootstrap=NO_INTERVAL,
    )
    run.write_metrics("test", metrics | {"patient": metrics["patient"] | perfect})


def executed(folder, levels, *, better=lambda cell: False):
    """The sweep's run after the notebook, on one made-up run for each combination of levels."""
    path = folder / "sweep.yaml"
    path.write_text(f"name: made_up\nbase: {{study: phantom}}\naxes: {levels}\n")
    asked, cells = read(path), []
    made_up_run.make(folder / "made_up", classes=CLASSES, audit=False)
    for cell in asked.cells:
        run = Run(shutil.copytree(folder / "made_up", folder / cell.name))
        if better(cell):
            make_better(run)
        params = cell.params.model_copy(update={"run_folder": str(run.folder)})
        cells.append(Cell(cell.levels, params, cell.changes))
    made = Sweep("made_up", cells, [], asked.budget)
    outcome = sweep_runner.Outcome(finished=[cell.name for cell in cells])
    run = Run(folder / "sweep")
    run.record(axes=list(cells[0].levels), cells={c.name: c.params.run_folder for c in cells})
    run.write_table("cells", sweep_runner.table(made, outcome))
    source = ROOT / "notebooks/11_sweep.ipynb"
    given = {"run_folder": str(run.folder), "bootstrap": 200}
    process = OneProcess(source, run.folder / "11_sweep.ipynb", given, line=0)
    assert process.failure() is None, process.failure()
    return run


def test_seeds_that_agree_have_no_spread(tmp_path):
    run = executed(tmp_path, "{seed: [1, 2, 3]}")
    noise = run.read_table("seed_noise").set_index("scheme")
    assert noise["between_seeds"].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert noise.loc["patient", "groups"] > 0.03
    comparisons = run.read_table("comparisons")
    assert len(comparisons) == 2 * 3
    assert comparisons["paired"].all()
    assert (comparisons["accuracy_difference"] == 0).all()
    assert run.read_table("effects").empty
    known = run.read_metrics("sweep")
    assert (known["cells"], known["finished"]) == (3, 3)
    assert [row["count"] for row in known["over_seeds"]] == [3, 3, 3]
    assert {path.name for path in (run.folder / "figures").iterdir()} == {
        "11_sweep__cells.png",
        "11_sweep__differences.png",
    }


def test_a_recipe_that_is_better_is_told_from_the_seeds(tmp_path):
    levels = "{seed: [1, 2], recipe: [published, patient]}"
    run = executed(tmp_path, levels, better=lambda cell: cell.levels["recipe"] == "patient")
    effects = run.read_table("effects").set_index("scheme")
    assert effects["verdict"].to_dict() == {
        "slice": "within the noise",
        "patient": "better",
        "other_window": "within the noise",
    }
    accuracy = Run(tmp_path / "phantom-seed1").read_metrics("test")["patient"]["accuracy"]
    assert effects.loc["patient", "difference"] == pytest.approx(1 - accuracy)
    noise = run.read_table("seed_noise").set_index("scheme")
    assert noise.loc["patient", "between_levels"] > 0.2
    assert noise.loc["patient", "between_seeds"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("levels", ["{seed: [1]}", "{recipe: [published, patient]}"])
def test_one_seed_and_no_axis_of_seeds_are_told_without_a_spread(tmp_path, levels):
    run = executed(tmp_path, levels)
    assert run.read_metrics("sweep")["over_seeds"] == []
    verdicts = set(run.read_table("effects")["verdict"]) if "recipe" in levels else set()
    assert verdicts <= {"one seed: its noise is not known"}
