import numpy as np
import pytest

from kidneyct_lib.evaluation.bootstrap import (
    Bootstrap,
    estimate,
    flat_row,
    flat_table,
    group_interval,
    percentile_interval,
)

SAMPLING = Bootstrap(300, 4)


def interval(numerator, denominator, group, **bounds):
    return SAMPLING.ratio("it", numerator, denominator, group, **bounds)["it_ci95"]


def literal_interval(numerator, denominator, group, bootstrap, seed):
    """Draw groups, then slices, one resample after the other."""
    names = np.unique(group)
    rng = np.random.default_rng(seed)
    ratios = []
    for times in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=bootstrap):
        rows = np.concatenate([np.flatnonzero(group == g) for g in np.repeat(names, times)])
        if denominator[rows].sum() > 0:
            ratios.append(numerator[rows].sum() / denominator[rows].sum())
    return np.quantile(ratios, [0.025, 0.975])


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_drawing_groups_one_by_one(seed):
    rng = np.random.default_rng(seed)
    group = rng.integers(5, 30, 200)  # codes with gaps: groups that are not there are not drawn
    found, among = rng.random(200), rng.random(200) < 0.4
    expected = literal_interval(found * among, among, group, 300, 4)
    np.testing.assert_allclose(interval(found * among, among, group), expected, rtol=1e-12)


def test_resamples_without_a_group_that_counts_are_left_out():
    group = np.arange(40)
    among = group < 2  # two of 40 groups: most resamples miss one or both
    assert interval(group == 0, among, group) == [0.0, 1.0]
    assert np.isfinite(interval(among, among, group)).all()


def test_one_group_says_nothing_of_others():
    once, group = np.ones(9), np.full(9, 3)
    assert interval(once, once, group, bounds=(0, 2)) == [0.0, 2.0]
    among = np.arange(9) < 3
    assert interval(among, among, np.repeat([0, 1, 2], 3)) == [0.0, 1.0]


def test_as_many_groups_are_drawn_as_there_are():
    times = Bootstrap(50, 0).times(7)
    assert times.shape == (50, 7)
    assert (times.sum(axis=1) == 7).all()
    assert (times != Bootstrap(50, 1).times(7)).any()


def test_percentiles_cut_both_sides():
    assert percentile_interval(np.arange(1001)) == pytest.approx([25, 975])


def test_of_one_group_the_bounds_are_all_that_is_known():
    values = np.arange(1001)
    assert group_interval(values, 2, bounds=(-1, 1)) == percentile_interval(values)
    assert group_interval(values, 1, bounds=(-1, 1)) == [-1.0, 1.0]


def test_a_ratio_stands_beside_its_interval():
    group = np.repeat([0, 1, 2], 3)
    found, among = np.arange(9) % 2, np.ones(9)
    ratio = SAMPLING.ratio("recall", found, among, group, bounds=(0, 2))
    assert ratio == {"recall": pytest.approx(4 / 9), "recall_ci95": interval(found, among, group)}


def test_a_value_stands_beside_the_interval_of_its_resamples():
    values = np.arange(1001)
    found = estimate("error", np.float64(0.5), values, 2)
    assert found == {"error": 0.5, "error_ci95": percentile_interval(values)}
    assert estimate("error", 0.5, values, 1)["error_ci95"] == [0.0, 1.0]


def test_a_result_becomes_a_row():
    result = {
        "n": 3,
        "a": 0.5,
        "a_ci95": [0.1, 0.9],
        "a_wilson95": [0.4, 0.6],
        "thresholds": [1, 2],
        "in": {"x": 1},
        "p": None,
    }
    expected = {"n": 3, "a": 0.5, "a_low": 0.1, "a_high": 0.9, "p": None}
    expected |= {"a_wilson_low": 0.4, "a_wilson_high": 0.6}
    assert flat_row(result) == expected


def test_results_become_a_table_with_their_keys():
    results = {("slice", 1): {"a": 0.5, "a_ci95": [0.1, 0.9]}, ("patient", 2): {"a": 1, "b": 2}}
    table = flat_table(results, ["scheme", "stage"])
    assert list(table.columns) == ["scheme", "stage", "a", "a_low", "a_high", "b"]
    assert table.iloc[0, :5].tolist() == ["slice", 1, 0.5, 0.1, 0.9]
    assert table[["scheme", "stage", "b"]].iloc[1].tolist() == ["patient", 2, 2]
