"""A study varied: another seed, recipe or any parameter, into a folder of its own."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.study import parameters
from kidneyct_lib.study.parameters import Params

_LONGEST = 40  # characters of a value in a folder's name; a longer one is marked by its digest

CHANGES = ("recipe", "seed", "image_size", "augment_views", "folds")
"""Parameters that `make reproduce` can change, which have short marks in the folder's name."""

FIXED = frozenset(
    (
        *("study", "source", "data", "external", "masks"),
        *("run_folder", "cache_folder", "expected_minutes"),
    )
)
"""What no variant changes: where a study reads and writes, and what it is."""

_MARKS = {
    "recipe": "-{}",
    "weights": "-untrained",
    "image_size": "-{}px",
    "folds": "-{}fold",
    "augment_views": "-augmented{}",
    "seed": "-seed{}",
}


class Variant(NamedTuple):
    """A study with some parameters changed.

    Attributes
    ----------
    params
        All of its parameters; `run_folder` and `expected_minutes` are its own.
    changes
        Those that are not as the study's file says.
    """

    params: Params
    changes: dict[str, Any]


def load(
    study: str, changes: Mapping[str, Any] | None = None, folders: Mapping[str, str] | None = None
) -> Variant:
    """Load a study's file, change parameters, and give the result its folder.

    Parameters
    ----------
    study
        Name of a file of `params/`.
    changes
        New values; None: the study's own.
    folders
        ``data``, ``external`` or ``masks``: where images are, which is no change of the study.

    Raises
    ------
    StudyError
        If there is no such study, or a parameter is unknown, out of its range or one of `FIXED`.
    """
    file = project_root() / "params" / f"{study}.yaml"
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    if fixed := sorted(FIXED & given.keys()):
        raise StudyError(f"{fixed[0]} is no parameter to vary; make a study of its own in params/.")
    own = parameters.load(file)
    params = parameters.load(file, **folders or {}, **given)
    valid = {key: getattr(params, key) for key in given}  # 1 became 1.0 where it is a fraction
    minutes = scaled_minutes(own, **valid)
    place = {"run_folder": run_folder(own, **valid), "expected_minutes": minutes}
    return Variant(params.model_copy(update=place), changed(own, valid))


def changed(params: Params, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some changes that differ from the study's own values; None: the study's own."""
    return {k: v for k, v in changes.items() if v not in (None, getattr(params, k))}


def run_folder(params: Params, **changes: Any) -> str:
    """Folder of the results; its name marks an untrained backbone and what is changed.

    `CHANGES` have short marks. Any other parameter's is ``-<name>=<value>``, in letters that every
    file system takes, in alphabetical order; so different changes have different folders.
    """
    marked = changed(params, changes)
    if marked.pop("weights", params.weights) == "none":
        marked["weights"] = "none"
    marks = [mark.format(marked.pop(key)) for key, mark in _MARKS.items() if key in marked]
    marks += [f"-{key}={_file_safe(value)}" for key, value in sorted(marked.items())]
    return params.run_folder + "".join(marks)


def _file_safe(value: Any) -> str:
    """A value as a part of a file's name, told apart from every other value of its parameter."""
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        text = ",".join(quote(str(one), safe="+") for one in value)
    elif isinstance(value, list | dict):
        text = quote(json.dumps(value, sort_keys=True), safe="")
    else:
        text = quote(str(value), safe="+")
    return text if len(text) <= _LONGEST else parameters.digest({"value": value})[:12]


def scaled_minutes(params: Params, **changes: Any) -> float:
    """Minutes to expect with some changes.

    Nearly all of them go with the pixels, and many with the folds: of the 62 minutes of the axial
    slices' notebooks, the eleven trainings of five folds take 26. The patient recipe is expected to
    take as long, for the features of its crops, whatever the size and the folds. Other parameters
    play no part here.
    """
    run = params.model_copy(update=changed(params, changes))
    if run.recipe == "patient" and params.recipe != "patient":
        return params.expected_minutes
    pixels = (run.image_size / params.image_size) ** 2
    trainings = 0.42 * run.folds / params.folds + 0.58
    return float(f"{params.expected_minutes * pixels * trainings:.2g}")
