"""How much of a score is the seed's noise: known variances come back, noise shows no levels."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kidneyct_lib.audit import seed_noise


def scores(values, recipes=None):
    """One row per cell of an array (recipes, seeds), with intervals of a known standard error."""
    values = np.atleast_2d(values)
    names = recipes or [f"r{k}" for k in range(len(values))]
    rows = [
        {"recipe": name, "seed": seed, "value": value, "low": value - 0.098, "high": value + 0.098}
        for name, line in zip(names, values, strict=True)
        for seed, value in enumerate(line)
    ]
    return pd.DataFrame(rows)


def drawn(levels, seeds, rest, *, shape=(6, 3000)):
    rng = np.random.default_rng(0)
    over_levels = levels * stats.norm.ppf((np.arange(shape[0]) + 0.5) / shape[0])[:, None]
    return 0.5 + over_levels + rng.normal(0, seeds, (1, shape[1])) + rng.normal(0, rest, shape)


def test_known_components_come_back():
    table = scores(drawn(0.1, 0.03, 0.02))
    (row,) = seed_noise.components(table, ["recipe", "seed"]).to_dict("records")
    expected = table.groupby("recipe")["value"].mean().std()
    assert row["between_levels"] == pytest.approx(expected, rel=0.01)
    assert row["between_seeds"] == pytest.approx(0.03, rel=0.05)
    assert row["rest"] == pytest.approx(0.02, rel=0.05)
    assert row["groups"] == pytest.approx(0.05, rel=0.001)
    assert (row["axis"], row["cells"]) == ("recipe", 18_000)


def test_they_are_those_of_a_small_table_reckoned_by_hand():
    """Levels 1, 2; seeds 0, 2, 4: mean squares 6, 8 and 0, with 1, 2 and 2 degrees of freedom."""
    (row,) = seed_noise.components(scores([[1, 3, 5], [3, 5, 7]]), ["recipe", "seed"]).to_dict(
        "records"
    )
    assert row["rest"] == pytest.approx(0, abs=1e-12)
    assert row["between_levels"] == pytest.approx(np.sqrt(2))
    assert row["between_seeds"] == pytest.approx(2)


def test_pure_noise_shows_no_levels():
    (row,) = seed_noise.components(scores(drawn(0, 0.03, 0.02)), ["recipe", "seed"]).to_dict(
        "records"
    )
    assert row["between_levels"] < 0.001


def test_where_the_seed_is_alone_its_spread_is_told():
    table = scores([[0.3, 0.4, 0.5]]).drop(columns="recipe")
    (row,) = seed_noise.components(table, ["seed"]).to_dict("records")
    assert row["between_seeds"] == pytest.approx(0.1)
    assert np.isnan(row["between_levels"])
    assert row["mean"] == pytest.approx(0.4)


def test_without_two_seeds_there_is_nothing_to_tell():
    one = scores([[0.3], [0.4]])
    assert seed_noise.components(one, ["recipe", "seed"]).empty
    assert seed_noise.components(one.drop(columns="seed"), ["recipe"]).empty


def test_a_seed_that_one_level_lacks_is_left_out():
    whole = scores([[1, 3, 5, 9], [3, 5, 7, 9]])
    lacking = whole.drop(index=[3])
    expected = seed_noise.components(whole[whole["seed"] < 3], ["recipe", "seed"])
    result = seed_noise.components(lacking, ["recipe", "seed"])
    names = ["between_levels", "between_seeds", "rest"]
    pd.testing.assert_frame_equal(result[names], expected[names])


def test_each_place_has_its_own_row():
    both = [scores([[1, 3], [2, 4]]).assign(study=study) for study in ("x", "y")]
    table = seed_noise.components(pd.concat(both), ["study", "recipe", "seed"])
    assert table[["axis", "where"]].to_numpy().tolist() == [
        ["study", "r0"],
        ["study", "r1"],
        ["recipe", "x"],
        ["recipe", "y"],
    ]


def test_the_interval_of_a_deviation_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = [seed_noise.deviation_interval(rng.normal(0, 2, 5)) for _ in range(2000)]
    held = np.mean([low < 2 < high for low, high in draws])
    assert held == pytest.approx(0.95, abs=0.015)
    with pytest.raises(ValueError, match="no spread"):
        seed_noise.deviation_interval([1.0])


@pytest.mark.parametrize(("difference", "seeds"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_seeds_needed_are_those_of_published_tables(difference, seeds):
    """Cohen 1988, table 2.4.1, for one standard deviation: 393, 64, 26, 17 (rounded there)."""
    assert abs(seed_noise.seeds_needed(1.0, difference) - seeds) <= 1
    assert seed_noise.seeds_needed(0.1, difference / 10) == seed_noise.seeds_needed(1, difference)


def test_fewest_seeds_and_impossible_questions():
    assert seed_noise.seeds_needed(0, 0.01) == 2
    assert seed_noise.seeds_needed(0.001, 0.5) == 2
    for wrong in ((0.1, 0), (-1, 0.1)):
        with pytest.raises(ValueError, match="above 0"):
            seed_noise.seeds_needed(*wrong)
