"""Where the body is in a slice, without couch, clothing and marks, and which plane it shows.

Lengths are written in pixels of a 224-pixel image and grow with the image's side.
"""

import cv2
import numpy as np

_SIDE = 224  # pixels of the image in which the lengths below are written
_SMOOTH = 1.0  # sigma of the blur that takes noise and grains of compression away
_GRAIN = 2  # radius of the median that takes noise and thin lines out of tissue
_ORGAN = 3  # radius: thinner pieces, such as the couch's shell, are no organs
_REACH = 24  # from the outline of the organs found so far to the middle of the next
_GAP = 2  # radius of the gaps in the skin that are closed
_BRIDGE = 7  # radius: what hangs on the body by a thinner bridge is none of it
_LEAST = 0.02  # of the image's area, for the largest piece of a body
_TISSUE = 0.15  # of Otsu's threshold, which a dark window sets above most tissue
_AIR = 2  # gray levels above the darkest: what is darker is air
_GRID = 64  # side of the thumbnail in which the plane is measured
_TISSUE_CONTRAST = 15  # gray levels of tissue above the darkest, in the thumbnail
_CORONAL_EDGE_SPAN = 0.8  # least span of tissue at an edge, times that in the middle


def body_mask(gray: np.ndarray) -> np.ndarray:
    """Find the body in a slice, also in a dark display window, where fat is as black as air.

    The body is the convex hull of its organs, grown from the largest bright piece to those near
    it, and with it the region that the skin encloses. A loop that the couch makes has its middle
    beside the hull and counts as outside.

    Parameters
    ----------
    gray
        uint8 (H, W).

    Returns
    -------
    bool (H, W); all True where no piece is large enough to be of a body.
    """
    side = max(gray.shape) / _SIDE
    smooth = cv2.GaussianBlur(gray, (0, 0), _SMOOTH * side)
    otsu, _ = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    air = int(smooth.min()) + _AIR
    median = cv2.medianBlur(gray, 2 * round(_GRAIN * side) + 1)
    tissue = (median > max(_TISSUE * otsu, air)).astype(np.uint8)
    organs = cv2.morphologyEx(tissue, cv2.MORPH_OPEN, _disk(_ORGAN * side))
    core = _hull_of_near(organs, _REACH * side)
    if not core.any():
        return np.ones(gray.shape, bool)
    skin: np.ndarray = (smooth > air).astype(np.uint8)
    skin = cv2.morphologyEx(skin, cv2.MORPH_CLOSE, _disk(_GAP * side))
    filled = skin | _holes_centred_in(core, skin)
    whole = cv2.morphologyEx(filled, cv2.MORPH_OPEN, _disk(_BRIDGE * side))
    return (core | _largest(whole)).astype(bool)


def measure_plane(gray: np.ndarray) -> str:
    """Plane of an abdominal CT slice, uint8 (H, W), from its tissue at the upper and lower edge.

    A coronal body runs off the image at the top and at the bottom, there about as wide as in the
    middle; an axial one ends before an edge or, closely cropped, meets it in a narrow arc. On a
    64 x 64 thumbnail, tissue is what is brighter than the darkest 1 % by more than 15 gray levels.
    The slice is "coronal" if the outermost tissue of the first row and of the last row each spans
    at least 0.8 of the median span in the middle half. An image without contrast counts as axial.
    """
    grid = cv2.resize(gray, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    tissue = grid > np.percentile(grid, 1) + _TISSUE_CONTRAST
    middle = np.median(_spans(tissue[_GRID // 4 : 3 * _GRID // 4]))
    edge = _spans(tissue[[0, -1]]).min()
    return "coronal" if edge > 0 and edge >= _CORONAL_EDGE_SPAN * middle else "axial"


def _disk(radius: float) -> np.ndarray:
    width = 2 * round(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))


def _hull_of_near(pieces: np.ndarray, reach: float) -> np.ndarray:
    """Convex hull, grown from the largest piece to all in reach; uint8 (H, W) of 0 and 1."""
    hull = np.zeros_like(pieces)
    apart, _ = cv2.findContours(pieces, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    apart = sorted(apart, key=cv2.contourArea)
    if not apart or cv2.contourArea(apart[-1]) < _LEAST * pieces.size:
        return hull
    near = [apart.pop()]
    outline: np.ndarray = np.empty((0, 1, 2), np.int32)
    while near:
        outline = cv2.convexHull(np.concatenate([outline, *near]))
        near = [piece for piece in apart if _distance(piece, outline) < reach]
        apart = [piece for piece in apart if _distance(piece, outline) >= reach]
    return cv2.fillConvexPoly(hull, outline, 1)


def _distance(piece: np.ndarray, outline: np.ndarray) -> float:
    """Pixels from the middle of a piece to an outline; negative inside."""
    x, y = piece[:, 0].mean(axis=0)
    return -cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=True)


def _holes_centred_in(core: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Dark regions within `skin` whose centre lies in the core; uint8 (H, W) of 0 and 1."""
    _, labels, _, centres = cv2.connectedComponentsWithStats(1 - skin, connectivity=4)
    inner = core[tuple(np.nan_to_num(centres).round().astype(int).T[::-1])].astype(bool)
    inner[0] = False  # the skin itself
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        inner[edge] = False  # open to the outside
    return inner[labels].astype(np.uint8)


def _largest(pieces: np.ndarray) -> np.ndarray:
    """Keep the largest piece, uint8 (H, W) of 0 and 1; none where there is none."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return (labels == 1 + areas.argmax()).astype(np.uint8) if len(areas) else pieces


def _spans(rows: np.ndarray) -> np.ndarray:
    """Distance from the first to the last True of each row, both counted; 0 where there is none."""
    width = rows.shape[1]
    first, last = rows.argmax(axis=1), width - rows[:, ::-1].argmax(axis=1)
    return np.where(rows.any(axis=1), last - first, 0)
