"""Predictions of a saved or exported model for single image files.

An exported one needs neither Keras nor TensorFlow: its first prediction takes a second or two.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest, read_json
from kidneyct_lib.data import image_io
from kidneyct_lib.deployment import runtimes

BUNDLE = "bundle.json"
PREFERRED = "model-float32.onnx"
"""What equals the Keras model; the 8-bit files are smaller and faster."""

_BATCH = 32


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
        self.name = _name(f"{path.parent.parent.name}/{path.stem}", known["weights"])
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
        return _normalised(predictions)


class Answer(NamedTuple):
    """What an exported model makes of one image.

    Attributes
    ----------
    probabilities
        Calibrated, float64 (K,).
    maps
        What speaks for each class where, float32 (h, w, K).
    distance
        How far out of distribution the image is.
    """

    probabilities: np.ndarray
    maps: np.ndarray
    distance: float


class ExportedModel:
    """A model as `kidneyct export` leaves it, with the facts beside it.

    Parameters
    ----------
    folder : Path
        Holds bundle.json and the files that it names.

    Raises
    ------
    StudyError
        If a file is missing or is not the one that was exported.
    """

    def __init__(self, folder: Path) -> None:
        remedy = "`kidneyct export` writes it anew."
        bundle, file = folder / BUNDLE, folder / PREFERRED
        if not bundle.is_file():
            raise StudyError(f"{bundle} is missing: {remedy}")
        known = read_json(bundle, remedy)
        try:
            expected = known["files"][PREFERRED]["sha256"]
            self.classes: list[str] = known["classes"]
            self._points: dict[str, Any] = known["operating_points"]
            self.name = _name(f"{known['study']}/{known['scheme']}", known["weights"])
        except (KeyError, TypeError) as error:
            raise StudyError(f"{bundle} tells nothing of {error}: {remedy}") from None
        if file_digest(file) != expected:
            raise StudyError(f"{file} is missing or damaged: {remedy}")
        self._run = runtimes.onnx(file, 0)

    def say(self, rgb: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Calibrated probabilities (K,) of one image uint8 (H, W, 3), and its warnings."""
        answer = self.look(rgb)
        return answer.probabilities, {
            "out_of_distribution": self.is_odd(answer),
            "low_confidence": bool(answer.probabilities.max() < self._points["confidence"]),
            "distance": round(answer.distance, 3),
        }

    def look(self, rgb: np.ndarray) -> Answer:
        """What the model makes of one image uint8 (H, W, 3), class maps too."""
        outputs = self._run(rgb[None])
        probabilities = _normalised(outputs["probabilities"])[0]
        return Answer(probabilities, outputs["maps"][0], float(outputs["distance"][0]))

    def is_odd(self, answer: Answer) -> bool:
        """Whether an image is out of distribution."""
        return answer.distance > self._points["distance"]


def predict(model: Predictor | ExportedModel, path: Path) -> dict[str, Any]:
    """What the command line prints for one file; `error` instead of a label if it is bad.

    A `warning` tells where the picture may not show a CT slice in its true gray levels.
    """
    try:
        content = image_io.read_file(path)
        picture = image_io.read(content)
        probabilities, scores = model.say(picture.rgb)
    except image_io.ImageError as error:
        return {"path": str(path), "error": str(error), "model": model.name}
    named = dict(zip(model.classes, probabilities.round(6).tolist(), strict=True))
    return {
        "path": str(path),
        "label": model.classes[int(probabilities.argmax())],
        "probabilities": named,
        **scores,
        **({"warning": picture.warning} if picture.warning else {}),
        "model": model.name,
        "input_sha256": hashlib.sha256(content).hexdigest(),
    }


def _name(name: str, weights: str) -> str:
    return f"{name} (untrained backbone)" if weights == "none" else name


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Rows (N, K) that sum to 1 in double precision; single precision does within 1e-7."""
    probabilities = probabilities.astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)
