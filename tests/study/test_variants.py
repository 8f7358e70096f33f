"""Varied studies: each in its own folder, told by its name, with the minutes to expect."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import parameters, variants
from kidneyct_lib.study.variants import run_folder, scaled_minutes

ROOT = Path(__file__).parents[2]


def test_another_seed_has_its_own_folder():
    values = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(values) == "outputs/phantom"
    assert run_folder(values, seed=values.seed) == "outputs/phantom"
    assert run_folder(values, seed=5) == "outputs/phantom-seed5"


def test_another_image_size_has_its_own_folder_and_its_own_seeds():
    values = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(values, image_size=values.image_size) == "outputs/phantom"
    assert run_folder(values, image_size=448) == "outputs/phantom-448px"
    assert run_folder(values, seed=5, image_size=448) == "outputs/phantom-448px-seed5"


def test_another_recipe_has_its_own_folder():
    values = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(values, recipe="published") == "outputs/phantom"
    assert run_folder(values, recipe="patient", seed=5) == "outputs/phantom-patient-seed5"


def test_another_number_of_folds_has_its_own_folder():
    values = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(values, folds=values.folds) == "outputs/phantom"
    assert run_folder(values, folds=1, augment_views=2) == "outputs/phantom-1fold-augmented2"


def test_minutes_go_with_the_pixels_and_partly_with_the_folds():
    values = parameters.load(ROOT / "params/folder.yaml")
    assert scaled_minutes(values) == values.expected_minutes == 60
    assert scaled_minutes(values, image_size=224) == 60
    assert scaled_minutes(values, image_size=112) == 15
    assert scaled_minutes(values, image_size=448, folds=5) == 240
    assert scaled_minutes(values, folds=1) == 40
    assert scaled_minutes(values, recipe="published", folds=1) == 40
    assert scaled_minutes(values, recipe="patient", folds=1) == 60


def test_another_number_of_views_has_its_own_folder():
    values = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(values, augment_views=0) == "outputs/phantom"
    assert run_folder(values, augment_views=4) == "outputs/phantom-augmented4"
    assert run_folder(values, seed=5, augment_views=4) == "outputs/phantom-augmented4-seed5"
    own = parameters.load(ROOT / "params/phantom.yaml", augment_views=4, weights="none")
    assert run_folder(own) == "outputs/phantom-untrained"
    assert run_folder(own, augment_views=4) == "outputs/phantom-untrained"
    assert run_folder(own, augment_views=0) == "outputs/phantom-untrained-augmented0"


def test_an_untrained_backbone_marks_the_folder_of_all_its_results():
    values = parameters.load(ROOT / "params/phantom.yaml", weights="none")
    assert run_folder(values) == "outputs/phantom-untrained"
    assert run_folder(values, seed=5) == "outputs/phantom-untrained-seed5"
    assert run_folder(values, seed=5, image_size=320) == "outputs/phantom-untrained-320px-seed5"


@pytest.fixture
def project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_any_other_parameter_marks_the_folder_in_letters_that_files_take(project):
    own = parameters.load(ROOT / "params/phantom.yaml")
    assert run_folder(own, stage2_epochs=own.stage2_epochs) == "outputs/phantom"
    assert run_folder(own, stage2_epochs=3, seed=5) == "outputs/phantom-seed5-stage2_epochs=3"
    assert run_folder(own, stage1_learning_rate=1e-5) == (
        "outputs/phantom-stage1_learning_rate=1e-05"
    )
    assert run_folder(own, deployment_threads=[1, 2]) == "outputs/phantom-deployment_threads=1,2"
    odd = run_folder(own, must_not_miss=["a/b: *?", "x" * 200])
    assert len(odd) < 60
    assert set(odd.removeprefix("outputs/")).isdisjoint('/\\:*?"<>| ')


names = st.text(min_size=1, max_size=60)


@given(st.lists(names, min_size=1, max_size=3), st.lists(names, min_size=1, max_size=3))
def test_two_values_of_a_parameter_never_share_a_folder(one, other):
    own = parameters.load(ROOT / "params/phantom.yaml")
    same = run_folder(own, must_not_miss=one) == run_folder(own, must_not_miss=other)
    assert same == (one == other)


def test_a_variant_has_its_own_folder_minutes_and_changes(project):
    own = variants.load("phantom").params
    assert own.run_folder == "outputs/phantom"
    params, changes = variants.load("phantom", {"seed": 3, "folds": own.folds, "recipe": None})
    assert (params.seed, params.run_folder, changes) == (3, "outputs/phantom-seed3", {"seed": 3})
    assert params.expected_minutes == own.expected_minutes
    params, changes = variants.load("phantom", {"audit_c": 1}, {"masks": "/m"})
    assert (params.audit_c, params.masks, changes) == (1.0, "/m", {"audit_c": 1})
    assert params.run_folder == "outputs/phantom-audit_c=1.0"
    half = variants.load("phantom", {"image_size": own.image_size // 2}).params
    assert half.expected_minutes == own.expected_minutes / 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "did you mean 'seed'"),
        ({"seed": "one"}, "seed = 'one'"),
        ({"cache_folder": "x"}, "cache_folder is no parameter to vary"),
        ({"data": "x"}, "data is no parameter to vary"),
    ],
)
def test_wrong_changes_are_told(project, changes, message):
    with pytest.raises(StudyError, match=message):
        variants.load("phantom", changes)
