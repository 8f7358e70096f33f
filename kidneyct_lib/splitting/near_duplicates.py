"""Pseudo-patients: series of near-duplicate slices recovered from the pixels alone.

Adjacent slices of one series are almost the same image, so slices whose thumbnails
correlate above a threshold are linked, and the connected components of the links stand in
for the patients that the public data set does not name. They can only under-estimate
leakage: two series of one patient (another plane, another contrast phase) stay apart.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics.cluster import pair_confusion_matrix
from tqdm import tqdm

from kidneyct_lib.splitting.holdout import components

SOURCE_SIZE = 224
"""Pixels of the slices that thumbnails are made of, whatever a network sees: the groups, and so the
splits, of two recipes or image sizes are then the same."""


class Edges(NamedTuple):
    """Pairs of n slices (i < j) whose thumbnails correlate above `threshold`: all that is known.

    `i` and `j` are row numbers, int32 (E,); `correlation` is Pearson's, float32 (E,), -1 to 1.
    """

    i: np.ndarray
    j: np.ndarray
    correlation: np.ndarray
    n: int
    threshold: float


def thumbnails(images: np.ndarray, size: int) -> np.ndarray:
    """Shrink every image and standardise it, so that a dot product is a correlation.

    Parameters
    ----------
    images
        uint8 (N, S, S) gray levels, 0 to 255; may be a memory map.
    size
        Side of a thumbnail in pixels; OpenCV's INTER_AREA resampling.

    Returns
    -------
    float32 (N, size * size), each row of mean 0 and norm 1; a constant image gives zeros,
    which correlate with nothing.
    """
    thumbs = np.zeros((len(images), size * size), np.float32)
    for row, image in zip(thumbs, images, strict=True):
        small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).ravel()
        if small.min() < small.max():
            centred = small - small.mean(dtype=np.float64)
            row[:] = centred / np.linalg.norm(centred)
    return thumbs


def near_duplicates(thumbs: np.ndarray, threshold: float, *, block: int = 2048) -> Edges:
    """Find all pairs of thumbnails that correlate above a threshold.

    Only the upper triangle of the correlation matrix is computed, one square of it at a
    time, so memory holds the thumbnails, one square and the pairs found.

    Parameters
    ----------
    thumbs
        float32 (N, D) from `thumbnails`.
    threshold
        Pairs with a correlation strictly above it are kept.
    block
        Side of a square of the correlation matrix, in slices.

    Returns
    -------
    Edges, in order of the squares they were found in.
    """
    none = np.empty(0, np.int32)
    found = [(none, none, np.empty(0, np.float32))]
    starts = range(0, len(thumbs), block)
    for top in tqdm(starts, desc="near-duplicate slices", unit="block", leave=False):
        rows = thumbs[top : top + block]
        for left in range(top, len(thumbs), block):
            square = rows @ thumbs[left : left + block].T
            above = square > threshold
            if left == top:
                above = np.triu(above, k=1)
            i, j = np.nonzero(above)
            pairs = (i + top).astype(np.int32), (j + left).astype(np.int32)
            found.append((*pairs, np.clip(square[i, j], -1, 1)))
    i, j, correlation = map(np.concatenate, zip(*found, strict=True))
    return Edges(i, j, correlation, len(thumbs), threshold)


def find_groups(edges: Edges, threshold: float) -> np.ndarray:
    """Number the connected components of the slices linked above a threshold.

    The edges are those of `near_duplicates`, found at this threshold or a lower one: ValueError if
    they were not searched for down to it. Links with a correlation strictly above it are used.
    Gives int64 (n,): group of each slice, 0 to G - 1, numbered by first appearance.
    """
    if threshold < edges.threshold:
        raise ValueError(f"edges are known above {edges.threshold} only, not above {threshold}")
    used = edges.correlation > threshold
    return components(edges.i[used], edges.j[used], edges.n)


def joined(group: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Join recovered groups that hold slices of one known patient.

    So neither a patient nor a group of near-duplicate slices is ever divided: a patient's series
    may look unlike one another, and two names may stand for one patient.

    Parameters
    ----------
    group
        From `find_groups`, (n,).
    patients
        Known patient of each slice, (n,); "" where it is not known.

    Returns
    -------
    int64 (n,), numbered by first appearance.
    """
    rows = pd.Series(range(len(group)))
    known = np.asarray(patients) != ""
    of_patient = rows[known].groupby(np.asarray(patients)[known]).transform("first")
    of_group = rows.groupby(group).transform("first")
    links = pd.concat([of_group, of_patient])
    return components(links.index.to_numpy(), links.to_numpy(), len(group))


def threshold_curve(
    edges: Edges, labels: Sequence[str], thresholds: Sequence[float]
) -> pd.DataFrame:
    """Show how the groups depend on the threshold, from one set of edges.

    Parameters
    ----------
    edges
        As in `find_groups`; the edges reach down to the lowest of `thresholds`.
    labels
        Class of each slice, (n,).
    thresholds
        Correlations to try.

    Returns
    -------
    DataFrame with one row per threshold: ``threshold``, ``groups``, ``largest`` (slices of the
    largest group) and ``cross_class_links`` (linked pairs of two different classes, which a
    patient with one diagnosis cannot have: a count above 0 says the threshold is too low).
    """
    label = pd.factorize(np.asarray(labels))[0]
    crossing = edges.correlation[label[edges.i] != label[edges.j]]
    rows = []
    for threshold in thresholds:
        sizes = np.bincount(find_groups(edges, threshold))
        links = int((crossing > threshold).sum())
        rows.append((float(threshold), len(sizes), int(sizes.max(initial=0)), links))
    return pd.DataFrame(rows, columns=["threshold", "groups", "largest", "cross_class_links"])


def pairwise_scores(recovered: Sequence, truth: Sequence) -> dict[str, float | int]:
    """Score the recovered groups of slices, (n,), against their known patients, pair by pair.

    ``precision`` is the share of the pairs put together that belong to one patient; ``recall`` is
    the share of one patient's pairs that were put together; both are 0 to 1, and 1 where there is
    no pair to judge. ``pairs_found`` and ``pairs_true`` count unordered pairs of distinct slices.
    """
    # scikit-learn counts each pair twice, as (i, j) and as (j, i).
    (_, false_pairs), (missed_pairs, true_pairs) = pair_confusion_matrix(truth, recovered) // 2
    pairs_found, pairs_true = int(true_pairs + false_pairs), int(true_pairs + missed_pairs)
    return {
        "precision": float(true_pairs / pairs_found) if pairs_found else 1.0,
        "recall": float(true_pairs / pairs_true) if pairs_true else 1.0,
        "pairs_found": pairs_found,
        "pairs_true": pairs_true,
    }


def series_correlations(
    thumbs: np.ndarray,
    labels: Sequence[str],
    numbers: Sequence[int],
    *,
    random_pairs: int,
    seed: int,
) -> pd.DataFrame:
    """Correlate slices with their neighbour by file number, and with a random slice.

    Parameters
    ----------
    thumbs
        float32 (N, D) from `thumbnails`, in the catalog's natural order.
    labels, numbers
        Class and file number of each slice, (N,).
    random_pairs
        Pairs of distinct slices of one class drawn at random, for each class.
    seed
        Of the random pairs.

    Returns
    -------
    DataFrame with one row per pair: ``label``, ``pair`` ("consecutive" or "random") and
    ``correlation``. A class of one slice has no pairs.
    """
    rng = np.random.default_rng(seed)
    label_of, number_of = np.asarray(labels), np.asarray(numbers)
    frames = []
    for label in pd.unique(label_of):
        rows = np.flatnonzero(label_of == label)
        next_to = np.flatnonzero(np.diff(number_of[rows]) == 1)
        pairs = {"consecutive": (rows[next_to], rows[next_to + 1])}
        if len(rows) > 1:
            first = rng.integers(len(rows), size=random_pairs)
            offset = rng.integers(1, len(rows), size=random_pairs)
            pairs["random"] = (rows[first], rows[(first + offset) % len(rows)])
        for pair, (i, j) in pairs.items():
            correlation = np.einsum("nd,nd->n", thumbs[i], thumbs[j]).clip(-1, 1)
            frames.append(pd.DataFrame({"label": label, "pair": pair, "correlation": correlation}))
    return pd.concat(frames, ignore_index=True)
