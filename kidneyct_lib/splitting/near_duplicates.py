"""Pseudo-patients: series of near-duplicate slices recovered from the pixels alone.

Adjacent slices of one series are almost the same image, so slices whose thumbnails
correlate above a threshold are linked, and the connected components of the links stand in
for the patients that the public data set does not name. They can only under-estimate
leakage: two series of one patient (another plane, another contrast phase) stay apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics.cluster import pair_confusion_matrix
from tqdm import tqdm

from kidneyct_lib.data import catalog
from kidneyct_lib.splitting.holdout import components
from kidneyct_lib.splitting.single_linkage import SingleLinkage

SOURCE_SIZE = 224
"""Pixels of the slices that thumbnails are made of, whatever a network sees: the groups, and so the
splits, of two recipes or image sizes are then the same."""

_SLICES_READ = 2048  # at a time


@dataclass(frozen=True)
class Grouping:
    """Groups of n slices that links between near-duplicates join, at several thresholds.

    Attributes
    ----------
    thresholds
        Correlations, rising; a link is a pair of slices that correlate strictly above.
    groups
        int32 (T, n): group of each slice, 0 to G - 1 by first appearance, at each threshold.
    links
        int64 (T,): how many links there are at each threshold.
    cross_class_links
        int64 (T,): how many of them join two classes.
    """

    thresholds: tuple[float, ...]
    groups: np.ndarray
    links: np.ndarray
    cross_class_links: np.ndarray

    def at(self, threshold: float) -> np.ndarray:
        """Group of each slice at one of the thresholds, int32 (n,); ValueError if it is another."""
        return self.groups[self.place(threshold)]

    def place(self, threshold: float) -> int:
        """Place of a threshold among `thresholds`; ValueError if it is not among them."""
        if threshold not in self.thresholds:
            raise ValueError(f"links were searched above {self.thresholds}, not above {threshold}")
        return self.thresholds.index(threshold)


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


def catalog_thumbnails(folder: Path, table: pd.DataFrame, size: int, cache: Path) -> np.ndarray:
    """Give the `thumbnails` of all slices of a catalog, decoded as `catalog.decode_all` does.

    Some slices are read at a time, so that memory holds the thumbnails and not the slices too,
    which are twelve times as large at a `size` of 64. Parameters and errors are those of
    `decode_all`, but for `size`, the side of a thumbnail in pixels.
    """
    thumbs = np.empty((len(table), size * size), np.float32)
    start = 0
    for images in catalog.decoded_blocks(folder, table, SOURCE_SIZE, cache, block=_SLICES_READ):
        thumbs[start : start + len(images)] = thumbnails(images, size)
        start += len(images)
    return thumbs


def find_groups(
    thumbs: np.ndarray,
    thresholds: Sequence[float],
    labels: Sequence[str],
    *,
    block: int = 2048,
) -> Grouping:
    """Link all pairs of slices whose thumbnails correlate above a threshold, and group by links.

    All pairs are compared, so time grows with the square of N. Memory does not: it holds the
    thumbnails, the groups, one square of the upper triangle of the correlation matrix and the links
    in it, however many links there are.

    Parameters
    ----------
    thumbs
        float32 (N, D) from `thumbnails`.
    thresholds
        At least one, in any order; repeated ones count once.
    labels
        Class of each slice, (N,).
    block
        Side of a square of the correlation matrix, in slices.
    """
    rising = tuple(sorted({float(threshold) for threshold in thresholds}))
    linkage = SingleLinkage(len(thumbs), rising)
    label = pd.factorize(np.asarray(labels))[0]
    counts = np.zeros((2, len(rising)), np.int64)  # of links in one class, of two
    starts = range(0, len(thumbs), block)
    squares = combinations_with_replacement(starts, 2)
    total = len(starts) * (len(starts) + 1) // 2
    for top, left in tqdm(squares, "near-duplicate slices", total, unit="block", leave=False):
        square = thumbs[top : top + block] @ thumbs[left : left + block].T
        above = square > rising[0]
        if left == top:
            above = np.triu(above, k=1)
        i, j = np.nonzero(above)
        level = linkage.levels(square[i, j])
        i, j = i + top, j + left
        linkage.add(i, j, level)
        both = (label[i] != label[j]) * len(rising) + level
        counts += np.bincount(both, minlength=counts.size).reshape(counts.shape)
    reached = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # a link at a threshold is one at lower ones
    return Grouping(rising, linkage.clusters(), reached.sum(axis=0), reached[1])


def joined(group: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Join recovered groups that hold slices of one known patient.

    So neither a patient nor a group of near-duplicate slices is ever divided: a patient's series
    may look unlike one another, and two names may stand for one patient.

    Parameters
    ----------
    group
        From `Grouping.at`, (n,).
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


def threshold_curve(grouping: Grouping, thresholds: Sequence[float]) -> pd.DataFrame:
    """Show how the groups depend on the threshold.

    Parameters
    ----------
    grouping
        From `find_groups`.
    thresholds
        Correlations to show, of those that links were searched at.

    Returns
    -------
    DataFrame with one row per threshold: ``threshold``, ``groups``, ``largest`` (slices of the
    largest group) and ``cross_class_links`` (linked pairs of two different classes, which a
    patient with one diagnosis cannot have: a count above 0 says the threshold is too low).
    """
    rows = []
    for threshold in thresholds:
        sizes = np.bincount(grouping.at(threshold))
        links = int(grouping.cross_class_links[grouping.place(threshold)])
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
