"""Single-linkage clusters at several thresholds at once, of links that arrive in parts.

Links of n items may be as many as n (n - 1) / 2. Kept are the clusters that they make at each
threshold, and of the links themselves only those that wait to be used: memory grows with n alone.
"""

from collections.abc import Sequence

import numpy as np

from kidneyct_lib.splitting.holdout import components

_MOST_WAITING = 1 << 20


class SingleLinkage:
    """Connected components of n items whose similarity lies strictly above each threshold.

    Parameters
    ----------
    n
        Number of items.
    thresholds
        Rising. They are compared in float32, the precision of the similarities.
    """

    def __init__(self, n: int, thresholds: Sequence[float]) -> None:
        self._limits = np.asarray(thresholds, np.float32)
        self._clusters = np.tile(np.arange(n, dtype=np.int32), (len(self._limits), 1))
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def levels(self, similarity: np.ndarray) -> np.ndarray:
        """Number of the highest threshold below each similarity: int64 (E,), -1 below all."""
        return np.searchsorted(self._limits, similarity) - 1

    def add(self, i: np.ndarray, j: np.ndarray, level: np.ndarray) -> None:
        """Link items i and j, int (E,) each, at the thresholds up to `level`, from `levels`.

        What is joined at one threshold is so at all lower ones, so a link whose ends are one
        cluster at its highest tells nothing new and is dropped.
        """
        new = self._clusters[level, i] != self._clusters[level, j]
        if new.any():
            parts = (i[new].astype(np.int32), j[new].astype(np.int32), level[new].astype(np.int16))
            self._waiting.append(parts)
        if sum(len(part) for part, *_ in self._waiting) > _MOST_WAITING:
            self._join()

    def clusters(self) -> np.ndarray:
        """Number the clusters at each threshold: int32 (T, n), by first appearance."""
        self._join()
        return self._clusters

    def _join(self) -> None:
        """Use the links that wait."""
        if not self._waiting:
            return
        i, j, level = map(np.concatenate, zip(*self._waiting, strict=True))
        self._waiting = []
        for number, cluster in enumerate(self._clusters):
            used = level >= number
            joined = components(cluster[i[used]], cluster[j[used]], int(cluster.max()) + 1)
            cluster[:] = joined[cluster]
