"""Runs of the same study beside one another: other seeds, another recipe, no augmentation.

What a run is stands in its `run.json`: the study, whether its backbone is pretrained, and what was
changed of the study. Folder names are for people.
"""

from typing import Any

import pandas as pd

from kidneyct_lib.study.parameters import digest
from kidneyct_lib.study.run_folder import Run

_HEADLINE = ("n", "groups", "accuracy", "macro_f1")


def beside(run: Run, **changes: Any) -> Run | None:
    """Find the run of the same study that differs from this one by these changes alone.

    Parameters
    ----------
    run
        Of any study.
    changes
        New values of what `make reproduce` can change (recipe, seed, image_size, augment_views,
        folds); None: the study's own value.

    Returns
    -------
    Run in a folder beside this run's, or this run; None where there is none.
    """
    wanted = _identity(run, **changes)
    return next((one for one in _all(run) if _identity(one) == wanted), None)


def by_seed(run: Run) -> pd.DataFrame:
    """Collect the headline of a run and of those beside it that differ in their seed alone.

    Returns
    -------
    DataFrame with one row per finished run and scheme, in order of the seeds: ``scheme``, ``seed``,
    ``n``, ``groups``, ``accuracy``, ``macro_f1``.
    """
    rows = []
    for one in _all(run):
        alike = _identity(one, seed=None) == _identity(run, seed=None)
        if alike and (one.folder / "metrics/test.json").is_file():
            seed = one.provenance()["parameters"]["seed"]
            for scheme, metrics in one.read_metrics("test").items():
                headline = {key: metrics[key] for key in _HEADLINE}
                rows.append({"scheme": scheme, "seed": seed} | headline)
    table = pd.DataFrame(rows, columns=["scheme", "seed", *_HEADLINE])
    return table.sort_values("seed", kind="stable", ignore_index=True)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise `by_seed`: mean, least and most of accuracy and macro-F1 over the seeds.

    Returns
    -------
    DataFrame with one row per scheme: ``scheme``, ``seeds`` (how many), ``accuracy``,
    ``accuracy_min``, ``accuracy_max``, ``macro_f1``, ``macro_f1_min``, ``macro_f1_max``.
    """
    measures = {
        f"{name}{suffix}": (name, how)
        for name in ("accuracy", "macro_f1")
        for suffix, how in (("", "mean"), ("_min", "min"), ("_max", "max"))
    }
    grouped = table.groupby("scheme", sort=False)
    return grouped.agg(seeds=("seed", "nunique"), **measures).reset_index()


def results_digests(run: Run) -> dict[str, str]:
    """Digest of the recorded metrics and tables of each run of the same study: {folder: digest}."""
    study, result = run.provenance().get("study"), {}
    for one in _all(run)[1:]:
        known = one.provenance()
        if known.get("study") == study:
            result[one.folder.name] = digest(
                {
                    name: facts["sha256"]
                    for name, facts in known.get("files", {}).items()
                    if name.startswith(("metrics/", "tables/"))
                }
            )
    return result


def _identity(run: Run, **changes: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    """Study and weights of a run, and what was changed of the study, with these changes too."""
    known = run.provenance()
    both = known.get("changes", {}) | changes
    weights = known.get("parameters", {}).get("weights")
    return known.get("study"), weights, {k: v for k, v in both.items() if v is not None}


def _all(run: Run) -> list[Run]:
    """The run, and those of known studies in the folders beside it, by name."""
    if "study" not in run.provenance():
        return [run]
    folders = sorted(path.parent for path in run.folder.parent.glob("*/run.json"))
    return [run, *(Run(folder) for folder in folders if folder != run.folder)]
