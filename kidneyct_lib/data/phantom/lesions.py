"""Cysts, stones and tumours in or on a synthetic kidney."""

from dataclasses import dataclass

import numpy as np

from kidneyct_lib.data.phantom.paint import Solid, rotation, solid

# Hounsfield units. A simple cyst holds water, up to 20 (Agnello et al., Insights into Imaging
# 2020;11:5); a stone lies between soft uric acid and dense calcium; a tumour is a mixture of
# necrosis, near water, and solid tissue, enhanced or not.
CYST_RANGE = (0.0, 20.0)
STONE_RANGE = (400.0, 1500.0)
TUMOR_RANGE = (20.0, 100.0)

# Cysts and tumours outreach the longest series, so that each of its slices cuts them.
CYST_RADIUS = (18.0, 36.0)  # mm
TUMOR_RADIUS = (26.0, 50.0)  # mm
STONE_RADIUS = (2.2, 4.5)  # mm
MORE = (1, 5)  # further cysts, or further groups of stones, which not every slice need show

CLASSES = ("Cyst", "Normal", "Stone", "Tumor")


@dataclass(frozen=True)
class Site:
    """Where a lesion may grow: a kidney, and the part of it that the series shows."""

    kidney: Solid
    normal: np.ndarray  # float (3,): unit vector along which the slices follow each other
    depth: float  # middle of the series along the normal, mm
    span: float  # length of the series along the normal, mm


def draw_lesions(rng: np.random.Generator, label: str, site: Site, other: Site) -> list[Solid]:
    """Draw the lesions of one patient so that every slice of the series shows one.

    The kidney of `site` has the lesion, that of `other` may have more cysts or stones; of the
    CLASSES, Normal has none.
    """
    if label == "Normal":
        return []
    if label == "Tumor":
        return list(_tumor(rng, site))
    draw = {"Cyst": _cyst, "Stone": _stones}[label]
    count = rng.integers(*MORE, endpoint=True)
    places = [site, *(site if rng.uniform() < 0.6 else other for _ in range(count))]
    return [part for place in places for part in draw(rng, place)]


def _in_section(rng, site: Site, depth: float, spread: float, shares) -> np.ndarray:
    """Draw a point of the kidney's section at a depth.

    It lies up to `spread` degrees away from the side of the body, at a share (drawn from the range
    `shares`) of the way from the section's middle to its edge.
    """
    kidney, normal = site.kidney, site.normal
    angle = np.radians(rng.uniform(-spread, spread))
    outward = np.array([np.sign(kidney.center[0]), 0.0, 0.0])
    direction = np.cos(angle) * outward + np.sin(angle) * np.cross(normal, outward)
    quadric = kidney.unit.T @ kidney.unit
    shape = np.linalg.inv(quadric)
    offset = depth - kidney.center @ normal
    middle = kidney.center + shape @ normal * offset / (normal @ shape @ normal)
    room = np.sqrt(max(1 - offset**2 / (normal @ shape @ normal), 0.05))
    length = np.sqrt(direction @ quadric @ direction)
    return middle + rng.uniform(*shares) * room * direction / length


def _cyst(rng, site):
    radius = rng.uniform(*CYST_RADIUS)
    center = _in_section(rng, site, site.depth, 130, (0.5, 1.0))
    radii = radius * rng.uniform(0.94, 1.0, size=3)
    yield solid(center, radii, rng.uniform(*CYST_RANGE), inside=True, lesion=True)


def _tumor(rng, site):
    """One mass with smaller lobes on it."""
    radius = rng.uniform(*TUMOR_RADIUS)
    center = _in_section(rng, site, site.depth, 130, (0.5, 1.0))
    look = {"grain": rng.uniform(20, 30), "limits": TUMOR_RANGE, "rough": rng.uniform(0.08, 0.16)}
    hu = rng.uniform(40, 75)
    lobes = [(center, 1.0)]
    for _ in range(rng.integers(1, 4)):
        way = rng.normal(size=3)
        place = center + 0.75 * radius * way / np.linalg.norm(way)
        lobes.append((place, rng.uniform(0.35, 0.6)))
    for place, share in lobes:
        radii = share * radius * rng.uniform(0.85, 1.0, size=3)
        turn = rotation(*rng.uniform(0, 180, size=3))
        yield solid(place, radii, hu, turn, inside=True, lesion=True, **look)


def _stones(rng, site):
    """Stones of the collecting system, one beside the next so that no slice misses them all."""
    length = 1.3 * rng.uniform(*STONE_RADIUS) + 1
    count = int(np.ceil(site.span / (1.4 * length))) + 1
    hu = rng.uniform(*STONE_RANGE)
    for depth in site.depth + np.linspace(-site.span / 2, site.span / 2, count):
        center = _in_section(rng, site, depth, 180, (0.0, 0.6))
        across = rng.uniform(*STONE_RADIUS, size=3)
        radii = across + np.abs(site.normal) * (length - across)
        yield solid(center, radii, hu, inside=True, lesion=True)
