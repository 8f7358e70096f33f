"""A slice shown otherwise."""

import numpy as np
import pytest
from explored_run import write_export

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.deployment.predictor import ExportedModel
from kidneyct_lib.explore.what_if import Change, answer, changed, enlarged
from kidneyct_lib.robustness.corruptions import changes, corrupt

GRAY = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)


def test_without_a_change_it_is_the_slice_as_stored():
    np.testing.assert_array_equal(changed(GRAY, Change(), "key"), GRAY)


@pytest.mark.parametrize("shift", [-60, 25, 100])
def test_a_moved_window_is_the_window_shift_of_the_corruptions(shift):
    expected = changes.window_shift(GRAY, shift, np.random.default_rng(0))
    np.testing.assert_array_equal(changed(GRAY, Change(center=40 + shift), "key"), expected)


def test_half_the_width_doubles_the_contrast_about_the_center():
    ramp = np.arange(256, dtype=np.uint8)[None]
    expected = (2.0 * (ramp - 127.5) + 127.5).clip(0, 255)
    np.testing.assert_allclose(changed(ramp, Change(width=200), "key"), expected, atol=0.51)


def test_a_quarter_turn_is_anticlockwise():
    turned = changed(GRAY, Change(rotation=90), "key")
    assert (turned == np.rot90(GRAY))[1:-1, 1:-1].mean() > 0.99


def test_noise_has_the_standard_deviation_asked_for_and_stands_still():
    flat = np.full((200, 200), 128, np.uint8)
    noisy = changed(flat, Change(noise=0.1), "key")
    assert noisy.std() == pytest.approx(25.5, rel=0.03)
    np.testing.assert_array_equal(changed(flat, Change(noise=0.1), "other"), noisy)


def test_a_corruption_is_that_of_the_study_and_comes_last():
    window = changed(GRAY, Change(width=300), "key")
    expected = corrupt(window, "key", "impulse noise", 4, seed=0)
    change = Change(width=300, corruption="impulse noise", severity=4)
    np.testing.assert_array_equal(changed(GRAY, change, "key"), expected)
    assert (expected != window).any()


def test_an_unknown_corruption_is_refused():
    with pytest.raises(StudyError, match="no corruption 'snow'"):
        changed(GRAY, Change(corruption="snow"), "key")


def test_the_model_answers_the_changed_slice(tmp_path):
    write_export(tmp_path / "export")
    model = ExportedModel(tmp_path / "export")
    gray = np.full((16, 24), 51, np.uint8)
    result = answer(model, gray)
    np.testing.assert_allclose(result.probabilities, [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(result.maps, np.full((2, 3, 2), 51), rtol=1e-5)
    assert result.distance == pytest.approx(0.2)
    brighter = answer(model, changed(gray, Change(center=-60), "key"))
    assert brighter.probabilities[1] > 0.4


def test_maps_are_shares_of_their_highest_value_and_nothing_below_0():
    shown = enlarged(np.array([[-3.0, 1], [0, 4]]), (8, 12))
    assert shown.shape == (8, 12)
    assert (shown.min(), shown.max()) == (0, 1)
    assert shown[0, 0] == 0 and shown[-1, -1] == 1
    assert not enlarged(np.full((2, 2), -1.0), (4, 4)).any()
