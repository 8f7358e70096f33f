"""The steps of the ablation: which region is shown, which layers are pooled, how it is fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.audit.probes import Probe, logistic_regression

POOLED = {
    "conv4": ("conv4_block6_out", "mean"),
    "conv4 maxima": ("conv4_block6_out", "max"),
    "conv5": ("conv5_block3_out", "mean"),
}
"""Layer of ResNet50, and how it is pooled over the image, by the name that the steps use."""

AS_SHOWN = "and the flanks' conv4 maxima"
"""The step that takes the same regions and layers as `RECIPE`, of slices as they are shown."""

HARMONIZED = "in one display window"
"""The step that takes them of slices in one display window."""

RECIPE = "and fitted to slices as shown"
"""The step that `RECIPE=patient` trains: on each slice in both ways, tested in one window.

Scores of lesions, which it has beside that where masks are known, are no part of the ablation."""

_FLANKS, _PEAKS = ("conv5", "flanks"), ("conv4 maxima", "flanks")
_SHOWN = {
    "whole slice, conv5": [("conv5", "slice")],
    "body, conv5": [("conv5", "body")],
    "kidneys, conv5": [("conv5", "kidneys")],
    "flanks, conv5": [_FLANKS],
    "and the flanks' conv4": [("conv4", "flanks"), _FLANKS],
    AS_SHOWN: [_PEAKS, _FLANKS],
    "and the body's conv4": [("conv4", "body"), _PEAKS, _FLANKS],
    "and the whole slice": [_PEAKS, _FLANKS, ("conv5", "slice")],
}


def _fits(c: float) -> dict[str, dict[str, Any]]:
    return {
        "every patient weighs the same": {"by_group": True},
        "penalty ten times as strong": {"c": c / 10},
        "penalty a tenth as strong": {"c": c * 10},
    }


def parts(step: str) -> list[tuple[str, str]]:
    """Pooled layer (of `POOLED`) and region (of `roi_crops.REGIONS`) of each part of a step."""
    return _SHOWN.get(step, _SHOWN[AS_SHOWN])


def features_of(
    step: str,
    features: np.ndarray,
    columns: Mapping[tuple[str, str, str], slice],
    harmonized: np.ndarray,
) -> np.ndarray:
    """Pick the features of a step.

    Parameters
    ----------
    step
        One of `probes`.
    features
        float32 (N, D) of slices as shown, from `builder.region_features` for every region and
        `POOLED`.
    columns
        From `builder.feature_columns`.
    harmonized
        float32 (N, D') of the same slices in one display window, from the patient recipe's network.
    """
    if step not in _SHOWN:
        return harmonized
    return np.hstack([features[:, columns[*POOLED[name], region]] for name, region in parts(step)])


def probes(
    features: np.ndarray,
    columns: Mapping[tuple[str, str, str], slice],
    harmonized: np.ndarray,
    table: pd.DataFrame,
    classes: Sequence[str],
    *,
    c: float,
) -> dict[str, Probe]:
    """Build the classifier of every step on its part of the features.

    Parameters
    ----------
    features, columns, harmonized
        As `features_of` takes them.
    table
        Catalog of the N images.
    classes
        The study's classes.
    c
        Inverse strength of the penalty.
    """
    shown_too = features_of(AS_SHOWN, features, columns, harmonized)
    options: dict[str, dict[str, Any]] = {name: {} for name in (*_SHOWN, HARMONIZED)}
    for step, how in {RECIPE: {}, **_fits(c)}.items():
        options[step] = {"also": shown_too} | how
    result = {}
    for step, how in options.items():
        linear = logistic_regression(c=how.pop("c", c))
        shown = features_of(step, features, columns, harmonized)
        result[step] = Probe(linear, shown, table, list(classes), **how)
    return result
