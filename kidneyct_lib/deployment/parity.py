"""Whether the exported files predict as the Keras model does, and how fast."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from kidneyct_lib.data import image_io
from kidneyct_lib.deployment import latency, runtimes
from kidneyct_lib.deployment.export import FILES
from kidneyct_lib.interpretability import grad_cam
from kidneyct_lib.models import builder
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.uncertainty import calibration


def keras_predictions(run: Run, scheme: str, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Calibrated probabilities (N, K) and maps (N, h, w, K) by the library's own steps.

    `images` are RGB uint8 (H, W, 3) of any size.
    """
    given = run.provenance()["parameters"]
    size, batch = given["image_size"], given["batch_size"]
    gray = np.stack([image_io.resize(image_io.rgb_to_gray(one), size) for one in images])
    net = grad_cam.with_class_maps(builder.load(run.model_path(scheme)))
    label = "predictions of Keras"
    probabilities, maps = builder.predict_gray(net, gray, batch=batch, label=label)
    raw = probabilities.astype(np.float64)
    calibrated = calibration.at_temperature(raw, calibration.saved_temperature(run, scheme))
    return {"probabilities": calibrated, "maps": maps}


def file_predictions(
    run: Run, bundle: Mapping, images: Sequence[np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """What each file of a bundle predicts, one image at a time: {file: arrays}."""
    predictions = {}
    for name in bundle["files"]:
        # One thread: sums are then always made in one order.
        runner = runtimes.RUNNERS[FILES[name][0]](run.export_folder(bundle["scheme"]) / name, 1)
        progress = tqdm(images, desc=f"predictions of {name}", unit="image", leave=False)
        parts = [runner(image[None]) for image in progress]
        predictions[name] = {key: np.concatenate([one[key] for one in parts]) for key in parts[0]}
    return predictions


def compare(
    expected: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Compare one file's predictions with those expected.

    Both hold ``probabilities`` (N, K) and ``maps`` (N, h, w, K).

    Returns
    -------
    dict with ``n``, ``probability_difference`` (largest difference of a probability),
    ``map_difference`` (of a map, as a share of the largest of all; as it is where these are all 0)
    and ``label_changed`` (share of the images that get another class; accuracy on them can't fall
    by more).
    """
    off = np.abs(predictions["probabilities"] - expected["probabilities"])
    largest = np.abs(expected["maps"]).max() or 1  # an untrained network's maps may be all 0
    maps = np.abs(predictions["maps"] - expected["maps"]).max() / largest
    label, before = (given["probabilities"].argmax(axis=1) for given in (predictions, expected))
    return {
        "n": len(label),
        "probability_difference": float(off.max()),
        "map_difference": float(maps),
        "label_changed": float((label != before).mean()),
    }


def latencies(
    run: Run, bundle: Mapping, *, threads: Sequence[int], batches: Sequence[int]
) -> pd.DataFrame:
    """Time the saved model in Keras and every exported file, each file in a process of its own.

    The bundle is what `export.export` returns. Keras is given squares of the study's size and
    returns probabilities alone; the files are given the same images as raw pixels and return maps
    and distance too.

    Returns
    -------
    DataFrame with one row per way to run, number of threads and batch: ``way``, ``precision``,
    ``threads``, ``batch``, ``milliseconds`` (median for one image), ``times_faster`` (than
    ``model.predict`` on as many threads with the same batch), ``memory_mb`` and ``load_seconds``.
    """
    scheme = bundle["scheme"]
    folder = run.export_folder(scheme)
    # Keras once for both of its ways: the start and the loading are most of the time.
    files: list[tuple[Sequence[str], str, Path]]
    files = [(("model.predict", "compiled call"), "float32", run.model_path(scheme))]
    files += [((FILES[name][0],), FILES[name][1], folder / name) for name in bundle["files"]]
    rows, combinations = [], list(product(threads, files))
    bar = tqdm(combinations, desc="timing", unit="model", leave=False)
    for count, (kinds, precision, path) in bar:
        timing = {"threads": count, "size": bundle["image_size"], "batches": batches}
        for row in latency.clock(kinds, path, **timing):
            rows.append({"way": row["way"], "precision": precision, "threads": count} | row)
    table = pd.DataFrame(rows)
    slow = table["milliseconds"].where(table["way"] == "model.predict")
    slow = slow.groupby([table["threads"], table["batch"]]).transform("first")
    return table.assign(times_faster=slow / table["milliseconds"])
