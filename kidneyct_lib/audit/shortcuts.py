"""Shortcuts: how well the acquisition alone predicts the class of patients never seen.

Every measure here describes how a slice was taken, displayed or stored, and none looks for a
lesion. A class that they predict on held-out patients can be predicted without seeing the disease,
and whatever a model scores up to there may be owed to them (Geirhos et al. 2020, "Shortcut learning
in deep neural networks", https://doi.org/10.1038/s42256-020-00257-z).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from tqdm import tqdm

from kidneyct_lib.audit.probes import Probe, predict_each
from kidneyct_lib.data import display_window
from kidneyct_lib.data.body import body_mask
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap

KINDS = {
    "display window": ("fat", "soft"),
    "contrast phase": ("enhancement",),
    "field of view and body size": ("body_width", "body_height", "body_area"),
    "couch": ("couch_area", "couch_bend"),
    "noise and resolution": ("noise", "sharpness"),
    "border and burned-in marks": ("marks", "brightest_mark", "black_border"),
    "file": ("pixel_width", "pixel_height", "bytes_per_pixel", "quantization"),
    "position in the series": ("position",),
}
"""Kinds of measures, each with its columns of `measure`."""

TOGETHER = "all together"
_TREES = 100
_LEAF = 5  # fewest slices of a leaf: single slices are not worth a rule
_DARK = 10  # gray level: what is brighter outside the body is the couch, a mark or clothing


def measure(folder: Path, table: pd.DataFrame, images: np.ndarray) -> pd.DataFrame:
    """Measure the acquisition of every slice.

    Parameters
    ----------
    folder
        Of the images.
    table
        Catalog: ``path``, ``number``, ``width``, ``height``, ``group``.
    images
        The same slices, gray, uint8 (N, S, S).

    Returns
    -------
    DataFrame (N rows, the index of `table`) of floats: the columns named in `KINDS`. ``fat`` and
    ``soft`` are gray levels 0..255 (`display_window.Levels`); ``enhancement`` is the level that a
    tenth of the tissue at the kidneys exceeds, 1 at soft tissue and 0 at fat; widths, heights and
    areas are shares of the image; ``noise`` is the median of what a blur of one pixel takes away,
    as a share of soft tissue's level; ``quantization`` is the mean of the JPEG table of luminance,
    0 for other files; ``position`` is the slice's place among its group by file number, 0 to 1.
    """
    pixels = [_of_pixels(gray) for gray in tqdm(images, desc="acquisition", unit="image")]
    files = [_of_file(folder / path) for path in table["path"]]
    measures = pd.DataFrame(pixels, index=table.index).join(pd.DataFrame(files, index=table.index))
    rank = table.groupby("group")["number"].rank(method="first") - 1
    last = table.groupby("group")["number"].transform("size") - 1
    measures["position"] = (rank / last.clip(lower=1)).fillna(0.5)
    measures["pixel_width"], measures["pixel_height"] = table["width"], table["height"]
    return measures[[name for names in KINDS.values() for name in names]].astype(np.float64)


def predict(
    measures: pd.DataFrame,
    table: pd.DataFrame,
    classes: Sequence[str],
    tested: np.ndarray,
    *,
    seed: int,
    bootstrap: Bootstrap,
) -> dict[str, dict[str, Any]]:
    """Predict the class from each kind of measures alone, and from all, out of fold.

    A random forest with balanced classes (https://doi.org/10.1023/A:1010933404324).

    Parameters
    ----------
    measures
        From `measure`.
    table
        Catalog: ``path``, ``label``, ``sha256``, ``group``.
    classes
        The study's classes.
    tested
        int (N,): number of the fold that tests each slice; folds keep patients apart.
    seed
        Of the forests.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    {kind, then `TOGETHER`: what `metrics.summarise` gives}.
    """
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=_LEAF, class_weight="balanced", random_state=seed
    )
    kinds: Mapping[str, Sequence[str]] = KINDS | {TOGETHER: tuple(measures)}
    probes = [
        Probe(forest, measures[list(columns)].to_numpy(), table, classes)
        for columns in kinds.values()
    ]
    predicted = predict_each(probes, [tested] * len(probes), label="shortcuts", unit="kind")
    return {
        kind: probe.score(predictions, bootstrap=bootstrap)
        for kind, probe, predictions in zip(kinds, probes, predicted, strict=True)
    }


def score_table(kinds: Mapping[str, Mapping]) -> pd.DataFrame:
    """Flatten scores to one row per kind, in the columns of `metrics.headline`."""
    rows = metrics.headline(kinds)
    return rows.rename(columns={"scheme": "kind"}).drop(columns=["stage", "window"])


def _of_pixels(gray: np.ndarray) -> dict[str, float]:
    """Measures of one slice, uint8 (S, S)."""
    body = body_mask(gray)
    fat, soft = display_window.levels(gray, body)
    size = len(gray)
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    outside = (gray > _DARK) & ~body
    below = outside.copy()
    below[: (top + bottom) // 2] = False  # the couch lies beneath the patient
    marks = outside & ~below
    # Rows of the couch under the middle of the body and under its sides: a bent couch differs.
    first = np.where(below.any(axis=0), below.argmax(axis=0), size)[left:right]
    third = max(1, (right - left) // 3)
    bend = first[third:-third].mean() - np.r_[first[:third], first[-third:]].mean()
    # The kidneys lie in the lower half of the body, beside the spine.
    band = np.zeros_like(body)
    band[(top + bottom) // 2 : bottom, left:right] = True
    tissue = gray[band & body & (gray > (fat + soft) / 2)]
    enhancement = (np.quantile(tissue, 0.9) - fat) / (soft - fat) if len(tissue) else 1.0
    flat = body & (abs(gray - soft) < 0.2 * soft)
    detail = gray - cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1)
    edge = cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    slope = np.hypot(*np.gradient(gray.astype(np.float32)))
    frame = np.flatnonzero((gray > _DARK).any(axis=1))
    return {
        "fat": fat,
        "soft": soft,
        "enhancement": float(enhancement),
        "body_width": (right - left) / size,
        "body_height": (bottom - top) / size,
        "body_area": float(body.mean()),
        "couch_area": float(below.mean()),
        "couch_bend": float(bend) / size,
        "noise": float(np.median(abs(detail[flat])) / soft) if flat.any() else 0.0,
        "sharpness": float(slope[edge].mean() / soft) if edge.any() else 0.0,
        "marks": float(marks.mean()),
        "brightest_mark": float(gray[marks].max(initial=0)),
        "black_border": (frame[0] + size - 1 - frame[-1]) / size if len(frame) else 1.0,
    }


def _of_file(path: Path) -> dict[str, float]:
    """Measures of one stored file: nothing of its pixels is decoded."""
    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None) or {}
            area = image.width * image.height
    except OSError:  # DICOM, which Pillow does not read
        tables, area = {}, 0
    luminance = tables.get(0, [0])
    return {
        "bytes_per_pixel": path.stat().st_size / area if area else 0.0,
        "quantization": float(np.mean(luminance)),
    }
