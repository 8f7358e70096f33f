"""Hidden twins: groups that may be one patient, in another contrast phase or display window.

Near-duplicate slices form a group, so a second series of a patient forms another one. What both
have in common is the body: slices in one display window, cropped to it, are compared between all
groups. In data where a patient has one class, groups of two classes are two patients; how alike
these are tells how alike two groups must be to be taken for one patient.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation
from kidneyct_lib.splitting.holdout import components


def pairs(thumbs: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    """Compare all pairs of groups by their two slices that are most alike.

    Parameters
    ----------
    thumbs
        float32 (N, D) from `near_duplicates.thumbnails`, of slices in one display window, cropped
        to the body: a dot product is a correlation.
    table
        Catalog of the N slices: ``label``, ``group``.

    Returns
    -------
    DataFrame, the most alike pairs first: ``group_a``, ``group_b``, ``row_a``, ``row_b`` (the row
    numbers of the two slices), ``one_class`` (whether both groups are of the same class) and
    ``correlation`` of the two slices, -1 to 1.
    """
    rows_of = table.reset_index(drop=True).groupby("group").groups
    label = table.groupby("group")["label"].first().to_numpy()
    groups = np.array(list(rows_of))
    first, second = np.triu_indices(len(groups), 1)
    # Arrays, not a dict for each pair, since there are as many as half the groups squared.
    rows, correlation = np.empty((2, len(first)), np.int64), np.empty(len(first))
    place = 0
    with threadpool_limits(1):  # products this small wait for one another's threads
        for k, a in enumerate(tqdm(groups, desc="pairs of groups", unit="group", leave=False)):
            own = thumbs[rows_of[a]]
            for b in groups[k + 1 :]:
                alike = own @ thumbs[rows_of[b]].T
                i, j = np.unravel_index(alike.argmax(), alike.shape)
                rows[:, place] = rows_of[a][i], rows_of[b][j]
                correlation[place] = alike[i, j]
                place += 1
    compared = pd.DataFrame(
        {
            "group_a": groups[first],
            "group_b": groups[second],
            "row_a": rows[0],
            "row_b": rows[1],
            "one_class": label[first] == label[second],
            "correlation": correlation,
        }
    )
    return compared.sort_values("correlation", ascending=False, ignore_index=True)


def likely(compared: pd.DataFrame) -> pd.DataFrame:
    """Choose the pairs of one class that are more alike than any two groups of two classes.

    `compared` is from `pairs`.
    """
    strangers = compared.loc[~compared["one_class"], "correlation"]
    return compared[compared["one_class"] & (compared["correlation"] > strangers.max())]


def summarise(
    compared: pd.DataFrame,
    probe: Probe,
    *,
    folds: int,
    seed: int,
    bootstrap: Bootstrap,
) -> dict:
    """Count the likely twins, and score a classifier by patient with twins apart and together.

    Parameters
    ----------
    compared
        From `pairs`.
    probe
        Classifier, with the catalog whose groups were compared.
    folds, seed
        How many folds, fewer where a class has fewer patients once twins are joined; seed of their
        assignments. Both are the same for the two scores.
    bootstrap
        Resamples of the groups as they were.

    Returns
    -------
    dict of plain numbers: ``pairs`` and ``stranger_pairs`` (of one class, of two), ``auroc``
    (probability that a pair of one class is more alike than one of two; 0.5: no sign of twins),
    ``limit`` (correlation of the two strangers most alike), ``likely`` (pairs above it),
    ``likely_by_chance`` (how many would be if pairs of one class were as alike as strangers),
    and the scores ``apart`` and ``together``, each as from `Probe.score`; these are left out where
    a class has one patient left, which no fold can keep apart.
    """
    twins, one_class = likely(compared), compared["one_class"]
    table, scores = probe.table, {}
    ways = {"apart": table, "together": table.assign(group=joined_groups(table["group"], twins))}
    patients = int(ways["together"].groupby("label")["group"].nunique().min())
    for name, grouped in ways.items() if patients > 1 else ():
        count = min(folds, patients)
        tested = cross_validation.assign_folds(grouped, "patient", folds=count, seed=seed)
        scores[name] = probe.score(probe.out_of_fold(tested), bootstrap=bootstrap)
    return {
        "pairs": int(one_class.sum()),
        "stranger_pairs": int((~one_class).sum()),
        "auroc": float(roc_auc_score(one_class, compared["correlation"])),
        "limit": float(compared.loc[~one_class, "correlation"].max()),
        "likely": len(twins),
        "likely_by_chance": float(one_class.sum() / ((~one_class).sum() + 1)),
    } | scores


def joined_groups(group: Sequence[int], twins: pd.DataFrame) -> np.ndarray:
    """Number the groups anew, int (N,), so that the two of each row of `likely` are one."""
    known = pd.Index(np.unique(group))
    links = (known.get_indexer(twins[column]) for column in ("group_a", "group_b"))
    return components(*links, len(known))[known.get_indexer(group)]
