"""Answers of a saved model for single image files."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from kidneyct_lib import images
from kidneyct_lib.errors import StudyError
from kidneyct_lib.files import read_json

_BATCH = 32


class Predictor:
    """A saved model with the facts written beside it: its classes and its input size.

    Parameters
    ----------
    path : Path
        `<name>.keras` with `<name>.json` beside it, as a run leaves them under `models/`.

    Raises
    ------
    StudyError
        If either file is missing or is not what it should be.
    """

    def __init__(self, path: Path) -> None:
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
        from kidneyct_lib import network  # slow to import: only once the files are there

        self._model = network.load(path)

    def probabilities(self, gray: np.ndarray) -> np.ndarray:
        """Class probabilities (K,) of one gray image uint8 (H, W) of any size."""
        pixels = images.gray_to_rgb(images.resize(gray, self.image_size))
        return self.batch(pixels[None])[0]

    def batch(self, pixels: np.ndarray) -> np.ndarray:
        """Class probabilities float64 (N, K) of RGB pixels (N, S, S, 3) in 0..255."""
        chunks = np.array_split(pixels, max(1, -(-len(pixels) // _BATCH)))
        answers = np.concatenate([self._model.predict_on_batch(chunk) for chunk in chunks])
        answers = answers.astype(np.float64)  # single precision sums to 1 only within 1e-7
        return answers / answers.sum(axis=1, keepdims=True)

    def answer(self, path: Path) -> dict[str, Any]:
        """What the command line prints for one file; `error` instead of a label if it is bad."""
        try:
            content = path.read_bytes()
            probabilities = self.probabilities(images.read_gray(content))
        except (OSError, images.ImageError) as error:
            return {"path": str(path), "error": str(error), "model": self.name}
        return {
            "path": str(path),
            "label": self.classes[int(probabilities.argmax())],
            "probabilities": dict(zip(self.classes, probabilities.round(6).tolist(), strict=True)),
            "model": self.name,
            "input_sha256": hashlib.sha256(content).hexdigest(),
        }
