import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import Fold, Predictions
from kidneyct_lib.uncertainty import conformal

CLASSES = ["A", "B", "C", "D"]
SAMPLING = Bootstrap(100, 0)
MARGINAL = {"unit": "slices", "conditional": False, "coverage": 0.9, "seed": 0}


def drawn(n, seed, groups=None):
    """Answers whose true classes follow their probabilities."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.4] * 4, n)
    true = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 3)
    return Predictions(true, probabilities, np.arange(n) if groups is None else groups)


def correlated(groups, size, seed):
    """Groups of a few slices whose answers are all good or all bad."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.integers(0, 4, groups), size)
    skill = np.repeat(rng.normal(1, 2, groups), size)
    logits = rng.normal(size=(groups * size, 4)) * 0.2
    logits[np.arange(groups * size), true] += skill
    odds = np.exp(logits)
    return Predictions(
        true, odds / odds.sum(axis=1, keepdims=True), np.repeat(np.arange(groups), size)
    )


# --- scores -----------------------------------------------------------------------------------


def test_scores_on_an_example():
    probabilities = np.array([[0.5, 0.1, 0.4], [0.2, 0.2, 0.6]])
    np.testing.assert_allclose(
        conformal.lac_scores(probabilities), [[0.5, 0.9, 0.6], [0.8, 0.8, 0.4]]
    )
    aps = conformal.aps_scores(probabilities)
    np.testing.assert_allclose(aps, [[0, 0.9, 0.5], [0.6, 0.8, 0]], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda p: sum(p) > 0.01))
@settings(max_examples=50, deadline=None)
def test_no_score_exceeds_one_and_the_likeliest_class_conforms_best(parts):
    probabilities = np.array([parts]) / sum(parts)
    for score in conformal.METHODS.values():
        scores = score(probabilities)[0]
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores[probabilities[0].argmax()] == scores.min()


# --- threshold --------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
@settings(max_examples=100, deadline=None)
def test_the_threshold_is_the_literal_order_statistic(scores, coverage):
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    expected = sorted(scores)[rank - 1] if rank <= len(scores) else 1.0
    found = conformal.conformal_threshold(np.array(scores), np.ones(len(scores)), coverage)
    assert found == expected


def test_nine_units_are_enough_for_ninety_percent_and_eight_are_not():
    scores = np.linspace(0.1, 0.5, 9)
    assert conformal.conformal_threshold(scores, np.ones(9), 0.9) == 0.5
    assert conformal.conformal_threshold(scores[:8], np.ones(8), 0.9) == 1.0
    assert conformal.conformal_threshold(np.empty(0), np.empty(0), 0.9) == 1.0


def test_weighed_slices_count_like_their_groups():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    group = np.array([0, 0, 0, 0, 1])
    weights = conformal.unit_weights(group, "groups", seed=0)
    # Two groups and one to come: 1/3 is reached with the first, 2/3 with the second.
    assert conformal.conformal_threshold(scores, weights, 1 / 3) == 0.4
    assert conformal.conformal_threshold(scores, weights, 0.34) == 0.9
    assert conformal.conformal_threshold(scores, weights, 0.67) == 1.0


def test_units():
    group = np.repeat([3, 8, 9], [1, 4, 5])
    np.testing.assert_array_equal(conformal.unit_weights(group, "slices", seed=0), np.ones(10))
    shared = conformal.unit_weights(group, "groups", seed=0)
    np.testing.assert_allclose(shared, 1 / np.repeat([1, 4, 5], [1, 4, 5]))
    chosen = set()
    for seed in range(40):
        one = conformal.unit_weights(group, "one_per_group", seed=seed)
        assert set(one) == {0.0, 1.0}
        assert group[one > 0].tolist() == [3, 8, 9]
        chosen |= set(np.flatnonzero(one))
    assert chosen == set(range(10))


# --- sets -------------------------------------------------------------------------------------


def test_sets_on_an_example():
    validation = Predictions(
        np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]), np.arange(3)
    )
    test = Predictions(np.array([0, 1]), np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([7, 8]))
    options = {"unit": "slices", "coverage": 0.5, "seed": 0}
    sets = conformal.conformal_sets(
        [Fold(validation, test)], method="lac", conditional=False, **options
    )
    # Scores of the truth 0.1, 0.3, 0.4; the second of three is the threshold.
    np.testing.assert_allclose(sets.thresholds, [[0.3, 0.3]])
    assert sets.member.tolist() == [[True, False], [False, False]]
    by_class = conformal.conformal_sets(
        [Fold(validation, test)], method="lac", conditional=True, **options
    )
    np.testing.assert_allclose(by_class.thresholds, [[0.4, 0.3]])


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("conditional", [False, True])
def test_exchangeable_slices_are_covered_as_promised(method, conditional):
    """Coverage given the calibration is beta distributed; the test count is binomial in it."""
    n, tests = 500, 20_000
    sets = conformal.conformal_sets(
        [Fold(drawn(n, 1), drawn(tests, 2))],
        **MARGINAL | {"method": method, "conditional": conditional},
    )
    covered = sets.member[np.arange(tests), sets.predictions.true]
    for code in range(4) if conditional else [slice(None)]:
        part = covered[sets.predictions.true == code] if conditional else covered
        units = (drawn(n, 1).true == code).sum() if conditional else n
        rank = int(np.ceil((units + 1) * 0.9))
        low = beta.ppf(1e-4, rank, units + 1 - rank)
        high = beta.ppf(1 - 1e-4, rank, units + 1 - rank)
        assert binom.ppf(1e-4, len(part), low) <= part.sum()
        if method == "lac":
            assert part.sum() <= binom.ppf(1 - 1e-4, len(part), high)


def test_over_many_calibrations_the_promise_is_kept_on_average():
    mean = np.mean(
        [
            conformal.summarise_sets(
                conformal.conformal_sets(
                    [Fold(drawn(19, seed), drawn(50, 1000 + seed))], **MARGINAL | {"method": "lac"}
                ),
                CLASSES,
                bootstrap=SAMPLING,
            )["coverage"]
            for seed in range(300)
        ]
    )
    assert mean == pytest.approx(18 / 20, abs=0.015)  # exactly 0.9 for 19 slices


def test_new_groups_are_covered_only_where_groups_are_the_unit():
    coverage = {unit: [] for unit in conformal.UNITS}
    for seed in range(150):
        fold = Fold(correlated(10, 12, seed), correlated(200, 3, 5000 + seed))
        for unit, found in coverage.items():
            sets = conformal.conformal_sets([fold], **MARGINAL | {"method": "lac", "unit": unit})
            found.append(
                conformal.summarise_sets(sets, CLASSES, bootstrap=SAMPLING)["group_coverage"]
            )
    assert np.mean(coverage["slices"]) < 0.89
    assert np.mean(coverage["one_per_group"]) > 0.895
    assert np.mean(coverage["groups"]) > 0.895


def test_aps_sets_are_never_empty_and_lac_sets_may_be():
    fold = Fold(drawn(200, 1), drawn(500, 2))
    options = MARGINAL | {"coverage": 0.5}
    empty = {
        method: conformal.summarise_sets(
            conformal.conformal_sets([fold], method=method, **options), CLASSES, bootstrap=SAMPLING
        )["empty"]
        for method in conformal.METHODS
    }
    assert empty["aps"] == 0
    assert empty["lac"] > 0


def test_a_class_absent_from_validation_is_in_every_set():
    validation = drawn(200, 1)
    kept = validation.true != 2
    fold = Fold(Predictions(*(values[kept] for values in validation)), drawn(100, 2))
    sets = conformal.conformal_sets([fold], **MARGINAL | {"method": "lac", "conditional": True})
    assert sets.member[:, 2].all()
    assert not sets.member[:, 0].all()


def test_a_group_of_two_classes_is_a_unit_of_each():
    n = 10  # ten groups, each of one slice of A and nine of B
    true = np.tile(np.repeat([0, 1], [1, 9]), n)
    probabilities = np.tile([[0.6, 0.4]], (10 * n, 1))
    validation = Predictions(true, probabilities, np.repeat(np.arange(n), 10))
    for unit in conformal.UNITS:
        options = MARGINAL | {"method": "lac", "unit": unit, "conditional": True}
        sets = conformal.conformal_sets([Fold(validation, validation)], **options)
        np.testing.assert_allclose(sets.thresholds, [[0.4, 0.6]])


def test_each_fold_has_its_own_thresholds():
    folds = [Fold(drawn(300, 1), drawn(40, 2)), Fold(correlated(60, 5, 3), drawn(60, 4))]
    sets = conformal.conformal_sets(folds, **MARGINAL | {"method": "lac"})
    assert sets.thresholds.shape == (2, 4)
    for k, rows in enumerate((slice(0, 40), slice(40, 100))):
        alone = conformal.conformal_sets([folds[k]], **MARGINAL | {"method": "lac"})
        np.testing.assert_array_equal(sets.member[rows], alone.member)


# --- summaries --------------------------------------------------------------------------------


def test_a_summary_counts_slices_groups_and_sizes():
    true = np.array([0, 0, 0, 1])
    predictions = Predictions(true, np.full((4, 2), 0.5), np.array([0, 0, 0, 1]))
    member = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], bool)
    sets = conformal.Sets(member, predictions, np.array([[0.5, 0.5]]))
    result = conformal.summarise_sets(sets, ["A", "B"], bootstrap=SAMPLING)
    assert result["coverage"] == 0.5
    assert result["group_coverage"] == pytest.approx((2 / 3 + 0) / 2)
    assert result["per_class"]["A"]["coverage"] == pytest.approx(2 / 3)
    assert result["per_class"]["B"]["coverage"] == 0
    assert [result[key] for key in ("size", "empty", "single", "full")] == [1, 0.25, 0.5, 0.25]
    low, high = result["coverage_ci95"]
    assert (low, high) == (0, pytest.approx(2 / 3))
    assert result["per_class"]["A"]["coverage_ci95"] == [0, 1]  # one group of the class


def test_a_class_without_test_slices_is_left_out():
    sets = conformal.conformal_sets(
        [
            Fold(
                drawn(50, 1),
                Predictions(np.zeros(4, int), drawn(4, 2).probabilities, np.arange(4)),
            )
        ],
        **MARGINAL | {"method": "lac"},
    )
    assert list(conformal.summarise_sets(sets, CLASSES, bootstrap=SAMPLING)["per_class"]) == ["A"]


def test_everything_is_assessed_and_can_be_written():
    folds = [Fold(correlated(6, 4, 1), correlated(8, 4, 2))]
    result = conformal.assess(folds, CLASSES, coverage=0.9, bootstrap=SAMPLING)
    json.dumps(result, allow_nan=False)
    table = conformal.table({("slice", 1): result, ("patient", 2): result})
    assert len(table) == 2 * 2 * 2 * 3
    row = table.set_index(["scheme", "stage", "method", "guarantee", "unit"]).loc[
        ("patient", 2, "aps", "class_conditional", "groups")
    ]
    expected = result["aps"]["class_conditional"]["groups"]
    assert row["coverage"] == expected["coverage"] == 1  # fewer than nine groups: full sets
    assert row["full"] == 1
    assert row["coverage_low"] == expected["coverage_ci95"][0]
    assert row["coverage_B"] == expected["per_class"]["B"]["coverage"]


def test_certain_probabilities_and_one_group_give_finite_numbers():
    certain = Predictions(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]), np.zeros(2, int))
    result = conformal.assess(
        [Fold(certain, certain)], ["A", "B"], coverage=0.9, bootstrap=SAMPLING
    )
    json.dumps(result, allow_nan=False)
    assert result["lac"]["marginal"]["slices"]["coverage_ci95"] == [0.0, 1.0]
