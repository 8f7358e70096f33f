"""Two finished runs side by side."""

import pytest
from explored_run import explored

from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.two_runs import beside, changed_votes, differences, scores


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run, and one of the same images that takes each class for the other by patient."""
    sides = []
    for name in ("one", "other"):
        run = explored(tmp_path_factory.mktemp(name), export=False)
        if name == "other":
            table = run.read_table("predictions")
            columns, rows = ["p_Normal", "p_Stone"], table["scheme"] == "patient"
            table.loc[rows, columns] = table.loc[rows, columns[::-1]].to_numpy()
            run.write_table("predictions", table)
        sides.append(FinishedRun(run.folder))
    return sides


def test_scores_are_those_of_the_metrics(pair):
    table = scores({"a": pair[0], "b": pair[1]})
    assert list(table["run"]) == ["a", "b"] * 3
    assert list(table["split"][::2]) == ["by slice", "by patient", "by patient, in another window"]
    test = pair[0].run.read_metrics("test")
    for split, known in zip(
        table["split"].unique(),
        (test["slice"], test["patient"], test["patient"]["other_window"]),
        strict=True,
    ):
        row = table[(table["split"] == split) & (table["run"] == "a")].iloc[0]
        assert row["accuracy"] == known["accuracy"]
        assert [row["macro_f1_low"], row["macro_f1_high"]] == known["macro_f1_ci95"]


def test_differences_are_paired_by_split(pair):
    table = differences(*pair).set_index("split")
    wrong = 1 - pair[0].run.read_metrics("test")["patient"]["accuracy"]
    assert table.loc["by slice", "accuracy_difference"] == 0
    assert table.loc["by patient", "accuracy_difference"] == pytest.approx(2 * wrong - 1)


def test_votes_that_changed_are_listed_those_gained_first(pair):
    votes = changed_votes(*pair)
    series = pair[0].series("patient")
    assert len(votes) == len(series)
    assert (votes["first"] != votes["second"]).all()
    gained = (votes["second"] == votes["label"]).tolist()
    assert sum(gained) == (~series["right"]).sum() > 0
    assert gained == sorted(gained, reverse=True)
    assert changed_votes(pair[0], pair[0]).empty


def test_runs_of_other_images_are_not_paired(pair, tmp_path):
    run = explored(tmp_path, export=False)
    table = run.read_table("predictions")
    run.write_table("predictions", table.assign(path="elsewhere/" + table["path"]))
    other = FinishedRun(run.folder)
    assert differences(pair[0], other).empty
    assert changed_votes(pair[0], other).empty


def test_only_finished_runs_beside_it_are_offered(tmp_path):
    finished = FinishedRun(explored(tmp_path, export=False).folder)
    assert beside(finished) == []
    for name in ("a", "b"):
        run = explored(tmp_path / name, export=False)
        target = run.folder.rename(finished.run.folder.parent / name)
    (target / "run.json").write_text('{"notebooks": {"04_two_stage_training": {}}}')
    (finished.run.folder.parent / "c").mkdir()
    assert [path.name for path in beside(finished)] == ["a"]
