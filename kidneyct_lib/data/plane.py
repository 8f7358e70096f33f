"""Which plane a CT slice shows, as measured from the image."""

import cv2
import numpy as np

_GRID = 64
_TISSUE_CONTRAST = 15
_CORONAL_EDGE_SPAN = 0.8


def measure_plane(gray: np.ndarray) -> str:
    """Plane of an abdominal CT slice, from how its tissue meets the upper and lower edge.

    A coronal body runs off the image at the top and at the bottom, there about as wide as in the
    middle; an axial one ends before an edge or, closely cropped, meets it in a narrow arc. On a
    64 x 64 thumbnail, tissue is what is brighter than the darkest 1 % by more than 15 gray levels.
    The slice is coronal if the outermost tissue of the first row and of the last row each spans
    at least 0.8 of the median span in the middle half. An image without contrast counts as axial.

    Parameters
    ----------
    gray : uint8 array (H, W)
        The slice.

    Returns
    -------
    str
        "axial" or "coronal".
    """
    grid = cv2.resize(gray, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    tissue = grid > np.percentile(grid, 1) + _TISSUE_CONTRAST
    middle = np.median(_spans(tissue[_GRID // 4 : 3 * _GRID // 4]))
    edge = _spans(tissue[[0, -1]]).min()
    return "coronal" if edge > 0 and edge >= _CORONAL_EDGE_SPAN * middle else "axial"


def _spans(rows: np.ndarray) -> np.ndarray:
    """Distance from the first to the last True of each row, both counted; 0 where there is none."""
    width = rows.shape[1]
    first, last = rows.argmax(axis=1), width - rows[:, ::-1].argmax(axis=1)
    return np.where(rows.any(axis=1), last - first, 0)
