"""The job that both sides of the benchmark do: images, splits, class weights, settings."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.data import catalog, datasets
from kidneyct_lib.data.phantom import CohortSpec
from kidneyct_lib.splitting import cross_validation, holdout, near_duplicates
from kidneyct_lib.study import parameters
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.training import class_weights

ROOT = Path(__file__).parents[1]
SLICES = 4  # a generated patient


def prepare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Get the images, choose and split them.

    In the job, `rows` names the table of one split by slice, `splits` those of every fold by both
    schemes: path, label, sha256, split, target (index of the class), weight.
    """
    settings = parameters.load(
        ROOT / "params" / "phantom.yaml",
        folds=options.folds or 1,
        stage1_epochs=options.epochs1,
        stage2_epochs=options.epochs2,
        stage2_precision=options.precision,
        image_size=options.image_size,
        weights=options.weights,
    )
    folder = options.data or datasets.obtain(
        "phantom",
        None,
        CohortSpec(
            classes=settings.classes,
            patients_per_class=-(-options.images // (SLICES * len(settings.classes))),
            slices_per_patient=(SLICES, SLICES),
            size=settings.phantom_size,
            seed=settings.seed,
            plane=settings.plane or "axial",
        ),
        cache=ROOT / settings.cache_folder,
    )
    table = choose(catalog.index_folder(folder, settings.classes).table, settings, options.images)
    fractions = {
        "test_fraction": settings.test_fraction,
        "validation_fraction": settings.validation_fraction,
        "seed": settings.seed,
    }
    rows = as_rows(table, holdout.split(table, "slice", **fractions).to_numpy(), settings)
    rows.to_csv(scratch / "rows.csv", index=False)
    apart = scratch / "folds"
    apart.mkdir()
    files = []
    if options.folds:
        table["group"] = recover_groups(table, folder, settings, scratch)
        splits = cross_validation.study_splits(table, folds=options.folds, **fractions)
        for fold, parts in splits.groupby("fold"):
            for scheme in cross_validation.UNITS:
                files.append(str(apart / f"fold{fold}-{scheme}.csv"))
                as_rows(table, parts[scheme].to_numpy(), settings).to_csv(files[-1], index=False)
    return settings.model_dump() | {
        "folder": str(folder.resolve()),
        "rows": str(scratch / "rows.csv"),
        "splits": files,
        "scratch": str(scratch),
        "folds_scratch": str(apart),
        "initial": str(scratch / "initial.npz"),
        "synthetic_files": options.synthetic_files,
        "baseline_xla": options.baseline_xla,
    }


def begin_run(params: parameters.Params) -> None:
    """Draw a study's cohort; write catalog and splits by known patients to its run folder."""
    run = Run(params.run_folder)
    data = datasets.obtain(
        "phantom", None, CohortSpec.of(params.model_dump()), cache=Path(params.cache_folder)
    )
    table = catalog.index_folder(data, params.classes).table
    table["group"] = table["patient"].astype("category").cat.codes
    run.record_images("data", data, table)
    run.write_table("catalog", table)
    splits = cross_validation.study_splits(
        table,
        folds=params.folds,
        test_fraction=params.test_fraction,
        validation_fraction=params.validation_fraction,
        seed=params.seed,
    )
    run.write_table("splits", splits)


def choose(table: pd.DataFrame, settings: parameters.Params, count: int) -> pd.DataFrame:
    """About `count` images of a catalog, evenly over the classes."""
    each = max(3, count // len(settings.classes))
    parts = [
        rows.sample(min(each, len(rows)), random_state=settings.seed)
        for _, rows in table.groupby("label")
    ]
    return pd.concat(parts).sort_index().reset_index(drop=True)


def as_rows(table: pd.DataFrame, split: np.ndarray, settings: parameters.Params) -> pd.DataFrame:
    """The images with their part, target and the class weight of the training part."""
    weights = class_weights.by_slice(table["label"][split == "train"], settings.classes)
    return table[["path", "label", "sha256"]].assign(
        split=split,
        target=table["label"].map(settings.classes.index),
        weight=table["label"].map(weights),
    )


def recover_groups(
    table: pd.DataFrame, folder: Path, settings: parameters.Params, scratch: Path
) -> np.ndarray:
    """Group of each image, as notebook 03 recovers it."""
    thumbs = near_duplicates.catalog_thumbnails(
        folder, table, settings.thumbnail_size, scratch / "grouping"
    )
    threshold = settings.group_threshold
    return near_duplicates.find_groups(thumbs, [threshold], table["label"]).at(threshold)
