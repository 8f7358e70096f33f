import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.paired_bootstrap import compare, compare_all, same_images
from kidneyct_lib.evaluation.predictions import EvaluationError, probability_columns

CLASSES = ["A", "B", "C"]


def random_table(n=120, n_groups=14, seed=0, answers=None):
    """Random labels in groups; the answers come from their own seed."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(n)], "label": rng.choice(CLASSES, n)})
    table["group"] = rng.integers(0, n_groups, n)
    answers = np.random.default_rng(seed if answers is None else answers)
    table[probability_columns(CLASSES)] = answers.dirichlet([0.5] * 3, n)
    return table


def right(table):
    return (table[probability_columns(CLASSES)].idxmax(axis=1).str[2:] == table["label"]).to_numpy()


def slow_differences(baseline, compared, bootstrap, seed):
    """Draw groups, take their slices from both tables and score each with scikit-learn."""
    group, names = pd.factorize(baseline["group"])
    rng = np.random.default_rng(seed)
    n = len(names)
    differences = []
    for times in rng.multinomial(n, np.full(n, 1 / n), size=bootstrap):
        rows = np.concatenate([np.flatnonzero(group == g) for g in np.repeat(range(n), times)])
        scores = []
        for table in (baseline, compared):
            drawn = table.iloc[rows]
            predicted = drawn[probability_columns(CLASSES)].idxmax(axis=1).str[2:]
            f1 = sk.f1_score(
                drawn["label"], predicted, labels=CLASSES, average="macro", zero_division=0
            )
            scores.append((sk.accuracy_score(drawn["label"], predicted), f1))
        differences.append(np.subtract(scores[1], scores[0]))
    return np.quantile(differences, [0.025, 0.975], axis=0).T


@pytest.mark.parametrize("seed", range(2))
def test_the_intervals_are_those_of_drawing_groups_for_both_at_once(seed):
    baseline, compared = random_table(seed=seed), random_table(seed=seed, answers=seed + 50)
    # The order of the slices may differ: they are matched by path.
    shuffled = compared.sample(frac=1, random_state=1)
    result = compare(baseline.sort_values("path"), shuffled, CLASSES, bootstrap=Bootstrap(60, seed))
    ordered = [table.sort_values("path") for table in (baseline, compared)]
    expected = slow_differences(*ordered, 60, seed)
    for name, interval in zip(("accuracy", "macro_f1"), expected, strict=True):
        ends = [result[f"{name}_difference_low"], result[f"{name}_difference_high"]]
        np.testing.assert_allclose(ends, interval)
    assert result["accuracy_difference"] == pytest.approx(
        right(compared).mean() - right(baseline).mean()
    )
    gained = pd.Series(right(compared) * 1 - right(baseline) * 1).groupby(baseline["group"]).sum()
    assert result["share_better"] == pytest.approx((gained > 0).mean())
    assert result["share_worse"] == pytest.approx((gained < 0).mean())
    assert (result["n"], result["groups"], result["few_groups"]) == (120, 14, False)


def test_equal_predictions_differ_by_nothing_and_swapping_turns_the_sign():
    table, other = random_table(), random_table(answers=9)
    same = compare(table, table, CLASSES, bootstrap=Bootstrap(50, 0))
    assert {same[key] for key in same if "difference" in key or "share" in key} == {0}
    there = compare(table, other, CLASSES, bootstrap=Bootstrap(50, 0))
    back = compare(other, table, CLASSES, bootstrap=Bootstrap(50, 0))
    assert there["accuracy_difference"] == -back["accuracy_difference"] != 0
    assert there["accuracy_difference_low"] == pytest.approx(-back["accuracy_difference_high"])
    assert (there["share_better"], there["share_worse"]) == (
        back["share_worse"],
        back["share_better"],
    )


def test_pairing_is_surer_than_comparing_two_intervals():
    """Hard and easy groups move both sides alike, and leave the difference."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    hard = rng.random(40)[group]
    table = pd.DataFrame({"path": [str(k) for k in range(400)], "label": "A", "group": group})
    sides = []
    for gain in (0, 0.15):
        sure = rng.random(400) < np.clip(hard + gain, 0, 1)
        side = table.assign(p_A=np.where(sure, 0.8, 0.1), p_C=0.1)
        sides.append(side.assign(p_B=1 - side["p_A"] - side["p_C"]))
    result = compare(*sides, CLASSES, bootstrap=Bootstrap(400, 0))
    assert result["accuracy_difference_low"] > 0
    paired = result["accuracy_difference_high"] - result["accuracy_difference_low"]
    of_groups = [pd.Series(right(side)).groupby(group).mean().std() / np.sqrt(40) for side in sides]
    assert paired < 0.6 * 2 * 1.96 * np.hypot(*of_groups)


def test_one_group_tells_nothing_and_is_marked():
    result = compare(
        random_table(n_groups=1),
        random_table(n_groups=1, answers=3),
        CLASSES,
        bootstrap=Bootstrap(9, 0),
    )
    assert result["few_groups"]
    assert [result["accuracy_difference_low"], result["macro_f1_difference_high"]] == [-1, 1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.iloc[1:], "same images"),
        (lambda t: t.assign(label=t["label"].to_numpy()[::-1]), "'label'"),
        (lambda t: t.assign(group=t["group"] + 1), "'group'"),
        (lambda t: t.assign(p_A=2.0), "sum to"),
    ],
)
def test_what_cannot_be_paired_is_refused(damage, message):
    table = random_table()
    with pytest.raises(EvaluationError, match=message):
        compare(table, damage(table), CLASSES, bootstrap=Bootstrap(9, 0))


def stacked(paths_of):
    """Test rows of two schemes and two stages; `paths_of` picks the images of a scheme."""
    tables = [
        random_table(answers=10 * stage + len(scheme))
        .assign(scheme=scheme, stage=stage, split="test")
        .pipe(paths_of, scheme)
        for scheme in ("slice", "patient")
        for stage in (1, 2)
    ]
    return pd.concat(tables, ignore_index=True)


def test_all_pairs_of_a_run_whose_folds_test_every_image():
    tests = stacked(lambda table, scheme: table)
    result = compare_all(tests, CLASSES, bootstrap=Bootstrap(20, 0))
    assert result[["kind", "baseline", "compared"]].to_numpy().tolist() == [
        ["schemes", "slice, stage 1", "patient, stage 1"],
        ["schemes", "slice, stage 2", "patient, stage 2"],
        ["stages", "slice, stage 1", "slice, stage 2"],
        ["stages", "patient, stage 1", "patient, stage 2"],
    ]
    sides = [tests.query("scheme == @s and stage == 2") for s in ("slice", "patient")]
    expected = compare(*sides, CLASSES, bootstrap=Bootstrap(20, 0))
    assert result.loc[1, list(expected)].to_dict() == expected


def test_schemes_that_test_different_images_are_not_paired():
    tests = stacked(lambda table, scheme: table[:60] if scheme == "slice" else table[50:])
    result = compare_all(tests, CLASSES, bootstrap=Bootstrap(20, 0))
    assert list(result["kind"]) == ["stages", "stages"]
    assert list(result["n"]) == [60, 70]
    first, second = (tests[tests["scheme"] == s] for s in ("slice", "patient"))
    assert not same_images(first, second)
