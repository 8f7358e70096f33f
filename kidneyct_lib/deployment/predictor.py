"""Answers of a saved or exported model for single image files."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json
from kidneyct_lib.data import image_io

_BATCH = 32


class Model(Protocol):
    """What `predict` needs of a model: `Predictor` and `exported_model.ExportedModel` have it."""

    name: str
    classes: list[str]

    def say(self, rgb: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Probabilities (K,) of one image RGB uint8 (H, W, 3), and what else to tell."""
        ...


def predict(model: Model, path: Path) -> dict[str, Any]:
    """What the command line prints for one file; `error` instead of a label if it is bad."""
    try:
        content = path.read_bytes()
        probabilities, scores = model.say(image_io.read_color(content))
    except (OSError, image_io.ImageError) as error:
        return {"path": str(path), "error": str(error), "model": model.name}
    named = dict(zip(model.classes, probabilities.round(6).tolist(), strict=True))
    return {
        "path": str(path),
        "label": model.classes[int(probabilities.argmax())],
        "probabilities": named,
        **scores,
        "model": model.name,
        "input_sha256": hashlib.sha256(content).hexdigest(),
    }


class Predictor:
    """A saved model with the facts written beside it: its classes and its input size.

    Parameters
    ----------
    path : Path
        `<name>.keras` with `<name>.json` beside it, as a run leaves them under `models/`.
    temperature : float
        Of the softmax, as `calibration.fit_temperature` gives it; 1 where none was fitted.

    Raises
    ------
    StudyError
        If either file is missing or is not what it should be.
    """

    def __init__(self, path: Path, *, temperature: float = 1.0) -> None:
        facts = path.with_suffix(".json")
        for file in (path, facts):
            if not file.is_file():
                raise StudyError(f"{file} is missing: `make reproduce` writes the models.")
        known = read_json(facts, "`make reproduce` writes it anew.")
        self.classes: list[str] = known["classes"]
        self.image_size: int = known["image_size"]
        self.name = f"{path.parent.parent.name}/{path.stem}"
        if known["weights"] == "none":
            self.name += " (untrained backbone)"
        self._temperature = temperature
        from kidneyct_lib.models import builder  # slow to import: only once the files are there

        self._model = builder.load(path)

    def say(self, rgb: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Calibrated probabilities (K,) of one image RGB uint8 (H, W, 3) of any size."""
        from kidneyct_lib.uncertainty.calibration import at_temperature

        gray = image_io.resize(image_io.rgb_to_gray(rgb), self.image_size)
        raw = self.batch(image_io.gray_to_rgb(gray)[None])
        return at_temperature(raw, self._temperature)[0], {}

    def batch(self, pixels: np.ndarray) -> np.ndarray:
        """Class probabilities float64 (N, K) of RGB pixels (N, S, S, 3) in 0..255."""
        chunks = np.array_split(pixels, max(1, -(-len(pixels) // _BATCH)))
        predictions = np.concatenate([self._model.predict_on_batch(chunk) for chunk in chunks])
        predictions = predictions.astype(np.float64)  # single precision sums to 1 only within 1e-7
        return predictions / predictions.sum(axis=1, keepdims=True)
