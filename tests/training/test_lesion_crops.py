"""What the U-Nets are shown: crops with their lesions, in place or pasted."""

from dataclasses import replace

import cv2
import lesion_study
import numpy as np
import pytest
from lesion_study import SETTINGS, SIDE, TARGETS, N

from kidneyct_lib.data.augmentation import Augmentation
from kidneyct_lib.training.lesion_crops import Batches

pytestmark = pytest.mark.usefixtures("untraced")
CALM = replace(SETTINGS, augmentation=Augmentation(0, 0, 0))


@pytest.fixture(scope="module")
def examples():
    return lesion_study.examples(lesion_study.network(), *lesion_study.drawn())


def test_a_lesion_is_cropped_as_its_slice_is(examples):
    assert sorted(examples.masks) == np.flatnonzero(TARGETS).tolist()
    for row, mask in examples.masks.items():
        bright = examples.crops[row] > 130  # soft tissue is shown at 110, the dots far above
        assert (bright & (mask > 64)).sum() > 0.9 * bright.sum() > 0


def test_cells_hold_lesions_where_the_crops_show_them(examples):
    crops, cells = Batches(examples, np.arange(N), CALM).draw(3)
    assert crops.shape == (8, SIDE, SIDE, 3)
    assert cells.shape == (8, SIDE // 4, SIDE // 4, 1)
    assert set(np.unique(cells)) == {0, 1}
    bright = cv2.resize(
        (crops[..., 0].transpose(1, 2, 0) > 130).astype(np.float32),
        (12, 12),
        interpolation=cv2.INTER_AREA,
    ).transpose(2, 0, 1)
    assert bright[cells[..., 0] == 1].min() > 0
    assert bright[cells[..., 0] == 0].max() < 0.8


def test_lesions_are_pasted_into_slices_without_one(examples):
    without = np.flatnonzero(TARGETS == 0)
    batches = Batches(examples, np.arange(N), CALM)
    batches._with.rows = np.array([], int)  # none as it is: what is there was pasted
    drawn = [batches.draw(step) for step in range(6)]
    cells = np.concatenate([cells for _, cells in drawn]).max(axis=(1, 2, 3))
    crops = np.concatenate([crops for crops, _ in drawn])
    assert 0.1 < cells.mean() < 0.6
    assert (crops[cells == 1].max(axis=(1, 2, 3)) > 130).all()
    assert crops[cells == 0].max() < 130
    assert examples.crops[without].max() < 130  # the study's own crops stay as they are


def test_a_step_has_its_own_draw(examples):
    batches = Batches(examples, np.arange(N), SETTINGS)
    one, same, other = batches.draw(1), batches.draw(1), batches.draw(2)
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert (one[0] != other[0]).any()
    assert (one[0] != Batches(examples, np.arange(N), replace(SETTINGS, seed=2)).draw(1)[0]).any()


def test_each_lesion_is_marked_in_its_own_output(examples):
    codes = np.where(np.arange(N) % 4 == 1, 1, examples.codes)
    two = replace(examples, codes=codes)
    rows = np.flatnonzero(codes == 1)
    _, cells = Batches(two, rows, CALM).draw(0)
    assert cells.shape[-1] == 2
    assert cells[..., 1].any()
    assert not cells[..., 0].any()


def test_without_any_lesion_nothing_is_marked(examples):
    _, cells = Batches(examples, np.flatnonzero(TARGETS == 0), CALM).draw(0)
    assert not cells.any()
