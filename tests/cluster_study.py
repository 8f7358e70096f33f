"""A tiny study whose trainings tests hand to workers; `dask worker --preload cluster_study`.

As a module that is preloaded it makes the short ResNet known to a worker, and notes every epoch
that is trained beside the study: what is trained twice stands there twice.
"""

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
from tiny_study import tiny

from benchmarks.job import begin_run
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.threads import THREADS
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.training import stage, study_training

# Last: it imports Keras, which the library sets up first.
from short_resnet import SHORT  # isort: skip

ONE_THREAD = dict.fromkeys(THREADS, "1")
EPOCHS = "EPOCHS_LOG"  # environment variable: file to which each trained epoch adds a line
PAUSE = "EPOCHS_PAUSE"  # seconds that each epoch takes at least
_train_epoch = stage._train_epoch


def _noted_epoch(model, inputs, targets, weights, order, batch_size):
    time.sleep(float(os.environ.get(PAUSE, 0)))
    result = _train_epoch(model, inputs, targets, weights, order, batch_size)
    if log := os.environ.get(EPOCHS):
        which = sha256(order.tobytes() + model.name.encode()).hexdigest()[:12]
        with Path(log).open("a") as file:
            file.write(f"{which} {model.name} {os.getpid()}\n")
    return result


stage._train_epoch = _noted_epoch


class Study:
    """The study in a folder, as notebooks 01 to 03 leave it."""

    def __init__(self, folder: Path, **changes) -> None:
        self.folder, self.epochs = folder, folder / "epochs.log"
        self._values = tiny("phantom", folder, **{"unfreeze_layers": 20} | changes)
        self.params = self._values.model_dump(mode="json") | {"backbone": SHORT}
        self.run = Run(self.params["run_folder"])

    def begin(self) -> None:
        """Draw the cohort; write its catalog and splits."""
        begin_run(self._values)

    def train(self, **env) -> subprocess.Popen:
        """Start a process of one thread that trains all and writes `result`."""
        code = f"import cluster_study as c; c.main({str(self.folder)!r}, {self.params!r})"
        paths = os.pathsep.join(path for path in sys.path if path)
        env = os.environ | ONE_THREAD | {"PYTHONPATH": paths, EPOCHS: str(self.epochs)} | env
        errors = (self.folder / "errors.log").open("w")
        return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=errors)

    def trained(self, **env) -> dict[str, bytes]:
        """What a process that trains all gives; fails if that ends with an error."""
        assert self.train(**env).wait(300) == 0, self.message
        return self.result

    @property
    def message(self) -> str:
        """What the last process wrote to its error stream."""
        return (self.folder / "errors.log").read_text()

    @property
    def result(self) -> dict[str, bytes]:
        """Every number of the outcome, by name."""
        with np.load(self.folder / "result.npz") as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}

    @property
    def epochs_trained(self) -> list[str]:
        """Every epoch trained so far, in turn."""
        if not self.epochs.exists():
            return []
        return [line.split()[0] for line in self.epochs.read_text().splitlines()]


def main(folder: str, params: dict) -> None:
    """Train all; a study's error is printed alone, as the command line does."""
    try:
        study = study_training.StudyTraining(params, Run(params["run_folder"]))
        trained = study_training.train_all(study)
    except StudyError as error:
        sys.exit(f"kidneyct: {error}")
    except KeyboardInterrupt:
        sys.exit("kidneyct: stopped; the same command goes on.")
    arrays = {}
    for scheme, fold, stages in trained:
        for number, outcome in stages.items():
            name = f"{scheme}-{fold}-{number}"
            arrays[f"{name}-history"] = outcome.history.to_numpy(float)
            arrays[f"{name}-probabilities"] = outcome.probabilities
            arrays[f"{name}-elsewhere"] = outcome.elsewhere
            if outcome.model is not None:
                arrays[f"{name}-weights"] = _weights(outcome.model)
    np.savez(Path(folder, "result.npz"), **arrays)


def _weights(model: Path) -> np.ndarray:
    from kidneyct_lib.models import builder

    return np.concatenate([value.ravel() for value in builder.load(model).get_weights()])
