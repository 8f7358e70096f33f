"""Catalog, decoding and grouping of many synthetic files: `python -m benchmarks.files JOB.json`.

The files are JPEGs of 512 x 512 pixels, as in the public set: series of shifted, noisy copies of
phantom slices, so that grouping has as many near-duplicates to link as it has there.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import Clock, read_job, write_result
from kidneyct_lib.data import catalog, phantom
from kidneyct_lib.splitting import near_duplicates

SIDE = 512
SLICES_A_SERIES = 30
NOISE = 6.0  # gray levels, standard deviation
SHIFT = 3  # most pixels


def write_files(folder: Path, counts: Mapping[str, int], seed: int) -> None:
    """Write so many JPEGs of each class, {class: number}, into class sub-folders."""
    series = -(-max(counts.values()) // SLICES_A_SERIES)
    drawn = phantom.generate(
        phantom.CohortSpec(
            classes=list(counts),
            patients_per_class=series,
            slices_per_patient=(1, 1),
            seed=seed,
            plane="axial",
            scanner="A",
            size=SIDE // 2,
        )
    )
    patients: dict[str, list[np.ndarray]] = {name: [] for name in counts}
    for drawing in drawn:
        patients[drawing.label].append(cv2.resize(drawing.image, (SIDE, SIDE)).astype(np.float32))
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, NOISE, (2 * SIDE, 2 * SIDE)).astype(np.float32)
    slices = [(name, number) for name, count in counts.items() for number in range(count)]
    shifts = rng.integers(-SHIFT, SHIFT + 1, (len(slices), 2))
    corners = rng.integers(0, SIDE, (len(slices), 2))
    for name in counts:
        (folder / name).mkdir(parents=True)

    def write(i: int) -> None:
        name, number = slices[i]
        image = np.roll(patients[name][number // SLICES_A_SERIES], shifts[i], (0, 1))
        y, x = corners[i]
        noisy = (image + noise[y : y + SIDE, x : x + SIDE]).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / name / f"{name}- ({number + 1}).jpg"), noisy)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(len(slices))))


def main() -> None:
    """Write the files, then measure the study's three steps on them."""
    job = read_job()
    scratch = Path(job["scratch"])
    folder, cache = scratch / "synthetic", scratch / "synthetic-cache"
    clock = Clock()
    classes, total = job["classes"], job["synthetic_files"]
    evenly = {name: len(range(k, total, len(classes))) for k, name in enumerate(classes)}
    with clock.phase("writing the files"):
        write_files(folder, evenly, job["seed"])
    with clock.phase("catalog"):
        table = catalog.index_folder(folder, job["classes"]).table
    with clock.phase("decode"):
        images = catalog.decode_all(folder, table, job["image_size"], cache)
    with clock.phase("decode, second time"):
        catalog.decode_all(folder, table, job["image_size"], cache)
    with clock.phase("grouping"):
        thumbs = near_duplicates.thumbnails(images, job["thumbnail_size"])
        thresholds = [job["group_threshold"], *job["group_thresholds"]]
        grouping = near_duplicates.find_groups(thumbs, thresholds, table["label"])
    groups = int(grouping.at(job["group_threshold"]).max()) + 1
    links = int(grouping.links[0])
    write_result(job, seconds=clock.seconds, files=len(table), links=links, groups=groups)


if __name__ == "__main__":
    main()
