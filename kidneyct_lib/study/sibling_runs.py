"""Runs of the same study beside one another: other seeds, another recipe, no augmentation.

What a run is stands in its `run.json`: the study, whether its backbone is pretrained, and what was
changed of the study. Folder names are for people.
"""

from typing import Any

import pandas as pd

from kidneyct_lib.study.parameters import digest
from kidneyct_lib.study.run_folder import Run


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
    study, own = _identity(run)
    wanted = {key: value for key, value in (own | changes).items() if value is not None}
    if wanted == own:
        return run
    for other in _others(run):
        if _identity(other) == (study, wanted):
            return other
    return None


def by_seed(run: Run) -> pd.DataFrame:
    """Collect the headline of a run and of those beside it that differ in their seed alone.

    Returns
    -------
    DataFrame with one row per finished run and scheme, in order of the seeds: ``scheme``, ``seed``,
    ``n``, ``groups``, ``accuracy``, ``macro_f1``.
    """
    others = [one for one in _others(run) if _seedless(one) == _seedless(run)]
    rows = []
    for one in [run, *others]:
        if (one.folder / "metrics/test.json").is_file():
            seed = one.provenance()["parameters"]["seed"]
            for scheme, metrics in one.read_metrics("test").items():
                headline = {key: metrics[key] for key in ("n", "groups", "accuracy", "macro_f1")}
                rows.append({"scheme": scheme, "seed": seed} | headline)
    table = pd.DataFrame(rows, columns=["scheme", "seed", "n", "groups", "accuracy", "macro_f1"])
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
    for one in _others(run):
        files = one.provenance().get("files", {})
        results = {
            k: v["sha256"] for k, v in files.items() if k.startswith(("metrics/", "tables/"))
        }
        if one.provenance().get("study") == study:
            result[one.folder.name] = digest(results)
    return result


_Identity = tuple[tuple[str | None, str | None], dict[str, Any]]


def _identity(run: Run) -> _Identity:
    """Study and weights of a run, and what was changed of the study."""
    known = run.provenance()
    weights = known.get("parameters", {}).get("weights")
    return (known.get("study"), weights), known.get("changes", {})


def _seedless(run: Run) -> _Identity:
    study, changes = _identity(run)
    return study, changes | {"seed": None}


def _others(run: Run) -> list[Run]:
    """Runs of known studies in the folders beside this run's, by name."""
    if "study" not in run.provenance():
        return []
    folders = sorted(path.parent for path in run.folder.parent.glob("*/run.json"))
    return [Run(folder) for folder in folders if folder != run.folder]
