"""One answer for a whole series: the mean of its slices' probabilities."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from kidneyct_lib.data import image_io
from kidneyct_lib.data.image_folder import natural_key
from kidneyct_lib.data.image_io import ImageError
from kidneyct_lib.deployment.predictor import ExportedModel, Predictor, predict

_SHOWN = 3  # slices that speak most for the answer
_FLAGS = ("out_of_distribution", "low_confidence")


class Series(NamedTuple):
    """Slices that belong together."""

    folder: Path
    uid: str  # SeriesInstanceUID; "" of other images
    paths: list[Path]  # in the order of the series


def find_series(folder: Path) -> list[Series]:
    """Find the series below a folder.

    DICOM files are sorted by SeriesInstanceUID and position, whatever folder they lie in; other
    images of one folder are one series, in the natural order of their names. Hidden files and
    those that are no images are passed over.

    Raises
    ------
    ImageError
        If the folder is none, or holds no image.
    """
    if not folder.is_dir():
        raise ImageError("this is no folder; give the folder of a series.")
    found: dict[tuple[Path, str], list[tuple[float, Path]]] = defaultdict(list)
    for path in _files(folder):
        try:
            data = image_io.read_file(path)
        except ImageError:
            continue  # a pipe, or a file that can't be read
        kind = image_io.format_of(data)
        if kind == "DICOM":
            from kidneyct_lib.data import dicom  # slow to import

            uid, position = dicom.place_in_series(data)
            found[folder if uid else path.parent, uid].append((position, path))
        elif kind or path.suffix.lower() in image_io.SUFFIXES:
            found[path.parent, ""].append((0.0, path))
    if not found:
        raise ImageError("this folder holds no image.")
    return [
        Series(place, uid, [path for _, path in sorted(files, key=lambda one: one[0])])
        for (place, uid), files in found.items()
    ]


def answers(model: Predictor | ExportedModel, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the command line prints for each series below a folder."""
    try:
        found = find_series(folder)
    except ImageError as error:
        yield {"series": str(folder), "error": str(error), "model": model.name}
        return
    for series in found:
        yield predict_series(model, series)


def predict_series(model: Predictor | ExportedModel, series: Series) -> dict[str, Any]:
    """What the command line prints for one series; `error` instead of a label if none can be read.

    The probabilities are the means of those of the slices, as a patient's vote is scored by
    `evaluation.series.votes`. A localizer has no part in them.
    """
    named = {"series": str(series.folder)} | ({"uid": series.uid} if series.uid else {})
    paths = tqdm(series.paths, desc=series.folder.name, unit="slice", leave=False, disable=None)
    lines = [predict(model, path) for path in paths]
    errors = [line for line in lines if "error" in line]
    slices = [line for line in lines if "error" not in line and not _is_localizer(line)]
    if not slices:
        why = f"; {errors[0]['path']}: {errors[0]['error']}" if errors else ""
        error = f"none of its {len(lines)} files is a slice that can be read{why}"
        return named | {"error": error, "model": model.name}
    probabilities = np.array([list(line["probabilities"].values()) for line in slices])
    mean = probabilities.mean(axis=0)
    answer = int(mean.argmax())
    most = np.argsort(-probabilities[:, answer], kind="stable")[:_SHOWN]
    warnings = Counter(line["warning"] for line in lines if "warning" in line)
    return {
        **named,
        "slices": len(slices),
        "label": model.classes[answer],
        "probabilities": dict(zip(model.classes, mean.round(6).tolist(), strict=True)),
        "most": {slices[i]["path"]: float(probabilities[i, answer]) for i in most},
        **{flag: sum(line[flag] for line in slices) for flag in _FLAGS if flag in slices[0]},
        **({"warnings": dict(warnings)} if warnings else {}),
        **({"errors": {line["path"]: line["error"] for line in errors}} if errors else {}),
        "model": model.name,
    }


def _is_localizer(line: dict[str, Any]) -> bool:
    return "localizer" in line.get("warning", "")


def _files(folder: Path) -> list[Path]:
    """Files below a folder, but hidden ones, in the natural order of their names."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if name[0] != "."), key=natural_key)
        found += [Path(place, name) for name in sorted(files, key=natural_key) if name[0] != "."]
    return found
