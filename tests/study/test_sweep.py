"""Sweeps: which cells a file makes, what it will take, and what is wrong with it."""

import shutil
from pathlib import Path

import pytest
import yaml

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import sweep
from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "params/sweeps").glob("*.yaml"))
FILE = {"name": "mine", "base": {"study": "phantom"}, "axes": {"seed": [1, 2]}}


@pytest.fixture
def project(tmp_path, monkeypatch, surroundings_unseen):
    """The studies and the notebooks, and nothing that has run."""
    for name in ("params", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folders=None, **changes):
    path = Path("sweep.yaml")
    content = {k: v for k, v in (FILE | changes).items() if v is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return sweep.read(path, folders)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_valid_and_opens_with_its_command(path, project):
    known = sweep.read(path)
    assert known.name == path.stem
    assert f"make sweep SWEEP=params/sweeps/{path.name}" in path.read_text()
    assert known.notebooks[-1] == "04_two_stage_training"
    assert len(known.cells) == {"seeds": 5, "recipes": 12}[path.stem]


def test_cells_are_every_combination_the_last_axis_fastest(project):
    axes = {"study": ["phantom", "phantom_coronal"], "seed": [2026, 7], "stage2_epochs": [1, 2]}
    cells = read(base=None, axes=axes).cells
    assert [cell.name for cell in cells] == [
        "phantom-stage2_epochs=1",
        "phantom",
        "phantom-seed7-stage2_epochs=1",
        "phantom-seed7",
        "phantom_coronal-stage2_epochs=1",
        "phantom_coronal-stage2_epochs=2",
        "phantom_coronal-seed7-stage2_epochs=1",
        "phantom_coronal-seed7-stage2_epochs=2",
    ]
    last = cells[-1]
    assert last.levels == {"study": "phantom_coronal", "seed": 7, "stage2_epochs": 2}
    assert last.changes == {"seed": 7, "stage2_epochs": 2}
    assert (last.params.seed, last.params.stage2_epochs) == (7, 2)


def test_null_is_the_studys_own_value_and_base_holds_for_all(project):
    cells = read(base={"study": "phantom", "recipe": "patient"}, axes={"seed": [None, 3]}).cells
    assert [cell.levels for cell in cells] == [{"seed": 2026}, {"seed": 3}]
    assert [cell.name for cell in cells] == ["phantom-patient", "phantom-patient-seed3"]
    assert all(cell.params.recipe == "patient" for cell in cells)


def test_images_go_to_studies_that_read_them(project):
    axes = {"study": ["phantom", "folder"]}
    generated, real = read({"data": "/images", "masks": "/masks"}, base=None, axes=axes).cells
    assert (generated.params.data, generated.params.masks) == (None, "/masks")
    assert (real.params.data, real.params.masks) == ("/images", "/masks")
    with pytest.raises(StudyError, match=r"every study of sweep\.yaml generates"):
        read({"data": "/images"})


def test_a_cell_runs_the_notebooks_that_matter_and_those_they_wait_for(project):
    names = ["01_download", "02_explore", "03_split_and_weight", "04_two_stage_training"]
    assert read(notebooks=["04_two_stage_training"]).notebooks == names
    assert read(notebooks=["02_explore"]).notebooks == names[:2]
    everything = read().notebooks
    assert everything[:4] == names
    assert sweep.NOTEBOOK not in everything
    assert len(everything) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": {}}, "axis: unknown key; did you mean 'axes'"),
        ({"name": None}, "name: missing"),
        ({"name": "a/b"}, "name = 'a/b'"),
        ({"axes": {}}, "axes = {}: .*at least 1"),
        ({"axes": {"seed": []}}, r"axes.seed = \[\]: .*at least 1"),
        ({"axes": {"seed": 3}}, "axes.seed = 3: .*list"),
        ({"axes": {"sed": [1]}}, "cell sed 1: .*did you mean 'seed'"),
        ({"axes": {"seed": ["one"]}}, "cell seed one: .*seed = 'one'"),
        ({"axes": {"seed": [1, -1]}}, "cell seed -1: .*seed = -1"),
        ({"axes": {"run_folder": ["x"]}}, "run_folder is no parameter to vary"),
        ({"axes": {"seed": [1, 1]}}, "two cells are the run outputs/phantom-seed1"),
        ({"axes": {"seed": [2026, None]}}, "two cells are the run outputs/phantom, seed 2026"),
        ({"axes": {"audit_c": [1, 1.0]}}, "two cells are the run outputs/phantom-audit_c=1.0"),
        ({"base": {"study": "phantom", "seed": 1}}, "seed stands in base and is an axis"),
        ({"base": {}}, "names no study"),
        ({"base": {"study": "nowhere"}}, "There is no study 'nowhere'"),
        ({"base": {"study": "phantom", "dropout": 2}}, "dropout = 2"),
        ({"notebooks": ["04_training"]}, "did you mean '04_two_stage_training'"),
        ({"notebooks": []}, r"notebooks = \[\]"),
        ({"budget": {"hour": 1}}, "budget, .*hour: unknown key; did you mean 'hours'"),
        ({"budget": {"hours": 0}}, "hours = 0: .*greater than 0"),
        ({"budget": {"disk_gb": "all"}}, "disk_gb = 'all'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(project, changes, message):
    with pytest.raises(StudyError, match=f"(?s){message}"):
        read(**changes)
    assert not Path("outputs").exists()


def test_a_missing_file_names_those_that_there_are(project):
    with pytest.raises(StudyError, match=r"no sweep at .*seed\.yaml; .*params/sweeps/seeds\.yaml"):
        sweep.read(Path("params/sweeps/seed.yaml"))
    Path("bad.yaml").write_text("name: a\nname: b\n")
    with pytest.raises(StudyError, match="given twice, in lines 1 and 2"):
        sweep.read(Path("bad.yaml"))


def test_what_it_will_take_is_told_and_nothing_is_written(project):
    asked = read(notebooks=["04_two_stage_training"], budget={"hours": 2})
    lines = sweep.describe(asked, 2).splitlines()
    assert lines[0] == "Sweep mine: 2 cells, notebooks 01_download to 04_two_stage_training."
    assert lines[1] == "  [1/2] phantom-seed1: 4 notebooks, about 2.7 minutes, 1.2 GB"
    assert lines[3].startswith("To run: 2 cells, about 0.0 hours on two cores, 2.4 GB of disk")
    assert lines[4] == "Budget: 2 hours; no cell is begun that would go beyond."
    assert "about 0.1 hours" in sweep.describe(asked, 1)
    assert not Path("outputs").exists()


def test_minutes_go_by_cells_like_it_that_have_run(project):
    asked = read(notebooks=["04_two_stage_training"], axes={"seed": [1, 2], "folds": [3, 6]})
    first, slower, alike, _ = asked.cells
    before = sweep.expected_minutes(asked, alike, asked.notebooks)
    assert before == pytest.approx(0.45 * 6)
    notebooks = {name: {"seconds": 150.0} for name in asked.notebooks}
    Run(first.params.run_folder).record(notebooks=notebooks)
    assert sweep.seconds(asked, first) == 600
    assert sweep.seconds(asked, alike) is None
    assert sweep.expected_minutes(asked, alike, asked.notebooks) == pytest.approx(10)
    part = sweep.expected_minutes(asked, alike, ["04_two_stage_training"])
    assert part == pytest.approx(10 * 0.35 / 0.45)
    assert sweep.expected_minutes(asked, slower, asked.notebooks) == pytest.approx(0.45 * 8.5)
