"""The same study under other seeds: how far the headline moves with the draw."""

import re
from pathlib import Path

import pandas as pd

from kidneyct_lib.study.run_folder import Run


def by_seed(folder: Path) -> pd.DataFrame:
    """Collect the headline of a run and of its repetitions `<folder>-seed<N>` beside it.

    Parameters
    ----------
    folder
        A run's folder, itself of any seed.

    Returns
    -------
    DataFrame with one row a finished run and scheme, in order of the seeds: ``scheme``, ``seed``,
    ``n``, ``groups``, ``accuracy``, ``macro_f1``.
    """
    first = folder.with_name(re.sub(r"-seed\d+$", "", folder.name))
    repeated = re.compile(re.escape(first.name) + r"-seed\d+")
    beside = [path for path in folder.parent.iterdir() if repeated.fullmatch(path.name)]
    rows = []
    for run in map(Run, [first, *beside]):
        if (run.folder / "metrics/test.json").is_file():
            seed = run.provenance()["parameters"]["seed"]
            for scheme, metrics in run.read_metrics("test").items():
                told = {key: metrics[key] for key in ("n", "groups", "accuracy", "macro_f1")}
                rows.append({"scheme": scheme, "seed": seed} | told)
    table = pd.DataFrame(rows, columns=["scheme", "seed", "n", "groups", "accuracy", "macro_f1"])
    return table.sort_values("seed", kind="stable", ignore_index=True)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise `by_seed`: mean, least and most of accuracy and macro-F1 over the seeds.

    Returns
    -------
    DataFrame with one row per scheme: ``scheme``, ``seeds`` (how many), ``accuracy``,
    ``accuracy_least``, ``accuracy_most``, ``macro_f1``, ``macro_f1_least``, ``macro_f1_most``.
    """
    measures = {
        f"{name}{suffix}": (name, how)
        for name in ("accuracy", "macro_f1")
        for suffix, how in (("", "mean"), ("_least", "min"), ("_most", "max"))
    }
    grouped = table.groupby("scheme", sort=False)
    return grouped.agg(seeds=("seed", "nunique"), **measures).reset_index()
