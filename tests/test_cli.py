import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kidneyct_lib import cli, report
from kidneyct_lib.data import image_io
from kidneyct_lib.evaluation.predictions import predictions_table
from kidneyct_lib.study import parameters, runner
from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[1]
CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]


@pytest.fixture(scope="module")
def project(tmp_path_factory, build_network):
    """A project folder whose phantom study has a final model."""
    root = tmp_path_factory.mktemp("project")
    (root / "params").mkdir()
    for file in (ROOT / "params").glob("*.yaml"):
        (root / "params" / file.name).write_bytes(file.read_bytes())
    facts = {"classes": CLASSES, "image_size": 64, "weights": "none"}
    net = build_network(classes=CLASSES)
    run = Run(root / "outputs/phantom")
    run.record(parameters={"classes": CLASSES})
    run.write_model("final", net.save, facts)
    table = pd.DataFrame({"path": list("abcdefgh"), "label": CLASSES * 2, "group": range(8)})
    said = np.full((8, 4), 0.25)
    parts = {"fold": 0, "scheme": "patient", "stage": 2}
    told = predictions_table(table, ["validation", "test"] * 4, said, CLASSES, **parts)
    run.write_table("predictions", told)
    return root


@pytest.fixture
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90)).astype(np.uint8)
    path = tmp_path / "slice one.png"
    Image.fromarray(pixels).save(path)
    return path


def dicom(path, gray):
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = gray.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation, dataset.PixelData = 0, gray.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def predictions(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_image_gets_one_line(in_project, image, tmp_path, capsys):
    gray = image_io.read_gray(image)
    same = dicom(tmp_path / "slice.dcm", gray)
    assert cli.main(["predict", "--study", "phantom", str(image), str(same)]) == 0
    first, second = predictions(capsys)
    assert first["path"] == str(image)
    assert first["input_sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert list(first["probabilities"]) == CLASSES
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert first["label"] == max(first["probabilities"], key=first["probabilities"].get)
    assert first["model"] == "phantom/final (untrained backbone)"
    assert second["probabilities"] == first["probabilities"]
    assert second["input_sha256"] != first["input_sha256"]


def test_a_bad_image_is_an_error_line_and_the_others_are_answered(
    in_project, image, tmp_path, capsys
):
    text = tmp_path / "text.png"
    text.write_text("no image")
    cut = tmp_path / "cut.jpg"
    file = io.BytesIO()
    Image.fromarray(image_io.read_gray(image)).save(file, format="JPEG")
    cut.write_bytes(file.getvalue()[:500])
    missing = tmp_path / "missing.png"
    assert cli.main(["predict", str(text), str(cut), str(missing), str(image)]) == 1
    *bad, good = predictions(capsys)
    assert [line["path"] for line in bad] == [str(text), str(cut), str(missing)]
    assert all(line["error"] and "label" not in line for line in bad)
    assert good["label"] in CLASSES


def test_every_input_gets_its_line(in_project, image, tmp_path, capsys):
    """A huge file is not read, and a name that is no text is told as it is."""
    huge, odd = tmp_path / "huge.png", Path(os.fsdecode(bytes(tmp_path) + b"/odd \xff.png"))
    with huge.open("wb") as file:
        file.write(image.read_bytes())
        file.truncate(30_000_000_000)
    odd.write_bytes(image.read_bytes())
    assert cli.main(["predict", str(huge), str(tmp_path), str(odd)]) == 1
    first, second, third = predictions(capsys)
    assert "30.0 GB" in first["error"]
    assert "folder" in second["error"]
    assert third["label"] in CLASSES
    assert os.fsencode(third["path"]) == bytes(odd)


def test_paths_come_from_standard_input_and_answers_go_to_a_table(
    in_project, image, monkeypatch, capsys
):
    listed = io.TextIOWrapper(io.BytesIO(f"{image}\n{image}.missing\n".encode()))
    monkeypatch.setattr(sys, "stdin", listed)
    assert cli.main(["predict", "--csv", "-", str(image)]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["path"] for row in rows] == [str(image), f"{image}.missing", str(image)]
    assert rows[0]["label"] == rows[2]["label"] in CLASSES
    assert "no such file" in rows[1]["error"]
    assert sum(float(rows[0][f"p_{name}"]) for name in CLASSES) == pytest.approx(1, abs=1e-5)


def test_a_series_gets_one_line_with_the_mean_of_its_images(in_project, image, capsys):
    other = image.with_name("slice two.png")
    Image.fromarray(255 - image_io.read_gray(image)).save(other)
    cli.main(["predict", str(image), str(other)])
    first, second = predictions(capsys)
    assert cli.main(["predict", "--series", str(image.parent)]) == 0
    (answer,) = predictions(capsys)
    assert answer["slices"] == 2
    assert first["probabilities"] != second["probabilities"]
    for name in CLASSES:
        mean = (first["probabilities"][name] + second["probabilities"][name]) / 2
        assert answer["probabilities"][name] == pytest.approx(mean, abs=2e-6)


def test_a_project_is_found_from_any_folder(project, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIDNEYCT_PROJECT", str(project))
    assert cli.main(["predict", str(image)]) == 0
    by_environment = predictions(capsys)
    monkeypatch.setenv("KIDNEYCT_PROJECT", str(tmp_path))
    assert cli.main(["predict", str(image)]) == 1
    assert "holds no params/" in capsys.readouterr().err
    assert cli.main(["predict", "--project", str(project), str(image)]) == 0
    assert predictions(capsys) == by_environment


def test_a_model_file_serves_instead_of_a_study(in_project, image, capsys):
    model = "outputs/phantom/models/final.keras"
    assert cli.main(["predict", "--model", model, str(image)]) == 0
    by_file = predictions(capsys)
    cli.main(["predict", str(image)])
    assert predictions(capsys) == by_file


def test_a_study_without_a_model_says_how_to_make_one(in_project, image, capsys):
    assert cli.main(["predict", "--study", "kaggle", str(image)]) == 1
    assert "make reproduce" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["predict"], ["reproduce"], ["compare"], ["verify"]])
def test_every_help_text_opens(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    if command in ([], ["predict"]):
        assert "not a diagnosis" in text


def test_an_unknown_study_is_one_line(in_project, capsys):
    assert cli.main(["reproduce", "--study", "nowhere"]) == 1
    message = capsys.readouterr().err
    assert "phantom" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "folder", "views"),
    [
        ([], "outputs/phantom", 0),
        (["--augment", "4"], "outputs/phantom-augmented4", 4),
        (["--augment", "4", "--seed", "5"], "outputs/phantom-augmented4-seed5", 4),
    ],
)
def test_augmented_results_get_their_own_folder(in_project, monkeypatch, options, folder, views):
    ran = []
    monkeypatch.setattr(runner, "reproduce", lambda values, *_, **__: ran.append(values))
    monkeypatch.setattr(report, "write", lambda run: run.folder)
    assert cli.main(["reproduce", *options]) == 0
    assert (ran[0].run_folder, ran[0].augment_views) == (folder, views)


def test_where_a_study_is_computed_changes_nothing_else_of_it(in_project, monkeypatch):
    from kidneyct_lib.study import clusters

    ran = []
    monkeypatch.setattr(runner, "reproduce", lambda *values, **how: ran.append((values, how)))
    monkeypatch.setattr(report, "write", lambda run: run.folder)
    monkeypatch.setattr(clusters, "find_spec", lambda name: name)
    for name in clusters.engine.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    for options in ([], ["--workers", "3"], ["--scheduler", "tcp://a:1"]):
        assert cli.main(["reproduce", *options]) == 0
    here, processes, existing = (how["cluster"] for _, how in ran)
    assert here == clusters.HERE
    assert (processes.workers, existing.address) == (3, "tcp://a:1")
    assert ran[0][0] == ran[1][0] == ran[2][0]


def test_contradicting_options_are_told_before_anything_runs(in_project, capsys):
    assert cli.main(["reproduce", "--workers", "2", "--scheduler", "tcp://a:1"]) == 1
    assert "contradict" in capsys.readouterr().err


def test_the_patient_recipe_has_its_own_folder_and_input(in_project, monkeypatch):
    given = []
    monkeypatch.setattr(runner, "reproduce", lambda values, *_, **__: given.append(values))
    monkeypatch.setattr(report, "write", lambda run: run.folder)
    assert cli.main(["reproduce", "--recipe", "patient"]) == 0
    (values,) = given
    assert (values.recipe, values.run_folder) == ("patient", "outputs/phantom-patient")
    assert (values.image_size, values.unfreeze_layers) == (values.patient_image_size, 0)


def test_another_number_of_folds_has_its_own_folder(in_project, monkeypatch):
    given = []
    monkeypatch.setattr(runner, "reproduce", lambda values, *_, **__: given.append(values))
    monkeypatch.setattr(report, "write", lambda run: run.folder)
    assert cli.main(["reproduce", "--folds", "1"]) == 0
    assert (given[0].folds, given[0].run_folder) == (1, "outputs/phantom-1fold")


@pytest.mark.parametrize(
    ("arguments", "size", "folder", "times"),
    [
        ([], 128, "outputs/phantom", 1),
        (["--image-size", "256"], 256, "outputs/phantom-256px", 4),
        (["--image-size", "256", "--seed", "3"], 256, "outputs/phantom-256px-seed3", 4),
        (["--image-size", "128"], 128, "outputs/phantom", 1),
    ],
)
def test_another_image_size_has_its_own_folder(
    in_project, monkeypatch, arguments, size, folder, times
):
    given = []
    monkeypatch.setattr(runner, "reproduce", lambda values, *_, **__: given.append(values))
    monkeypatch.setattr(report, "write", lambda run: run.folder)
    assert cli.main(["reproduce", *arguments]) == 0
    (values,) = given
    assert (values.image_size, values.run_folder) == (size, folder)
    own = parameters.load(ROOT / "params/phantom.yaml").expected_minutes
    assert values.expected_minutes == float(f"{times * own:.2g}")


def test_an_impossible_image_size_is_told(in_project, capsys):
    assert cli.main(["reproduce", "--image-size", "0"]) == 1
    assert "image_size = 0" in capsys.readouterr().err


def test_the_doctor_names_the_backend_and_its_devices(in_project, capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["Keras", "backend", "tensorflow"] for line in lines)
    assert any(line.split()[:2] == ["devices", "cpu:0"] for line in lines)


def test_compare_tells_by_its_exit_status(tmp_path, capsys):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        Run(tmp_path / name).write_metrics("test", {"accuracy": value})
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "c")]) == 1
    assert "accuracy" in capsys.readouterr().out


def test_the_help_does_not_wait_for_tensorflow():
    code = "import sys, kidneyct_lib.cli; print('keras' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
