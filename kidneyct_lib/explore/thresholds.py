"""What a threshold on a class's probability does, counted in slices and in whole series."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation import series
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_row
from kidneyct_lib.evaluation.predictions import check_predictions

MEASURES = ("sensitivity", "specificity", "false_alarms_per_100")

Counted = Mapping[str, pd.DataFrame]
"""{what is counted: one row each, with label, group and the probability columns}."""


def counted(by_slice: pd.DataFrame, by_patient: pd.DataFrame, classes: Sequence[str]) -> Counted:
    """Give what is counted at a threshold: slices under both splits, and series of new patients.

    Parameters
    ----------
    by_slice, by_patient
        Test rows of the final stage under each scheme.
    classes
        The study's classes.
    """
    return {
        "slices, split by slice": by_slice,
        "slices, split by patient": by_patient,
        "series, split by patient": series.votes(by_patient, classes),
    }


def at_threshold(
    rows: Counted, classes: Sequence[str], positive: str, threshold: float, *, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Read what happens where a class is called at or above a threshold of its probability.

    The threshold is chosen by looking at these very rows; what it does to other patients is told
    by notebook 08, where it is learned on validation slices.

    Parameters
    ----------
    rows
        As `counted` gives them.
    classes, positive
        The study's classes, and the one that is called.
    threshold
        0 to 1; a series is called by the mean probability of its slices.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    DataFrame with one row per kind of row: ``counted``, ``n``, ``positives`` (rows of the class),
    ``found`` (of these), ``false_alarms`` (rows of other classes that are called), and each of
    `MEASURES` with its 95 % interval over groups (``_low``, ``_high``). A measure that has no row
    to count is NaN.
    """
    code = list(classes).index(positive)
    result = []
    for name, table in rows.items():
        checked = check_predictions(table, classes)
        of_class, alarm = checked.true == code, checked.probabilities[:, code] >= threshold
        measured: dict[str, Any] = {
            "counted": name,
            "n": len(table),
            "positives": int(of_class.sum()),
            "found": int((alarm & of_class).sum()),
            "false_alarms": int((alarm & ~of_class).sum()),
        }
        for measure, right, among in (
            ("sensitivity", alarm & of_class, of_class),
            ("specificity", ~alarm & ~of_class, ~of_class),
        ):
            if among.any():
                ratio = bootstrap.ratio(measure, right, among, checked.group)
            else:
                ratio = {measure: np.nan, f"{measure}_ci95": [np.nan, np.nan]}
            measured |= flat_row(ratio)
        for end, opposite in {"": "", "_low": "_high", "_high": "_low"}.items():
            spared = measured[f"specificity{opposite}"]
            measured[f"false_alarms_per_100{end}"] = 100 * (1 - spared)
        result.append(measured)
    return pd.DataFrame(result)
