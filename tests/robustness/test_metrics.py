"""Against a slow, literal reading of what the numbers mean."""

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_table
from kidneyct_lib.robustness import metrics
from kidneyct_lib.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kidneyct_lib.study.run_folder import Run

CLASSES = ["Cyst", "Normal", "Stone"]
NAMES = list(CORRUPTIONS)[:2]
SAMPLING = Bootstrap(200, 3)


@pytest.fixture
def rows():
    groups = np.repeat(np.arange(7), [3, 5, 1, 4, 2, 6, 2])
    labels = np.array(CLASSES)[np.array([0, 1, 2, 0, 1, 2, 0])[groups]]
    return pd.DataFrame({"label": labels, "group": groups})


def predictions(rows, seed, n=None):
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet([1, 1, 1], len(rows) if n is None else n)
    return drawn


@pytest.fixture
def corrupted(rows):
    return {
        name: [predictions(rows, 10 * i + severity) for severity in SEVERITIES]
        for i, name in enumerate(NAMES, 1)
    }


@pytest.fixture
def counts(rows, corrupted):
    return metrics.tally(rows, predictions(rows, 0), corrupted, CLASSES)


def balanced_error(rows, probabilities):
    right = np.array(CLASSES)[probabilities.argmax(axis=1)] == rows["label"].to_numpy()
    return 1 - np.mean([right[rows["label"] == name].mean() for name in set(rows["label"])])


def test_tallies_count_right_slices(rows, corrupted, counts):
    assert len(counts) == len(NAMES) * 7
    row = counts.query("corruption == @NAMES[1] and group == 5").iloc[0]
    mine = (rows["group"] == 5).to_numpy()
    chosen = np.array(CLASSES)[corrupted[NAMES[1]][3].argmax(axis=1)]
    assert (row["label"], row["n"]) == ("Stone", 6)
    assert row["right_4"] == (chosen[mine] == "Stone").sum()
    assert (counts.groupby("group")["right_0"].nunique() == 1).all(), "clean is the same for all"


def test_errors_are_those_of_the_answers(rows, corrupted, counts):
    result = metrics.summarise(counts, bootstrap=SAMPLING)
    clean = balanced_error(rows, predictions(rows, 0))
    expected = {n: [balanced_error(rows, a) for a in corrupted[n]] for n in NAMES}
    assert (result["n"], result["groups"]) == (23, 7)
    assert result["clean"] == pytest.approx(clean)
    assert result["corrupted"] == pytest.approx(np.mean(list(expected.values())))
    assert result["increase"] == pytest.approx(np.mean(list(expected.values())) - clean)
    for name in NAMES:
        one = result["by_corruption"][name]
        assert one["balanced_error"] == pytest.approx(expected[name])
        assert one["mean"] == pytest.approx(np.mean(expected[name]))
        assert one["increase"] == pytest.approx(np.mean(expected[name]) - clean)


def test_intervals_are_of_whole_groups(rows, corrupted, counts):
    result = metrics.summarise(counts, bootstrap=SAMPLING)
    series = [predictions(rows, 0), *corrupted[NAMES[0]], *corrupted[NAMES[1]]]
    drawn = []
    for times in SAMPLING.times(7):
        index = np.concatenate(
            [np.flatnonzero(rows["group"] == g) for g in range(7) for _ in range(times[g])]
        )
        resample = rows.iloc[index]
        drawn.append([balanced_error(resample, a[index]) for a in series])
    drawn = np.array(drawn)

    def interval(values):
        return pytest.approx(np.quantile(values, [0.025, 0.975]).tolist())

    mean = drawn[:, 1:].mean(axis=1)
    assert result["clean_ci95"] == interval(drawn[:, 0])
    assert result["corrupted_ci95"] == interval(mean)
    assert result["increase_ci95"] == interval(mean - drawn[:, 0])
    second = result["by_corruption"][NAMES[1]]
    assert second["balanced_error_ci95"][2] == interval(drawn[:, 6 + 2])
    assert second["increase_ci95"] == interval(drawn[:, 6:].mean(axis=1) - drawn[:, 0])


def test_of_one_group_nothing_is_known(rows, corrupted):
    one = (rows["group"] == 1).to_numpy()
    degraded = {name: [a[one] for a in series] for name, series in corrupted.items()}
    counts = metrics.tally(rows[one], predictions(rows, 0)[one], degraded, CLASSES)
    result = metrics.summarise(counts, bootstrap=SAMPLING)
    assert result["clean_ci95"] == result["corrupted_ci95"] == [0, 1]
    assert result["increase_ci95"] == [-1, 1]


def test_a_model_does_not_differ_from_itself(counts):
    result = metrics.compare(counts, counts.sample(frac=1, random_state=0), bootstrap=SAMPLING)
    for name in ("clean", "corrupted", "increase"):
        assert result[name] == 0
        assert result[f"{name}_ci95"] == [0, 0]


def test_the_difference_is_compared_minus_baseline(rows, corrupted, counts):
    truth = np.eye(3)[rows["label"].map(CLASSES.index)]
    perfect = metrics.tally(rows, truth, {n: [truth] * 5 for n in NAMES}, CLASSES)
    result = metrics.compare(counts, perfect, bootstrap=SAMPLING)
    mine = metrics.summarise(counts, bootstrap=SAMPLING)
    for name in ("clean", "corrupted", "increase"):
        assert result[name] == pytest.approx(-mine[name])
    low, high = mine["corrupted_ci95"]
    assert result["corrupted_ci95"] == pytest.approx([-high, -low])


def test_other_slices_are_not_compared(rows, corrupted, counts):
    fewer = counts[counts["group"] != 2]
    with pytest.raises(StudyError, match="same corrupted slices"):
        metrics.compare(counts, fewer, bootstrap=SAMPLING)


def test_the_table_has_a_row_a_severity_and_clean(counts):
    result = metrics.summarise(counts, bootstrap=SAMPLING)
    table = metrics.error_table({("slice", 1): result, ("patient", 2): result})
    assert len(table) == 2 * len(NAMES) * 6
    assert (table.query("severity == 0")["balanced_error"] == result["clean"]).all()
    row = table.query("scheme == 'patient' and severity == 4 and corruption == @NAMES[1]").iloc[0]
    of_it = result["by_corruption"][NAMES[1]]
    assert row["balanced_error"] == of_it["balanced_error"][3]
    assert [row["low"], row["high"]] == of_it["balanced_error_ci95"][3]


def test_the_table_has_a_row_a_model_with_its_errors(rows, counts):
    result = metrics.summarise(counts, bootstrap=SAMPLING)
    truth = np.eye(3)[rows["label"].map(CLASSES.index)]
    perfect = metrics.tally(rows, truth, {n: [truth] * 5 for n in NAMES}, CLASSES)
    table = flat_table(
        {("slice", 1): result, ("patient", 2): metrics.summarise(perfect, bootstrap=SAMPLING)},
        ["scheme", "stage"],
    )
    assert table[["scheme", "stage", "n", "groups"]].to_numpy().tolist() == [
        ["slice", 1, 23, 7],
        ["patient", 2, 23, 7],
    ]
    for name in ("clean", "corrupted", "increase"):
        assert table[name].tolist() == [result[name], 0]
        assert [*table.loc[0, [f"{name}_low", f"{name}_high"]]] == result[f"{name}_ci95"]
    assert len(table.columns) == 4 + 3 * 3


@pytest.mark.parametrize("answered", [22, 24])
def test_an_answer_short_is_told(rows, corrupted, answered):
    corrupted[NAMES[1]][2] = predictions(rows, 1, answered)
    with pytest.raises(StudyError, match=NAMES[1]):
        metrics.tally(rows, predictions(rows, 0), corrupted, CLASSES)


def test_no_slices_are_told(rows):
    with pytest.raises(StudyError, match="no slices"):
        metrics.tally(rows[:0], np.empty((0, 3)), {}, CLASSES)


def test_the_draw_is_even_as_far_as_it_can_be(rows):
    drawn = metrics.draw(rows, 12, seed=1)
    counts = drawn["label"].value_counts()
    assert counts.to_dict() == {"Cyst": 4, "Normal": 4, "Stone": 4}
    assert drawn.index.is_monotonic_increasing
    assert metrics.draw(rows, 12, seed=1).equals(drawn)
    assert not metrics.draw(rows, 12, seed=2).equals(drawn)
    assert metrics.draw(rows, 100, seed=1).equals(rows)
    scarce = pd.DataFrame({"label": ["Cyst"] * 9 + ["Stone"]})
    assert metrics.draw(scarce, 4, seed=0)["label"].value_counts().to_dict() == {
        "Cyst": 3,
        "Stone": 1,
    }


def test_examples_are_the_slice_and_its_corruptions():
    image = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    result = metrics.examples(image, "aa", seed=4)
    assert list(result) == list(CORRUPTIONS)
    for name, images in result.items():
        np.testing.assert_array_equal(images[0], image)
        for severity, picture in zip(SEVERITIES, images[1:], strict=True):
            expected = corrupt(image, "aa", name, severity, seed=4)
            np.testing.assert_array_equal(picture, expected)


def test_the_plain_run_stands_beside_the_augmented_one(tmp_path):
    plain, augmented = Run(tmp_path / "one"), Run(tmp_path / "two")
    plain.record(study="folder", changes={"seed": 3})
    augmented.record(study="folder", changes={"seed": 3, "augment_views": 4})
    assert metrics.without_augmentation(augmented) is None
    (plain.folder / "tables").mkdir(parents=True)
    (plain.folder / "tables/robustness_counts.csv").write_text("")
    assert metrics.without_augmentation(augmented).folder == plain.folder
    assert metrics.without_augmentation(plain) is None
