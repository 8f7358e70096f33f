"""Provenance: change any input of a study, and its hash in `run.json` changes, and only its."""

import importlib.metadata
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from short_resnet import SHORT

from kidneyct_lib.models import builder
from kidneyct_lib.study import provenance
from kidneyct_lib.study.run_folder import Run, open_run

IMAGES = pd.DataFrame(
    {"path": ["a", "b"], "label": ["Cyst"] * 2, "sha256": ["1", "2"], "patient": ["p", "q"]}
)
LIBRARY = Path(provenance.__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a notebook source and a library of its own."""
    (tmp_path / "params").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_only.ipynb").write_text("cells")
    shutil.copytree(LIBRARY, tmp_path / "library", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "library/study/provenance.py"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hashes(parameters=None, images=IMAGES, external=IMAGES):
    """All hashes that a run of one notebook leaves."""
    run = open_run("run", "01_only", parameters or {"seed": 1})
    run.record_images("data", Path("data"), images)
    run.record_images("external", Path("external"), external)
    run.finish()
    known = run.provenance()
    assert known == Run("run").provenance()
    return {
        "parameters": known["parameters_sha256"],
        "library": known["library_sha256"],
        "environment": known["environment_sha256"],
        "data": known["data"]["sha256"],
        "external": known["external"]["sha256"],
        "notebook": known["notebooks"]["01_only"]["source_sha256"],
    }


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_the_same_inputs_have_the_same_hashes(project):
    assert hashes() == hashes()


def test_a_parameter_changes_its_hash(project):
    assert changed(hashes(), hashes(parameters={"seed": 2})) == {"parameters"}


@pytest.mark.parametrize("column", IMAGES.columns)
@pytest.mark.parametrize("role", ["data", "external"])
def test_a_name_label_content_or_patient_of_one_image_changes_its_hash(project, role, column):
    other = IMAGES.copy()
    other.loc[1, column] = "other"
    assert changed(hashes(), hashes(**{"images" if role == "data" else role: other})) == {role}
    fewer = hashes(**{"images" if role == "data" else role: IMAGES[:1]})
    assert changed(hashes(), fewer) == {role}


@pytest.mark.parametrize(
    "module", ["splitting/holdout.py", "data/phantom/paint.py", "plots/journal.py"]
)
def test_a_line_of_the_library_changes_its_hash(project, module):
    before = hashes()
    with (project / "library" / module).open("a") as file:
        file.write("# one more line\n")
    assert changed(before, hashes()) == {"library"}


def test_what_only_describes_a_run_is_not_part_of_the_library_hash(project):
    before = hashes()
    for name in provenance._NOT_IN_RESULTS:
        path = project / "library" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert hashes() == before


def with_versions(versions, requires):
    """Stands in for `importlib.metadata.distribution`: other versions, one more requirement."""

    def distribution(name):
        if name in versions:
            return SimpleNamespace(version=versions[name], requires=[])
        known = importlib.metadata.distribution(name)
        more = requires if name == "kidneyct" else []
        return SimpleNamespace(version=known.version, requires=[*(known.requires or []), *more])

    return distribution


@pytest.mark.parametrize(
    ("versions", "requires", "moved"),
    [
        ({"keras": "0.1"}, [], True),
        ({"h5py": "0.1"}, [], True),  # Keras needs it
        ({"one-more": "1.0"}, ["One_More>=1"], True),
        ({"one-more": "1.0"}, ["one-more; extra == 'dask'"], False),
        ({"one-more": "1.0"}, [], False),
        ({"ruff": "0.1"}, [], False),
    ],
)
def test_what_the_project_requires_changes_the_environment_hash(
    project, monkeypatch, versions, requires, moved
):
    before = hashes()
    monkeypatch.setattr(provenance, "distribution", with_versions(versions, requires))
    provenance._required.cache_clear()
    try:
        assert changed(before, hashes()) == ({"environment"} if moved else set())
    finally:
        provenance._required.cache_clear()


def test_a_python_and_a_backend_change_the_environment_hash(project, monkeypatch):
    before = hashes()
    with monkeypatch.context() as changes:
        changes.setattr(provenance.platform, "python_version", lambda: "3.99.0")
        assert changed(before, hashes()) == {"environment"}
    monkeypatch.setenv("KERAS_BACKEND", "other")
    assert changed(before, hashes()) == {"environment"}


def test_a_cell_of_the_notebook_changes_its_hash(project):
    before = hashes()
    (project / "notebooks/01_only.ipynb").write_text("other cells")
    assert changed(before, hashes()) == {"notebook"}


def test_a_single_weight_changes_the_hash_of_the_network():
    net = builder.build(
        builder.NetworkSettings(
            recipe="published",
            backbone=SHORT,
            weights="none",
            image_size=32,
            classes=["a", "b"],
            head_units=4,
            dropout=0.3,
            seed=1,
            crop_size=224,
        )
    )
    before = builder.digest(net)
    layer = net.get_layer("conv5_block3_2_conv")
    kernel, bias = layer.get_weights()
    kernel[0, 0, 0, 0] = np.nextafter(kernel[0, 0, 0, 0], 1, dtype=np.float32)
    layer.set_weights([kernel, bias])
    assert builder.digest(net) != before


def test_the_git_state_tells_commit_and_dirt(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "params").mkdir()
    monkeypatch.chdir(tmp_path)
    assert provenance.git_state(tmp_path) == {"commit": None, "dirty": None}
    git("init")
    git("config", "user.email", "a@b.c")
    git("config", "user.name", "n")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    assert provenance.git_state(tmp_path)["dirty"] is False
    assert len(provenance.git_state(tmp_path)["commit"]) == 40
    (tmp_path / "file").write_text("2")
    assert provenance.git_state(tmp_path)["dirty"] is True
