"""One training stage, from stored activations: history, best epoch, resume at the epoch.

Both stages are the same procedure on a different part of the network. Stage 1 trains the head on
pooled features; stage 2 trains the unfrozen layers and the head on the frozen prefix's output.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import pandas as pd

from kidneyct_lib.core import progress
from kidneyct_lib.core.ahead import one_ahead
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models import backbones, builder, freezing
from kidneyct_lib.training import checkpoints


class Rows(Protocol):
    """Anything that gives model inputs for integer rows: an array or stored activations."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class StageSettings:
    """How one stage trains.

    Attributes
    ----------
    name : str
        Shown on the progress bar and kept in the history.
    epochs, patience : int
        Most epochs, and epochs without a lower validation loss before stopping early.
    learning_rate : float
        Adam's (https://arxiv.org/abs/1412.6980).
    batch_size, seed : int
        Images per step; seed of the order of images and of dropout.
    precision : {"float32", "bfloat16"}
        Of the backbone's layers in training steps. Weights, the head and all predictions are in
        single precision (mixed precision, https://arxiv.org/abs/1710.03740). bfloat16 is faster
        where the processor multiplies it (AVX512_BF16, AMX), and far slower where it does not.
    """

    name: str
    epochs: int
    patience: int
    learning_rate: float
    batch_size: int
    seed: int
    precision: str = "float32"


def train_stage(
    model: keras.Model,
    inputs: Rows,
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    train: np.ndarray,
    validation: np.ndarray,
    settings: StageSettings,
    checkpoint: Path,
) -> pd.DataFrame:
    """Train `model` in place and leave it with the weights of its best validation epoch.

    The state of every finished epoch is kept in `checkpoint`, tied to everything that the outcome
    depends on; called again with the same, training goes on after the last finished epoch, or is
    skipped when it was done. Resumed or not, the outcome is the same.

    Where the inputs hold views of the images, each epoch sees each training image once, as itself
    or as one of its views, all equally likely. Validation sees images as they are.

    Parameters
    ----------
    model : keras.Model
        Inputs to class probabilities; what may train is marked already. Compiled here at the first
        call; a model that is trained again keeps its traced functions, which saves seconds and
        hundreds of MB, so what may train must then be the same.
    inputs : Rows
        One row per image of the catalog; then, in the same order, one row per image for each view.
    targets : int array (N,)
        Index of the true class.
    weights : float array (N,)
        Weight of each image in the training loss; the validation loss is unweighted.
    train, validation : int arrays
        Catalog rows of the two parts.
    settings : StageSettings
        How to train.
    checkpoint : Path
        File of the state (`.npz`).

    Returns
    -------
    pandas.DataFrame
        One row per epoch: epoch (from 1), loss and accuracy (weighted alike), val_loss,
        val_accuracy, best.

    Raises
    ------
    StudyError
        If a part is empty, or the loss stops being a finite number.
    ValueError
        If the inputs are not whole sets of N rows.
    """
    sets, rest = divmod(len(inputs), len(targets))
    if rest:
        raise ValueError(f"{len(inputs)} input rows are no whole number of {len(targets)} images")
    if not len(train) or not len(validation):
        raise StudyError(f"{settings.name}: the training or the validation part has no images.")
    identity = _identity(model, inputs, targets, weights, train, validation, settings)
    _start_optimizer(model, settings.learning_rate)
    state = _State.resume(checkpoint, identity, model)
    done = len(state.history)
    with progress.bar(total=settings.epochs, initial=done, desc=settings.name, unit="epoch") as bar:
        while not state.done(settings):
            progress.stop_if_unwanted()
            epoch = len(state.history)
            _seed_dropout(model, settings.seed, epoch)
            rng = np.random.default_rng([settings.seed, epoch])
            order = rng.permutation(train)
            order = order + len(targets) * rng.integers(sets, size=len(order))
            with _computing_in(model, settings.precision):
                fitted = _train_epoch(model, inputs, targets, weights, order, settings.batch_size)
            scored = _score(predict(model, inputs, validation), targets[validation])
            row = fitted | {f"val_{name}": value for name, value in scored.items()}
            if not np.isfinite(list(row.values())).all():
                raise StudyError(
                    f"{settings.name}: the loss is no longer a number in epoch {epoch + 1}; "
                    "lower the learning rate."
                )
            state.add({"epoch": epoch + 1} | row, model)
            state.keep(checkpoint, model, finished=state.done(settings))
            bar.update()
            bar.set_postfix(val_loss=f"{row['val_loss']:.4f}")
    _assign(model.variables, state.best)
    history = pd.DataFrame(state.history)
    return history.assign(best=history["epoch"] == state.best_epoch)


def predict(model: keras.Model, inputs: Rows, rows: np.ndarray, *, batch: int = 64) -> np.ndarray:
    """Class probabilities of these rows in their order, float64 (len(rows), K), rows summing to 1.

    Computed in float32 by the network and normalised in float64.
    """
    chunks = np.split(rows, range(batch, len(rows), batch))
    parts = [model.predict_on_batch(some) for some in one_ahead(inputs.__getitem__, chunks)]
    probabilities = np.concatenate(parts).astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


@contextmanager
def _computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Let the backbone's layers compute so; what is traced here stays so, all else does not."""
    layers = [] if precision == "float32" else freezing.body_layers(model)
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = keras.DTypePolicy(f"mixed_{precision}")
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def _start_optimizer(model: keras.Model, learning_rate: float) -> None:
    if not model.compiled:
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss="sparse_categorical_crossentropy",
            weighted_metrics=["accuracy"],
        )
        model.optimizer.build(model.trainable_variables)
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    model.optimizer.learning_rate = learning_rate


def _train_epoch(model, inputs, targets, weights, order, batch_size) -> dict[str, float]:
    """One pass over these input rows in this order; mean weighted loss, weighted accuracy.

    The last batch is filled up with rows of weight 0: another batch size would be traced anew,
    which takes as long as ten batches. The weights make up for the larger mean.
    """
    size = min(batch_size, len(order))
    sums = {"loss": 0.0, "accuracy": 0.0}
    steps = np.split(order, range(size, len(order), size))
    filled = [np.resize(rows, size) for rows in steps]
    batches = one_ahead(inputs.__getitem__, filled)
    for rows, full, batch in zip(steps, filled, batches, strict=True):
        images = full % len(targets)
        batch_weights = np.where(np.arange(size) < len(rows), weights[images], 0.0)
        logs = model.train_on_batch(
            batch,
            targets[images],
            sample_weight=batch_weights * size / len(rows),
            return_dict=True,
        )
        for name in sums:
            sums[name] += float(logs[name]) * len(rows)
    return {name: total / len(order) for name, total in sums.items()}


def _score(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    chosen = probabilities[np.arange(len(targets)), targets]
    return {
        "loss": float(-np.log(np.clip(chosen, 1e-7, 1)).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == targets).mean()),
    }


class _State:
    """Everything an epoch leaves behind: history, best weights, and where to go on from."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []

    @property
    def best_epoch(self) -> int:
        """Epoch (from 1) of the lowest validation loss; the earliest of equals."""
        losses = [row["val_loss"] for row in self.history]
        return int(np.argmin(losses)) + 1 if losses else 0

    def done(self, settings: StageSettings) -> bool:
        epochs = len(self.history)
        return epochs >= settings.epochs or epochs - self.best_epoch >= settings.patience

    def add(self, row: dict[str, float], model: keras.Model) -> None:
        self.history.append(row)
        if self.best_epoch == len(self.history):
            self.best = _values(model.variables)

    def keep(self, path: Path, model: keras.Model, *, finished: bool) -> None:
        """Write the state."""
        parts = {"best": self.best}
        if not finished:  # only an unfinished stage needs to know how to go on
            parts["optimizer"] = _values(model.optimizer.variables)
            if self.best_epoch < len(self.history):  # the last epoch's weights are not the best's
                parts["last"] = _values(model.variables)
        checkpoints.save(path, self.identity, {"history": self.history}, parts)

    @classmethod
    def resume(cls, path: Path, identity: str, model: keras.Model) -> "_State":
        """State of an earlier call with the same identity, or a new one."""
        state = cls(identity)
        about, parts = checkpoints.load(path, identity)
        best, optimizer = parts.get("best", []), parts.get("optimizer", [])
        last = parts.get("last", best)
        fit = all(checkpoints.fit(values, model.variables) for values in (best, last))
        if not fit or (optimizer and not checkpoints.fit(optimizer, model.optimizer.variables)):
            return state
        state.history, state.best = about["history"], best
        if optimizer:
            _assign(model.variables, last)
            _assign(model.optimizer.variables, optimizer)
        return state


def _identity(model, inputs, targets, weights, train, validation, settings) -> str:
    """sha256 of all that the outcome depends on, this code included."""
    keys = getattr(inputs, "keys", None)
    content = "".join(keys).encode() if keys is not None else np.asarray(inputs).tobytes()
    trainable = [variable.trainable for variable in model.variables]
    pieces = [
        builder.digest(model).encode(),
        bytes(trainable),
        content,
        *(np.asarray(array).tobytes() for array in (targets, weights, train, validation)),
        json.dumps(asdict(settings)).encode(),
        Path(__file__).read_bytes(),
        Path(backbones.__file__).read_bytes(),
    ]
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def _seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Make each epoch's dropout depend on the epoch alone, so that resuming changes nothing."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign(np.array([seed, epoch], dtype="uint32"))


def _values(variables: list) -> list[np.ndarray]:
    """Copies: a backend may give a view of memory that the next step writes to."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
