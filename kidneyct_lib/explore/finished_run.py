"""What a finished run tells of its slices: predictions, series, pictures, lesions, class maps."""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import ImageError, StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.data import datasets, image_io
from kidneyct_lib.data.image_folder import natural_key
from kidneyct_lib.deployment.predictor import Answer, ExportedModel
from kidneyct_lib.evaluation import metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.explore import what_if
from kidneyct_lib.study.run_folder import Run

SCHEMES = {"by patient": "patient", "by slice": "slice"}
"""How a split is called, and its scheme in the tables."""

_FINAL_STAGE = 2
_TRAINING = "04_two_stage_training"
_MODEL = "final"  # the scheme whose model notebook 10 exports


class FinishedRun:
    """A finished run, opened for looking at: nothing is written.

    Parameters
    ----------
    folder : str or Path
        The run's folder; a relative path is taken from the project's root.

    Raises
    ------
    StudyError
        If there is no run, or one of its notebooks has begun and not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self.run = Run(folder)
        known = self.run.notebooks()
        if not known:
            raise StudyError(
                f"{self.run.folder} holds no run: `make reproduce` makes one, or set run_folder."
            )
        unfinished = [name for name, facts in known.items() if "finished" not in facts]
        if unfinished or _TRAINING not in known:
            raise StudyError(
                f"{self.run.folder} is not finished ({', '.join(unfinished) or _TRAINING}): "
                "`make reproduce` with the options of that run finishes it."
            )
        self.name = self.run.folder.name
        self.parameters: dict[str, Any] = self.run.provenance()["parameters"]
        self.classes: list[str] = self.parameters["classes"]
        self.catalog = self.run.read_table("catalog").set_index("path")
        self.picture = lru_cache(maxsize=64)(self._picture)
        self.answer = lru_cache(maxsize=256)(self._answer)

    @property
    def bootstrap(self) -> Bootstrap:
        """Resamples of the groups, as the run's own intervals are drawn."""
        return Bootstrap(self.parameters["bootstrap"], self.parameters["seed"])

    # --- predictions ---------------------------------------------------------------------------

    def tested(self, scheme: str) -> pd.DataFrame:
        """Test rows of the final stage of a scheme: each slice by a model that had not seen it."""
        return self._predictions.query("scheme == @scheme and stage == @_FINAL_STAGE").reset_index(
            drop=True
        )

    def series(self, scheme: str) -> pd.DataFrame:
        """One row per group, and per class where a group mixes classes.

        Returns
        -------
        DataFrame with the columns of `metrics.by_group`, ``patient`` ("" where unknown) and
        ``right``: whether the vote of the slices is the class.
        """
        table = metrics.by_group(self.tested(scheme), self.classes)
        known = self.catalog.get("patient", pd.Series("", self.catalog.index))
        of_group = known.groupby([self.catalog["group"], self.catalog["label"]]).first()
        keys = pd.MultiIndex.from_frame(table[["group", "label"]])
        return table.assign(
            patient=of_group.reindex(keys).fillna("").to_numpy(),
            right=table["vote"] == table["label"],
        )

    def slices(self, scheme: str, group: int, label: str) -> pd.DataFrame:
        """Test rows of one series, in the natural order of their paths."""
        rows = self.tested(scheme).query("group == @group and label == @label")
        return rows.loc[rows["path"].map(natural_key).sort_values().index].reset_index(drop=True)

    @cached_property
    def _predictions(self) -> pd.DataFrame:
        return self.run.read_table("predictions").query("split == 'test'")

    # --- pictures ------------------------------------------------------------------------------

    def _picture(self, path: str) -> np.ndarray:
        """One slice as it is stored: gray uint8 (H, W).

        Raises
        ------
        StudyError
            If its file is gone or damaged.
        """
        try:
            return image_io.read_gray(self.run.data_folder / path)
        except ImageError as error:
            raise StudyError(
                f"{error} `make reproduce` with the options of that run brings the images back."
            ) from None

    @cached_property
    def mask_folder(self) -> Path | None:
        """Folder of the lesions' masks; None where no lesion is known."""
        given = self.parameters.get("masks")
        place = str(project_root() / given) if given else None
        return datasets.mask_folder(self.parameters["source"], self.run.data_folder, place)

    def lesion(self, path: str) -> np.ndarray:
        """Whether each pixel of a slice is lesion, bool (H, W); none where no lesion is known."""
        height, width = self.picture(path).shape
        (mask,) = datasets.lesion_masks(self.mask_folder, [path], max(height, width))
        resized = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
        return resized.astype(bool)

    # --- exported model ------------------------------------------------------------------------

    @cached_property
    def model(self) -> ExportedModel:
        """The exported model, which was fitted on all patients.

        Raises
        ------
        StudyError
            If the run has no export, or it is damaged.
        """
        folder = self.run.export_folder(_MODEL)
        if not folder.is_dir():
            raise StudyError(
                f"{self.run.folder} holds no exported model: run notebook 10_deployment, "
                "which writes it (`make reproduce` runs all that are missing)."
            )
        return ExportedModel(folder)

    def no_model(self) -> str:
        """Why there is no exported model; "" if there is one."""
        try:
            self.model  # noqa: B018
        except StudyError as error:
            return str(error)
        return ""

    def class_map(self, path: str, name: str) -> np.ndarray:
        """Where in a slice the exported model finds a class: float32 (H, W), 1 at most."""
        maps = self.answer(path).maps
        return what_if.enlarged(maps[..., self.classes.index(name)], self.picture(path).shape)

    def _answer(self, path: str) -> Answer:
        """What the exported model makes of a slice."""
        return what_if.answer(self.model, self.picture(path))
