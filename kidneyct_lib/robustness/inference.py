"""Predictions of both stages on clean and corrupted slices; what is frozen is computed once."""

import inspect
import itertools
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kidneyct_lib.core import engine
from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest
from kidneyct_lib.data import body
from kidneyct_lib.data.image_io import gray_to_rgb
from kidneyct_lib.models import builder, freezing
from kidneyct_lib.robustness import corruptions
from kidneyct_lib.robustness.corruptions import CORRUPTIONS, SEVERITIES

_SENT = 16  # batches handed out together: each takes seconds, and they are kept together


class StagePredictions:
    """Both stages' models of one scheme behind the frozen prefix that they share.

    Parameters
    ----------
    first, second
        The network after stage 1 and after stage 2.
    unfreeze_layers
        Layers of the backbone, counted from its end, that stage 2 trained.
    beside
        Of another scheme, whose traced networks are used as far as they are the same: tracing takes
        longer than a prediction.

    Raises
    ------
    StudyError
        If the two networks differ before those layers.
    """

    def __init__(
        self,
        first: keras.Model,
        second: keras.Model,
        *,
        unfreeze_layers: int,
        beside: "StagePredictions | None" = None,
    ) -> None:
        freezing.unfreeze_last(second, unfreeze_layers)
        cut = freezing.frozen_cut(second)
        nets = first, second
        prefixes = [freezing.part(net, None, cut) for net in nets]
        suffixes = [freezing.part(net, cut, None) for net in nets]
        digests = {builder.digest(part) for part in prefixes}
        if len(digests) > 1:
            raise StudyError(f"The networks differ up to {cut}, which both should have frozen.")
        # U-Nets that mark lesions are trained for each scheme, all else that is frozen is not.
        same = beside is not None and builder.digest(beside._prefix) in digests
        self._prefix = beside._prefix if beside is not None and same else prefixes[0]
        # A copy, as it is given the weights of one network after the other.
        self._suffix = keras.models.clone_model(suffixes[0]) if beside is None else beside._suffix
        self._weights = [suffix.get_weights() for suffix in suffixes]
        self.digest = sha256("".join(map(builder.digest, nets)).encode()).hexdigest()
        self.classes = second.output.shape[-1]
        self.files: tuple[Path, Path] | None = None
        self.unfreeze_layers = unfreeze_layers

    @classmethod
    def of_files(
        cls,
        first: Path,
        second: Path,
        *,
        unfreeze_layers: int,
        beside: "StagePredictions | None" = None,
    ) -> "StagePredictions":
        """Load both networks; who knows their files can have others predict with them."""
        nets = builder.load(first), builder.load(second)
        result = cls(*nets, unfreeze_layers=unfreeze_layers, beside=beside)
        result.files = first.resolve(), second.resolve()
        return result

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities float32 (N, 2, K), stage 1 then 2, of gray images uint8 (N, S, S)."""
        activations = self._prefix.predict_on_batch(gray_to_rgb(images))
        predictions = []
        for weights in self._weights:
            self._suffix.set_weights(weights)
            predictions.append(self._suffix.predict_on_batch(activations))
        return np.stack(predictions, axis=1)


def of_corrupted(
    predict: StagePredictions,
    images: np.ndarray,
    keys: Sequence[str],
    *,
    cache: Path,
    batch: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Predictions of every corruption of some slices at every severity, each computed once ever.

    Parameters
    ----------
    predict
        The models of both stages.
    images, keys
        Gray slices, uint8 (N, S, S), and the sha256 of each one's file: what is random in its
        corruption hangs on it and on `seed`.
    cache
        Folder of all stores; an interrupted call goes on where it was.
    batch, seed
        Slices predicted at a time; seed of the corruptions.

    Returns
    -------
    dict by corruption: float32 (severities, N, 2, K), the stages in turn.
    """
    wanted = list(itertools.product(CORRUPTIONS, SEVERITIES, range(len(images))))
    sent = predict.files is not None and engine.scheduler() is not None

    def compute(positions: np.ndarray) -> np.ndarray:
        parts = [
            [wanted[position] for position in positions[start : start + batch]]
            for start in range(0, len(positions), batch)
        ]
        given = {"images": images, "keys": keys, "seed": seed}
        if not sent:
            return np.concatenate([_predict(predict, part, **given) for part in parts])
        given |= {"files": predict.files, "unfreeze_layers": predict.unfreeze_layers}
        calls = [given | {"digest": predict.digest, "wanted": part} for part in parts]
        label = "predictions of corrupted slices"
        folders = [cache, predict.files[0].parent]
        return np.concatenate(
            engine.run_all(_predict_there, calls, label=label, unit="batch", folders=folders)
        )

    # The folder is named by all that a prediction depends on besides the slice.
    sources = sorted(Path(inspect.getfile(corruptions)).parent.glob("*.py"))
    sources.append(Path(inspect.getfile(body)))  # of the couch's removal
    content = " ".join([predict.digest, str(images.shape[1]), *map(file_digest, sources)])
    folder = cache / f"predictions-{sha256(content.encode()).hexdigest()[:16]}"
    store = RowStore(folder, (2, predict.classes), "float32")
    row_keys = [f"{keys[row]}/{name}/{severity}/{seed}" for name, severity, row in wanted]
    # The same batches, whoever predicts them; those that were handed out are kept together.
    at_once = batch * _SENT if sent else batch
    store.fill(row_keys, compute, batch=at_once, label="predictions of corrupted slices")
    shape = (len(CORRUPTIONS), len(SEVERITIES), len(images), 2, predict.classes)
    return dict(zip(CORRUPTIONS, store.take(row_keys).reshape(shape), strict=True))


def _predict(
    predict: StagePredictions,
    wanted: Sequence[tuple[str, int, int]],
    *,
    images: np.ndarray,
    keys: Sequence[str],
    seed: int,
) -> np.ndarray:
    """Predictions (M, 2, K) of some corruptions and severities of some rows of the images."""
    corrupted = [
        corruptions.corrupt(images[row], keys[row], name, severity, seed=seed)
        for name, severity, row in wanted
    ]
    return predict(np.stack(corrupted))


_LOADED: dict[str, StagePredictions] = {}  # by digest: both schemes' networks, on a worker


def _predict_there(
    files: tuple[Path, Path],
    unfreeze_layers: int,
    digest: str,
    wanted: Sequence[tuple[str, int, int]],
    **given: Any,
) -> np.ndarray:
    """`_predict` by the networks in some files."""
    if digest not in _LOADED:
        while len(_LOADED) > 1:
            _LOADED.pop(next(iter(_LOADED)))
        beside = next(iter(_LOADED.values()), None)
        loaded = StagePredictions.of_files(*files, unfreeze_layers=unfreeze_layers, beside=beside)
        _LOADED[loaded.digest] = loaded
    if digest not in _LOADED:
        raise StudyError(f"{files[1]} changed meanwhile; give the command again.")
    return _predict(_LOADED[digest], wanted, **given)
