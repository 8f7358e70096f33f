"""The anatomy of one synthetic person: trunk, organs, muscles and bones as solids in millimetres.

The origin lies in front of the upper lumbar vertebrae, at the height of the kidneys; the axes are
those of `paint`. Nothing here knows of diseases: those are in `lesions`.
"""

from dataclasses import dataclass

import numpy as np

from kidneyct_lib.data.phantom.paint import MUSCLE, Solid, Trunk, rotation, solid

# Hounsfield units, as tabled by Prokop, Spiral and Multislice Computed Tomography of the Body
# (Thieme, 2003): lung -910 to -850, fat about -100, water and bile about 0, kidney 20 to 40, spleen
# 35 to 55, blood 45 to 65, liver 45 to 65.
GAS, LUNG, FAT = -950.0, -850.0, -105.0
BILE, URINE = 8.0, 6.0
BOWEL_CONTENT, STOOL = 25.0, 20.0
# Compact bone begins at 700 there; spongy bone and discs lie between it and muscle.
CORTICAL, TRABECULAR, DISC, CORD = 750.0, 190.0, 80.0, 30.0

# One row per contrast phase: blood in the aorta, blood in the veins, liver, spleen, renal cortex,
# renal medulla, bowel wall. Enhanced values are typical ones: the arterial phase lights up aorta
# and cortex, the nephrographic phase the whole kidney.
PHASES = {
    "plain": (48.0, 46.0, 57.0, 48.0, 32.0, 32.0, 40.0),
    "arterial": (310.0, 70.0, 66.0, 110.0, 185.0, 75.0, 70.0),
    "nephrographic": (160.0, 150.0, 112.0, 122.0, 185.0, 175.0, 85.0),
}


@dataclass(frozen=True)
class Person:
    """One person; solids in the order of painting, a lesion between the organs and the frame."""

    trunk: Trunk
    organs: list[Solid]
    frame: list[Solid]  # muscles, bones, great vessels
    kidneys: tuple[Solid, Solid]  # on the image's left and right


def build_person(rng: np.random.Generator) -> Person:
    """Draw one person without a lesion."""
    scale = rng.uniform(0.95, 1.06)
    trunk = _trunk(rng, scale)
    phase = str(rng.choice(list(PHASES), p=[0.4, 0.3, 0.3]))
    jitter = rng.uniform(0.95, 1.05, size=7)
    aorta, veins, liver, spleen, cortex, medulla, bowel = np.array(PHASES[phase]) * jitter
    if phase == "plain":
        medulla = cortex  # not told apart without contrast
    spine = trunk.wall[2] - 52 * scale  # y of the vertebral bodies' centres
    looks = scale, spine, cortex, medulla, veins, trunk.fat
    left, right = ([*_kidney(rng, side, *looks)] for side in (-1, 1))
    kidneys = left[0], right[0]
    organs = [
        *_lungs(rng, scale, trunk),
        *_pelvic_organs(rng, scale, trunk, spine),
        *_bowel(rng, trunk, bowel),
        *_upper_organs(rng, scale, trunk, liver, spleen, bowel),
        *_liver(rng, trunk, liver, veins),
        # the fat around the kidneys
        *(Solid(k.center, k.unit / 1.1, k.edge, trunk.fat, inside=True) for k in kidneys),
        *left,
        *right,
    ]
    frame = [
        *_muscles(rng, scale, spine, trunk.fat),
        *_pelvis(scale, spine),
        *_spine(rng, scale, spine),
        *_ribs(rng, scale, trunk),
        *_great_vessels(rng, scale, spine, aorta, veins),
    ]
    return Person(trunk, organs, frame, kidneys)


def _trunk(rng, scale) -> Trunk:
    visceral = rng.uniform(0.25, 0.75)
    cavity = scale * (np.array([108, 68, 72]) + visceral * np.array([24, 36, 8]))
    cavity += rng.normal(0, [2, 2, 1])
    wall = cavity + scale * rng.uniform([10, 7, 15], [14, 10, 19])
    thickness = 5 + 14 * rng.uniform()
    skin = wall + thickness * rng.uniform([0.6, 0.5, 0.5], [1.1, 1.3, 1.0])
    roundness, furrow = rng.uniform(1.0, 1.5), rng.uniform(4, 10)
    return Trunk(skin, wall, cavity, roundness, furrow, fat=FAT + rng.uniform(-8, 8))


def _kidney(rng, side, scale, spine, cortex, medulla, veins, fat):
    """Draw one kidney, its outer solid first; `side` is -1 on the image's left, 1 on its right."""
    size = scale * rng.uniform(0.94, 1.08)
    height = -7 if side < 0 else 4
    center = [side * rng.uniform(58, 66) * scale, spine - rng.uniform(3, 10), rng.normal(height, 4)]
    turn = rotation(rng.uniform(-6, 2), -side * rng.uniform(7, 16), side * rng.uniform(22, 42))
    radii = size * rng.uniform([24, 21, 50], [29, 25, 58])

    def at(*offset):
        return center + turn @ (np.array(offset) * radii)

    yield solid(center, radii, cortex, turn, inside=True)
    for way in np.radians(np.linspace(-125, 125, 8) + rng.uniform(-8, 8, size=8)):
        pyramid = at(0.52 * side * np.cos(way), rng.uniform(-0.1, 0.1), 0.62 * np.sin(way))
        yield solid(pyramid, radii * [0.26, 0.5, 0.15], medulla, turn)
    fatness = rng.uniform(0.75, 1.15)
    sinus = radii * np.array([0.52, 0.36, 0.52]) * fatness
    yield solid(at(-0.42 * side, 0, 0), sinus, fat + 15, turn)
    yield solid(at(-1.0 * side, 0, 0), radii * [0.4, 0.3, 0.3], fat, turn)
    yield solid(at(-0.5 * side, 0.1, -0.05), sinus * [0.6, 0.4, 0.4], 15, turn)
    for height in rng.uniform(-0.35, 0.35, size=3):  # branches of the renal vessels
        yield solid(at(-0.55 * side, -0.1, height), [0.55 * radii[0], 2.2, 3.0], veins, turn)
    yield solid(at(-1.3 * side, -0.2, 0.1), [22 * size, 3.5, 4.5], veins, turn)


def _pelvic_organs(rng, scale, trunk, spine):
    """Fat between the muscles of the buttocks, bladder and rectum: seen on coronal slices."""
    yield solid([0, spine - 20, -240], np.array([36, 60, 40]) * scale, trunk.fat)
    for sign in (-1, 1):
        for step in range(5):
            spot = [sign * (70 + 16 * step) * scale, spine - 20, -215 - 8 * step]
            turn = rotation(0, -sign * rng.uniform(25, 45), 0)
            yield solid(spot, [1.6, 80, rng.uniform(25, 50)], trunk.fat, turn)
    yield solid([0, spine - 60, -235], rng.uniform([26, 30, 20], [40, 42, 32]), URINE)
    rectum = np.array([0, spine + 5, -238])
    yield solid(rectum, [17, 30, 26], MUSCLE)
    yield solid(rectum, [13, 26, 22], STOOL, mottle=420)


def _lungs(rng, scale, trunk):
    side, _, back = trunk.cavity
    dome = rng.uniform(85, 110)
    for x in (-0.54 * side, 0.54 * side):
        yield solid([x, 0.1 * back, dome + 130], [0.44 * side, 90, 120 * scale], LUNG)


def _liver(rng, trunk, liver, veins):
    side, front, _ = trunk.cavity
    low = rng.uniform(-60, -15)  # how far down the right lobe reaches
    height = (115 - low) / 2
    turn = rotation(0, rng.uniform(0, 12), rng.uniform(-15, 15))
    right = [-0.8 * side, rng.uniform(-0.15, 0.0) * front, 115 - height]
    width = rng.uniform(0.62, 0.74) * side
    yield solid(right, [width, rng.uniform(0.9, 1.15) * front, height], liver, turn, inside=True)
    left = [-0.1 * side, -0.62 * front, rng.uniform(60, 95)]
    radii = [rng.uniform(0.4, 0.65) * side, 0.36 * front, rng.uniform(35, 60)]
    yield solid(left, radii, liver, inside=True)
    for _ in range(7):
        spot = right + rng.uniform([-0.3, -0.45, -0.6], 0.5) * [width, front, height]
        turn = rotation(*rng.uniform(0, 180, size=3))
        yield solid(spot, [2.5, 3.0, rng.uniform(12, 25)], veins, turn, inside=True)
    gall = [-0.4 * side, -0.5 * front, rng.uniform(-20, 25)]
    radii = rng.uniform([9, 10, 18], [15, 18, 32])
    yield solid(gall, radii + 1.5, liver)
    yield solid(gall, radii, BILE, inside=True)


def _upper_organs(rng, scale, trunk, liver, spleen, bowel):
    """Spleen, stomach with its gas, pancreas."""
    side, front, back = trunk.cavity
    turn = rotation(0, -12, rng.uniform(-35, -5))
    low = rng.uniform(-15, 45)
    radii = [rng.uniform(20, 30), rng.uniform(36, 52), 50 * scale]
    yield solid([0.74 * side, 0.25 * back, low + 50], radii, spleen, turn, inside=True)
    stomach = np.array([0.38 * side, -0.35 * front, rng.uniform(50, 95)])
    radii = rng.uniform([30, 26, 40], [46, 40, 62])
    yield solid(stomach, radii, bowel, inside=True)
    meal, mottle = rng.uniform(5, 60), rng.uniform(0, 60)
    yield solid(stomach, radii - 4, meal, inside=True, mottle=mottle)
    bubble = stomach - [0, 0.45 * radii[1], 0]
    yield solid(bubble, radii * [0.6, 0.4, 0.6], GAS, inside=True)
    for step in np.linspace(-0.3, 0.6, 7):  # pancreas
        place = [step * side, -8 + rng.uniform(-5, 5) - 12 * step, 8 + 45 * step]
        yield solid(place, rng.uniform(10, 15, size=3), 0.5 * (liver + spleen))


def _bowel(rng, trunk, wall):
    """Mesenteric vessels and loops of small bowel; the colon with stool and gas at the sides."""
    side, front, back = trunk.cavity
    for spot in rng.uniform([-0.75, -0.85, -150], [0.75, 0.25, 70], size=(70, 3)):
        radii = rng.uniform([1.5, 1.5, 10], [2.6, 2.6, 28])
        turn = rotation(*rng.uniform(-60, 60, size=3))
        yield solid(spot * [side, front, 1], radii, wall + 10, turn, inside=True)
    loops = rng.uniform([-0.9, -0.95, -210], [0.9, -0.1, 60], size=(130, 3)) * [side, front, 1]
    for spot in loops[: int(rng.integers(100, 130))]:
        yield from _loop(rng, spot, rng.uniform([9, 8, 12], [19, 14, 30]), wall, stool=0.12)
    for x in (-0.84 * side, 0.84 * side):
        for height in np.arange(-150, 25, 26):
            spot = rng.normal([x, 0.2 * back, height], [4, 6, 4])
            yield from _loop(rng, spot, rng.uniform([14, 13, 17], [20, 19, 23]), wall, stool=0.85)


def _loop(rng, spot, radii, wall, stool):
    turn = rotation(*rng.uniform(-35, 35, size=3))
    yield solid(spot, radii, wall, turn, inside=True)
    kind = rng.uniform()
    if kind < stool:
        yield solid(spot, radii - 2.5, STOOL, turn, inside=True, mottle=420)
    elif kind < stool + 0.6 * (1 - stool):
        content = rng.uniform(-10, 20) + BOWEL_CONTENT
        yield solid(spot, radii - 3, content, turn, inside=True)
    elif kind < stool + 0.75 * (1 - stool):
        yield solid(spot - [0, 2, 0], radii - 4, GAS, turn, inside=True)


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
