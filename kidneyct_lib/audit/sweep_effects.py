"""Sweeps: cells compared on the same slices, and how much of what differs is the seed's noise.

Two kinds of noise stand behind a score. Other patients would score otherwise: the bootstrap over
groups tells how much. Another seed would, too, as it draws other splits and initial weights, and a
generated study's patients: the spread over seeds tells how much (Bouthillier et al. 2021).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from kidneyct_lib.evaluation import paired_bootstrap
from kidneyct_lib.evaluation.bootstrap import (
    Bootstrap,
    estimate,
    flat_row,
    group_confusions,
    resampled_scores,
)
from kidneyct_lib.evaluation.predictions import check_predictions
from kidneyct_lib.study.run_folder import Run

SEED = "seed"
_FINAL_STAGE = 2


def label(levels: Mapping[str, Any]) -> str:
    """Name a cell by its levels: a number with its axis, a word alone."""
    return ", ".join(
        level if isinstance(level, str) else f"{axis} {level}" for axis, level in levels.items()
    )


def tested(run: Run) -> dict[str, pd.DataFrame]:
    """Predictions of a run's test slices in the final stage, by scheme.

    Returns
    -------
    {"slice", "patient", "other_window": predictions table}; ``path`` tells a slice's place and
    content, for a generated study has other slices in the same places with every seed.
    """
    digests = run.read_table("catalog").set_index("path")["sha256"]
    own, elsewhere = (
        run.read_table(name).query("stage == @_FINAL_STAGE and split == 'test'")
        for name in ("predictions", "counterfactual_predictions")
    )
    parts = {scheme: own[own["scheme"] == scheme] for scheme in ("slice", "patient")}
    parts["other_window"] = elsewhere[elsewhere["scheme"] == "patient"]
    return {
        scheme: rows.assign(path=rows["path"] + " " + rows["path"].map(digests))
        for scheme, rows in parts.items()
    }


def shared(one: Run, other: Run) -> dict[str, bool]:
    """Tell what two runs have in common: images, test slices by patient, splits, weights."""
    facts = [run.provenance() for run in (one, other)]
    rows = [run.read_table("splits") for run in (one, other)]
    slices = [tested(run)["patient"] for run in (one, other)]
    return {
        "images": facts[0]["data"]["sha256"] == facts[1]["data"]["sha256"],
        "test slices": paired_bootstrap.same_images(*slices),
        "splits": rows[0].equals(rows[1]),
        "initial weights": facts[0].get("initial_weights_sha256")
        == facts[1].get("initial_weights_sha256"),
    }


def pairs(cells: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Pair cells that differ on one axis alone: each level with the first one.

    Parameters
    ----------
    cells
        One row per cell: ``cell`` and its level on each axis.
    axes
        Names of these columns.

    Returns
    -------
    DataFrame with ``axis``, ``baseline`` and ``compared`` (cells), ``from`` and ``to`` (levels),
    ``where`` (levels of the other axes but the seed) and ``seed`` (None without that axis).
    """
    rows = []
    for axis in axes:
        others = [one for one in axes if one != axis]
        alike = cells.groupby(others, sort=False) if others else [((), cells)]
        for held, block in alike:
            levels = dict(zip(others, held, strict=True))
            seed = levels.pop(SEED, None)
            first = block.iloc[0]
            for _, cell in block.iloc[1:].iterrows():
                named = {"axis": axis, "baseline": first["cell"], "compared": cell["cell"]}
                named |= {"from": first[axis], "to": cell[axis]}
                rows.append(named | {"where": label(levels), "seed": seed})
    columns = ["axis", "baseline", "compared", "from", "to", "where", "seed"]
    return pd.DataFrame(rows, columns=columns)


def differences(
    pairs: pd.DataFrame, runs: Mapping[str, Run], *, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Compare the cells of each pair under each scheme, by group where they tested the same slices.

    Where the slices are others, each side's groups are resampled by themselves, and the interval is
    wider. Pairs with other classes answer other questions and are left out.

    Parameters
    ----------
    pairs
        From `pairs`.
    runs
        Finished runs, by cell.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    DataFrame with the columns of `pairs`, ``scheme``, ``paired`` (bool), ``n`` and ``groups`` (of
    the compared cell), ``accuracy_difference`` and ``macro_f1_difference`` (compared minus
    baseline, with ``_low`` and ``_high``); where paired ``share_better`` and ``share_worse``.
    """
    names = {*pairs["baseline"], *pairs["compared"]}
    tables = {name: tested(runs[name]) for name in names}
    classes = {name: runs[name].provenance()["parameters"]["classes"] for name in names}
    rows = []
    for pair in pairs.to_dict("records"):
        before, after = pair["baseline"], pair["compared"]
        if classes[before] != classes[after]:
            continue
        for scheme, compared in tables[after].items():
            sides = tables[before][scheme], compared
            result = difference(*sides, classes[after], bootstrap=bootstrap)
            rows.append(pair | {"scheme": scheme} | result)
    return pd.DataFrame(rows, columns=None if rows else [*pairs, "scheme", "paired"])


def difference(
    baseline: pd.DataFrame, compared: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Compare two predictions tables: paired by group on the same slices, else side by side.

    Returns
    -------
    dict as in `paired_bootstrap.compare`, with ``paired``; without the shares where it is False.
    """
    if paired_bootstrap.same_images(baseline, compared):
        groups = baseline.set_index("path")["group"]  # may be named otherwise in the other run
        compared = compared.assign(group=compared["path"].map(groups))
        return {"paired": True} | paired_bootstrap.compare(
            baseline, compared, classes, bootstrap=bootstrap
        )
    sides = [check_predictions(table, classes) for table in (baseline, compared)]
    counts = [group_confusions(s.true, s.predicted, s.group, len(classes)) for s in sides]
    draws = bootstrap, Bootstrap(bootstrap.resamples, bootstrap.seed + 1)  # of each by itself
    scores = [
        resampled_scores(one, np.vstack([np.ones(len(one), int), draw.times(len(one))]))
        for one, draw in zip(counts, draws, strict=True)
    ]
    result: dict[str, Any] = {"paired": False, "n": len(compared), "groups": len(counts[1])}
    for name, before, after in zip(("accuracy", "macro_f1"), *scores, strict=True):
        value, *drawn = after - before
        fewest = min(map(len, counts))
        named = f"{name}_difference"
        result |= flat_row(estimate(named, value, np.array(drawn), fewest, bounds=(-1, 1)))
    return result


def effects(differences: pd.DataFrame, score: str = "accuracy") -> pd.DataFrame:
    """Say of each level whether it differs from the first one beyond both kinds of noise.

    Over the seeds, the interval is Student's of the mean difference. Over the groups it is the mean
    of the seeds' intervals: right if all seeds test the same patients, too wide if they do not.

    Parameters
    ----------
    differences
        From `differences`; rows of the axis "seed" are left out.
    score
        "accuracy" or "macro_f1".

    Returns
    -------
    DataFrame with one row per axis, level, place (``where``) and scheme: ``axis``, ``where``,
    ``from``, ``to``, ``scheme``, ``seeds``, ``paired``, ``difference`` (mean over the seeds),
    ``sd`` (over the seeds), ``seeds_low``, ``seeds_high``, ``groups_low``, ``groups_high``,
    ``verdict``.
    """
    keys = ["axis", "where", "from", "to", "scheme"]
    name, rows = f"{score}_difference", []
    for key, block in differences[differences["axis"] != SEED].groupby(keys, sort=False):
        values, count = block[name].to_numpy(float), len(block)
        row = dict(zip(keys, key, strict=True)) | {"seeds": count, "paired": block["paired"].all()}
        row |= {"difference": values.mean(), "sd": values.std(ddof=1) if count > 1 else np.nan}
        half = stats.t.ppf(0.975, count - 1) * row["sd"] / np.sqrt(count) if count > 1 else np.nan
        row |= {"seeds_low": row["difference"] - half, "seeds_high": row["difference"] + half}
        row |= {f"groups_{end}": block[f"{name}_{end}"].mean() for end in ("low", "high")}
        rows.append(row | {"verdict": _verdict(row)})
    columns = [*keys, "seeds", "paired", "difference", "sd", "seeds_low", "seeds_high"]
    return pd.DataFrame(rows, columns=[*columns, "groups_low", "groups_high", "verdict"])


def _verdict(row: Mapping[str, Any]) -> str:
    """Both intervals exclude 0, or not; one seed has no interval over seeds."""
    low, high = min(row["seeds_low"], row["groups_low"]), max(row["seeds_high"], row["groups_high"])
    if row["seeds"] < 2:
        return "one seed: its noise is not known"
    return "better" if low > 0 else "worse" if high < 0 else "within the noise"
