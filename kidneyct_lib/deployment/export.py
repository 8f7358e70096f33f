"""A study's saved model as files that run anywhere, with what their user must know beside them."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from tqdm import tqdm

from kidneyct_lib.core.files import file_digest
from kidneyct_lib.data import catalog
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.deployment import inference_graph, quantization
from kidneyct_lib.deployment.predictor import BUNDLE
from kidneyct_lib.evaluation.fold_predictions import study_folds
from kidneyct_lib.models import builder
from kidneyct_lib.study.run_folder import Run, project_root
from kidneyct_lib.training import feature_cache, recipes
from kidneyct_lib.training.feature_cache import Storage
from kidneyct_lib.uncertainty import calibration, ood_detection, operating_points

FILES = {
    ("onnx", "float32"): "model-float32.onnx",
    ("onnx", "int8"): "model-int8.onnx",
    ("litert", "float32"): "model-float32.tflite",
    ("litert", "int8"): "model-int8.tflite",
}
"""Name of each (format, precision)."""

INTENDED_USE = (
    "Research use only: a prediction is not a diagnosis. For single CT slices of the kidneys like "
    "those of the study's data; what the model is worth on new patients is shown by the metrics of "
    "the scheme 'patient', not of 'slice'."
)
_FORMAT = 1  # of bundle.json
_MEASURED = 50  # training slices on which an 8-bit file is corrected
_LOW = 0.2  # share of validation slices whose confidence counts as low


def export(run: Run, scheme: str, *, formats: Sequence[str] = ("onnx", "litert")) -> dict:
    """Write the ONNX and LiteRT files of a scheme's saved model, and bundle.json.

    Parameters
    ----------
    run
        A run with notebooks 01 to 08 done.
    scheme
        "slice" or "patient": the model trained on the first fold of which split.
    formats
        Which to write.

    Returns
    -------
    What bundle.json holds.

    Raises
    ------
    StudyError
        If something that the run should have written is missing.
    """
    given = run.provenance()["parameters"]
    table, split = run.read_table("catalog"), run.read_table("splits")
    part = split.loc[split["fold"] == 0, scheme].to_numpy()
    points = chosen_thresholds(run, scheme)
    cache = project_root() / given["cache_folder"]
    images = catalog.decode_all(run.data_folder, table, given["image_size"], cache)
    net = builder.load(run.model_path(scheme))
    layer, distance, limit = _gate(net, images, part, given, cache)
    graph = inference_graph.build(
        net, layer=layer, temperature=points["temperature"], distance=distance
    )
    training = np.random.default_rng(given["seed"]).permutation(np.flatnonzero(part == "train"))
    chosen = {kind: name for kind, name in FILES.items() if kind[0] in formats}
    _write_files(run, scheme, chosen, graph, gray_to_rgb(images[np.sort(training[:_MEASURED])]))
    bundle = _bundle(run, scheme, list(chosen.values()), points, limit)
    run.write_json(f"export/{scheme}/{BUNDLE}", bundle)
    return bundle


def chosen_thresholds(run: Run, scheme: str) -> dict[str, Any]:
    """Temperature of the saved model, and thresholds on its calibrated validation predictions.

    Returns
    -------
    dict of plain numbers: ``temperature``; ``confidence``, which the surest four in five
    validation slices reach; ``recall`` {class: {``target_recall``, ``threshold``}}, the probability
    from which on a class that must not be missed is to be thought of.
    """
    given = run.provenance()["parameters"]
    validation = study_folds(run.read_table("predictions"), given["classes"])[scheme, 2][0][0]
    temperature = run.read_metrics("calibration")[scheme]["stage2"]["temperature"][0]
    probabilities = calibration.at_temperature(validation.probabilities, temperature)
    target, recall = given["must_not_miss_recall"], {}
    for name in given["must_not_miss"]:
        code = given["classes"].index(name)
        threshold = operating_points.recall_threshold(
            validation.true == code, probabilities[:, code], target
        )
        recall[name] = {"target_recall": target, "threshold": threshold}
    confidence = float(np.quantile(probabilities.max(axis=1), _LOW))
    return {"temperature": temperature, "confidence": confidence, "recall": recall}


def _gate(net, images, part, given, cache) -> tuple[str, ood_detection.PrincipalDistance, float]:
    """Layer, score and threshold of OOD detection, as notebook 08 chose them, but compact."""
    storage = Storage(cache, given["batch_size"], given["feature_cache_gb"])
    body = recipes.frozen_prefix(net, images, storage, unfreeze_layers=given["unfreeze_layers"])
    means = feature_cache.channel_means(body, batch=given["batch_size"])
    fitted = ood_detection.fit_gate(
        means, part, ood_detection.principal_distance, kept=given["ood_accepted"]
    )
    return body.layer, cast(ood_detection.PrincipalDistance, fitted.score), fitted.threshold


def _write_files(
    run: Run,
    scheme: str,
    chosen: Mapping[tuple[str, str], str],
    graph,
    calibration_images: np.ndarray,
) -> None:
    with tempfile.TemporaryDirectory() as folder, quantization.saved_graph(graph) as saved:
        litert, onnx = Path(folder, "whole.tflite"), Path(folder, "whole.onnx")
        quantization.to_litert(saved, litert)
        if any(kind == "onnx" for kind, _ in chosen):
            quantization.to_onnx(litert, onnx)
        writers = {
            ("onnx", "float32"): partial(shutil.copyfile, onnx),
            ("onnx", "int8"): partial(quantization.to_int8_onnx, onnx, images=calibration_images),
            ("litert", "float32"): partial(shutil.copyfile, litert),
            ("litert", "int8"): partial(quantization.to_litert, saved, eight_bits=True),
        }
        for kind, name in tqdm(chosen.items(), desc="export", unit="file", leave=False):
            run.write_export(scheme, name, writers[kind])


def _bundle(
    run: Run, scheme: str, names: Sequence[str], points: dict[str, Any], distance: float
) -> dict[str, Any]:
    known = run.provenance()
    given, folder = known["parameters"], run.export_folder(scheme)
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": file_digest(folder / name)}
        for name in names
    }
    traced = {key: known[key] for key in ("parameters_sha256", "library_sha256", "git")}
    return {
        "format": _FORMAT,
        "study": run.folder.name,
        "scheme": scheme,
        **{key: given[key] for key in ("recipe", "backbone", "weights", "classes", "image_size")},
        "temperature": points["temperature"],
        "operating_points": {
            "distance": distance,
            "confidence": points["confidence"],
            "recall": points["recall"],
        },
        "metrics": {name: _headline(one) for name, one in run.read_metrics("test").items()},
        "files": files,
        "intended_use": INTENDED_USE,
        "provenance": traced | {"model_sha256": file_digest(run.model_path(scheme))},
    }


def _headline(metrics: dict[str, Any]) -> dict[str, Any]:
    keys = ("n", "groups", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95")
    recall = {name: row["recall"] for name, row in metrics["per_class"].items()}
    return {key: metrics[key] for key in keys} | {"recall": recall}
