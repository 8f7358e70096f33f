import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.robustness import acquisition_shift

CLASSES = ["Normal", "Stone"]


class BrightnessModel:
    """Says Stone where the red channel is brighter than the middle."""

    image_size = 8

    def batch(self, pixels):
        assert pixels.shape[1:] == (8, 8, 3)
        stone = pixels[..., 0].mean(axis=(1, 2)) > 127
        return np.stack([~stone, stone], axis=1).astype(float)


@pytest.fixture
def images():
    levels = np.array([40, 210, 60, 190], np.uint8)
    return np.broadcast_to(levels[:, None, None], (4, 8, 8)).copy()


@pytest.fixture
def rows():
    labels = ["Normal", "Stone", "Normal", "Stone"]
    return pd.DataFrame({"path": list("abcd"), "label": labels, "group": [0, 1, 2, 3]})


def image():
    return np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)


def opened(name):
    return Image.open(io.BytesIO(acquisition_shift.SHIFTS[name](image())))


def test_files_are_what_their_names_say():
    assert opened("RGB, as published").mode == "RGB"
    assert opened("one channel").mode == "L"
    assert opened("16 bit").mode.startswith("I;16")
    red, _, blue = (np.asarray(opened("colour cast"))[..., k].astype(int) for k in range(3))
    assert (red >= blue).all()
    assert (red > blue).any()


@pytest.mark.parametrize("name", ["RGB, as published", "one channel", "16 bit"])
def test_the_step_brings_back_the_same_pixels(name):
    stepped = acquisition_shift.with_gray_step(acquisition_shift.SHIFTS[name](image()))
    for channel in range(3):
        np.testing.assert_array_equal(stepped[..., channel], image())


def test_the_step_takes_a_colour_cast_away_and_no_window():
    cast = acquisition_shift.with_gray_step(acquisition_shift.SHIFTS["colour cast"](image()))
    assert np.ptp(cast, axis=2).max() == 0
    for name in ("narrow window", "wide window", "shifted window"):
        file = acquisition_shift.SHIFTS[name](image())
        np.testing.assert_array_equal(
            acquisition_shift.with_gray_step(file), acquisition_shift.without_gray_step(file)
        )
        assert not np.array_equal(acquisition_shift.with_gray_step(file)[..., 0], image())


def test_files_of_one_channel_cannot_be_fed_without_the_step():
    for name in ("one channel", "16 bit"):
        assert acquisition_shift.without_gray_step(acquisition_shift.SHIFTS[name](image())) is None
    assert acquisition_shift.unchanged_by_gray_step(image())


def scores_of(images, rows, name):
    files = [acquisition_shift.SHIFTS[name](image) for image in images[rows.index]]
    return acquisition_shift.evaluate(
        BrightnessModel(), files, rows, CLASSES, bootstrap=Bootstrap(100, 0)
    )


def test_every_variant_is_scored_with_and_without(images, rows):
    results = {name: scores_of(images, rows, name) for name in acquisition_shift.SHIFTS}
    assert results["one channel"]["without"] is None
    assert results["RGB, as published"]["with"]["accuracy"] == 1
    table = acquisition_shift.comparison_table({"slice": results})
    assert len(table) == 2 * len(results)
    unfed = table[(table["condition"] == "16 bit") & (table["gray_step"] == "without")]
    assert unfed["accuracy"].isna().all()
    fed = table[(table["condition"] == "one channel") & (table["gray_step"] == "with")].iloc[0]
    metrics = results["one channel"]["with"]
    assert [fed["accuracy_low"], fed["accuracy_high"]] == metrics["accuracy_ci95"]


def test_chosen_rows_are_scored_on_their_own_files(images, rows):
    metrics = scores_of(images, rows.loc[[1, 3]], "RGB, as published")["with"]
    assert metrics["n"] == 2
    assert metrics["per_class"]["Stone"]["recall"] == 1


def test_external_files_are_read_and_resized(rows):
    files = []
    for level in (10, 250, 250, 250):
        file = io.BytesIO()
        Image.fromarray(np.full((20, 30), level, np.uint8)).save(file, format="PNG")
        files.append(file.getvalue())
    scores = acquisition_shift.evaluate(
        BrightnessModel(), files, rows, CLASSES, bootstrap=Bootstrap(100, 0)
    )
    assert scores["with"]["accuracy"] == 0.75
    assert scores["without"] is None


def test_no_images_are_refused(images, rows):
    with pytest.raises(StudyError, match="no images"):
        scores_of(images, rows[:0], "RGB, as published")
