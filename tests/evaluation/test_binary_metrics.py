"""Two classes: against scikit-learn, against literal resampling, and by what must not matter."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_up_run import make
from sklearn import metrics as sk

from kidneyct_lib.evaluation import binary_metrics
from kidneyct_lib.evaluation import metrics as evaluation_metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap, wilson_interval
from kidneyct_lib.evaluation.predictions import (
    EvaluationError,
    Fold,
    check_predictions,
    study_folds,
)
from kidneyct_lib.plots import evaluation as evaluation_plots
from kidneyct_lib.uncertainty import operating_points

CLASSES = ["Normal", "Stone"]
SAMPLING = Bootstrap(100, 0)
MEASURES = (
    "sensitivity",
    "specificity",
    "balanced_accuracy",
    "positive_predictive_value",
    "negative_predictive_value",
    "roc_auc",
    "pr_auc",
)
NOTEBOOK = Path(__file__).parents[2] / "notebooks/05_error_analysis.ipynb"


def table_of(stone, score, group=None):
    """One row per slice: whether it is of class Stone, the probability of Stone, its group."""
    score = np.asarray(score, float)
    table = pd.DataFrame(
        {"label": np.where(stone, "Stone", "Normal"), "p_Normal": 1 - score, "p_Stone": score}
    )
    table["group"] = np.arange(len(table)) if group is None else group
    return table.assign(path=[f"{k}.png" for k in range(len(table))])


def random_table(n=150, groups=14, seed=0, digits=6):
    """Slices of groups of one class each, scored better than by chance; few digits make ties."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    stone = group % 3 == 0
    score = 1 / (1 + np.exp(-rng.normal(1.5 * stone - 0.8, 1.2)))
    return table_of(stone, score.round(digits), group)


def measured(stone, score):
    """Every measure by scikit-learn; missing or NaN where it does not exist."""
    alarm, undefined = score > 0.5, {"zero_division": np.nan}
    rates = {
        "sensitivity": sk.recall_score(stone, alarm, **undefined),
        "specificity": sk.recall_score(stone, alarm, pos_label=False, **undefined),
    }
    if stone.all() or not stone.any():
        return rates
    return rates | {
        "balanced_accuracy": sk.balanced_accuracy_score(stone, alarm),
        "positive_predictive_value": sk.precision_score(stone, alarm, **undefined),
        "negative_predictive_value": sk.precision_score(stone, alarm, pos_label=False, **undefined),
        "roc_auc": sk.roc_auc_score(stone, score),
        "pr_auc": sk.average_precision_score(stone, score),
    }


def slow_intervals(table, bootstrap, seed):
    """Draw groups, put their slices together, score those; leave out what cannot be scored."""
    stone, score = (table["label"] == "Stone").to_numpy(), table["p_Stone"].to_numpy()
    codes, names = pd.factorize(table["group"])
    rng = np.random.default_rng(seed)
    drawn = []
    for times in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=bootstrap):
        rows = np.concatenate(
            [np.flatnonzero(codes == g) for g in np.repeat(np.arange(len(names)), times)]
        )
        drawn.append(measured(stone[rows], score[rows]))
    drawn = pd.DataFrame(drawn)
    return {name: np.quantile(drawn[name].dropna(), [0.025, 0.975]) for name in MEASURES}


slices = st.lists(
    st.tuples(st.booleans(), st.sampled_from(np.arange(1, 16) / 16), st.integers(0, 5)),
    min_size=2,
    max_size=40,
)


def drawn_table(rows):
    stone, score, group = (np.array(values) for values in zip(*rows, strict=True))
    assume(0 < stone.sum() < len(stone))
    return table_of(stone, score, group)


# --- measures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [6, 1])
@pytest.mark.parametrize("seed", range(3))
def test_measures_are_those_of_scikit_learn(seed, digits):
    table = random_table(seed=seed, digits=digits)
    found = binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=SAMPLING)
    stone = table["label"] == "Stone"
    expected = measured(stone, table["p_Stone"].to_numpy())
    assert {name: found[name] for name in MEASURES} == pytest.approx(expected)
    counts = {"n": 150, "groups": 14, "positives": stone.sum(), "prevalence": stone.mean()}
    counts |= {"positive_groups": 5, "negative_groups": 9}
    assert {name: found[name] for name in counts} == pytest.approx(counts)
    for name, among in (("sensitivity", stone), ("specificity", ~stone)):
        right = (table["p_Stone"] > 0.5)[among] == stone[among]
        assert found[f"{name}_wilson95"] == wilson_interval(int(right.sum()), int(among.sum()))


def test_the_areas_are_those_of_the_curves():
    table = random_table(digits=2)
    found = binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=SAMPLING)
    curves = evaluation_metrics.curves(table, CLASSES).query("label == 'Stone'").groupby("curve")
    areas = curves["area"].first()
    assert (found["roc_auc"], found["pr_auc"]) == pytest.approx((areas["roc"], areas["pr"]))


def test_the_keys_are_plain_values_in_json():
    found = binary_metrics.summarise(random_table(), CLASSES, "Stone", bootstrap=SAMPLING)
    keys = ["positive_class", "n", "groups", "positives", "positive_groups", "negative_groups"]
    keys += ["prevalence"]
    for name in MEASURES:
        wilson = [f"{name}_wilson95"] if name in ("sensitivity", "specificity") else []
        keys += [name, f"{name}_ci95", *wilson]
    assert list(found) == keys
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_score_that_knows_nothing_reaches_chance():
    found = binary_metrics.summarise(
        table_of([True] * 3 + [False] * 7, [0.4] * 10), CLASSES, "Stone", bootstrap=SAMPLING
    )
    assert found["roc_auc"] == 0.5
    assert found["pr_auc"] == found["prevalence"] == pytest.approx(0.3)
    assert found["roc_auc_ci95"] == [0.5, 0.5]
    low, high = found["pr_auc_ci95"]
    assert low < 0.3 < high


def test_a_tie_is_answered_with_the_first_class():
    table = table_of([True, True, False], [0.5, 0.75, 0.25])
    assert (
        binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=SAMPLING)["sensitivity"] == 0.5
    )
    swapped = binary_metrics.summarise(table, CLASSES[::-1], "Stone", bootstrap=SAMPLING)
    assert swapped["sensitivity"] == 1


@given(slices)
@settings(max_examples=60, deadline=None)
def test_the_areas_depend_on_the_order_of_the_scores_alone(rows):
    table = drawn_table(rows)
    squared = table.assign(p_Stone=table["p_Stone"] ** 2, p_Normal=1 - table["p_Stone"] ** 2)
    one, other = (
        binary_metrics.summarise(t, CLASSES, "Stone", bootstrap=Bootstrap(20, 0))
        for t in (table, squared)
    )
    for name in ("roc_auc", "pr_auc", "roc_auc_ci95", "pr_auc_ci95"):
        assert one[name] == other[name]


@given(slices)
@settings(max_examples=60, deadline=None)
def test_the_other_class_as_the_positive_one_swaps_the_sides(rows):
    table = drawn_table(rows)
    stone, normal = (
        binary_metrics.summarise(table, CLASSES, name, bootstrap=Bootstrap(20, 0))
        for name in CLASSES[::-1]
    )
    for one, other in (
        ("sensitivity", "specificity"),
        ("positive_predictive_value", "negative_predictive_value"),
    ):
        for suffix in ("", "_ci95"):
            assert stone[one + suffix] == normal[other + suffix]
            assert stone[other + suffix] == normal[one + suffix]
    assert stone["sensitivity_wilson95"] == normal["specificity_wilson95"]
    for name in ("balanced_accuracy", "roc_auc"):
        assert stone[name] == pytest.approx(normal[name])
        assert stone[f"{name}_ci95"] == pytest.approx(normal[f"{name}_ci95"])
    assert stone["prevalence"] == pytest.approx(1 - normal["prevalence"])


# --- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "digits"), [(14, 6), (14, 1), (5, 1)])
def test_intervals_are_those_of_resampled_slices(groups, digits):
    """With five groups, two of them of the class, many a resample lacks a class."""
    table = random_table(120, groups, seed=3, digits=digits)
    found = binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=Bootstrap(100, 7))
    for name, expected in slow_intervals(table, 100, 7).items():
        np.testing.assert_allclose(found[f"{name}_ci95"], expected, err_msg=name)


def test_resamples_without_an_alarm_have_no_predictive_value():
    stone = np.repeat([True, False], 6)
    score = np.full(12, 0.1)
    score[[0, 6]] = 0.9  # one resample in seven has neither
    table = table_of(stone, score)
    found = binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=Bootstrap(100, 1))
    expected = slow_intervals(table, 100, 1)["positive_predictive_value"]
    np.testing.assert_allclose(found["positive_predictive_value_ci95"], expected)


def test_one_group_of_a_class_says_nothing_of_others():
    stone = np.repeat([True, False], [4, 30])
    group = np.repeat([9, *range(6)], [4, *[5] * 6])
    found = binary_metrics.summarise(
        table_of(stone, np.where(stone, 0.9, 0.2), group), CLASSES, "Stone", bootstrap=SAMPLING
    )
    assert (found["positive_groups"], found["negative_groups"]) == (1, 6)
    assert found["specificity_ci95"] == [1, 1]
    for name in set(MEASURES) - {"specificity"}:
        assert found[name] == 1
        assert found[f"{name}_ci95"] == [0, 1]


def test_a_perfect_model_of_many_groups_has_intervals_of_no_width():
    stone = np.arange(40) < 20
    found = binary_metrics.summarise(
        table_of(stone, np.where(stone, 0.9, 0.2)), CLASSES, "Stone", bootstrap=SAMPLING
    )
    assert [found[f"{name}_ci95"] for name in MEASURES] == [[1, 1]] * len(MEASURES)


def test_without_an_alarm_there_is_no_predictive_value():
    stone = np.arange(20) < 8
    found = binary_metrics.summarise(
        table_of(stone, np.where(stone, 0.4, 0.2)), CLASSES, "Stone", bootstrap=SAMPLING
    )
    assert found["positive_predictive_value"] is None
    assert found["positive_predictive_value_ci95"] == [0, 1]
    assert found["negative_predictive_value"] == pytest.approx(12 / 20)
    assert found["roc_auc_ci95"] == [1, 1]
    json.dumps(found, allow_nan=False)


def test_alarms_in_one_group_say_nothing_of_others():
    stone = np.arange(20) < 8
    table = table_of(stone, np.where(np.arange(20) == 0, 0.9, 0.2))
    found = binary_metrics.summarise(table, CLASSES, "Stone", bootstrap=SAMPLING)
    assert found["positive_predictive_value"] == 1
    assert found["positive_predictive_value_ci95"] == [0, 1]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "classes", "positive", "message"),
    [
        (lambda t: t, ["Cyst", "Normal", "Stone"], "Stone", "of two classes, not of 3"),
        (lambda t: t, CLASSES, "Tumor", "'Tumor' is none of Normal, Stone"),
        (lambda t: t.iloc[:0], CLASSES, "Stone", "no predictions"),
        (lambda t: t.drop(columns="group"), CLASSES, "Stone", "no column 'group'"),
        (lambda t: t.assign(p_Stone=0.9), CLASSES, "Stone", "sum to"),
        (lambda t: t[t["label"] == "Stone"], CLASSES, "Stone", "All slices are of one class"),
        (lambda t: t[t["label"] == "Normal"], CLASSES, "Stone", "All slices are of one class"),
    ],
)
def test_what_cannot_be_summarised_is_refused(damage, classes, positive, message):
    with pytest.raises(EvaluationError, match=message):
        binary_metrics.summarise(damage(random_table()), classes, positive, bootstrap=SAMPLING)


# --- the table, and the notebook's section ----------------------------------------------------


def test_the_table_has_a_row_for_each_scheme_and_stage():
    found = binary_metrics.summarise(random_table(), CLASSES, "Stone", bootstrap=SAMPLING)
    part = check_predictions(random_table(), CLASSES)
    found["youden"] = operating_points.youden_point([Fold(part, part)], 1, bootstrap=SAMPLING)
    many = found | {"positive_groups": 10, "negative_groups": 10}
    table = binary_metrics.table({("slice", 1): found, ("patient", 2): many})
    assert table[["scheme", "stage", "few_groups"]].to_numpy().tolist() == [
        ["slice", 1, True], ["patient", 2, False]
    ]  # fmt: skip
    row = table.iloc[0]
    assert row["positive_class"] == "Stone"
    for name in MEASURES:
        assert row[name] == found[name]
        assert [row[f"{name}_low"], row[f"{name}_high"]] == found[f"{name}_ci95"]
    wilson = [row["sensitivity_wilson_low"], row["sensitivity_wilson_high"]]
    assert wilson == found["sensitivity_wilson95"]
    assert row["youden_specificity"] == found["youden"]["specificity"]
    youden = [row["youden_specificity_low"], row["youden_specificity_high"]]
    assert youden == found["youden"]["specificity_ci95"]


def section(title):
    """Code of a notebook's section."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    heads = [k for k, c in enumerate(cells) if "".join(c["source"]).startswith("## ")]
    start = next(k for k in heads if "".join(cells[k]["source"]).startswith(f"## {title}"))
    end = min(k for k in heads if k > start)
    return ["".join(c["source"]) for c in cells[start:end] if c["cell_type"] == "code"]


@pytest.mark.parametrize("classes", [["Clear", "Blocked"], ["Clear", "Blocked", "Torn"]])
def test_the_notebook_tells_of_two_classes_where_there_are_two(classes, tmp_path, capsys):
    run = make(tmp_path / "mine", classes=classes, audit=False)
    run.begin("05_error_analysis", {})
    predictions, shown = run.read_table("predictions"), []
    tested = predictions[predictions["split"] == "test"]
    names = {
        "study_folds": study_folds,
        "operating_points": operating_points,
        "binary_metrics": binary_metrics,
        "evaluation_plots": evaluation_plots,
        "run": run,
        "classes": classes,
    }
    names |= {"must_not_miss": ["Blocked"], "predictions": predictions, "tested": tested}
    names |= {"tests": dict.fromkeys(["slice", "patient"]), "resampling": SAMPLING}
    names["display"] = shown.append
    for code in section("Two classes"):
        exec(code, names)
    if len(classes) > 2:
        assert run._written == shown == []
        assert "this one has 3" in capsys.readouterr().out
        return
    assert run._written == [
        "metrics/binary.json",
        "tables/binary.csv",
        "figures/05_error_analysis__two_classes.png",
    ]
    assert len(shown) == 2
    metrics, table = run.read_metrics("binary"), run.read_table("binary")
    assert list(metrics) == ["slice", "patient"]
    for row in table.itertuples():
        result = metrics[row.scheme] if row.stage == 2 else metrics[row.scheme]["stage1"]
        rows = tested.query("scheme == @row.scheme and stage == @row.stage")
        assert result["n"] == row.n == len(rows)
        assert result["positive_class"] == row.positive_class == "Blocked"
        missed = (rows["label"] == "Blocked") & (rows["p_Blocked"] < 0.5)
        sensitivity = 1 - missed.sum() / (rows["label"] == "Blocked").sum()
        assert result["sensitivity"] == row.sensitivity == pytest.approx(sensitivity)
        expected = sk.roc_auc_score(rows["label"] == "Blocked", rows["p_Blocked"])
        assert result["roc_auc"] == pytest.approx(expected)
        assert row.roc_auc == pytest.approx(expected)
        folds = study_folds(predictions, classes)[row.scheme, row.stage]
        assert result["youden"] == operating_points.youden_point(folds, 1, bootstrap=SAMPLING)
    assert len(table) == 4
