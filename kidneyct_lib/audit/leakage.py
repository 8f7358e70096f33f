"""The audit: what a model owes to patients it has seen, by slice and by patient side by side.

Every test here is made twice, on folds of slices and on folds of whole patients, with
all else equal. A model that does well on the first and badly on the second knows patients.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from kidneyct_lib.audit.probes import Nearest, Probe, predict_each
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation, holdout
from kidneyct_lib.splitting.holdout import SplitError

SCHEMES = tuple(cross_validation.UNITS)


class AuditFolds(NamedTuple):
    """The folds of the audit.

    Attributes
    ----------
    tested
        {scheme: int (N,), number of the fold that tests each image}.
    count
        How many folds.
    note
        Where they come from, and why they are fewer than asked for where they are.
    """

    tested: dict[str, np.ndarray]
    count: int
    note: str


def audit_folds(table: pd.DataFrame, split: pd.DataFrame, *, most: int, seed: int) -> AuditFolds:
    """Take the study's own folds, or make folds where the study has one split only.

    Parameters
    ----------
    table
        Catalog: ``path``, ``label``, ``sha256``, ``group``.
    split
        From `cross_validation.study_splits`.
    most
        Folds to make where the study has none; fewer where a class has too few groups for them.
    seed
        Of these folds.

    Raises
    ------
    SplitError
        If not even two folds can be made, or a fold leaks.
    """
    count = int(split["fold"].nunique())
    if count > 1:
        test = {s: split[split[s] == "test"].set_index("path")["fold"] for s in SCHEMES}
        tested = {scheme: fold.loc[table["path"]].to_numpy() for scheme, fold in test.items()}
        folds = AuditFolds(tested, count, f"the study's own {count} folds")
    else:
        folds = _make_folds(table, most, seed)
    for scheme, tested in folds.tested.items():
        for fold in range(folds.count):
            part = np.where(tested == fold, "test", "train")
            holdout.assert_disjoint(table, part, by=["path", *cross_validation.UNITS[scheme]])
    return folds


def predict_all(
    probes: Mapping[str, Probe], nearest: Mapping[str, Nearest], folds: AuditFolds
) -> pd.DataFrame:
    """Predict every image out of fold, by the nearest training slice and by each probe.

    Parameters
    ----------
    probes
        {model: probe}, all of the same table and classes; at least one.
    nearest
        {scheme: `probes.nearest_training` of its folds}.
    folds
        From `audit_folds`.

    Returns
    -------
    DataFrame of `Probe.rows`, each image once per model and scheme; "pixel kNN" is the first model.
    """
    any_probe = next(iter(probes.values()))
    frames = []
    for scheme, tested in folds.tested.items():
        probabilities = nearest[scheme].predict(any_probe.table["label"], any_probe.classes)
        frames.append(any_probe.rows(probabilities, tested, scheme=scheme, model="pixel kNN"))
    todo = [(model, scheme) for model in probes for scheme in SCHEMES]
    given = [probes[model] for model, _ in todo], [folds.tested[scheme] for _, scheme in todo]
    predicted = predict_each(*given, label="shallow models", unit="model")
    for (model, scheme), predictions in zip(todo, predicted, strict=True):
        tested = folds.tested[scheme]
        frames.append(probes[model].rows(predictions, tested, scheme=scheme, model=model))
    return pd.concat(frames, ignore_index=True)


def stage_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Test rows of tables/predictions.csv, with ``model`` "stage 1" or "stage 2"."""
    test = predictions[predictions["split"] == "test"]
    return test.assign(model="stage " + test["stage"].astype(str)).drop(columns="stage")


def score_all(
    predictions: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
) -> dict[str, dict[str, dict]]:
    """Score each model under each scheme.

    Returns
    -------
    {model: {scheme: what `metrics.summarise` gives}}, models in order of appearance.
    """
    scores: dict[str, dict[str, dict]] = {}
    for (model, scheme), rows in predictions.groupby(["model", "scheme"], sort=False):
        result = metrics.summarise(rows, classes, bootstrap=bootstrap)
        scores.setdefault(model, {})[scheme] = result
    return scores


def score_table(scores: Mapping[str, Mapping[str, Mapping]]) -> pd.DataFrame:
    """Flatten scores to one row per model and scheme, in the columns of `metrics.headline`."""
    rows = {model: metrics.headline(by_scheme) for model, by_scheme in scores.items()}
    table = pd.concat(rows, names=["model", None]).reset_index("model")
    return table.drop(columns=["stage", "window"]).reset_index(drop=True)


def nearest_error(
    predictions: pd.DataFrame,
    nearest: Mapping[str, Nearest],
    classes: Sequence[str],
    edges: Sequence[float],
    *,
    bootstrap: Bootstrap,
) -> list[dict]:
    """Bin the slices by how like their most similar training slice they are.

    Parameters
    ----------
    predictions
        One model's rows of `predict_all`.
    nearest
        {scheme: `probes.nearest_training` of the same folds}.
    classes
        The study's classes.
    edges
        Correlations, rising; a bin holds what is above its lower and not above its upper edge.
    bootstrap
        As in `metrics.summarise`.

    Returns
    -------
    One dict per scheme and bin that is not empty: ``scheme``, ``above``, ``up_to``,
    ``correlation`` (median), ``n``, ``groups``, ``error`` (share of slices) and ``error_ci95``.
    """
    result = []
    for scheme, rows in predictions.groupby("scheme", sort=False):
        alike = nearest[scheme].correlation.astype(np.float64)
        for above, up_to in pairwise(edges):
            chosen = (alike > above) & (alike <= up_to)
            if not chosen.any():
                continue
            scores = metrics.summarise(rows[chosen], classes, bootstrap=bootstrap)
            low, high = scores["accuracy_ci95"]
            result.append(
                {
                    "scheme": scheme,
                    "above": above,
                    "up_to": up_to,
                    "correlation": float(np.median(alike[chosen])),
                    "n": scores["n"],
                    "groups": scores["groups"],
                    "error": 1 - scores["accuracy"],
                    "error_ci95": [1 - high, 1 - low],
                }
            )
    return result


def _make_folds(table: pd.DataFrame, most: int, seed: int) -> AuditFolds:
    """Make as many folds as can be, at most `most`."""
    reason = ""
    for count in range(most, 1, -1):
        try:
            tested = {
                scheme: cross_validation.assign_folds(table, scheme, folds=count, seed=seed)
                for scheme in SCHEMES
            }
        except SplitError as error:
            if count == 2:
                raise
            reason = f" instead of {most}: {str(error).removesuffix(' Choose fewer folds.')}"
        else:
            return AuditFolds(tested, count, f"{count} folds made for the audit{reason}")
