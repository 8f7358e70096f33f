"""The same probe on other assignments of patients to folds: other groupings, other seeds."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from kidneyct_lib.audit.probes import Probe, predict_each
from kidneyct_lib.evaluation.bootstrap import NO_INTERVAL, Bootstrap
from kidneyct_lib.splitting import cross_validation, near_duplicates
from kidneyct_lib.splitting.holdout import SplitError
from kidneyct_lib.splitting.near_duplicates import Grouping

_MEASURES = ("accuracy", "macro_f1")

# An assignment tries the seeds that follow the given one, so these start this far apart.
_SEED_STEP = 1000


def threshold_sweep(
    probe: Probe,
    grouping: Grouping,
    thresholds: Sequence[float],
    *,
    folds: int,
    bootstrap: Bootstrap,
    patients: Sequence[str] | None = None,
) -> list[dict]:
    """Group anew at other thresholds, assign the groups to folds anew, and test by patient.

    Too high a threshold parts the slices of one patient and lets them leak into training.

    Parameters
    ----------
    probe
        To fit.
    grouping
        From `near_duplicates.find_groups`, at these `thresholds`.
    thresholds
        Correlations above which two slices are one patient's.
    folds
        Their number.
    bootstrap
        As in `metrics.summarise`; the seed is the folds' too.
    patients
        Known patients, as in `near_duplicates.joined`, where these decide too.

    Returns
    -------
    One dict per threshold: ``threshold``, ``groups``, ``skipped`` (why it could not be tested, or
    ""), and where it was tested ``accuracy``, ``accuracy_ci95``, ``macro_f1``, ``macro_f1_ci95``.
    """
    result, todo = [], []
    for threshold in thresholds:
        group = grouping.at(threshold)
        if patients is not None:
            group = near_duplicates.joined(group, patients)
        regrouped = replace(probe, table=probe.table.assign(group=group))
        row = {"threshold": float(threshold), "groups": int(group.max()) + 1, "skipped": ""}
        result.append(row)
        try:
            tested = cross_validation.assign_folds(
                regrouped.table, "patient", folds=folds, seed=bootstrap.seed
            )
        except SplitError as error:
            row["skipped"] = str(error)
        else:
            todo.append((row, regrouped, tested))
    given = [one[1] for one in todo], [one[2] for one in todo]
    predicted = predict_each(*given, label="grouping thresholds", unit="threshold")
    for (row, regrouped, _), predictions in zip(todo, predicted, strict=True):
        scores = regrouped.score(predictions, bootstrap=bootstrap)
        row |= {key: scores[key] for m in _MEASURES for key in (m, f"{m}_ci95")}
    return result


def repeat_cv(
    probe: Probe, first: Mapping[str, Mapping], *, folds: int, repeats: int, seed: int
) -> dict:
    """Repeat cross-validation with other folds: how far the number moves with the assignment.

    Parameters
    ----------
    probe
        To fit.
    first
        {scheme: scores on the audit's own folds}, which count as the first repeat.
    folds, repeats
        Their numbers.
    seed
        Of the first repeat; the others use seed + 1000, seed + 2000 and so on.

    Returns
    -------
    {scheme: ``repeats`` (how many could be assigned), and ``accuracy`` and ``macro_f1``, each
    {``mean``, ``low``, ``high``} over the repeats}.
    """
    scores = {scheme: [first[scheme]] for scheme in first}
    assigned = []
    for repeat, scheme in [(repeat, scheme) for repeat in range(1, repeats) for scheme in first]:
        other_seed = seed + _SEED_STEP * repeat
        with suppress(SplitError):  # a small study, which not every seed can divide
            tested = cross_validation.assign_folds(
                probe.table, scheme, folds=folds, seed=other_seed
            )
            assigned.append((scheme, tested))
    given = [probe] * len(assigned), [tested for _, tested in assigned]
    predicted = predict_each(*given, label="repeated cross-validation", unit="repeat")
    for (scheme, _), predictions in zip(assigned, predicted, strict=True):
        # One resample: no interval is wanted here.
        scores[scheme].append(probe.score(predictions, bootstrap=NO_INTERVAL))
    return {
        scheme: {"repeats": len(result)}
        | {m: _spread([one[m] for one in result]) for m in _MEASURES}
        for scheme, result in scores.items()
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, lowest and highest."""
    return {"mean": float(np.mean(values)), "low": float(min(values)), "high": float(max(values))}
