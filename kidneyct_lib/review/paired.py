"""Predictions of two runs on the same images: paired differences of metrics, and what flipped."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation import metrics as evaluation_metrics
from kidneyct_lib.evaluation import paired_bootstrap
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import EvaluationError, Predictions, check_predictions
from kidneyct_lib.study.run_folder import read_table

_REMEDY = "make that run again."
_FINAL_STAGE = 2

# Tables of predictions on test slices, the column that tells their models apart, and where the
# metrics of one model stand.
_TABLES = {
    "predictions": ("stage", "metrics/test.json"),
    "counterfactual_predictions": ("stage", "metrics/test.json"),
    "audit_predictions": ("model", "metrics/leakage.json"),
}

FLIP_KINDS = ("right to wrong", "wrong to right", "wrong to wrong")


class Difference(NamedTuple):
    """A paired difference, branch minus base, and the ends of its 95 % interval over groups."""

    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


class Sides(NamedTuple):
    """One model's test predictions in both runs, in one order of rows."""

    prefix: str  # of its metrics: file and key
    scheme: str
    before: pd.DataFrame
    after: pd.DataFrame
    final: bool  # whether these are the study's final predictions


@dataclass(frozen=True)
class Flips:
    """Slices of which the predicted class changed, of one scheme's final model.

    Attributes
    ----------
    scheme, n
        "slice" or "patient"; slices that both runs test.
    slices
        One row per slice that flipped: ``path``, ``group``, ``label``, ``before``, ``after``
        (predicted classes) and ``kind``, one of `FLIP_KINDS`.
    by_class, by_group
        ``label`` or ``group`` and ``label``, ``n`` (slices), ``flipped``, and one count of each
        kind; every class, and the groups with a flip, most first.
    """

    scheme: str
    n: int
    slices: pd.DataFrame
    by_class: pd.DataFrame
    by_group: pd.DataFrame


def read_sides(before: Path, after: Path) -> tuple[list[Sides], list[str]]:
    """Pair the test predictions of two run folders, model by model.

    Returns
    -------
    The pairs; and for each model that is in both runs and can't be paired, a sentence that says so.
    """
    pairs, unpaired = [], []
    for name, (models, file) in _TABLES.items():
        paths = [folder / f"tables/{name}.csv" for folder in (before, after)]
        if not all(path.is_file() for path in paths):
            continue
        one, other = (_test_rows(path, models) for path in paths)
        for key in (key for key in one if key in other):
            scheme, model = key
            found = Sides(
                _prefix(name, file, scheme, model),
                scheme,
                one[key],
                other[key],
                name == "predictions" and model == _FINAL_STAGE,
            )
            columns = ["path", "label", "group"]
            if found.before[columns].equals(found.after[columns]):
                pairs.append(found)
            else:
                unpaired.append(
                    f"{name}, {scheme}, {model}: the runs test other slices or group them "
                    "otherwise, so their difference has no interval."
                )
    return pairs, unpaired


def _test_rows(path: Path, models: str) -> dict[tuple[str, Any], pd.DataFrame]:
    table = read_table(path, _REMEDY)
    rows = table[table["split"] == "test"].sort_values("path", kind="stable")
    grouped = rows.groupby(["scheme", models], sort=False)
    return {(str(key[0]), key[1]): part.reset_index(drop=True) for key, part in grouped}


def _prefix(table: str, file: str, scheme: str, model: Any) -> str:
    if table == "audit_predictions":
        return f"{file}:models.{model}.{scheme}."
    stage = "" if model == _FINAL_STAGE else f"stage{model}."
    window = "other_window." if table == "counterfactual_predictions" else ""
    return f"{file}:{scheme}.{stage}{window}"


def differences(pair: Sides, bootstrap: Bootstrap) -> dict[str, Difference]:
    """Give the paired difference of each metric that `metrics.summarise` gives of one model.

    Parameters
    ----------
    pair, bootstrap
        Predictions of both runs; resamples of the groups.

    Returns
    -------
    {key of the metric, as ``metrics/test.json:patient.accuracy``: its difference}: accuracy,
    macro-F1, loss (mean negative log likelihood, nats) and the recall of each class.

    Raises
    ------
    EvaluationError
        If a table can't be evaluated.
    """
    classes = _classes(pair)
    compared = paired_bootstrap.compare(pair.before, pair.after, classes, bootstrap=bootstrap)
    result = {}
    for name in ("accuracy", "macro_f1"):
        ends = (f"{name}_difference{end}" for end in ("", "_low", "_high"))
        result[pair.prefix + name] = Difference(*(float(compared[key]) for key in ends))
    before, after = (check_predictions(table, classes) for table in (pair.before, pair.after))
    for name, gained, counted in _means(before, after, classes):
        unbounded = (-np.inf, np.inf) if name == "loss" else (-1, 1)
        ratio = bootstrap.ratio("x", gained, counted, before.group, bounds=unbounded)
        result[pair.prefix + name] = Difference(ratio["x"], *ratio["x_ci95"])
    return result


def _means(
    before: Predictions, after: Predictions, classes: list[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Metrics that are means over slices: name, what each slice gains, whether it counts."""
    yield "loss", after.nll - before.nll, np.ones(len(before.true))
    right = after.right.astype(float) - before.right
    for code, name in enumerate(classes):
        of_class = (before.true == code).astype(float)
        if of_class.any():
            yield f"per_class.{name}.recall", right * of_class, of_class


def flips(pair: Sides) -> Flips:
    """Find the slices of which the predicted class changed, by class and by group.

    Raises
    ------
    EvaluationError
        If a table can't be evaluated.
    """
    classes = _classes(pair)
    named = [
        evaluation_metrics.named_predictions(table, classes).sort_index()
        for table in (pair.before, pair.after)
    ]
    slices = named[0][["path", "group", "label"]].assign(
        before=named[0]["predicted"], after=named[1]["predicted"]
    )
    was, now = slices["before"] == slices["label"], slices["after"] == slices["label"]
    slices["flipped"] = slices["before"] != slices["after"]
    counted = {
        "right to wrong": was & ~now,
        "wrong to right": ~was & now,
        "wrong to wrong": slices["flipped"] & ~was & ~now,
    }
    slices = slices.assign(n=1, **counted)
    sums = ["n", "flipped", *FLIP_KINDS]
    by_class = slices.groupby("label", sort=False)[sums].sum().reindex(classes).dropna()
    by_group = slices.groupby(["group", "label"], sort=False)[sums].sum()
    by_group = by_group[by_group["flipped"] > 0].sort_values("flipped", ascending=False)
    flipped = slices[slices["flipped"]]
    kind = flipped[list(FLIP_KINDS)].idxmax(axis=1) if len(flipped) else pd.Series(dtype=str)
    shown = flipped[["path", "group", "label", "before", "after"]].assign(kind=kind)
    whole = [part.astype(int).reset_index() for part in (by_class, by_group)]
    return Flips(pair.scheme, len(slices), shown.reset_index(drop=True), *whole)


def _classes(pair: Sides) -> list[str]:
    """Take the classes from the probability columns, which must be the same on both sides."""
    before, after = (
        [str(c)[2:] for c in table if str(c).startswith("p_")]
        for table in (pair.before, pair.after)
    )
    if before != after:
        raise EvaluationError(
            f"{pair.prefix[:-1]}: the runs have other classes ({', '.join(before)}; "
            f"{', '.join(after)})."
        )
    return before
