"""What `test_backends.py` computes in a process of its own: `python -m backend_child TASK FOLDER`.

Keras takes its backend when it is imported, from `KERAS_BACKEND`.
"""

import sys
from pathlib import Path

import numpy as np
from one_process import OneProcess
from short_resnet import SHORT
from tiny_study import tiny

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import phantom
from kidneyct_lib.models import builder
from kidneyct_lib.models.backbones import BACKBONES
from kidneyct_lib.study import runner
from kidneyct_lib.training import recipes
from kidneyct_lib.training.feature_cache import Storage
from kidneyct_lib.training.stage import StageSettings

CLASSES = ["Normal", "Stone"]
RECIPES = ("published", "patient")


def save_networks(folder):
    """Networks of both recipes with random weights, damped so that they do not saturate."""
    for recipe in RECIPES:
        options = {"backbone": SHORT, "weights": "none", "image_size": 64, "crop_size": 48}
        options |= {"recipe": recipe, "classes": CLASSES, "head_units": 16, "seed": 1}
        # Which activations a dropout leaves out is drawn by the backend.
        net = builder.build(builder.NetworkSettings(**options, dropout=0.0))
        for layer in net.layers:
            if layer.name.endswith("_3_bn"):
                layer.gamma.assign(0.1 * layer.gamma)
        stem = net.get_layer("conv1_conv").kernel
        stem.assign(0.01 * stem)
        net.save(folder / f"{recipe}.keras")


def train(folder):
    """Both stages of both recipes on a small cohort, from the saved networks."""
    cohort = {"patients_per_class": 6, "slices_per_patient": (3, 3), "seed": 3, "scanner": "A"}
    spec = phantom.CohortSpec(**cohort, classes=CLASSES, size=64, plane="axial")
    images, targets = [], []
    for one in phantom.generate(spec):
        images.append(one.image)
        targets.append(CLASSES.index(one.label))
    images, targets = np.stack(images), np.array(targets)
    split = np.resize(["train", "train", "test", "validation"], len(images))
    stages = {
        1: StageSettings("stage 1", 4, 4, 2e-2, 8, 1),
        2: StageSettings("stage 2", 3, 3, 3e-3, 8, 1),
    }
    found = {}
    for recipe in RECIPES:
        net, cut = builder.load(folder / f"{recipe}.keras"), 10 * (recipe == "published")
        here = folder / f"{recipe}-{builder.keras.backend.backend()}"
        body = recipes.frozen_body(net, images, Storage(here, 8), unfreeze_layers=cut)
        how = {"unfreeze_layers": cut, "settings": stages, "classes": CLASSES, "c": 0.1}
        training = recipes.training(recipe, net, body, **how)
        weights = np.ones(len(images), np.float32)
        for stage, (history, probabilities) in training.train(targets, weights, split, here / "s"):
            found[f"{recipe}-{stage}-probabilities"] = probabilities
            found[f"{recipe}-{stage}-losses"] = history[["loss", "val_loss"]].to_numpy()
    np.savez(folder / f"{builder.keras.backend.backend()}.npz", **found)


def run_study(folder):
    """The tiny study on a short ResNet50; prints what it stops with, if it stops."""
    runner.NotebookProcess = OneProcess
    BACKBONES["resnet50"] = BACKBONES[SHORT]
    try:
        runner.reproduce(tiny("phantom", folder))
    except StudyError as error:
        print(f"stopped: {error}")


if __name__ == "__main__":
    {"save": save_networks, "train": train, "study": run_study}[sys.argv[1]](Path(sys.argv[2]))
