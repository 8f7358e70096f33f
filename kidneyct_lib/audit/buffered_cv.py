"""A block of each series held out, and a gap of slices between the block and what is trained on.

Between the two ways of splitting lies a continuum: with no gap, the neighbours of a tested slice
are in training; with a gap as wide as the series, nothing of the patient is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.core import engine
from kidneyct_lib.evaluation.bootstrap import Bootstrap


def distance_to_block(group: Sequence, *, most: int, seed: int) -> np.ndarray:
    """Choose a block of neighbouring slices of each series and count the slices up to it.

    Parameters
    ----------
    group
        Series of each slice, (N,); the order of the rows is the natural order of the slices.
    most
        Slices of a block; fewer, at least one, where that is more than a third of the series.
    seed
        Of the blocks' places.

    Returns
    -------
    int64 (N,): 0 in a block, 1 for the slice next to it, and so on; -1 in a series of a single
    slice, which has no block.
    """
    rng = np.random.default_rng(seed)
    codes, _ = pd.factorize(np.asarray(group))
    distance = np.full(len(codes), -1)
    ends = np.bincount(codes).cumsum()
    for members in np.split(np.argsort(codes, kind="stable"), ends[:-1]):
        if len(members) > 1:
            length = min(most, max(1, len(members) // 3))
            start = rng.integers(len(members) - length + 1)
            place = np.arange(len(members))
            away = np.maximum(start - place, place - (start + length - 1))
            distance[members] = away.clip(min=0)
    return distance


def gap_parts(
    tested: np.ndarray, distance: np.ndarray, fold: int, gap: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Training and test slices of one fold.

    Parameters
    ----------
    tested
        int (N,): fold that tests each slice, by patient.
    distance
        From `distance_to_block`.
    fold
        Its blocks are tested.
    gap
        Slices left out on either side of a block; None: the whole series.

    Returns
    -------
    bool (N,) twice: training (all other folds, and the fold's slices beyond the gap) and test.
    """
    here = tested == fold
    beyond = np.zeros(len(here), bool) if gap is None else distance > gap
    return ~here | beyond, here & (distance == 0)


def buffered_curve(
    probe: Probe, tested: np.ndarray, gaps: Sequence[int], *, block: int, bootstrap: Bootstrap
) -> list[dict]:
    """Test the same slices with wider and wider gaps between them and their own series.

    Parameters
    ----------
    probe
        To fit; its table in natural order.
    tested
        int (N,): fold that tests each image, by patient.
    gaps
        Slices left out on either side, rising; ends where no series has a slice beyond the gap.
    block
        Most slices held out of a series.
    bootstrap
        As in `metrics.summarise`; the seed is the blocks' too.

    Returns
    -------
    One dict per gap, the last with ``gap`` None (whole series: by patient): ``gap``, ``n`` and
    ``groups`` (tested slices and series), ``series_left`` (tested series with slices in training),
    ``accuracy``, ``accuracy_ci95``, ``macro_f1``, ``macro_f1_ci95``. Empty where every series is a
    single slice.
    """
    distance = distance_to_block(probe.table["group"], most=block, seed=bootstrap.seed)
    if distance.max() < 0:
        return []
    reached = [gap for gap in gaps if gap < distance.max()]
    light = replace(probe, table=probe.table[["label", "group", "sha256"]])
    same = {"probe": light, "tested": tested, "distance": distance}
    calls = [same | {"gap": gap} for gap in (*reached, None)]
    predicted = engine.run_all(_beyond_gap, calls, label="gaps within series", unit="gap")
    result, chosen = [], distance == 0
    for gap, predictions in zip((*reached, None), predicted, strict=True):
        scores = probe.score(predictions[chosen], chosen, bootstrap=bootstrap)
        left = probe.table["group"][distance > gap].nunique() if gap is not None else 0
        kept = ("n", "groups", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95")
        result.append({"gap": gap, "series_left": left} | {key: scores[key] for key in kept})
    return result


def _beyond_gap(
    probe: Probe, tested: np.ndarray, distance: np.ndarray, gap: int | None
) -> np.ndarray:
    """Predictions (N, K) of the blocks by what lies beyond a gap; the other rows are empty."""
    files = probe.table["sha256"]
    predictions = np.empty((len(tested), len(probe.classes)))
    for fold in np.unique(tested[distance == 0]):
        train, test = gap_parts(tested, distance, fold, gap)
        train &= ~files.isin(files[test]).to_numpy()  # no copy of a tested file
        predictions[test] = probe.predict(train, test)
    return predictions
