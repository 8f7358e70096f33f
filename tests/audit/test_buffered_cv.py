import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidneyct_lib.audit import buffered_cv
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation

SCORING = Bootstrap(100, 1)


@given(
    group=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    most=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_a_block_is_one_run_of_a_series_and_distances_count_its_slices(group, most, seed):
    group = np.array(group)
    distance = buffered_cv.distance_to_block(group, most=most, seed=seed)
    for name in np.unique(group):
        result = distance[group == name]
        if len(result) == 1:
            assert result[0] == -1
            continue
        block = np.flatnonzero(result == 0)
        assert len(block) == min(most, max(1, len(result) // 3))
        assert (np.diff(block) == 1).all()
        for place, value in enumerate(result):
            assert value == min(abs(place - inside) for inside in block)


def test_blocks_lie_at_random_places_of_the_seed():
    group = np.repeat(np.arange(20), 30)
    one, same, other = (buffered_cv.distance_to_block(group, most=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    starts = {int(np.argmin(one[group == name])) for name in range(20)}
    assert len(starts) > 5


@pytest.mark.parametrize("gap", [0, 1, 3, 100, None])
def test_exactly_the_gap_is_dropped_from_training(gap):
    group = np.repeat([0, 1, 2], [10, 12, 1])
    tested = np.repeat([0, 1, 0], [10, 12, 1])
    distance = buffered_cv.distance_to_block(group, most=2, seed=4)
    train, test = buffered_cv.gap_parts(tested, distance, 0, gap)
    block = [row for row in range(10) if distance[row] == 0]
    assert list(np.flatnonzero(test)) == block
    for row in range(23):
        if group[row] == 1:  # another fold: all of it, its own block too
            assert train[row]
        elif group[row] == 2:  # a single slice of the fold has no block
            assert not train[row]
        else:
            between = min(abs(row - inside) for inside in block) - 1  # slices left out
            assert train[row] == (gap is not None and row not in block and between >= gap)


def test_the_widest_gap_is_the_split_by_patient(synthetic_probe):
    probe = synthetic_probe(informed=1.0, slices=9)
    tested = cross_validation.assign_folds(probe.table, "patient", folds=3, seed=1)
    rows = buffered_cv.buffered_curve(probe, tested, [0, 1], block=2, bootstrap=SCORING)
    chosen = buffered_cv.distance_to_block(probe.table["group"], most=2, seed=1) == 0
    expected = probe.score(probe.out_of_fold(tested)[chosen], chosen, bootstrap=SCORING)
    assert rows[-1]["gap"] is None
    assert rows[-1]["accuracy"] == expected["accuracy"]
    assert rows[-1]["n"] == chosen.sum() == 48
    json.dumps(rows, allow_nan=False)


def test_wider_gaps_leave_less_to_know(synthetic_probe):
    probe = synthetic_probe(classes=["Normal", "Stone"], groups=20, slices=30, step=0.6)
    tested = cross_validation.assign_folds(probe.table, "patient", folds=4, seed=1)
    rows = buffered_cv.buffered_curve(probe, tested, [0, 5, 20, 500], block=3, bootstrap=SCORING)
    assert [row["gap"] for row in rows] == [0, 5, 20, None]  # no series is as long as 500
    left = [row["series_left"] for row in rows]
    assert left == sorted(left, reverse=True)
    assert (left[0], left[-1]) == (40, 0)
    assert rows[0]["accuracy"] > rows[-1]["accuracy"] + 0.2


def test_a_copy_of_a_tested_file_is_never_trained_on(synthetic_probe):
    probe = synthetic_probe(slices=9)
    first = (probe.table["group"] == 0).to_numpy()
    table = probe.table.copy()
    table.loc[first, "sha256"] = "one file"
    trained = []

    class Watched(type(probe)):
        def predict(self, train, test):
            trained.append((train & first).sum())
            return super().predict(train, test)

    tested = cross_validation.assign_folds(table, "patient", folds=3, seed=1)
    watched = Watched(probe.estimator, probe.features, table, probe.classes)
    buffered_cv.buffered_curve(watched, tested, [0], block=2, bootstrap=SCORING)
    assert sorted(trained[:3]) == [0, 9, 9]  # none in its own fold's fit, all in the others'


def test_series_of_single_slices_have_no_gaps(synthetic_probe):
    probe = synthetic_probe(slices=1)
    tested = np.arange(len(probe.table)) % 3
    assert (
        buffered_cv.buffered_curve(replace(probe), tested, [0, 1], block=2, bootstrap=SCORING) == []
    )


@given(group=st.lists(st.sampled_from("dacb"), max_size=30), seed=st.integers(0, 9))
def test_places_of_blocks_are_drawn_in_the_order_in_which_series_appear(group, seed):
    rng = np.random.default_rng(seed)
    expected = np.full(len(group), -1)
    for name in dict.fromkeys(group):
        members = [row for row, other in enumerate(group) if other == name]
        if len(members) > 1:
            length = min(2, max(1, len(members) // 3))
            start = rng.integers(len(members) - length + 1)
            for place, row in enumerate(members):
                expected[row] = max(start - place, place - (start + length - 1), 0)
    result = buffered_cv.distance_to_block(group, most=2, seed=seed)
    assert result.tolist() == expected.tolist()
