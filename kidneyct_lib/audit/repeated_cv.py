"""The same probe on other deals of the patients: other groupings, other seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.evaluation.bootstrap import NO_INTERVAL, Bootstrap
from kidneyct_lib.splitting import cross_validation, near_duplicates
from kidneyct_lib.splitting.holdout import SplitError
from kidneyct_lib.splitting.near_duplicates import Edges

_MEASURES = ("accuracy", "macro_f1")

# Dealing tries the seeds that follow the given one, so deals start this far apart.
_SEED_STEP = 1000


def threshold_sweep(
    probe: Probe,
    edges: Edges,
    thresholds: Sequence[float],
    *,
    folds: int,
    bootstrap: Bootstrap,
) -> list[dict]:
    """Group anew at other thresholds, deal anew, and test by patient.

    Too high a threshold parts the slices of one patient and lets them leak into training.

    Parameters
    ----------
    probe
        To fit.
    edges
        From `near_duplicates.near_duplicates`, down to the lowest of `thresholds`.
    thresholds
        Correlations above which two slices are one patient's.
    folds
        To deal.
    bootstrap
        As in `metrics.summarise`; the seed is the deals' too.

    Returns
    -------
    One dict a threshold: ``threshold``, ``groups``, ``skipped`` (why it could not be tested, or
    ""), and where it was tested ``accuracy``, ``accuracy_ci95``, ``macro_f1``, ``macro_f1_ci95``.
    """
    everything = np.ones(len(probe.table), bool)
    found = []
    for threshold in tqdm(thresholds, desc="grouping thresholds", unit="threshold"):
        group = near_duplicates.find_groups(len(probe.table), edges, threshold)
        regrouped = replace(probe, table=probe.table.assign(group=group))
        row = {"threshold": float(threshold), "groups": int(group.max()) + 1, "skipped": ""}
        found.append(row)
        try:
            tested = cross_validation.deal_folds(
                regrouped.table, "patient", folds=folds, seed=bootstrap.seed
            )
        except SplitError as error:
            row["skipped"] = str(error)
            continue
        answers = regrouped.out_of_fold(tested)
        scores = regrouped.score(answers, everything, bootstrap=bootstrap)
        row |= {key: scores[key] for m in _MEASURES for key in (m, f"{m}_ci95")}
    return found


def repeat_deals(
    probe: Probe, first: Mapping[str, Mapping], *, folds: int, deals: int, seed: int
) -> dict:
    """Test a probe on several deals of the folds: how far the number moves by luck of the deal.

    Parameters
    ----------
    probe
        To fit.
    first
        {scheme: scores on the audit's own folds}, which count as the first deal.
    folds, deals
        Their numbers.
    seed
        Of the first deal; the others use seed + 1000, seed + 2000 and so on.

    Returns
    -------
    {scheme: ``deals`` (how many could be dealt), and ``accuracy`` and ``macro_f1``, each
    {``mean``, ``low``, ``high``} over the deals}.
    """
    everything = np.ones(len(probe.table), bool)
    scores = {scheme: [first[scheme]] for scheme in first}
    todo = [(deal, scheme) for deal in range(1, deals) for scheme in first]
    for deal, scheme in tqdm(todo, desc="other deals of the folds", unit="deal"):
        dealt_with = seed + _SEED_STEP * deal
        try:
            tested = cross_validation.deal_folds(probe.table, scheme, folds=folds, seed=dealt_with)
        except SplitError:  # a small study, which not every seed can deal
            continue
        answers = probe.out_of_fold(tested)  # one resample: no interval is wanted here
        scores[scheme].append(probe.score(answers, everything, bootstrap=NO_INTERVAL))
    return {
        scheme: {"deals": len(found)} | {m: _spread([deal[m] for deal in found]) for m in _MEASURES}
        for scheme, found in scores.items()
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, lowest and highest."""
    return {"mean": float(np.mean(values)), "low": float(min(values)), "high": float(max(values))}
