"""A study's saved model as files that run anywhere, with what their user must know beside them."""

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from tqdm import tqdm

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest
from kidneyct_lib.data import catalog
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.deployment import inference_graph, quantization
from kidneyct_lib.deployment.predictor import BUNDLE
from kidneyct_lib.evaluation import metrics, series
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import unseen
from kidneyct_lib.models import builder
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.study.run_folder import Run, project_root
from kidneyct_lib.training import feature_cache, recipes
from kidneyct_lib.training.feature_cache import Storage
from kidneyct_lib.uncertainty import calibration, ood_detection, operating_points

FILES = {
    "model-float32.onnx": ("onnx", "float32"),
    "model-int8.onnx": ("onnx", "int8"),
    "model-float32.tflite": ("litert", "float32"),
    "model-int8.tflite": ("litert", "int8"),
}
"""Format and precision of each file by its name."""

INTENDED_USE = (
    "Research use only: a prediction is not a diagnosis. For single CT slices of the kidneys like "
    "those of the study's data; what the model is worth on new patients is shown by the metrics "
    "'other_window' and 'patient', not 'slice'."
)
_FITTED_ON_ALL = (
    " It was fitted on all patients: the metrics are of its recipe, in cross-validation."
)
_FORMAT = 1  # of bundle.json
_MEASURED = 50  # training slices on which an 8-bit file is corrected
_LOW = 0.2  # share of those slices whose confidence counts as low


def export(run: Run, scheme: str, *, formats: Sequence[str] = ("onnx", "litert")) -> dict:
    """Write the ONNX and LiteRT files of a scheme's saved model, and bundle.json.

    Parameters
    ----------
    run
        A run with notebooks 01 to 08 done.
    scheme
        "final": the model fitted on all patients. "slice" or "patient": the model trained on the
        first fold of which split.
    formats
        Which to write.

    Returns
    -------
    What bundle.json holds.

    Raises
    ------
    StudyError
        If something that the run should have written is missing, or Keras computes with another
        backend than TensorFlow, whose converter writes the files.
    """
    if (backend := keras.config.backend()) != "tensorflow":
        raise StudyError(
            f"Keras computes with {backend}, but TensorFlow alone exports models: run notebook "
            "10 or `kidneyct export` with KERAS_BACKEND=tensorflow."
        )
    given = run.provenance()["parameters"]
    table, split = run.read_table("catalog"), run.read_table("splits")
    temperature = calibration.saved_temperature(run, scheme)
    points = _operating_points(run, scheme, temperature)
    cache = project_root() / given["cache_folder"]
    images = catalog.decode_all(run.data_folder, table, given["image_size"], cache)
    net = builder.load(run.model_path(scheme))
    storage = Storage(cache, given["batch_size"], given["feature_cache_gb"])
    body = recipes.frozen_prefix(net, images, storage, unfreeze_layers=given["unfreeze_layers"])
    means = feature_cache.channel_means(body, batch=given["batch_size"])
    how = {"fit": ood_detection.principal_distance, "kept": given["ood_accepted"]}
    if scheme == "final":
        seen = np.arange(len(table))
        parts = [rows["patient"].tolist() for _, rows in split.groupby("fold")]
        gate = ood_detection.fit_final_gate(means, parts, **how)
    else:
        part = split.loc[split["fold"] == 0, scheme]
        seen = np.flatnonzero(part == "train")
        gate = ood_detection.fit_gate(means, part.tolist(), **how)
    distance = cast(ood_detection.PrincipalDistance, gate.score)
    graph = inference_graph.build(net, layer=body.layer, temperature=temperature, distance=distance)
    measured = np.sort(np.random.default_rng(given["seed"]).permutation(seen)[:_MEASURED])
    chosen = [name for name, (kind, _) in FILES.items() if kind in formats]
    _write_files(run, scheme, chosen, graph, gray_to_rgb(images[measured]))
    points = {"distance": gate.threshold} | points
    bundle = _bundle(run, scheme, chosen, temperature, points)
    run.write_json(f"export/{scheme}/{BUNDLE}", bundle)
    return bundle


def _operating_points(run: Run, scheme: str, temperature: float) -> dict[str, Any]:
    """Thresholds on the saved model's calibrated predictions for slices it was not fitted to.

    ``confidence`` is what the surest four in five slices reach; ``recall`` {class:
    {``target_recall``, ``threshold``}} the probability from which on a class that must not be
    missed is to be thought of.
    """
    given = run.provenance()["parameters"]
    known = unseen(run.read_table("predictions"), given["classes"], scheme)
    probabilities = calibration.at_temperature(known.probabilities, temperature)
    target, recall = given["must_not_miss_recall"], {}
    for name in given["must_not_miss"]:
        code = given["classes"].index(name)
        threshold = operating_points.recall_threshold(
            known.true == code, probabilities[:, code], target
        )
        recall[name] = {"target_recall": target, "threshold": threshold}
    confidence = float(np.quantile(probabilities.max(axis=1), _LOW))
    return {"confidence": confidence, "recall": recall}


def _write_files(
    run: Run, scheme: str, names: Sequence[str], graph, calibration_images: np.ndarray
) -> None:
    with tempfile.TemporaryDirectory() as folder, quantization.saved_graph(graph) as saved:
        litert, onnx = Path(folder, "whole.tflite"), Path(folder, "whole.onnx")
        quantization.to_litert(saved, litert)
        if any(FILES[name][0] == "onnx" for name in names):
            quantization.to_onnx(litert, onnx)
        writers = {
            ("onnx", "float32"): partial(shutil.copyfile, onnx),
            ("onnx", "int8"): partial(quantization.to_int8_onnx, onnx, images=calibration_images),
            ("litert", "float32"): partial(shutil.copyfile, litert),
            ("litert", "int8"): partial(quantization.to_litert, saved, eight_bits=True),
        }
        for name in tqdm(names, desc="export", unit="file", leave=False):
            run.write(f"export/{scheme}/{name}", writers[FILES[name]])


def _bundle(
    run: Run, scheme: str, names: Sequence[str], temperature: float, points: dict[str, Any]
) -> dict[str, Any]:
    known = run.provenance()
    given, folder = known["parameters"], run.export_folder(scheme)
    scores = ("n", "groups", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95")
    test = run.read_metrics("test")
    test["other_window"] = test["patient"]["other_window"]
    measured = {
        part: {key: tested[key] for key in scores}
        | {"recall": {name: row["recall"] for name, row in tested["per_class"].items()}}
        for part, tested in test.items()
    }
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
        "temperature": temperature,
        "operating_points": points,
        "metrics": measured,
        "votes": _votes(run, scores),
        "files": files,
        "intended_use": INTENDED_USE + (_FITTED_ON_ALL if scheme == "final" else ""),
        "provenance": traced | {"model_sha256": file_digest(run.model_path(scheme))},
    }


def _votes(run: Run, scores: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scores of one vote per new patient, as shown and in the display window of another class."""
    given = run.provenance()["parameters"]
    resampling = Bootstrap(given["bootstrap"], given["seed"])
    tables = {"patient": "predictions", "other_window": "counterfactual_predictions"}
    counted = {}
    for name, table in tables.items():
        rows = run.read_table(table).query("scheme == 'patient' and stage == 2 and split == 'test'")
        votes = series.votes(rows, given["classes"])
        found = metrics.summarise(votes, given["classes"], bootstrap=resampling)
        counted[name] = {key: found[key] for key in scores}
    return counted
