"""Answers of an exported model: no Keras, no TensorFlow, the first one in a second or two."""

from pathlib import Path
from typing import Any

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest, read_json
from kidneyct_lib.deployment import runtimes

BUNDLE = "bundle.json"
PREFERRED = "model-float32.onnx"
"""What equals the Keras model; the 8-bit files are smaller and faster."""


class ExportedModel:
    """A model as `kidneyct export` leaves it, with the facts beside it.

    Parameters
    ----------
    folder : Path
        Holds bundle.json and the files that it names.
    file : str
        Which of the ONNX files to run.
    threads : int
        Of ONNX Runtime; 0: as many as there are cores.

    Attributes
    ----------
    judge : runtimes.Runner
        What the graph returns for images.

    Raises
    ------
    StudyError
        If a file is missing or is not the one that was exported.
    """

    def __init__(self, folder: Path, *, file: str = PREFERRED, threads: int = 0) -> None:
        remedy = "`kidneyct export` writes it anew."
        bundle = folder / BUNDLE
        if not bundle.is_file():
            raise StudyError(f"{bundle} is missing: {remedy}")
        known = read_json(bundle, remedy)
        try:
            expected = known["files"][file]["sha256"]
            self.classes: list[str] = known["classes"]
            self._points: dict[str, Any] = known["operating_points"]
            self.name = f"{known['study']}/{known['scheme']}"
            untrained = known["weights"] == "none"
        except (KeyError, TypeError) as error:
            raise StudyError(f"{bundle} tells nothing of {error}: {remedy}") from None
        if untrained:
            self.name += " (untrained backbone)"
        if file_digest(folder / file) != expected:
            raise StudyError(f"{folder / file} is missing or damaged: {remedy}")
        self.judge = runtimes.onnx(folder / file, threads)

    def say(self, rgb: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Calibrated probabilities (K,) of one image uint8 (H, W, 3), and what to heed."""
        judged = self.judge(rgb[None])
        probabilities = judged["probabilities"][0].astype(np.float64)
        probabilities /= probabilities.sum()  # single precision sums to 1 only within 1e-7
        distance = float(judged["distance"][0])
        return probabilities, {
            "out_of_distribution": distance > self._points["distance"],
            "low_confidence": bool(probabilities.max() < self._points["confidence"]),
            "distance": round(distance, 3),
        }
