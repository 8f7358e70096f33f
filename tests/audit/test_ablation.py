"""Scores against scikit-learn and literal resampling; choices against answers made for them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from kidneyct_lib.audit import ablation
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.study.run_folder import Run

CLASSES = ["Normal", "Stone"]


@pytest.fixture(scope="module")
def table():
    groups = np.repeat(np.arange(10), [4, 1, 3, 2, 5, 3, 2, 4, 1, 2])
    return pd.DataFrame({"label": np.array(CLASSES)[groups % 2], "group": groups + 100})


@pytest.fixture(scope="module")
def scores(table):
    return ablation.Scores(table, CLASSES, bootstrap=Bootstrap(300, 4))


def predictions(table, seed, *, repeats=2):
    return np.random.default_rng(seed).dirichlet([1, 1], (repeats, len(table)))


def named(table, one):
    return table["label"], np.array(CLASSES)[one.argmax(axis=1)]


def votes(table, one):
    mean = pd.DataFrame(one).groupby(table["group"].to_numpy()).mean().to_numpy()
    return table.groupby("group")["label"].first(), np.array(CLASSES)[mean.argmax(axis=1)]


@pytest.mark.parametrize(("unit", "read"), [("slice", named), ("series", votes)])
def test_scores_are_scikit_learn_s_in_the_mean_of_the_repeats(table, scores, unit, read):
    given = predictions(table, 0)
    result = scores.of(given)[unit]
    each = [f1_score(*read(table, one), average="macro") for one in given]
    recalls = [recall_score(*read(table, one), average=None, labels=CLASSES) for one in given]
    assert result["cv_repeats"] == pytest.approx(each)
    assert result["macro_f1"] == pytest.approx(np.mean(each))
    assert list(result["recall"].values()) == pytest.approx(np.mean(recalls, axis=0))


def test_intervals_are_of_whole_patients_drawn_alike_for_both(table, scores):
    below, above = predictions(table, 1), predictions(table, 2)
    result = scores.difference(below, above)["slice"]
    names, drawn = sorted(table["group"].unique()), []
    for times in Bootstrap(300, 4).times(len(names)):
        rows = np.concatenate(
            [
                np.flatnonzero(table["group"] == g)
                for g, n in zip(names, times, strict=True)
                for _ in range(n)
            ]
        )
        one, other = (
            [
                f1_score(
                    *(part[rows] for part in map(np.asarray, named(table, a))),
                    average="macro",
                    labels=CLASSES,
                    zero_division=0,
                )
                for a in side
            ]
            for side in (below, above)
        )
        drawn.append(np.mean(other) - np.mean(one))
    assert result["macro_f1_ci95"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())
    once = scores.of(above)["slice"]["macro_f1"] - scores.of(below)["slice"]["macro_f1"]
    assert result["macro_f1"] == pytest.approx(once)


def test_a_group_of_two_classes_votes_once_in_each(table):
    mixed = table.assign(label=["Stone", *table["label"][1:]])
    scores = ablation.Scores(mixed, CLASSES, bootstrap=Bootstrap(100, 0))
    apart = mixed.assign(group=[99, *table["group"][1:]])  # the odd slice as a group of its own
    expected = ablation.Scores(apart, CLASSES, bootstrap=Bootstrap(100, 0))
    given = predictions(table, 3)
    result = scores.of(given)["series"]
    assert result["cv_repeats"] == pytest.approx(expected.of(given)["series"]["cv_repeats"])
    assert result["recall"] == pytest.approx(expected.of(given)["series"]["recall"])


def scores_by_slice(macro_f1=0.5, worst=0.4):
    return {"slice": {"macro_f1": macro_f1, "recall": {"Normal": 0.9, "Stone": worst}}}


@pytest.mark.parametrize(
    ("gain", "interval", "worst", "stays"),
    [
        (0.1, [0.01, 0.2], 0.4, True),
        (0.1, [-0.01, 0.2], 0.4, False),
        (0.01, [-0.1, 0.2], 0.46, True),
        (0.01, [-0.1, 0.2], 0.44, False),
        (-0.01, [-0.1, 0.1], 0.6, False),
    ],
)
def test_what_keeps_a_step(gain, interval, worst, stays):
    difference = {"slice": {"macro_f1": gain, "macro_f1_ci95": interval}}
    assert ablation.kept(scores_by_slice(worst=worst), scores_by_slice(), difference) is stays


def test_a_step_is_compared_with_the_last_one_kept(table, scores):
    truth = np.eye(2)[table["label"].map(CLASSES.index)][None]
    wrong = 1 - truth
    given = {"ground": wrong, "no better": wrong, "perfect": truth, "worse": wrong}
    result, compared = ablation.compare(given, scores)
    assert [compared[name]["baseline"] for name in compared] == ["ground", "ground", "perfect"]
    assert [compared[name]["kept"] for name in compared] == [False, True, False]
    rows = ablation.table(result, compared)
    assert len(rows) == 2 * len(given)
    row = rows.query("step == 'perfect' and counted == 'patients'").iloc[0]
    assert (row["macro_f1"], row["recall_Stone"], row["baseline"]) == (1, 1, "ground")
    assert (row["difference"], row["kept"]) == (1, True)
    ground = rows.query("step == 'ground'")
    assert ground["kept"].all()
    assert ground["difference"].isna().all()
    _, beside = ablation.compare(given, scores, cumulative=False)
    assert {one["baseline"] for one in beside.values()} == {"ground"}
    assert beside["worse"]["slice"]["macro_f1"] == 0


def test_a_step_that_only_feeds_on_the_window_is_not_kept(table, scores):
    truth = np.eye(2)[table["label"].map(CLASSES.index)][None]
    wrong = 1 - truth
    as_shown = {"ground": wrong, "window": truth, "anatomy": wrong}
    elsewhere = {"ground": wrong, "window": wrong, "anatomy": truth}
    scored, compared = ablation.compare(as_shown, scores, decisive=elsewhere)
    assert [compared[name]["kept"] for name in compared] == [False, True]
    assert (
        compared["window"]["slice"]["macro_f1"] == 1
    )  # the difference as shown is told all the same
    assert scored["anatomy"]["slice"]["macro_f1"] == 0


def test_gains_as_shown_and_elsewhere_are_those_from_the_same_baseline(table, scores):
    truth = np.eye(2)[table["label"].map(CLASSES.index)][None]
    wrong = 1 - truth
    as_shown = {"ground": wrong, "window": truth, "anatomy": truth}
    elsewhere = {"ground": wrong, "window": wrong, "anatomy": truth}
    compared = {"window": {"baseline": "ground"}, "anatomy": {"baseline": "ground"}}
    rows = ablation.surviving(as_shown, elsewhere, compared, scores).set_index("step")
    assert rows["baseline"].tolist() == ["", "ground", "ground"]
    assert rows["macro_f1"].tolist() == [0, 0, 1]
    assert rows["gain_shown"].tolist()[1:] == [1, 1]
    assert rows["gain_elsewhere"].tolist()[1:] == [0, 1]
    assert np.isnan(rows["gain_shown"]["ground"])
    assert rows.loc["anatomy", ["gain_elsewhere_low", "gain_elsewhere_high"]].tolist() == [1, 1]


# --- the published recipe beside -----------------------------------------------------------------


@pytest.fixture
def catalog():
    return pd.DataFrame({"path": ["c", "a", "b"], "label": ["Stone", "Normal", "Stone"]})


def predicted(catalog, fold):
    rows = catalog.assign(scheme="patient", stage=2, split="test", fold=fold)
    rows["p_Normal"], rows["p_Stone"] = [0.1, 0.7, 0.4], [0.9, 0.3, 0.6]
    other = rows.assign(scheme="slice", p_Normal=0.5, p_Stone=0.5)
    return pd.concat([other, rows.assign(split="train"), rows]).sort_values("path")


def test_saved_answers_come_in_the_catalogs_order(catalog):
    tested = np.array([1, 0, 1])
    result = ablation.saved_predictions(predicted(catalog, tested), catalog, tested, CLASSES)
    assert result.tolist() == [[[0.1, 0.9], [0.7, 0.3], [0.4, 0.6]]]


def test_answers_of_other_folds_or_images_are_not_compared(catalog):
    tested = np.array([1, 0, 1])
    rows = predicted(catalog, tested)
    assert ablation.saved_predictions(rows, catalog, 1 - tested, CLASSES) is None
    assert ablation.saved_predictions(rows[rows["path"] != "a"], catalog, tested, CLASSES) is None
    some = ablation.saved_predictions(rows, catalog[1:], tested[1:], CLASSES)
    assert some.tolist() == [[[0.7, 0.3], [0.4, 0.6]]]
    other = catalog.replace({"path": {"a": "d"}})
    assert ablation.saved_predictions(rows, other, tested, CLASSES) is None


@pytest.mark.parametrize("recipe", ["published", "patient"])
def test_the_published_run_is_this_one_or_the_one_beside(tmp_path, recipe):
    run = begun(tmp_path / "one", recipe)
    assert ablation.published_run(run) is None
    published = begun(tmp_path / ("one" if recipe == "published" else "two"), "published")
    published.write_table("predictions", pd.DataFrame({"path": ["a"]}))
    published.finish()
    assert ablation.published_run(run).folder == published.folder


def test_a_run_of_the_patient_recipe_is_never_the_published_one(tmp_path):
    run = begun(tmp_path / "one", "patient")
    run.write_table("predictions", pd.DataFrame({"path": ["a"]}))
    run.finish()
    assert ablation.published_run(run) is None


def begun(folder, recipe):
    run = Run(folder)
    changes = {} if recipe == "published" else {"recipe": recipe}
    run.record(study="study", changes=changes | {"folds": 1})
    run.begin("04_two_stage_training", {"recipe": recipe})
    return run
