import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, wilson_interval
from kidneyct_lib.evaluation.metrics import (
    by_group,
    confusion,
    curves,
    examples,
    headline,
    summarise,
    worst_errors,
)
from kidneyct_lib.evaluation.predictions import EvaluationError, probability_columns

CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]


def table_of(labels, probabilities, groups=None, classes=CLASSES):
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(labels))], "label": list(labels)})
    table["group"] = range(len(labels)) if groups is None else groups
    table[probability_columns(classes)] = np.asarray(probabilities, float)
    return table


def certain(labels, predicted, groups=None, classes=CLASSES):
    """Predict one class each with probability 0.97."""
    probabilities = np.full((len(labels), len(classes)), 0.03 / (len(classes) - 1))
    probabilities[np.arange(len(labels)), [classes.index(name) for name in predicted]] = 0.97
    return table_of(labels, probabilities, groups, classes)


def random_table(n=200, n_groups=23, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, n, p=[0.5, 0.3, 0.15, 0.05])
    return table_of(labels, rng.dirichlet([0.5] * 4, n), rng.integers(0, n_groups, n))


def slow_bootstrap(table, bootstrap, seed):
    """Resample groups and score the slices of each resample with scikit-learn."""
    codes, names = pd.factorize(table["group"])
    predicted = np.array(CLASSES)[table[probability_columns(CLASSES)].to_numpy().argmax(axis=1)]
    true = table["label"].to_numpy()
    rng = np.random.default_rng(seed)
    n = len(names)
    accuracy, macro_f1 = [], []
    for times in rng.multinomial(n, np.full(n, 1 / n), size=bootstrap):
        rows = np.concatenate([np.flatnonzero(codes == g) for g in np.repeat(range(n), times)])
        accuracy.append(sk.accuracy_score(true[rows], predicted[rows]))
        macro_f1.append(
            sk.f1_score(
                true[rows], predicted[rows], labels=CLASSES, average="macro", zero_division=0
            )
        )
    return np.quantile(accuracy, [0.025, 0.975]), np.quantile(macro_f1, [0.025, 0.975])


# --- summarise --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed):
    table = random_table(seed=seed)
    result = summarise(table, CLASSES, bootstrap=Bootstrap(50, 0))
    true = table["label"]
    probabilities = table[probability_columns(CLASSES)].to_numpy()
    predicted = np.array(CLASSES)[probabilities.argmax(axis=1)]
    report = sk.classification_report(
        true, predicted, labels=CLASSES, output_dict=True, zero_division=0
    )
    assert result["n"] == 200
    assert result["groups"] == 23
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert result["loss"] == pytest.approx(
        sk.log_loss(true, np.clip(probabilities, 1e-7, 1), labels=CLASSES), rel=1e-4
    )
    assert result["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    for name in CLASSES:
        values = result["per_class"][name]
        assert values["precision"] == pytest.approx(report[name]["precision"])
        assert values["recall"] == pytest.approx(report[name]["recall"])
        assert values["f1"] == pytest.approx(report[name]["f1-score"])
        assert values["support"] == report[name]["support"]
        assert values["groups"] == table.loc[true == name, "group"].nunique()


def test_the_keys_are_the_contract_and_plain_numbers():
    result = summarise(random_table(), CLASSES, bootstrap=Bootstrap(20, 0))
    assert list(result) == [
        "n", "groups", "accuracy", "accuracy_ci95", "accuracy_wilson95", "loss",
        "macro_f1", "macro_f1_ci95", "per_class",
    ]  # fmt: skip
    assert list(result["per_class"]) == CLASSES
    for values in result["per_class"].values():
        assert list(values) == ["precision", "recall", "f1", "support", "groups"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_an_absent_class_counts_zero_as_in_scikit_learn():
    table = certain(["Cyst", "Cyst", "Normal"], ["Cyst", "Normal", "Normal"])
    result = summarise(table, CLASSES, bootstrap=Bootstrap(20, 0))
    assert result["per_class"]["Tumor"] == {
        "precision": 0, "recall": 0, "f1": 0, "support": 0, "groups": 0
    }  # fmt: skip
    assert result["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 4)


def test_the_loss_is_the_mean_negative_log_likelihood_clipped():
    table = table_of(["Cyst", "Stone"], [[0.5, 0.5, 0, 0], [1, 0, 0, 0]])
    loss = summarise(table, CLASSES, bootstrap=Bootstrap(5, 0))["loss"]
    assert loss == pytest.approx((np.log(2) - np.log(1e-7)) / 2)


@pytest.mark.parametrize("seed", range(2))
def test_intervals_are_those_of_resampling_slices_group_by_group(seed):
    table = random_table(120, 9, seed)
    result = summarise(table, CLASSES, bootstrap=Bootstrap(150, seed))
    accuracy, macro_f1 = slow_bootstrap(table, 150, seed)
    np.testing.assert_allclose(result["accuracy_ci95"], accuracy)
    np.testing.assert_allclose(result["macro_f1_ci95"], macro_f1)


def test_homogeneous_groups_make_the_interval_wider_than_wilson():
    rng = np.random.default_rng(0)
    right = rng.random(20) < 0.6
    labels = np.repeat("Cyst", 20 * 50)
    predicted = np.repeat(np.where(right, "Cyst", "Stone"), 50)
    groups = np.repeat(np.arange(20), 50)
    clustered = summarise(certain(labels, predicted, groups), CLASSES, bootstrap=Bootstrap(500, 0))
    low, high = wilson_interval(int(right.sum()) * 50, 1000)
    assert clustered["accuracy_wilson95"] == [low, high]
    width = np.ptp(clustered["accuracy_ci95"])
    assert width > 4 * (high - low)
    # Twenty groups are what the evidence is worth: the interval is near that of 20 trials.
    low, high = wilson_interval(int(right.sum()), 20)
    assert width == pytest.approx(high - low, rel=0.25)


def test_independent_slices_make_the_interval_near_wilson():
    rng = np.random.default_rng(1)
    labels = ["Cyst"] * 600
    predicted = np.where(rng.random(600) < 0.8, "Cyst", "Stone")
    result = summarise(certain(labels, predicted), CLASSES, bootstrap=Bootstrap(1000, 0))
    wilson = wilson_interval(int((predicted == "Cyst").sum()), 600)
    np.testing.assert_allclose(result["accuracy_ci95"], wilson, atol=0.01)


def test_perfect_predictions_have_an_interval_of_no_width():
    labels = np.repeat(CLASSES, 60)
    table = certain(labels, labels, np.repeat(np.arange(80), 3))
    result = summarise(table, CLASSES, bootstrap=Bootstrap(200, 0))
    assert result["accuracy_ci95"] == result["macro_f1_ci95"] == [1, 1]


def test_one_group_says_nothing_about_other_patients():
    table = certain(["Cyst"] * 9, ["Cyst"] * 9, groups=[3] * 9)
    result = summarise(table, CLASSES, bootstrap=Bootstrap(20, 0))
    assert result["accuracy"] == 1
    assert result["accuracy_ci95"] == result["macro_f1_ci95"] == [0, 1]


def test_intervals_hold_the_estimate_and_follow_the_seed():
    table = random_table()
    first, again, other = (
        summarise(table, CLASSES, bootstrap=Bootstrap(200, s)) for s in (0, 0, 1)
    )
    assert first == again
    assert first["accuracy_ci95"] != other["accuracy_ci95"]
    low, high = first["accuracy_ci95"]
    assert low < first["accuracy"] < high


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.iloc[:0], "no predictions"),
        (lambda t: t.drop(columns="p_Stone"), "no column 'p_Stone'"),
        (lambda t: t.drop(columns="label"), "no column 'label'"),
        (lambda t: t.drop(columns="group"), "no column 'group'"),
        (lambda t: t.assign(p_Cyst=np.nan), "'p_Cyst' of the predictions has missing"),
        (lambda t: t.assign(p_Cyst=0.9), "sum to"),
        (lambda t: t.assign(p_Cyst=np.inf), "sum to inf"),
        (lambda t: t.assign(p_Cyst=t["p_Cyst"] - 2, p_Stone=t["p_Stone"] + 2), "negative"),
        (lambda t: t.assign(label="Liver"), "Label 'Liver' is not one of"),
        (lambda t: t.assign(scheme=["slice", "patient"] * 5), "mix scheme slice, patient"),
        (lambda t: t.assign(stage=[1, 2] * 5), "mix stage 1, 2"),
        (lambda t: t.assign(split=["train", "test"] * 5), "mix split train, test"),
        (lambda t: t.assign(path="a.png"), r"list a\.png more than once"),
    ],
)
def test_a_bad_table_is_refused_with_its_reason(damage, message):
    table = damage(random_table(10))
    with pytest.raises(EvaluationError, match=message) as refusal:
        summarise(table, CLASSES, bootstrap=Bootstrap(5, 0))
    assert isinstance(refusal.value, StudyError)


def test_rounding_to_six_digits_and_extra_columns_are_accepted():
    table = random_table(50).round(6).astype({"p_Cyst": np.float32})
    table = table.assign(scheme="slice", stage=2, split="test", fold=0)
    assert summarise(table, CLASSES, bootstrap=Bootstrap(5, 0))["n"] == 50


# --- tables -----------------------------------------------------------------------------------


def test_wilson_is_wilson():
    low, high = wilson_interval(1861, 1867)
    # Wilson (1927), written out.
    n, p, z = 1867, 1861 / 1867, 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx((centre - half, centre + half))
    assert wilson_interval(0, 5)[0] == pytest.approx(0)
    with pytest.raises(EvaluationError, match="no images"):
        wilson_interval(0, 0)


def test_confusion_has_truth_in_rows():
    table = certain(["Cyst", "Cyst", "Stone"], ["Cyst", "Tumor", "Stone"])
    counts = confusion(table, CLASSES)
    assert counts.index.name == "true"
    assert counts.columns.name == "predicted"
    assert counts.loc["Cyst", "Tumor"] == counts.loc["Cyst", "Cyst"] == 1
    assert counts.loc["Stone", "Stone"] == 1
    assert counts.to_numpy().sum() == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_by_group_is_the_loop_over_groups(n, seed):
    table = random_table(n, 7, seed)
    columns = probability_columns(CLASSES)
    result = by_group(table, CLASSES)
    assert result["n"].sum() == n
    assert len(result) == len(table[["group", "label"]].drop_duplicates())
    for row in result.itertuples():
        slices = table[(table["group"] == row.group) & (table["label"] == row.label)]
        predicted = slices[columns].idxmax(axis=1)
        assert row.n == len(slices)
        assert row.accuracy == pytest.approx((predicted == f"p_{row.label}").mean())
        assert row.p_true == pytest.approx(slices[f"p_{row.label}"].mean())
        assert f"p_{row.vote}" == slices[columns].mean().idxmax()


def test_worst_errors_are_wrong_and_sorted_by_confidence():
    table = random_table()
    errors = worst_errors(table, CLASSES)
    assert len(errors) > 10
    assert (errors["label"] != errors["predicted"]).all()
    assert errors["confidence"].is_monotonic_decreasing
    probabilities = table[probability_columns(CLASSES)]
    wrong = probabilities.idxmax(axis=1).str[2:] != table["label"]
    assert set(errors.index) == set(table.index[wrong])
    assert errors["confidence"].iloc[0] == probabilities[wrong].to_numpy().max()
    for index, row in errors.iterrows():
        assert table.loc[index, "path"] == row["path"]
        assert table.loc[index, f"p_{row['predicted']}"] == row["confidence"]
        assert table.loc[index, f"p_{row['label']}"] == row["p_true"]


def test_perfect_predictions_have_no_worst_errors():
    errors = worst_errors(certain(CLASSES, CLASSES), CLASSES)
    assert errors.empty
    assert list(errors) == ["path", "group", "label", "predicted", "confidence", "p_true"]


def test_curves_and_areas_are_those_of_scikit_learn():
    table = random_table(300)
    points = curves(table, CLASSES)
    for name in CLASSES:
        positive, score = table["label"] == name, table[f"p_{name}"]
        roc = points[(points["label"] == name) & (points["curve"] == "roc")]
        pr = points[(points["label"] == name) & (points["curve"] == "pr")]
        assert roc["area"].unique() == pytest.approx([sk.roc_auc_score(positive, score)])
        assert pr["area"].unique() == pytest.approx([sk.average_precision_score(positive, score)])
        # The points, too, enclose those areas.
        assert np.trapezoid(roc["y"], roc["x"]) == pytest.approx(roc["area"].iloc[0])
        assert -(np.diff(pr["x"]) @ pr["y"][:-1]) == pytest.approx(pr["area"].iloc[0], abs=0.01)
        assert pr["prevalence"].unique() == pytest.approx([positive.mean()])


def test_an_absent_class_has_no_curves():
    table = certain(["Cyst", "Normal"], ["Cyst", "Cyst"])
    assert set(curves(table, CLASSES)["label"]) == {"Cyst", "Normal"}
    with pytest.raises(EvaluationError, match="at least two classes"):
        curves(certain(["Cyst"], ["Cyst"]), CLASSES)


def test_headline_sets_schemes_and_stages_side_by_side():
    first, final = (
        summarise(random_table(seed=s), CLASSES, bootstrap=Bootstrap(20, 0)) for s in (0, 1)
    )
    table = headline({"slice": final | {"stage1": first}, "patient": final})
    assert table[["scheme", "stage"]].to_numpy().tolist() == [
        ["slice", 1], ["slice", 2], ["patient", 2]
    ]  # fmt: skip
    assert table["accuracy"].tolist() == [
        first["accuracy"], final["accuracy"], final["accuracy"]
    ]  # fmt: skip
    assert table.loc[0, ["macro_f1_low", "macro_f1_high"]].tolist() == first["macro_f1_ci95"]
    wilson = table.loc[0, ["accuracy_wilson_low", "accuracy_wilson_high"]]
    assert wilson.tolist() == first["accuracy_wilson95"]
    assert table.loc[1, "recall_Tumor"] == final["per_class"]["Tumor"]["recall"]


def test_examples_are_the_most_confident_of_each_class():
    table = table_of(
        ["Cyst", "Cyst", "Cyst", "Stone"],
        [[0.6, 0.4, 0, 0], [0.9, 0.1, 0, 0], [0.2, 0.1, 0.7, 0], [0.1, 0.1, 0.2, 0.6]],
    )
    found = examples(table, CLASSES)
    assert list(found.index) == [(right, name) for right in (True, False) for name in CLASSES]
    there = found.dropna()
    assert there["path"].to_dict() == {
        (True, "Cyst"): "1.png",
        (False, "Cyst"): "2.png",
        (False, "Stone"): "3.png",
    }
    assert there["predicted"].to_list() == ["Cyst", "Stone", "Tumor"]
