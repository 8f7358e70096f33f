"""Solids in millimetres with Hounsfield values, and how a plane through them is painted.

The axes are those of a radiological image: x to the right of the image (the patient's left), y to
the back, z to the head.
"""

from dataclasses import dataclass

import cv2
import numpy as np

AIR, SKIN, MUSCLE = -1000.0, 20.0, 55.0  # HU


@dataclass(frozen=True)
class Solid:
    """An ellipsoid, or a drum: an ellipse with flat ends along its third axis."""

    center: np.ndarray  # float (3,), mm
    unit: np.ndarray  # float (3, 3): takes an offset from the centre in mm to the unit ball
    edge: float  # smallest radius, mm; turns a distance in the unit ball into mm
    hu: float
    drum: bool = False
    inside: bool = False  # cut off at the wall of the abdominal cavity
    lesion: bool = False  # belongs to the lesion's mask
    mottle: float = 0.0  # HU taken away where the fine texture is high: gas in stool
    grain: float = 0.0  # HU of one standard deviation of texture added
    limits: tuple[float, float] = (AIR, 3000.0)  # HU which the grain may not leave
    rough: float = 0.0  # how far the coarse texture moves the edge, as a share of the radius


def solid(center, radii, hu: float, turn: np.ndarray | None = None, **look) -> Solid:
    """Return a Solid from its centre and radii in mm and a rotation matrix."""
    radii = np.asarray(radii, dtype=float)
    unit = np.diag(1 / radii) @ (np.eye(3) if turn is None else turn.T)
    return Solid(np.asarray(center, dtype=float), unit, float(radii.min()), float(hu), **look)


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Return the matrix that rotates about z, then about y, then about x (degrees)."""
    about_x, about_y, about_z = (cv2.Rodrigues(t)[0] for t in np.radians(np.diag([x, y, z])))
    return about_x @ about_y @ about_z


@dataclass(frozen=True)
class Trunk:
    """The trunk's layers, each by its half axes in mm: to the side, to the front, to the back."""

    skin: np.ndarray
    wall: np.ndarray
    cavity: np.ndarray
    roundness: float  # 2 is an ellipse, 0 nearly a rectangle
    furrow: float  # mm, how deep the spine lies between the muscles of the back
    fat: float  # HU


# The trunk's half axes along its height (mm), as shares of those at the kidneys.
HEIGHTS = (-300, -230, -150, -90, 0, 90, 170, 260)
SKIN_SHARE = (1.10, 1.14, 1.08, 0.98, 1.0, 1.02, 1.0, 0.94)
WALL_SHARE = (1.16, 1.18, 1.09, 0.98, 1.0, 1.02, 1.0, 0.94)
CAVITY_SHARE = (0.45, 0.55, 0.72, 0.94, 1.0, 1.03, 1.02, 0.94)


@dataclass(frozen=True)
class View:
    """Where the image lies in the person; vectors are float (3,)."""

    row: np.ndarray  # step from one row of pixels to the next, mm
    col: np.ndarray  # step from one column of pixels to the next, mm
    normal: np.ndarray  # unit vector along which the slices follow each other
    center: np.ndarray  # middle of the image of the slice at depth 0, mm
    size: int  # rows and columns

    @property
    def pixel(self) -> float:
        """Edge of a pixel, mm."""
        return float(np.linalg.norm(self.col))

    def origin(self, depth: float) -> np.ndarray:
        """Point in the middle of the first pixel, mm."""
        middle = (self.size - 1) / 2
        return self.center + depth * self.normal - middle * (self.row + self.col)


class Texture:
    """Random fields in the image's plane that change smoothly with depth.

    Mean 0, standard deviation about 1; the blobs of the fine one are FINE mm wide, of the coarse
    one COARSE mm.
    """

    FINE, COARSE = 6.0, 18.0
    PLANES = 17

    def __init__(self, rng: np.random.Generator, view: View):
        self._size = (view.size, view.size)
        self._nodes = {}
        for blob in (self.FINE, self.COARSE):
            edge = int(view.size * view.pixel / blob) + 2
            self._nodes[blob] = rng.standard_normal((self.PLANES, edge, edge), dtype=np.float32)

    def at(self, depth: float) -> list[np.ndarray]:
        """Fine and coarse texture at a depth in mm, float32 (size, size) each."""
        fields = []
        for blob, nodes in self._nodes.items():
            position = depth / (2 * blob)
            below = int(np.floor(position))
            # cosine and sine keep the variance between two planes of nodes
            turn = 0.5 * np.pi * (position - below)
            lower, upper = nodes[below % self.PLANES], nodes[(below + 1) % self.PLANES]
            mixed = np.float32(np.cos(turn)) * lower + np.float32(np.sin(turn)) * upper
            fields.append(cv2.resize(mixed, self._size, interpolation=cv2.INTER_CUBIC))
        return fields


class Painter:
    """Paints slices through one person, whose solids cover those before them in the list."""

    def __init__(self, trunk: Trunk, solids: list[Solid], view: View, texture: Texture):
        self._trunk, self._solids, self._view, self._texture = trunk, solids, view, texture
        axes = np.stack([view.row / view.pixel, view.col / view.pixel, view.normal])
        shapes = np.linalg.inv(np.stack([s.unit for s in solids]))
        swell = np.array([1 + 3 * s.rough for s in solids])[:, None]
        # Half extents and places of all solids along rows, columns and normal, mm.
        reach = swell * np.linalg.norm(np.einsum("ij,njk->nik", axes, shapes), axis=2)
        place = (np.stack([s.center for s in solids]) - view.center) @ axes.T
        self._depth, self._depth_reach = place[:, 2], reach[:, 2]
        # First and last row, then column, of the tile that each solid may touch.
        middle = place[:, :2] / view.pixel + (view.size - 1) / 2
        half = reach[:, :2] / view.pixel + 1.5
        tiles = np.stack([np.floor(middle - half), np.ceil(middle + half) + 1], axis=2)
        self._tiles = tiles.clip(0, view.size).astype(int)
        self._in_view = (self._tiles[:, :, 0] < self._tiles[:, :, 1]).all(axis=1)

    def paint(self, depth: float) -> tuple[np.ndarray, np.ndarray]:
        """Paint the slice at a depth in mm.

        Returns
        -------
        hu : float32 (S, S)
            Hounsfield values without noise, air around the person.
        mask : bool (S, S)
            Where the lesion covers at least half of the pixel (or as much of a pixel as it covers
            anywhere, if less).
        """
        hu, cavity = _paint_trunk(self._trunk, self._view, depth)
        fine, coarse = self._texture.at(depth)
        lesion = np.zeros_like(hu)
        near = np.abs(self._depth - depth) < self._depth_reach + self._view.pixel
        for index in np.flatnonzero(near & self._in_view).tolist():
            tile = tuple(slice(*ends) for ends in self._tiles[index])
            one = self._solids[index]
            radius = self._radius(one, tile, depth) + np.float32(one.rough) * coarse[tile]
            alpha = np.clip(0.5 + (1 - radius) * np.float32(one.edge / self._view.pixel), 0, 1)
            if one.inside:
                alpha *= cavity[tile]
            hu[tile] += alpha * (_value(one, fine[tile], coarse[tile]) - hu[tile])
            lesion[tile] += alpha * (one.lesion - lesion[tile])
        return hu, lesion > min(0.5, 0.99 * lesion.max())

    def _radius(self, one: Solid, tile, depth: float) -> np.ndarray:
        """Distance from the solid's centre as a share of its radius, float32."""
        rows, cols = (np.arange(side.start, side.stop) for side in tile)
        start = one.unit @ (self._view.origin(depth) - one.center)
        point = _grid(start, one.unit @ self._view.row, one.unit @ self._view.col, rows, cols)
        across, along = point[0] * point[0] + point[1] * point[1], point[2] * point[2]
        if one.drum:
            return np.sqrt(np.sqrt(across * across + along * along))
        return np.sqrt(across + along)


def _grid(start, row, col, rows, cols) -> np.ndarray:
    """Points `start + r * row + c * col` for r in `rows` and c in `cols`, float32 (K, R, C)."""
    down = (start[:, None] + np.outer(row, rows)).astype(np.float32)
    return down[:, :, None] + np.outer(col, cols).astype(np.float32)[:, None]


def _value(one: Solid, fine: np.ndarray, coarse: np.ndarray) -> np.ndarray | np.float32:
    value: np.ndarray | np.float32 = np.float32(one.hu)
    if one.grain:
        value = np.clip(value + one.grain * np.float32(0.7) * (fine + coarse), *one.limits)
    if one.mottle:
        value = np.maximum(value - one.mottle * np.maximum(fine + 0.2, 0), AIR)
    return value


def _paint_trunk(trunk: Trunk, view: View, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Skin, fat, muscle wall and the fat of the cavity; and the cavity's cover, 0 to 1."""
    steps, start = np.arange(view.size), view.origin(depth)
    x, y = _grid(start[:2], view.row[:2], view.col[:2], steps, steps)
    z = start[2] + steps * view.row[2] + (view.size - 1) / 2 * view.col[2]
    y = y + trunk.furrow * np.clip(y / np.float32(trunk.skin[2]), 0, 1) / (1 + (x / 22) ** 2)
    hu = np.full((view.size, view.size), AIR, dtype=np.float32)
    across, before, behind = x * x, np.minimum(y, 0) ** 2, np.maximum(y, 0) ** 2
    between = 0.45 * trunk.wall + 0.55 * trunk.cavity  # fat between the layers of the wall
    layers = (
        (trunk.skin, SKIN_SHARE, SKIN),
        (trunk.skin - 1.8, SKIN_SHARE, trunk.fat),
        (trunk.wall, WALL_SHARE, MUSCLE),
        (between, WALL_SHARE, 0.6 * trunk.fat),
        (between - 1.2, WALL_SHARE, MUSCLE),
        (trunk.cavity, CAVITY_SHARE, trunk.fat),
    )
    corner = np.float32(trunk.roundness - 2)
    for half_axes, shares, value in layers:
        side, front, back = half_axes.astype(np.float32)
        u = across / side**2
        v = before / front**2
        v += behind / back**2
        radius = np.sqrt(np.sqrt((u + v) ** 2 + corner * u * v))
        radius /= np.interp(z, HEIGHTS, shares).astype(np.float32)[:, None]
        cover = np.clip(0.5 + (1 - radius) * np.float32(front / view.pixel), 0, 1)
        hu += cover * (np.float32(value) - hu)
    return hu, cover
