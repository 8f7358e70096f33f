"""Arrays of a training on disk, tied to everything that its outcome depends on."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import replacement

Parts = Mapping[str, Sequence[np.ndarray]]
"""{name without a digit at its end: arrays, in their order}."""


def save(path: Path, identity: str, facts: Mapping[str, Any], parts: Parts) -> None:
    """Write arrays and plain facts under a temporary name, then rename the file (`.npz`).

    `identity` is a digest of all that they depend on.

    Raises
    ------
    StudyError
        If the file can't be written.
    """
    arrays = {f"{name}_{i}": value for name, part in parts.items() for i, value in enumerate(part)}
    about = json.dumps({"identity": identity, **facts})
    try:
        with replacement(path) as temporary:
            np.savez(temporary, allow_pickle=False, about=np.array(about), **arrays)
    except OSError as error:
        raise StudyError(f"{path} could not be written: {error}") from error


def load(path: Path, identity: str) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """Facts and parts that `save` wrote for the same identity; both empty where there are none."""
    parts = defaultdict(list)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if about["identity"] != identity:
                return {}, {}
            for name in arrays.files:  # in the order in which they were written
                if name != "about":
                    parts[name.rpartition("_")[0]].append(arrays[name])
    except Exception:  # none yet, or damaged, which raises nearly anything: train anew
        return {}, {}
    return about, dict(parts)


def fit(values: Sequence[np.ndarray], variables: Sequence) -> bool:
    """Whether arrays have the shapes of these variables, one for one."""
    return [value.shape for value in values] == [tuple(v.shape) for v in variables]
