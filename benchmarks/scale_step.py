"""One step of the study on so many slices: `python -m benchmarks.scale_step JOB.json`.

The job names the step; what earlier steps found lies in the job's scratch folder. Reading that is
not counted, but where the step itself reads it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.files import NOISE, SLICES_A_SERIES
from benchmarks.measure import Clock, read_job, write_result
from kidneyct_lib.audit import hidden_twins, probes
from kidneyct_lib.data import catalog, phantom
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.splitting import cross_validation, near_duplicates
from kidneyct_lib.uncertainty import ood_detection

FEATURES = 2048  # that ResNet50 gives of a slice
BATCH = 64  # slices that the network predicts at a time
DRAWN_SIZE = 128  # pixels of the slices that series of copies are made of
SLICES_DRAWN = 8  # a patient


def cohort(job: dict[str, Any], series: int, slices: int, size: int) -> phantom.CohortSpec:
    """So many patients of each class, with so many slices each."""
    return phantom.CohortSpec(
        classes=job["classes"],
        patients_per_class=series,
        slices_per_patient=(slices, slices),
        size=size,
        seed=job["seed"],
        plane="axial",
    )


def draw(job: dict[str, Any], clock: Clock) -> None:
    """Write the largest cohort; the smaller ones are its first slices."""
    series = -(-job["images"] // (SLICES_A_SERIES * len(job["classes"])))
    with clock.phase("drawing the cohort"):
        phantom.write_cohort(
            Path(job["folder"]), cohort(job, series, SLICES_A_SERIES, job["image_size"])
        )


def index(job: dict[str, Any], clock: Clock) -> None:
    """Notebook 01: the catalog."""
    with clock.phase("catalog"):
        table = catalog.index_folder(Path(job["folder"]), job["classes"]).table
    table.to_csv(_place(job, "catalog.csv"), index=False)


def decode(job: dict[str, Any], clock: Clock) -> None:
    """Notebooks 01 to 10: every slice at the network's size."""
    with clock.phase("decoding"):
        catalog.decode_all(job["folder"], _table(job), job["image_size"], _place(job, "cache"))


def shrink(job: dict[str, Any], clock: Clock) -> None:
    """Notebook 03: thumbnails, with the slices decoded at their size."""
    size, cache = job["thumbnail_size"], _place(job, "cache")
    with clock.phase("thumbnails"):
        thumbs = near_duplicates.catalog_thumbnails(Path(job["folder"]), _table(job), size, cache)
    np.save(_place(job, "thumbs.npy"), thumbs)


def group(job: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """Notebook 03: near-duplicate groups at all thresholds."""
    table, thumbs = _table(job), np.load(_place(job, "thumbs.npy"))
    facts = _grouped(job, clock, thumbs, table["label"])
    table.assign(group=facts.pop("group")).to_csv(_place(job, "catalog.csv"), index=False)
    return facts


def split(job: dict[str, Any], clock: Clock) -> None:
    """Notebook 03: the folds of both schemes, checked."""
    table = _table(job)
    fractions = {key: job[key] for key in ("test_fraction", "validation_fraction", "seed")}
    with clock.phase("splits"):
        every_fold = cross_validation.study_splits(table, folds=job["folds"], **fractions)
        cross_validation.assert_disjoint(table, every_fold)
    every_fold.to_csv(_place(job, "splits.csv"), index=False)


def find_nearest(job: dict[str, Any], clock: Clock) -> None:
    """Notebook 07: the training slice most like each test slice, by both schemes."""
    thumbs, splits = np.load(_place(job, "thumbs.npy")), pd.read_csv(_place(job, "splits.csv"))
    for scheme in cross_validation.UNITS:
        test = splits[splits[scheme] == "test"].set_index("path")["fold"]
        tested = test.loc[_table(job)["path"]].to_numpy()
        with clock.phase(f"nearest training slices, by {scheme}"):
            probes.nearest_training(thumbs, tested, block=1024)


def compare_groups(job: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """Notebook 07: all pairs of groups, whose thumbnails stand in for the crops to the body."""
    thumbs, table = np.load(_place(job, "thumbs.npy")), _table(job)
    with clock.phase("hidden twins"):
        compared = hidden_twins.pairs(thumbs, table)
    return {"pairs": len(compared)}


def judge(job: dict[str, Any], clock: Clock) -> None:
    """Notebook 08: both OOD scores of one fold; random features stand in for the network's."""
    splits = pd.read_csv(_place(job, "splits.csv"))
    part = splits.loc[splits["fold"] == 0, "patient"]
    rng = np.random.default_rng(job["seed"])
    features = rng.standard_normal((len(part), FEATURES), np.float32)
    for name, fit in ood_detection.SCORES.items():
        with clock.phase(f"OOD detection, {name}"):
            ood_detection.fit_gate(features, part, fit, kept=0.95)


def resample(job: dict[str, Any], clock: Clock) -> None:
    """Notebooks 04 to 09: all scores of one set of predictions, with intervals; random ones."""
    table, classes = _table(job), job["classes"]
    rng = np.random.default_rng(job["seed"])
    random = rng.dirichlet(np.ones(len(classes)), len(table))
    rows = table[["label", "group"]].join(
        pd.DataFrame(random, columns=probability_columns(classes))
    )
    with clock.phase("scores and bootstrap"):
        metrics.summarise(rows, classes, bootstrap=Bootstrap(job["bootstrap"], job["seed"]))


def predict(job: dict[str, Any], clock: Clock) -> None:
    """Every slice through the whole network, in batches that are in memory."""
    from benchmarks.two_stage import build  # TensorFlow, which the other steps go without

    images = catalog.decode_all(job["folder"], _table(job), job["image_size"], _place(job, "cache"))
    net = build(job)
    net.predict_on_batch(gray_to_rgb(images[:BATCH]))  # compiles
    with clock.phase("prediction"):
        for start in range(0, len(images), BATCH):
            net.predict_on_batch(gray_to_rgb(images[start : start + BATCH]))


def group_many(job: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """Group thumbnails that are in memory: series of shifted, noisy copies of drawn slices."""
    with clock.phase("drawing thumbnails"):
        thumbs, labels = series_thumbnails(job)
    facts = _grouped(job, clock, thumbs, labels)
    del facts["group"]
    return facts | {"thumbnails_mb": thumbs.nbytes / 1e6}


def series_thumbnails(job: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnails, float32 (N, D), and classes, (N,), class after class as in a catalog."""
    count, classes, size = job["images"], job["classes"], job["thumbnail_size"]
    a_patient = SLICES_DRAWN * SLICES_A_SERIES
    patients = -(-count // (a_patient * len(classes)))
    rng = np.random.default_rng(job["seed"])
    noise = rng.normal(0, NOISE, (2 * DRAWN_SIZE, 2 * DRAWN_SIZE)).astype(np.float32)
    thumbs = np.empty((patients * len(classes) * a_patient, size * size), np.float32)
    drawn = phantom.generate(cohort(job, patients, SLICES_DRAWN, DRAWN_SIZE))
    for start, one in zip(range(0, len(thumbs), SLICES_A_SERIES), drawn, strict=True):
        shifts = rng.integers(-1, 2, (SLICES_A_SERIES, 2))
        corners = rng.integers(0, DRAWN_SIZE, (SLICES_A_SERIES, 2))
        copies = [
            np.roll(one.image, shift, (0, 1)) + noise[y : y + DRAWN_SIZE, x : x + DRAWN_SIZE]
            for shift, (y, x) in zip(shifts, corners, strict=True)
        ]
        series = np.stack(copies).clip(0, 255).astype(np.uint8)
        thumbs[start : start + SLICES_A_SERIES] = near_duplicates.thumbnails(series, size)
    labels = np.repeat(classes, patients * a_patient)
    return thumbs[:count], labels[:count]


def _grouped(job: dict[str, Any], clock: Clock, thumbs: np.ndarray, labels: Any) -> dict[str, Any]:
    """Groups at the study's threshold, and links and number of groups at each."""
    thresholds = [job["group_threshold"], *job["group_thresholds"]]
    with clock.phase("grouping"):
        grouping = near_duplicates.find_groups(thumbs, thresholds, labels)
    return {
        "group": grouping.at(job["group_threshold"]),
        "links": dict(zip(map(str, grouping.thresholds), grouping.links.tolist(), strict=True)),
        "groups": {str(t): int(grouping.at(t).max()) + 1 for t in grouping.thresholds},
    }


def _place(job: dict[str, Any], name: str) -> Path:
    return Path(job["scratch"]) / name


def _table(job: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(_place(job, "catalog.csv"))


CHEAP = (index, decode, shrink, group, split, find_nearest, compare_groups, judge, resample)
"""Steps without the network, in order."""

STEPS = {step.__name__: step for step in (draw, *CHEAP, predict, group_many)}


def main() -> None:
    """Do the job's step and write what it took."""
    job = read_job()
    clock = Clock()
    facts = STEPS[job["step"]](job, clock) or {}
    write_result(job, seconds=clock.seconds, **facts)


if __name__ == "__main__":
    main()
