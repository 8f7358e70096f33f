"""The trainings of a study: one for each fold and scheme, and one on the slices of all patients.

None needs another, so `core.engine` hands them out. Whoever trains, this process or a worker, makes
what all trainings share from the same parameters and files, once.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kidneyct_lib.core import engine
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest, project_root, replacement
from kidneyct_lib.core.shared_lock import SharedLock
from kidneyct_lib.data import augmentation, catalog, datasets
from kidneyct_lib.evaluation import counterfactual
from kidneyct_lib.models import builder
from kidneyct_lib.models.builder import NetworkSettings
from kidneyct_lib.study.parameters import digest
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.training import class_weights, lesion_crops, recipes, segmentation
from kidneyct_lib.training.feature_cache import Activations, Storage
from kidneyct_lib.training.stage import StageSettings

SCHEMES = ("slice", "patient")

FINAL = "final"
"""Scheme of the model that learns from the slices of all patients."""


class Outcome(NamedTuple):
    """What one stage of a training gives.

    Attributes
    ----------
    history : pandas.DataFrame
        One row per epoch.
    probabilities : float64 (held out, K)
        Class probabilities of the validation and test images, in the catalog's order.
    elsewhere : float64 (tested images, K)
        Those of the tested images in the display window of another class.
    model : Path or None
        File of the network after this stage, where it is to be kept.
    """

    history: pd.DataFrame
    probabilities: np.ndarray
    elsewhere: np.ndarray
    model: Path | None


class Trained(NamedTuple):
    """One training: its scheme and fold, and the outcome of each stage."""

    scheme: str
    fold: int
    stages: dict[int, Outcome]


class StudyTraining:
    """What the trainings of a study share; each part is made where it is first asked for.

    Parameters
    ----------
    params
        Those of notebook 04.
    run
        The study's folder, with its catalog and splits.

    Attributes
    ----------
    table, split : DataFrame
        The catalog of N images, and their part in each fold and scheme.
    """

    def __init__(self, params: Mapping[str, Any], run: Run) -> None:
        self.params, self.run = dict(params), run
        self._given = SimpleNamespace(**params)
        self.cache = project_root() / self._given.cache_folder
        self.storage = Storage(self.cache, self._given.batch_size, self._given.feature_cache_gb)
        self.classes: Sequence[str] = self._given.classes
        self.table, self.split = run.read_table("catalog"), run.read_table("splits")
        self.identity = digest(self.params | {"inputs": _inputs(run)})

    # --- images --------------------------------------------------------------------------------

    @cached_property
    def images(self) -> np.ndarray:
        """Gray slices, uint8 (N, S, S)."""
        size = self._given.image_size
        return catalog.decode_all(self.run.data_folder, self.table, size, self.cache)

    @cached_property
    def elsewhere(self) -> np.ndarray:
        """The same slices in the display window of another class, uint8 (N, S, S)."""
        return counterfactual.in_other_windows(self.images, self.table, seed=self._given.seed)

    @cached_property
    def strengths(self) -> augmentation.Augmentation:
        """How strongly random views differ from their slice."""
        given = self._given
        return augmentation.Augmentation(
            given.augment_geometry, given.augment_intensity, given.augment_noise
        )

    @cached_property
    def shown(self) -> augmentation.AugmentedImages:
        """The slices and their random views."""
        views, seed = self._given.augment_views, self._given.seed
        return augmentation.AugmentedImages(self.images, views, self.strengths, seed=seed)

    @cached_property
    def _masks(self) -> Path | None:
        given = self._given
        if given.recipe != "patient" or not given.segmentation_steps:
            return None
        return datasets.mask_folder(given.source, self.run.data_folder, given.masks)

    @cached_property
    def lesions(self) -> list[str]:
        """Classes whose lesions are known and learnt from."""
        return list(datasets.masked_classes(self._masks, self.table, self.classes))

    # --- the network ---------------------------------------------------------------------------

    @cached_property
    def settings(self) -> NetworkSettings:
        """What the network is built from."""
        codes = [self.classes.index(name) for name in self.lesions]
        return NetworkSettings.of(self.params, lesions=codes)

    @cached_property
    def net(self) -> "builder.keras.Model":
        """The network; it holds the weights of the stage trained last."""
        return builder.build(self.settings)

    @cached_property
    def body(self) -> dict[int, Any]:
        """What each stage is trained on (`recipes.frozen_body`)."""
        return self._body_of(self.shown)

    @cached_property
    def other_body(self) -> dict[int, Any]:
        """The same of the slices in other display windows."""
        return self._body_of(self.elsewhere)

    def _body_of(self, images: np.ndarray | augmentation.AugmentedImages) -> dict[int, Any]:
        unfrozen = self._given.unfreeze_layers
        return recipes.frozen_body(self.net, images, self.storage, unfreeze_layers=unfrozen)

    @cached_property
    def _also(self) -> list[Activations]:
        if self._given.recipe != "patient":
            return []
        return [recipes.as_shown(self.settings, self.shown, self.storage)]

    @cached_property
    def examples(self) -> lesion_crops.Examples | None:
        """What U-Nets learn lesions from, if they do."""
        if self._masks is None or not self.lesions:
            return None
        return lesion_crops.examples(
            self.net, self.body[0], self.images, self.table, self._masks, self.lesions
        )

    @cached_property
    def segmentation(self) -> lesion_crops.SegmentationSettings:
        """How U-Nets train."""
        given = self._given
        return lesion_crops.SegmentationSettings(
            given.segmentation_steps, given.batch_size, given.seed, self.strengths
        )

    @cached_property
    def stages(self) -> dict[int, StageSettings]:
        """How each stage of the published recipe trains."""
        given = self._given
        last = given.batch_size, given.seed
        return {
            1: StageSettings(
                "stage 1",
                given.stage1_epochs,
                given.stage1_patience,
                given.stage1_learning_rate,
                *last,
            ),
            2: StageSettings(
                "stage 2",
                given.stage2_epochs,
                given.stage2_patience,
                given.stage2_learning_rate,
                *last,
                given.stage2_precision,
            ),
        }

    @cached_property
    def training(self) -> recipes.TwoStageTraining | recipes.LinearTraining:
        """Trains the network on one split after the other."""
        examples, scores = self.examples, None
        if examples is not None:
            scores = segmentation.LesionScores(self.net, examples, self.segmentation)
        return recipes.training(
            self._given.recipe,
            self.net,
            self.body,
            unfreeze_layers=self._given.unfreeze_layers,
            settings=self.stages,
            classes=self.classes,
            c=self._given.patient_c,
            also=self._also,
            lesions=scores,
        )

    def fill_stores(self) -> None:
        """Have what the frozen layers say of all images stored, for whoever trains."""
        _ = self.body, self.other_body, self._also

    # --- one training --------------------------------------------------------------------------

    def part(self, scheme: str, fold: int) -> np.ndarray:
        """Part of each image in a training: str (N,), "train", "validation" or "test".

        The final model has no test part; who was the first fold's validation part stays it.
        """
        rows = self.split[self.split["fold"] == fold]
        if scheme == FINAL:
            return rows["patient"].replace("test", "train").to_numpy()
        return rows[scheme].to_numpy()

    def train(self, scheme: str, fold: int) -> Trained:
        """Train both stages on one split; see `train_all`."""
        part, name = self.part(scheme, fold), f"{scheme}-fold{fold}"
        if scheme == FINAL:
            name = scheme
        checkpoints, stages = self.run.folder / "checkpoints" / name, {}
        tested = np.flatnonzero(part == "test")
        targets = self.table["label"].map(self.classes.index).to_numpy()
        weights = class_weights.of_images(self.table, part, self.classes, self._given.class_weight)
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
        # One that was stopped may be at its last epoch still when another worker begins.
        with SharedLock(checkpoints.with_name(f".{name}.holder")):
            for stage, done in self.training.train(targets, weights, part, checkpoints):
                elsewhere = np.empty((0, len(self.classes)))
                if len(tested):
                    elsewhere = self.training.predict(stage, self.other_body, tested)
                model = None
                if fold == 0 and not (scheme == FINAL and stage == 1):
                    model = Path(f"{checkpoints}-stage{stage}.keras")
                    with replacement(model) as temporary:
                        self.net.save(temporary)
                stages[stage] = Outcome(done.history, done.probabilities, elsewhere, model)
        return Trained(scheme, fold, stages)


_LAST: dict[str, StudyTraining] = {}  # by identity: what this process trained last


def train_all(study: StudyTraining) -> list[Trained]:
    """Train every fold and scheme, fold by fold, and the final model, which is returned last.

    Each stage's state is kept in the run's `checkpoints/` after every epoch: a training that was
    stopped, here or on a worker, goes on from there. The networks of the first fold and the final
    one are left there too.
    """
    folds = sorted(study.split["fold"].unique().tolist())
    # The final one takes longest: begun first, it is not what all workers wait for in the end.
    todo = [(FINAL, 0), *((scheme, fold) for fold in folds for scheme in SCHEMES)]
    _LAST.clear()
    _LAST[study.identity] = study
    study.fill_stores()
    shared = {"folder": str(study.run.folder), "identity": study.identity}
    shared |= {"params": json.dumps(study.params)}
    final, *others = engine.run_all(
        _train,
        [shared | {"scheme": scheme, "fold": fold} for scheme, fold in todo],
        names=[FINAL if scheme == FINAL else f"{scheme}, fold {fold}" for scheme, fold in todo],
        folders=[study.run.folder, study.cache],
        label="trainings",
        unit="training",
        own_bars=True,
    )
    return [*others, final]


def _train(folder: str, identity: str, params: str, scheme: str, fold: int) -> Trained:
    """One training of the study in a folder, wherever this is."""
    if identity not in _LAST:
        _LAST.clear()  # before the next one takes its memory
        study = StudyTraining(json.loads(params), Run(folder))
        if study.identity != identity:
            raise StudyError(f"The tables of {folder} changed meanwhile; give the command again.")
        _LAST[identity] = study
    return _LAST[identity].train(scheme, fold)


def _inputs(run: Run) -> list[str | None]:
    """Digests of the tables that a training reads."""
    return [file_digest(run.folder / f"tables/{name}.csv") for name in ("catalog", "splits")]
