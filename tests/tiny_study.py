"""A study of few small slices and an untrained backbone, for tests that execute notebooks."""

from pathlib import Path

from kidneyct_lib.study import parameters, staleness

ROOT = Path(__file__).parents[1]
NOTEBOOKS = staleness.study_notebooks(ROOT / "notebooks")

TINY = {
    "weights": "none",
    "image_size": 64,
    "patient_image_size": 64,
    "crop_size": 48,
    "phantom_size": 64,
    "phantom_patients": 4,
    "phantom_slices": [3, 3],
    "patients": "auto",
    "head_units": 16,
    "unfreeze_layers": 10,
    "stage1_epochs": 2,
    "stage2_epochs": 1,
    "external_images": 6,
    "robustness_images": 2,
    "folds": 1,
    "bootstrap": 100,
    "audit_folds": 3,
    "audit_seeds": 1,
    "ablation_slices": 1,
    "cv_repeats": 1,
    "compared_backbones": ["resnet50-none"],
    "small_cnn_epochs": 1,
    "deployment_images": 6,
    "deployment_formats": ["onnx"],
    "deployment_threads": [1],
    "deployment_batches": [1],
}


def tiny(study, folder, **changes):
    """Parameters of a study, made tiny and then changed, that keeps all it writes in a folder."""
    folders = {"run_folder": str(folder / "run"), "cache_folder": str(folder / "cache")}
    return parameters.load(ROOT / f"params/{study}.yaml", **folders, **TINY | changes)
