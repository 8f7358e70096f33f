"""The frame of a synthetic person: muscles, bones and great vessels, as solids in millimetres.

Axes and origin are those of `anatomy`, which calls `build_frame`.
"""

import numpy as np

from kidneyct_lib.data.phantom.paint import MUSCLE, Solid, Trunk, rotation, solid

# Hounsfield units: compact bone begins at 700 (Prokop, Spiral and Multislice Computed Tomography of
# the Body, Thieme, 2003); spongy bone and discs lie between it and muscle.
CORTICAL, TRABECULAR, DISC, CORD = 750.0, 190.0, 80.0, 30.0


def build_frame(
    rng: np.random.Generator, scale: float, trunk: Trunk, spine: float, aorta: float, veins: float
) -> list[Solid]:
    """Draw the frame of one person, in the order of painting.

    Parameters
    ----------
    rng : np.random.Generator
    scale : float
        Size of the person, 1 for a medium one.
    trunk : Trunk
    spine : float
        y of the middle of the vertebral bodies at the kidneys, mm.
    aorta, veins : float
        HU of the blood.
    """
    return [
        *_muscles(rng, scale, spine, trunk.fat),
        *_pelvis(scale, spine),
        *_spine(rng, scale, spine),
        *_ribs(rng, scale, trunk),
        *_great_vessels(rng, scale, spine, aorta, veins),
    ]


def _muscles(rng, scale, spine, fat):
    """Psoas, erector spinae and quadratus lumborum on both sides."""
    bulk = rng.uniform(0.8, 1.2)
    for sign in (-1, 1):
        psoas = [sign * 42 * scale, spine - 8, -60]
        yield solid(psoas, [17 * bulk, 20 * bulk, 120], MUSCLE, rotation(-8, -sign * 14, 0))
        back = [sign * 29 * scale, spine + 31 * scale, 0]
        yield solid(back, [29 * scale, 19 * scale, 600], fat + 40)
        yield solid(back, [27.5 * scale, 17.5 * scale, 600], MUSCLE)
        side = [sign * 68 * scale, spine + 22 * scale, -60]
        yield solid(side, [16, 9 * bulk, 75], MUSCLE, rotation(0, 0, sign * 25))


def _pelvis(scale, spine):
    """Iliac wings, hips and sacrum."""
    for sign in (-1, 1):
        wing, turn = [sign * 96 * scale, spine - 20, -162], rotation(0, sign * 30, -sign * 15)
        hip, shaft = [sign * 92 * scale, spine - 34, -240], [sign * 116 * scale, spine - 30, -290]
        for shrink, hu in ((0.0, CORTICAL), (2.8, TRABECULAR)):
            yield solid(wing, np.array([8.5, 50, 60]) * scale - shrink, hu, turn)
            yield solid(hip, np.array([25.0, 27, 25]) * scale - shrink, hu)
            radii = np.array([15.0, 16, 62]) * scale - shrink
            yield solid(shaft, radii, hu, rotation(0, sign * 35, 0))
    for step in range(4):  # sacrum
        spot = [0, spine + 8 + 7 * step, -172 - 17 * step]
        for shrink, hu in ((0.0, CORTICAL), (2.5, TRABECULAR)):
            radii = np.array([(44 - 9 * step) * scale, 15, 11]) - shrink
            yield solid(spot, radii, hu, drum=True)


def _spine(rng, scale, spine):
    """Vertebrae with discs, arch and processes; the canal with its cord."""
    pitch = 33 * scale
    phase = rng.uniform(0, pitch)
    thickness = rng.uniform(1.5, 3)
    width = rng.uniform(0.92, 1.08) * scale
    for height in np.arange(-158, 330, pitch) + phase:
        y = spine + 4e-4 * (height + 50) ** 2
        body = np.array([22 * width, 16 * scale, 0.42 * pitch])
        yield solid([0, y, height - 0.5 * pitch], [20 * width, 14, 0.2 * pitch], DISC)
        for sign in (-1, 1):
            arch = [sign * 14 * scale, y + 17 * scale, height]
            yield solid(arch, [5 * scale, 11 * scale, 9 * scale], CORTICAL)
            tip, turn = [sign * 26 * scale, y + 22 * scale, height], rotation(0, 0, sign * 14)
            yield solid(tip, [17 * scale, 4, 6 * scale], 0.75 * CORTICAL, turn)
            facet = [sign * 15 * scale, y + 28 * scale, height - 0.4 * pitch]
            yield solid(facet, [7 * scale, 6, 13 * scale], 0.8 * CORTICAL)
        # lamina, spinous process, body, canal
        yield solid([0, y + 31 * scale, height - 4], [13 * scale, 4, 9 * scale], CORTICAL)
        yield solid([0, y + 39 * scale, height - 8], [3, 11 * scale, 10 * scale], 0.8 * CORTICAL)
        yield solid([0, y, height], body, CORTICAL, drum=True)
        yield solid([0, y, height], body - thickness, TRABECULAR, drum=True, grain=25)
        yield solid([0, y + 22 * scale, height], [10 * scale, 8 * scale, pitch], CORD)


def _ribs(rng, scale, trunk):
    """Ribs 6 to 12: chains of short pieces on the inner face of the wall, falling to the front."""
    side, front, back = 0.6 * trunk.cavity + 0.4 * trunk.wall
    first, drop = rng.uniform(40, 62), rng.uniform(55, 85)
    for above, reach in enumerate((62, 95, 130, 150, 150, 150, 150)):
        for sign in (-1, 1):
            for angle in np.arange(16, reach, 6.5):
                way = np.radians(angle)
                depth = back if angle < 90 else front
                height = first + 25 * above - drop * angle / 90
                spot = [sign * side * np.sin(way), depth * np.cos(way), height]
                tangent = np.arctan2(-depth * np.sin(way), sign * side * np.cos(way))
                turn = rotation(0, 0, np.degrees(tangent))
                for shrink, hu in ((0.0, CORTICAL), (2.0, 0.9 * TRABECULAR)):
                    radii = np.array([9.0, 3.6, 6.5]) - [0, shrink, shrink]
                    yield solid(spot, radii * scale**0.5, hu, turn)


def _great_vessels(rng, scale, spine, aorta, veins):
    wide = rng.uniform(8.5, 12)
    lean = rotation(-2, rng.uniform(-3, 3), 0)
    middle = np.array([rng.uniform(2, 14), spine - 26 * scale, 60])
    yield solid(middle, [wide, wide, 190], aorta, lean)
    flat = rng.uniform(0.6, 1.0)
    cava = [-rng.uniform(16, 26), spine - 24 * scale, 40]
    yield solid(cava, [12, 12 * flat, 200], veins, rotation(0, rng.uniform(-3, 3), 0))
    if rng.uniform() < 0.4:  # plaque in the wall of the aorta
        offset = np.array([0.8 * wide, 3, rng.uniform(-110, -40)])
        yield solid(middle + offset, [1.8, 3.5, 9], CORTICAL)
    mesenteric = [middle[0], spine - 46 * scale, -20]
    yield solid(mesenteric, [3.6, 3.6, 50], aorta)
    yield solid(np.add(mesenteric, [-14, -3, 0]), [5.5, 5, 60], veins)
