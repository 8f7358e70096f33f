"""Whether the disk has room for a study, looked at before anything runs."""

import os
import shutil
from pathlib import Path

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import folder_bytes
from kidneyct_lib.study.parameters import Params

_PUBLIC_SET = 12_446  # images, of which a download has 1.6 GB, as archive and unpacked
_DOWNLOAD = 3.2e9  # bytes
_PER_IMAGE = 0.45e6  # bytes of activations and pixels, at 224 pixels a side
_PER_TRAINING = 78e6  # bytes of checkpoints
_MODELS = 0.7e9  # bytes of saved and exported models


def needed(params: Params) -> float:
    """Estimate the bytes that a study leaves on the disk.

    Measured on the axial slices: 2.6 GB of 3,593 images at 224 pixels a side, five folds by two
    schemes.
    """
    if params.source == "phantom":
        images = params.phantom_patients * len(params.classes) * params.phantom_slices[1]
    elif params.source == "folder" and params.data:
        images = sum(len(files) for _, _, files in os.walk(params.data))
    else:
        images = _PUBLIC_SET
    stored = images * (1 + params.augment_views) * _PER_IMAGE * (params.image_size / 224) ** 2
    if params.feature_cache_gb is not None:
        stored = min(stored, params.feature_cache_gb * 1e9)
    download = _DOWNLOAD if params.source == "kaggle" and not params.data else 0.0
    return stored + 2 * params.folds * _PER_TRAINING + _MODELS + download


def check(params: Params, root: Path) -> None:
    """See that the disk has room for what is not there yet.

    Raises
    ------
    StudyError
        If it has not; the message tells how much is missing and what to do.
    """
    there = [root / params.cache_folder, root / params.run_folder]
    missing = needed(params) - sum(folder_bytes(folder) for folder in there)
    free = shutil.disk_usage(root).free
    if missing > free:
        raise StudyError(
            f"The study needs about {missing / 1e9:.1f} GB more below {root}, whose disk has "
            f"{free / 1e9:.1f} GB free. Free some, run it on another disk, or cap the stored "
            "activations with feature_cache_gb, which costs time."
        )
