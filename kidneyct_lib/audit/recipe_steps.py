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

RECIPE = "and the flanks' conv4 maxima"
"""The step that `RECIPE=patient` trains."""

_FLANKS, _PEAKS = ("conv5", "flanks"), ("conv4 maxima", "flanks")
_SHOWN = {
    "whole slice, conv5": [("conv5", "slice")],
    "body, conv5": [("conv5", "body")],
    "kidneys, conv5": [("conv5", "kidneys")],
    "flanks, conv5": [_FLANKS],
    "and the flanks' conv4": [("conv4", "flanks"), _FLANKS],
    RECIPE: [_PEAKS, _FLANKS],
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
    return _SHOWN.get(step, _SHOWN[RECIPE])


def probes(
    features: np.ndarray,
    columns: Mapping[tuple[str, str, str], slice],
    table: pd.DataFrame,
    classes: Sequence[str],
    *,
    c: float,
) -> dict[str, Probe]:
    """Build the classifier of every step on its part of the features.

    Parameters
    ----------
    features
        float32 (N, D), from `builder.region_features` for every region and `POOLED`.
    columns
        From `builder.feature_columns`.
    table
        Catalog of the N images.
    classes
        The study's classes.
    c
        Inverse strength of the penalty.
    """
    options = {name: {"c": c} for name in _SHOWN}
    options |= {name: {"c": c} | how for name, how in _fits(c).items()}
    result = {}
    for step, how in options.items():
        picked = [features[:, columns[*POOLED[name], region]] for name, region in parts(step)]
        linear = logistic_regression(c=how.pop("c"))
        result[step] = Probe(linear, np.hstack(picked), table, list(classes), **how)
    return result
