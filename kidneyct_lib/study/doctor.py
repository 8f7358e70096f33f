"""What a study on this machine will use, and what is missing: `kidneyct doctor`."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from kidneyct_lib.core import engine
from kidneyct_lib.core.files import folder_bytes, project_root
from kidneyct_lib.core.threads import THREADS
from kidneyct_lib.study.provenance import PACKAGES, machine

VARIABLES = (
    *("KIDNEYCT_PROJECT", "KIDNEYCT_WEIGHTS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS"),
    *(*THREADS, "TMPDIR"),
)
"""Environment variables that change what is used."""

PROGRAMS = {
    "git": "the commit of a run, make review",
    "uv": "a faster set-up, make lock",
    "node": "the page",
    "npm": "the page, ImageNet weights where Keras's site is blocked",
    "chromium": "make web-test",
    "nvidia-smi": "an NVIDIA GPU",
}
"""Programs that some command needs, and what for."""

_WORK = ("tensorflow", "jax", "torch")  # what Keras can compute with
_DASK = ("dask", "distributed", "dask-jobqueue", "bokeh")  # the extra `dask`
_QUEUES = {"sbatch": "Slurm", "qsub": "PBS"}


def report(devices: list[str], weights: Path) -> dict[str, list[tuple[str, str]]]:
    """Tell what there is, in sections of (name, finding).

    Parameters
    ----------
    devices
        That Keras computes on.
    weights
        Folder of the ImageNet weights.
    """
    known, root = machine(), project_root()
    cache = root / ".cache"
    return {
        "machine": [
            ("processor", f"{known['processor']}, {known['cpus']} cores, {platform.system()}"),
            ("memory", f"{psutil.virtual_memory().total / 1e9:.1f} GB"),
            ("disk", f"{shutil.disk_usage(root).free / 1e9:.1f} GB free below {root}"),
        ],
        "computes with": [
            ("Keras backend", known["keras_backend"]),
            ("devices", ", ".join(devices)),
            ("other backends here", ", ".join(_others(known["keras_backend"])) or "none"),
            *((name, os.environ[name]) for name in VARIABLES if name in os.environ),
        ],
        "cluster": _cluster(),
        "kept from earlier runs": [
            ("stores", f"{folder_bytes(cache) / 1e9:.1f} GB in {cache}"),
            ("ImageNet weights", f"{weights}" if any(weights.glob("*")) else "fetched when needed"),
        ],
        "versions": [
            ("python", known["python"]),
            *((name, version(name)) for name in PACKAGES if _is_installed(name)),
        ],
        "missing": [
            *(
                (name, "a package of the lock: run make setup")
                for name in PACKAGES
                if not _is_installed(name)
            ),
            *((name, f"for {use}") for name, use in PROGRAMS.items() if not shutil.which(name)),
        ],
    }


def _cluster() -> list[tuple[str, str]]:
    """What can be computed on by WORKERS=, SCHEDULER= and CLUSTER= of `make reproduce`."""
    found = [f"{name} {version(name)}" for name in _DASK if _is_installed(name)]
    lacking = [name for name in _DASK if not _is_installed(name)]
    remedy = [f"without {', '.join(lacking)}: make setup EXTRA=dask"] if lacking else []
    queues = [f"{command} ({name})" for command, name in _QUEUES.items() if shutil.which(command)]
    named = [f"{name}={os.environ[name]}" for name in engine.SCHEDULERS if name in os.environ]
    return [
        ("Dask", ", ".join([*found, *remedy])),
        ("scheduler named", ", ".join(named) or "none: trainings run in the notebooks' processes"),
        ("job queues", ", ".join(queues) or "neither sbatch (Slurm) nor qsub (PBS) found"),
    ]


def _others(backend: str) -> list[str]:
    return [f"{name} {version(name)}" for name in _WORK if name != backend and _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
