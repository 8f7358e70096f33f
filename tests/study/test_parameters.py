import ast
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from kidneyct_lib.data.phantom import CohortSpec
from kidneyct_lib.models.builder import BackboneSettings, NetworkSettings
from kidneyct_lib.study import staleness
from kidneyct_lib.study.parameters import Params, ParamsError, checked, digest, load

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "params").glob("*.yaml"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def parameters_cell(notebook: Path) -> dict:
    (cell,) = [
        cell
        for cell in json.loads(notebook.read_text())["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    values: dict = {}
    exec("".join(cell["source"]), values)
    del values["__builtins__"]
    return values


def written(tmp_path, **changes) -> Path:
    content = yaml.safe_load((ROOT / "params/phantom.yaml").read_text()) | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({key: v for key, v in content.items() if v != "absent"}))
    return path


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_valid_and_opens_with_its_command(path):
    values = load(path)
    assert values.study == path.stem
    assert values.run_folder == f"outputs/{path.stem}"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")][:6]
    assert any("make reproduce" in line for line in head)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_cells_hold_the_phantom_studys_values(notebook):
    phantom = load(ROOT / "params/phantom.yaml").model_dump()
    if notebook.stem in staleness.OF_SEVERAL_RUNS:
        del phantom["run_folder"]  # theirs is no study's
    cell = parameters_cell(notebook)
    assert "run_folder" in cell
    assert cell | phantom == phantom | cell


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_use_every_key_of_their_cell_and_none_else(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    code = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
    ]
    nodes = [node for source in code for node in ast.walk(ast.parse(source))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    settings = {kind for kind in (BackboneSettings, NetworkSettings) if kind.__name__ in called}
    named = {field.name for kind in settings for field in fields(kind)}
    read = keys_of_the_cohort() if "CohortSpec" in names else set()
    read |= keys_of_the_training() if "StudyTraining" in names else set()
    assert set(parameters_cell(notebook)) <= names | named | read


def keys_of_the_cohort():
    """Parameters that `CohortSpec.of` reads."""
    read = set()

    class Read(dict):
        def __getitem__(self, key):
            read.add(key)
            return super().__getitem__(key)

    CohortSpec.of(Read(yaml.safe_load((ROOT / "params/phantom.yaml").read_text())))
    return read


def keys_of_the_training():
    """Parameters that `StudyTraining` reads: attributes of its `_given`, and the network's."""
    source = (ROOT / "kidneyct_lib/training/study_training.py").read_text()
    network = {field.name for field in fields(NetworkSettings)}
    return network | set(re.findall(r"\b_?given\.(\w+)", source))


def test_every_parameter_is_used_by_a_notebook_or_the_study_runner():
    used = {key for notebook in NOTEBOOKS for key in parameters_cell(notebook)}
    assert set(Params.model_fields) - used == {"study", "expected_minutes"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1}, "learning_rate: unknown key"),
        ({"stage1_epoch": 1}, "did you mean 'stage1_epochs'"),
        ({"seed": "absent"}, "seed: missing"),
        ({"stage1_learning_rate": "fast"}, "stage1_learning_rate = 'fast'"),
        ({"dropout": 1.0}, "dropout = 1.0: Input should be less than 1"),
        ({"weights": "random"}, "'imagenet' or 'none'"),
        ({"test_fraction": 0.9}, "leave nothing to train on"),
        ({"classes": ["A", "A"]}, "names one class twice"),
        ({"expected_counts": {"A": 1}}, "exactly the classes"),
        ({"phantom_slices": [9, 2]}, "fewest, most"),
        ({"must_not_miss": ["Stone", "Gout"]}, "'Gout', which is none of the classes"),
        ({"must_not_miss": []}, "must_not_miss"),
        ({"plane": "sagittal"}, "plane = 'sagittal'"),
        ({"class_folders": {"Gallstone": "Gout"}}, "'Gallstone' holds the class 'Gout'"),
        ({"class_folders": {"Cyst": "Stone"}}, "'Cyst' holds the class 'Stone'"),
        ({"published_accuracy": 99.68}, "published_accuracy = 99.68"),
        ({"conformal_coverage": 1.0}, "conformal_coverage = 1.0"),
        ({"augment_views": -1}, "augment_views = -1"),
        ({"augment_noise": 1.5}, "augment_noise = 1.5"),
        ({"compared_backbones": ["vgg16-none"]}, "compared_backbones.0 = 'vgg16-none'"),
        ({"compared_backbones": None, "weights": "none"}, "compared_backbones = None"),
        ({"compared_backbones": []}, "compared_backbones = []"),
    ],
)
def test_a_wrong_file_is_told_by_key_and_value(tmp_path, changes, message):
    with pytest.raises(ParamsError, match=r"mine\.yaml") as error:
        load(written(tmp_path, **changes))
    assert message in str(error.value)


def test_a_studys_data_may_name_folders_a_plane_and_a_published_number(tmp_path):
    options = {"class_folders": {"Kidney_stone": "Stone"}, "plane": "coronal"}
    values = load(written(tmp_path, **options, published_accuracy=0.9682))
    assert values.class_folders == {"Kidney_stone": "Stone"}
    assert (values.plane, values.published_accuracy) == ("coronal", 0.9682)


def test_overrides_replace_the_files_values(tmp_path):
    path = written(tmp_path)
    assert load(path, seed=7, data=None).seed == 7
    with pytest.raises(ParamsError, match="seed = -1"):
        load(path, seed=-1)


def test_the_patient_recipe_brings_its_own_input_and_unfreezes_nothing():
    own = load(ROOT / "params/folder.yaml")
    patient = load(ROOT / "params/folder.yaml", recipe="patient")
    assert (own.image_size, patient.image_size) == (224, own.patient_image_size)
    assert patient.unfreeze_layers == 0
    assert load(ROOT / "params/folder.yaml", recipe="patient", image_size=320).image_size == 320


def test_an_untrained_study_compares_untrained_backbones_each_once(tmp_path):
    named = ["resnet50-imagenet", "resnet50-none", "densenet121-imagenet"]
    path = written(tmp_path, compared_backbones=named)
    assert load(path).compared_backbones == named
    assert load(path, weights="none").compared_backbones == ["resnet50-none", "densenet121-none"]


def test_the_published_recipe_unfreezes_something():
    with pytest.raises(ParamsError, match="unfreeze_layers = 0"):
        load(ROOT / "params/folder.yaml", unfreeze_layers=0)


def test_an_unknown_study_lists_the_known_ones():
    with pytest.raises(ParamsError, match="phantom"):
        load(ROOT / "params/mine.yaml")


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    for text in ("just text", "a: [1"):
        path.write_text(text)
        with pytest.raises(ParamsError):
            load(path)


def test_checked_picks_parameters_and_validates_them():
    assert checked({"seed": 3, "other": object()}) == {"seed": 3}
    with pytest.raises(ParamsError, match="batch_size = 0"):
        checked({"batch_size": 0})


def test_digest_sees_values_but_not_their_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


# --- YAML as people write it ---


def changed_line(tmp_path, key, lines):
    """params/phantom.yaml with other lines in place of a key's own."""
    own = (ROOT / "params/phantom.yaml").read_text()
    kept = [line for line in own.splitlines() if not line.startswith(f"{key}:")]
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join([*kept, lines]) + "\n", encoding="utf-8")
    return path


def test_names_of_classes_are_text_whatever_they_look_like(tmp_path):
    path = changed_line(tmp_path, "classes", "classes: [0, No, 1e5, null, 2026-01-01, 结石]")
    path = path.rename(tmp_path / "other.yaml")
    rest = [line for line in path.read_text(encoding="utf-8").splitlines()]
    rest = [line for line in rest if not line.startswith(("must_not_miss:", "class_folders:"))]
    more = "must_not_miss: [0, No]\nclass_folders: {1: 0, True: No}"
    path.write_text("\n".join([*rest, more]), encoding="utf-8")
    values = load(path)
    assert values.classes == ["0", "No", "1e5", "null", "2026-01-01", "结石"]
    assert values.must_not_miss == ["0", "No"]
    assert values.class_folders == {"1": "0", "True": "No"}


def test_counts_stay_numbers(tmp_path):
    counts = "expected_counts: {Cyst: 1, Normal: 2, Stone: 3, Tumor: 4}"
    values = load(changed_line(tmp_path, "expected_counts", counts))
    assert values.expected_counts == {"Cyst": 1, "Normal": 2, "Stone": 3, "Tumor": 4}


@pytest.mark.parametrize(
    ("written", "value"), [("1e-5", 1e-5), ("2E-04", 2e-4), ("1.e-3", 1e-3), ("3.0e-1", 0.3)]
)
def test_numbers_with_an_exponent_need_no_dot(tmp_path, written, value):
    path = changed_line(tmp_path, "stage2_learning_rate", f"stage2_learning_rate: {written}")
    assert load(path).stage2_learning_rate == value


def test_a_key_given_twice_is_named_with_both_lines(tmp_path):
    path = changed_line(tmp_path, "seed", "seed: 1\nseed: 2")
    last = len(path.read_text().splitlines())
    with pytest.raises(ParamsError, match=rf"seed is given twice, in lines {last - 1} and {last}"):
        load(path)


def test_a_misspelt_parameter_of_a_notebook_is_told():
    cells = ["", "seed = 1", "# Parameters\nseed = 1\nsed = 2\n", "flow = 3"]
    with pytest.raises(ParamsError, match=r"sed: unknown key; did you mean 'seed'"):
        checked({"seed": 1, "sed": 2, "flow": 3, "In": cells})
    del cells[2]
    assert checked({"seed": 1, "flow": 3, "In": cells}) == {"seed": 1}
