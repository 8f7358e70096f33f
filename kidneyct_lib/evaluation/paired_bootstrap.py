"""Paired comparison of two predictions on the same images, resampled by group together.

A group that is hard is hard for both, so where both stand on the same patients their difference is
surer than two intervals tell: one draw of the groups serves both sides.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import (
    FEW_GROUPS,
    Bootstrap,
    estimate,
    flat_row,
    group_confusions,
    resampled_scores,
)
from kidneyct_lib.evaluation.predictions import EvaluationError, check_predictions


def compare(
    baseline: pd.DataFrame,
    compared: pd.DataFrame,
    classes: Sequence[str],
    *,
    bootstrap: Bootstrap,
) -> dict[str, float | int | bool]:
    """Compare two predictions of the same images, group by group.

    Parameters
    ----------
    baseline, compared
        ``path``, ``label``, ``group`` and the probability columns, in any order of rows.
    classes, bootstrap
        The study's classes, and the resamples of the groups.

    Returns
    -------
    dict with ``n`` (images), ``groups``, ``few_groups``; ``accuracy_difference`` and
    ``macro_f1_difference`` (compared minus baseline, -1 to 1), each with the ends ``_low`` and
    ``_high`` of its 95 % interval by cluster bootstrap over groups ([-1, 1] of fewer than two);
    ``share_better`` and ``share_worse``, the shares of groups of which more, or fewer, slices
    are right.

    Raises
    ------
    EvaluationError
        If a table fails `check_predictions`, or the two do not hold the same images with the same
        labels and groups.
    """
    if not same_images(baseline, compared):
        raise EvaluationError(
            "The two predictions are not of the same images, so they can't be paired."
        )
    tables = [table.sort_values("path") for table in (baseline, compared)]
    for column in ("label", "group"):
        if (tables[0][column].to_numpy() != tables[1][column].to_numpy()).any():
            raise EvaluationError(f"The two predictions differ in column {column!r}.")
    sides = [check_predictions(table, classes) for table in tables]
    before, after = (
        group_confusions(side.true, side.predicted, side.group, len(classes)) for side in sides
    )
    groups = len(before)
    result: dict[str, float | int | bool] = {"n": len(tables[0]), "groups": groups}
    result["few_groups"] = groups < FEW_GROUPS
    estimates, resamples = (
        np.subtract(resampled_scores(after, times), resampled_scores(before, times))
        for times in (np.ones((1, groups), int), bootstrap.times(groups))
    )
    for name, (value,), drawn in zip(("accuracy", "macro_f1"), estimates, resamples, strict=True):
        result |= flat_row(estimate(f"{name}_difference", value, drawn, groups, bounds=(-1, 1)))
    gained = np.einsum("gkk->g", after) - np.einsum("gkk->g", before)
    result["share_better"] = float((gained > 0).mean())
    result["share_worse"] = float((gained < 0).mean())
    return result


def same_images(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two predictions tables hold the same images, so that they can be paired."""
    return sorted(first["path"]) == sorted(second["path"])


def compare_all(
    tests: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Compare the schemes of each stage, and the stages of each scheme, where they can be paired.

    Neighbours, in the order of the rows, can be where both test the same images, as schemes do with
    several folds.

    Parameters
    ----------
    tests
        The test rows of a predictions table, with ``scheme`` and ``stage``.
    classes, bootstrap
        As in `compare`.

    Returns
    -------
    DataFrame with one row per comparison: ``kind`` ("schemes" or "stages"), ``baseline`` and
    ``compared`` (such as "slice, stage 2"), and the keys of `compare`.
    """
    rows = []
    for kind, held, varied in (("schemes", "stage", "scheme"), ("stages", "scheme", "stage")):
        for _, alike in tests.groupby(held, sort=False):
            sides = {
                f"{side['scheme'].iloc[0]}, stage {side['stage'].iloc[0]}": side
                for _, side in alike.groupby(varied, sort=False)
            }
            for (baseline, one), (compared, other) in pairwise(sides.items()):
                if same_images(one, other):
                    named = {"kind": kind, "baseline": baseline, "compared": compared}
                    rows.append(named | compare(one, other, classes, bootstrap=bootstrap))
    return pd.DataFrame(rows)
