"""Bad input to a whole study: one clear message each, from the command line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from one_process import OneProcess
from PIL import Image

from kidneyct_lib import cli
from kidneyct_lib.study import runner
from kidneyct_lib.study.run_folder import Run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the real notebooks and small pictures for the `folder` study."""
    (tmp_path / "params").mkdir()
    content = yaml.safe_load((ROOT / "params/folder.yaml").read_text())
    content |= {"classes": ["Normal", "Stone"], "must_not_miss": ["Stone"]}
    content |= {"image_size": 32, "thumbnail_size": 16, "folds": 1}
    (tmp_path / "params/folder.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(runner, "NotebookProcess", OneProcess)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_images(folder, label, seeds):
    for number, seed in enumerate(seeds, 1):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
        path = folder / label / f"{label}- ({number}).jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def told(capfd, *data):
    """What the command says on failing, without the progress bars."""
    assert cli.main(["reproduce", "--study", "folder", *data]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("kidneyct: ")]
    assert len(lines) == 1
    return lines[0]


def test_no_folder_given(project, capfd):
    assert "DATA=path" in told(capfd)


@pytest.mark.parametrize("key", ["data", "external", "masks"])
def test_missing_folders_are_told_before_anything_runs(project, capfd, key):
    write_images(project / "data", "Normal", range(3))
    folders = {"data": "data", key: "nowhere"}
    message = told(capfd, *(f"--{name}={path}" for name, path in folders.items()))
    assert f"{key.upper()}=nowhere is no folder" in message
    assert not (project / "outputs").exists()


def test_a_study_that_generates_its_images_takes_no_folder(project, capfd):
    shutil.copy(ROOT / "params/phantom.yaml", project / "params")
    message = told(capfd, "--study", "phantom", "--data", ".")
    assert "STUDY=folder DATA=." in message
    assert not (project / "outputs").exists()


def test_missing_and_empty_classes(project, capfd):
    write_images(project / "data", "Normal", range(3))
    assert "Stone" in told(capfd, "--data", "data")
    (project / "data/Stone").mkdir()
    assert "Stone" in told(capfd, "--data", "data")


def test_truncated_images_are_left_out_and_a_class_of_one_patient_is_told(project, capfd):
    write_images(project / "data", "Normal", [1, 2, 3, 4, 6, 7])
    write_images(project / "data", "Stone", [5] * 6)
    damaged = project / "data/Normal/Normal- (2).jpg"
    damaged.write_bytes(damaged.read_bytes()[:300])
    (project / "data/Normal/Normal- (3).jpg").write_bytes(b"")
    message = told(capfd, "--data", "data")
    assert "03_split_and_weight" in message
    assert "Stone" in message
    assert "patient" in message
    run = Run("outputs/folder")
    rejected = run.read_table("rejected")
    assert set(rejected["path"]) == {"Normal/Normal- (2).jpg", "Normal/Normal- (3).jpg"}
    assert rejected["reason"].str.len().min() > 10
    assert len(run.read_table("catalog")) == 10
