"""Two finished runs side by side: their scores, and where they can be paired the differences."""

from pathlib import Path

import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation import metrics, paired_bootstrap
from kidneyct_lib.explore.finished_run import SCHEMES, FinishedRun


def beside(finished: FinishedRun) -> list[Path]:
    """Folders of the other finished runs in the folder that holds this one, by name."""
    result = []
    for path in sorted(finished.run.folder.parent.glob("*/run.json")):
        if path.parent == finished.run.folder:
            continue
        try:
            FinishedRun(path.parent)
        except StudyError:
            continue
        result.append(path.parent)
    return result


def scores(runs: dict[str, FinishedRun]) -> pd.DataFrame:
    """Set the headline scores of runs side by side.

    Parameters
    ----------
    runs
        {name: run}, in the order of the rows.

    Returns
    -------
    DataFrame with one row per split, window and run: ``split`` ("by slice", "by patient", "by
    patient, in another window"), ``run``, and the numbers of `metrics.headline` for the final
    stage.
    """
    tables = []
    for name, finished in runs.items():
        table = metrics.headline(finished.run.read_metrics("test")).query("stage == 2")
        other = table["window"] != "as shown"
        table = table[~other | (table["scheme"] == "patient")]
        split = "by " + table["scheme"] + other.map({True: ", in another window", False: ""})
        tables.append(table.assign(split=split, run=name))
    table = pd.concat(tables, ignore_index=True)
    order = list(dict.fromkeys(table["split"]))
    table = table.sort_values("split", key=lambda column: column.map(order.index), kind="stable")
    columns = ["split", "run", "n", "groups"]
    numbers = [f"{name}{end}" for name in ("accuracy", "macro_f1") for end in ("", "_low", "_high")]
    return table[columns + numbers].reset_index(drop=True)


def differences(first: FinishedRun, second: FinishedRun) -> pd.DataFrame:
    """Compare two runs slice by slice under each split, second minus first.

    Returns
    -------
    DataFrame with one row per split: ``split`` and the keys of `paired_bootstrap.compare`; empty
    where the runs have other classes, or test other images, or group them otherwise.
    """
    rows = []
    for split, scheme in SCHEMES.items():
        one, other = first.tested(scheme), second.tested(scheme)
        if first.classes == second.classes and _alike(one, other):
            compared = paired_bootstrap.compare(
                one, other, first.classes, bootstrap=first.bootstrap
            )
            rows.append({"split": split} | compared)
    return pd.DataFrame(rows)


def changed_votes(first: FinishedRun, second: FinishedRun) -> pd.DataFrame:
    """List the series of new patients whose vote differs between two runs of the same images.

    Returns
    -------
    DataFrame, those that got right first: ``group``, ``label``, ``patient``, ``n``, ``first`` and
    ``second`` (the votes); empty where the runs can't be paired.
    """
    sides = [finished.tested("patient") for finished in (first, second)]
    columns = ["group", "label", "patient", "n", "first", "second"]
    if first.classes != second.classes or not _alike(*sides):
        return pd.DataFrame(columns=columns)
    table = first.series("patient").rename(columns={"vote": "first"})
    other = second.series("patient")[["group", "label", "vote"]]
    table = table.merge(other.rename(columns={"vote": "second"}), on=["group", "label"])
    table = table[table["first"] != table["second"]]
    gained = (table["second"] == table["label"]).astype(int) - (table["first"] == table["label"])
    return table.loc[gained.sort_values(ascending=False, kind="stable").index, columns]


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables hold the same images with the same labels and groups."""
    columns = ["path", "label", "group"]
    left, right = (table[columns].sort_values("path", ignore_index=True) for table in (one, other))
    return left.equals(right)
