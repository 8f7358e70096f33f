"""What a result depends on: code, environment, machine, and one digest for each kind of input."""

import contextlib
import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = (
    *("keras", "tensorflow", "numpy", "pandas", "scikit-learn", "scipy", "pillow"),
    *("opencv-python-headless", "pydicom", "python-gdcm", "matplotlib", "seaborn"),
    *("ai-edge-litert", "onnx", "onnxruntime", "tf2onnx", "kidneyct"),
)
"""Packages whose version a result or a figure depends on."""

DECISIVE = ("processor", "cpus", "python", "keras_backend")
"""Facts of a machine on which the last digits of a result depend."""

# Modules that only start, describe or check a run; changing them changes no result.
_NOT_IN_RESULTS = (
    "cli.py",
    "explore/",
    "report/",
    "review/",
    "study/cluster_file.py",
    "study/clusters.py",
    "study/disk_space.py",
    "study/doctor.py",
    "study/figure_texts.py",
    "study/notebook_view.py",
    "study/notebook_process.py",
    "study/plan.py",
    "study/runner.py",
    "study/started_clusters.py",
    "study/staleness.py",
    "study/sweep.py",
    "study/sweep_runner.py",
    "study/run_diff.py",
    "study/variants.py",
)


def library_digest() -> str:
    """sha256 (hex) of every module of this library that a result depends on."""
    sha, folder = hashlib.sha256(), Path(__file__).parents[1]
    for module in sorted(folder.rglob("*.py")):
        name = module.relative_to(folder).as_posix()
        if not name.startswith(_NOT_IN_RESULTS):
            sha.update(name.encode() + module.read_bytes())
    return sha.hexdigest()


def environment_digest() -> str:
    """sha256 (hex) of the Python version, the Keras backend and the versions of what results need.

    That is what this project requires, directly or not, as far as it is installed. Extras and tools
    of development play no part: whoever adds one has the same environment. This project's own
    version is left out: `library_digest` tells its code.
    """
    backend = _backend()
    needed = _required("kidneyct") | _required(backend)
    versions = {f"{name}=={version}" for name, version in needed.items() if name != "kidneyct"}
    facts = [platform.python_version(), backend, *sorted(versions)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


@functools.cache
def _required(package: str) -> dict[str, str]:
    """Version of each installed package that one requires, directly or not, and its own."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(canonicalize_name(package), frozenset[str]())]
    while waiting:
        name, extras = one = waiting.pop()
        with contextlib.suppress(PackageNotFoundError):
            if one in seen:
                continue
            seen.add(one)
            installed = distribution(name)
            found[name] = installed.version
            for wanted in map(Requirement, installed.requires or []):
                asked = [{"extra": extra} for extra in ("", *extras)]
                if wanted.marker is None or any(map(wanted.marker.evaluate, asked)):
                    waiting.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))
    return found


def images_digest(table: pd.DataFrame) -> str:
    """sha256 (hex) of a catalog's names, labels, contents and, where known, patients."""
    columns = [name for name in ("path", "label", "sha256", "patient") if name in table]
    return hashlib.sha256(table[columns].to_csv(index=False).encode()).hexdigest()


def git_state(root: Path) -> dict[str, Any]:
    """Commit and whether tracked files differ from it; both None outside a git checkout."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    commit, _, dirty = done.stdout.strip().partition("-")
    return {"commit": commit, "dirty": bool(dirty)}


def package_versions() -> dict[str, str]:
    """Versions of the packages that matter most, for people to read."""
    return {name: version for name, version in _required("kidneyct").items() if name in PACKAGES}


def machine() -> dict[str, Any]:
    """System, processor, cores, Python and Keras backend of this machine."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "keras_backend": _backend(),
    }


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def _processor() -> str:
    """Name and revision of the processor where Linux tells them, else its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = ("model name", "cpu family", "model", "stepping")
    found = [re.search(rf"^{name}\s*:(.*)$", text, re.MULTILINE) for name in names]
    return " ".join([platform.machine(), *(match[1].strip() for match in found if match)])
