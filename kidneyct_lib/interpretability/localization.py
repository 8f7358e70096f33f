"""Whether maps of what speaks for a class point at the lesion, where the lesion is known."""

from typing import Any

import cv2
import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap

MEASURES = {
    "pointing": (0.0, 1.0),
    "pointing_mirrored": (0.0, 1.0),
    "energy": (0.0, 1.0),
    "energy_mirrored": (0.0, 1.0),
    "energy_gain": (-1.0, 1.0),
}
"""What `locate` measures of each slice, and what it can be."""

_TOLERANCE = 15 / 224  # of the slice's side, as in the pointing game


def enlarge(maps: np.ndarray, size: int) -> np.ndarray:
    """Interpolate maps float (N, h, w) to slices' size: float32 (N, size, size), below 0 cut."""
    positive = np.maximum(maps, 0).astype(np.float32)
    square = size, size
    result = [cv2.resize(one, square, interpolation=cv2.INTER_LINEAR) for one in positive]
    return np.reshape(result, (-1, size, size))


def locate(maps: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Compare each map with the lesion, and with the lesion's mirror image in the other flank.

    A model that only knows where kidneys lie does as well on the mirror image as on the lesion.

    Parameters
    ----------
    maps
        float (N, h, w): what is above 0 speaks for the slice's class.
    masks
        bool (N, S, S): the lesion, of at least one pixel.

    Returns
    -------
    DataFrame, one row per slice: ``pointing`` (1 where the map's highest point lies within 15/224
    of the slice's side from the lesion; the pointing game, https://arxiv.org/abs/1608.00507),
    ``energy`` (share of the map inside the lesion), both for the mirrored lesion
    (``_mirrored``), ``energy_gain`` (energy less mirrored energy) and ``area`` (share of the slice
    that the lesion covers: the energy of a map that is the same everywhere). A map that is nowhere
    above 0 has neither hit nor energy.

    Raises
    ------
    StudyError
        If there is no mask, or one is empty.
    """
    if not len(masks):
        raise StudyError(
            "No slice has a mask: each lies at its slice's path, with the ending .png."
        )
    if not masks.any(axis=(1, 2)).all():
        raise StudyError("A slice without a lesion can't tell whether a map points at it.")
    size = masks.shape[-1]
    reach = round(_TOLERANCE * size)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    rows = []
    for one, mask in zip(enlarge(maps, size), masks, strict=True):
        total, peak = float(one.sum(dtype=np.float64)), np.unravel_index(one.argmax(), one.shape)
        row = {"area": mask.mean()}
        for ending, lesion in {"": mask, "_mirrored": mask[:, ::-1]}.items():
            near = cv2.dilate(lesion.astype(np.uint8), disc)
            row[f"pointing{ending}"] = float(total > 0 and near[peak])
            row[f"energy{ending}"] = one[lesion].sum(dtype=np.float64) / total if total else 0.0
        rows.append(row | {"energy_gain": row["energy"] - row["energy_mirrored"]})
    return pd.DataFrame(rows)


def summarise(located: pd.DataFrame, group: np.ndarray, *, bootstrap: Bootstrap) -> dict:
    """Average over slices, with intervals over groups.

    Parameters
    ----------
    located
        From `locate`.
    group, bootstrap
        (N,): each slice's group; resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``n``, ``groups``, ``area``, and each of `MEASURES` with ``_ci95``.
    """
    result: dict[str, Any] = {"n": len(located), "groups": len(np.unique(group))}
    result["area"] = located["area"].mean()
    once = np.ones(len(located))
    for name, bounds in MEASURES.items():
        result |= bootstrap.ratio(name, located[name].to_numpy(), once, group, bounds=bounds)
    return result
