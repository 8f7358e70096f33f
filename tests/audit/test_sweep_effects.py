"""Cells of a sweep: paired where the slices are the same, and effects told from noise."""

import numpy as np
import pandas as pd
import pytest

from kidneyct_lib.audit import sweep_effects
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.study.run_folder import Run

CLASSES = ["A", "B"]
AXES = ["recipe", "seed"]
RESAMPLES = Bootstrap(400, 3)
GROUPS, SLICES = 60, 4


def answers(seed, accuracy, *, patients=0):
    """Predictions of the same slices, right as often as asked; each has its content's digest."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), SLICES)
    true = group % 2
    right = rng.random(len(group)) < accuracy
    says = np.where(right, true, 1 - true)
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(len(group))], "group": group})
    table["label"] = np.array(CLASSES)[true]
    table["sha256"] = [f"{patients}-{k}" for k in range(len(group))]
    table[probability_columns(CLASSES)] = np.eye(2)[says] * 0.8 + 0.1
    return table


def make(folder, table, *, classes=CLASSES, fold=0):
    """A run that holds what a sweep reads; in the other window and by slice it says the same."""
    run = Run(folder)
    content = "".join(table["sha256"])
    run.record(parameters={"classes": classes}, data={"sha256": content})
    run.record(initial_weights_sha256="one for all")
    run.write_table("catalog", table[["path", "label", "group", "sha256"]])
    run.write_table("splits", table[["path", "label", "group"]].assign(fold=fold))
    test = table.drop(columns="sha256").assign(stage=2, split="test", fold=fold)
    both = pd.concat([test.assign(scheme=scheme) for scheme in ("slice", "patient")])
    run.write_table("predictions", pd.concat([both, both.assign(stage=1), both.assign(split="x")]))
    run.write_table("counterfactual_predictions", pd.concat([both, both.assign(stage=1)]))
    return run


def sweep(tmp_path, accuracies, seeds=4, *, patients=lambda seed: 0):
    """Cells and runs of recipes with these accuracies by these seeds."""
    cells, runs = [], {}
    for recipe, accuracy in accuracies.items():
        for seed in range(seeds):
            name = f"{recipe}-{seed}"
            cells.append({"cell": name, "recipe": recipe, "seed": seed})
            draw = 1000 * len(recipe) + seed
            table = answers(draw, accuracy, patients=patients(seed))
            runs[name] = make(tmp_path / name, table)
    return pd.DataFrame(cells), runs


def found(tmp_path, accuracies, **options):
    cells, runs = sweep(tmp_path, accuracies, **options)
    pairs = sweep_effects.pairs(cells, AXES)
    return sweep_effects.differences(pairs, runs, bootstrap=RESAMPLES)


# --- pairs ---------------------------------------------------------------------------------------


def test_cells_are_paired_that_differ_on_one_axis_alone():
    levels = [(s, r, n) for s in ("x", "y") for r in ("p", "q") for n in (1, 2)]
    cells = pd.DataFrame(levels, columns=["study", "recipe", "seed"])
    cells.insert(0, "cell", ["-".join(map(str, row)) for row in levels])
    pairs = sweep_effects.pairs(cells, ["study", "recipe", "seed"])
    assert pairs["axis"].value_counts().to_dict() == {"study": 4, "recipe": 4, "seed": 4}
    by_recipe = pairs[pairs["axis"] == "recipe"].to_dict("records")
    assert [(p["baseline"], p["compared"]) for p in by_recipe] == [
        ("x-p-1", "x-q-1"),
        ("x-p-2", "x-q-2"),
        ("y-p-1", "y-q-1"),
        ("y-p-2", "y-q-2"),
    ]
    assert by_recipe[2] | {"seed": int(by_recipe[2]["seed"])} == {
        **{"axis": "recipe", "baseline": "y-p-1", "compared": "y-q-1"},
        **{"from": "p", "to": "q", "where": "y", "seed": 1},
    }
    alone = sweep_effects.pairs(cells.iloc[:2], ["seed"])
    assert alone[["from", "to"]].to_numpy().tolist() == [[1, 2]]
    assert sweep_effects.pairs(cells.iloc[:1], ["seed"]).empty


def test_a_level_is_named_with_its_axis_unless_it_is_a_word():
    levels = {"study": "phantom", "seed": 3, "recipe": "patient"}
    assert sweep_effects.label(levels) == "phantom, seed 3, patient"


# --- differences ---------------------------------------------------------------------------------


def test_the_same_slices_are_paired_by_group(tmp_path):
    one, other = answers(1, 0.6), answers(2, 0.8)
    runs = make(tmp_path / "a", one), make(tmp_path / "b", other.assign(group=other["group"] + 7))
    sides = [sweep_effects.tested(run)["patient"] for run in runs]
    result = sweep_effects.difference(*sides, CLASSES, bootstrap=RESAMPLES)

    def right(table):
        return (table["p_A"] > 0.5) == (table["label"] == "A")

    assert result["paired"]
    assert (result["n"], result["groups"]) == (GROUPS * SLICES, GROUPS)
    expected = right(other).mean() - right(one).mean()
    assert result["accuracy_difference"] == pytest.approx(expected)
    assert result["accuracy_difference_low"] < expected < result["accuracy_difference_high"]


def test_slices_in_the_same_places_with_other_content_are_not_paired(tmp_path):
    one, other = answers(1, 0.7), answers(1, 0.7, patients=1)
    runs = make(tmp_path / "a", one), make(tmp_path / "b", other, fold=1)
    sides = [sweep_effects.tested(run)["patient"] for run in runs]
    result = sweep_effects.difference(*sides, CLASSES, bootstrap=RESAMPLES)
    assert not result["paired"]
    assert result["accuracy_difference"] == 0
    # Each side's patients are drawn by themselves: its interval is as wide as theory has it.
    by_group = (one["p_A"] > 0.5).eq(one["label"] == "A").groupby(one["group"]).mean()
    error = np.sqrt(2 * by_group.var() / GROUPS)
    width = result["accuracy_difference_high"] - result["accuracy_difference_low"]
    assert width == pytest.approx(2 * 1.96 * error, rel=0.15)
    known = {"images": False, "test slices": False, "splits": False, "initial weights": True}
    assert sweep_effects.shared(*runs) == known
    assert all(sweep_effects.shared(runs[0], runs[0]).values())


def test_paired_answers_that_agree_have_no_interval_to_speak_of(tmp_path):
    table = found(tmp_path, {"p": 0.7}, seeds=1)
    assert table.empty
    run = make(tmp_path / "a", answers(1, 0.7))
    side = sweep_effects.tested(run)["slice"]
    result = sweep_effects.difference(side, side, CLASSES, bootstrap=RESAMPLES)
    assert (result["accuracy_difference_low"], result["accuracy_difference_high"]) == (0, 0)


def test_cells_of_other_classes_are_not_compared(tmp_path):
    cells, runs = sweep(tmp_path, {"p": 0.7, "qq": 0.7}, seeds=1)
    runs["qq-0"].record(parameters={"classes": ["A", "C"]})
    pairs = sweep_effects.pairs(cells, AXES)
    assert len(pairs) == 1
    assert sweep_effects.differences(pairs, runs, bootstrap=RESAMPLES).empty


# --- effects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "verdict"), [(0.6, 0.8, "better"), (0.8, 0.6, "worse")]
)
def test_a_planted_effect_is_found(tmp_path, first, second, verdict):
    table = found(tmp_path, {"p": first, "qq": second})
    effects = sweep_effects.effects(table)
    assert list(effects["scheme"]) == ["slice", "patient", "other_window"]
    assert set(effects["axis"]) == {"recipe"}
    for row in effects.to_dict("records"):
        assert row["verdict"] == verdict
        assert row["difference"] == pytest.approx(second - first, abs=0.05)
        assert (row["from"], row["to"], row["seeds"], row["paired"]) == ("p", "qq", 4, True)
    values = table.query("axis == 'recipe' and scheme == 'patient'")["accuracy_difference"]
    row = effects[effects["scheme"] == "patient"].iloc[0]
    half = 3.182446 * values.std() / 2  # Student's t with three degrees of freedom
    assert row["seeds_high"] - row["difference"] == pytest.approx(half, rel=1e-5)
    assert row["groups_low"] < second - first < row["groups_high"]


def test_pure_noise_is_within_the_noise(tmp_path):
    effects = sweep_effects.effects(found(tmp_path, {"p": 0.7, "qq": 0.7}, seeds=5))
    assert set(effects["verdict"]) == {"within the noise"}


def test_an_effect_as_large_as_what_seeds_move_is_within_the_noise():
    """Each seed's interval over groups excludes 0, but the seeds do not agree."""
    rows = [
        {"axis": "recipe", "where": "", "from": "p", "to": "q", "scheme": "patient"}
        | {"paired": True, "accuracy_difference": value}
        | {"accuracy_difference_low": value - 0.01, "accuracy_difference_high": value + 0.01}
        for value in (0.30, 0.02, 0.05)
    ]
    (row,) = sweep_effects.effects(pd.DataFrame(rows)).to_dict("records")
    assert row["groups_low"] > 0 > row["seeds_low"]
    assert row["verdict"] == "within the noise"
    (row,) = sweep_effects.effects(pd.DataFrame(rows[:1])).to_dict("records")
    assert row["verdict"] == "one seed: its noise is not known"


def test_seeds_with_other_patients_pair_the_recipes_and_not_the_seeds(tmp_path):
    table = found(tmp_path, {"p": 0.7, "qq": 0.7}, seeds=2, patients=lambda seed: seed)
    assert table[table["axis"] == "recipe"]["paired"].all()
    assert not table[table["axis"] == "seed"]["paired"].any()
