"""The recipe that people run today, in stock Keras: `python -m benchmarks.baseline JOB.json`.

Files are decoded anew in every epoch, and the whole network runs forward in every epoch of both
stages. Order of images, dropout masks and initial weights are the study's, and both stages run all
their epochs, so that both sides train the same network and differ only in how.
"""

import time
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd

from benchmarks.measure import Clock, read_job, write_result


class Files(keras.utils.PyDataset):
    """Batches decoded from files: gray by OpenCV, resized, three channels, ResNet50's scaling."""

    def __init__(self, job, rows):
        super().__init__(workers=2, max_queue_size=4)
        self.paths = [str(Path(job["folder"]) / path) for path in rows["path"]]
        self.targets = rows["target"].to_numpy()
        self.size, self.batch = job["image_size"], job["batch_size"]
        self.order = np.arange(len(self.paths))

    def shuffle(self, seed, epoch):
        """Draw the order of this epoch."""
        self.order = np.random.default_rng([seed, epoch]).permutation(len(self.paths))

    def __len__(self):
        return -(-len(self.paths) // self.batch)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        images = np.stack([self._read(self.paths[i]) for i in chosen]).astype(np.float32)
        return keras.applications.resnet50.preprocess_input(images), self.targets[chosen]

    def _read(self, path):
        gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        enlarges = min(gray.shape) < self.size
        how = cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA
        square = cv2.resize(gray, (self.size, self.size), interpolation=how)
        return cv2.cvtColor(square, cv2.COLOR_GRAY2RGB)


class Classifier(keras.Model):
    """ResNet50, GAP, Dense ReLU, Dropout, Dense softmax; BatchNorm statistics stay fixed."""

    def __init__(self, job):
        super().__init__()
        side, classes = job["image_size"], len(job["classes"])
        self.base = keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=(side, side, 3)
        )
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.dense = keras.layers.Dense(job["head_units"], activation="relu")
        self.dropout = keras.layers.Dropout(job["dropout"], seed=job["seed"])
        self.probabilities = keras.layers.Dense(classes, activation="softmax")

    def call(self, images, training=None):
        """Preprocessed images (N, S, S, 3) to class probabilities (N, K)."""
        features = self.pool(self.base(images, training=False))
        return self.probabilities(self.dropout(self.dense(features), training=training))

    def load_initial(self, path):
        """The study's initial weights, saved by layer name."""
        named = {layer.name: layer for layer in self.base.layers}
        named |= {"head_dense": self.dense, "probabilities": self.probabilities}
        with np.load(path) as arrays:
            for name, layer in named.items():
                layer.set_weights([arrays[f"{name}/{i}"] for i in range(len(layer.weights))])


class SameDraws(keras.callbacks.Callback):
    """Draw the order of images and the dropout masks that the study draws in each epoch."""

    def __init__(self, files, seed):
        super().__init__()
        self.files, self.seed = files, seed

    def on_epoch_begin(self, epoch, logs=None):
        """Set both; Keras passes over the files once before the first epoch, so it can't count."""
        self.files.shuffle(self.seed, epoch)
        if self.model.dropout.rate > 0:
            state = self.model.dropout.seed_generator.state
            state.assign(np.array([self.seed, epoch], dtype="uint32"))


def train(model, job, parts, epochs, rate, class_weight):
    """One stage: all epochs, then the weights of the one with the lowest validation loss."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile={"auto": "auto", "on": True, "off": False}[job["baseline_xla"]],
    )
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    files = Files(job, parts["train"])
    history = model.fit(
        files,
        validation_data=Files(job, parts["validation"]),
        epochs=epochs,
        class_weight=class_weight,
        callbacks=[best, SameDraws(files, job["seed"])],
        shuffle=False,  # `SameDraws` does it
        verbose=2,
    )
    return history.history


def main():
    """Run both stages and write seconds, peak memory, history and test probabilities."""
    job = read_job()
    rows = pd.read_csv(job["rows"])
    parts = dict(list(rows.groupby("split")))
    class_weight = rows.groupby("target")["weight"].first().to_dict()
    keras.utils.set_random_seed(job["seed"])
    clock = Clock()
    model = Classifier(job)
    model(np.zeros((1, job["image_size"], job["image_size"], 3), np.float32))
    model.load_initial(job["initial"])
    clock.seconds["start-up"] = time.time() - job["started"]

    model.base.trainable = False
    with clock.phase("stage 1"):
        first = train(
            model, job, parts, job["stage1_epochs"], job["stage1_learning_rate"], class_weight
        )
    model.base.trainable = True
    for layer in model.base.layers[: -job["unfreeze_layers"]]:
        layer.trainable = False
    with clock.phase("stage 2"):
        second = train(
            model, job, parts, job["stage2_epochs"], job["stage2_learning_rate"], class_weight
        )
    with clock.phase("test predictions"):
        predictions = model.predict(Files(job, parts["test"]), verbose=0)
    write_result(
        job,
        seconds=clock.seconds,
        history={"stage 1": first, "stage 2": second},
        test_probabilities=predictions.tolist(),
        xla=bool(model.jit_compile),
    )


if __name__ == "__main__":
    main()
