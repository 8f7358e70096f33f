"""Which metrics and tables moved between two runs, or since the reference of the phantom study."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root, read_json
from kidneyct_lib.study import parameters, provenance, runner
from kidneyct_lib.study.run_folder import Run, read_table

COLUMNS = ["where", "what", "row", "a", "b", "difference", "cells"]

STUDY = "phantom"
REFERENCE = f"outputs/{STUDY}/reference"
TOLERANCE = 0.05
"""Allowed on another kind of machine, as in `compare_runs`; chosen, not measured."""


def compare_runs(a: Path, b: Path, *, tolerance: float = 0.0) -> pd.DataFrame:
    """One row per metric and per table column that differs between two run folders.

    Parameters
    ----------
    a, b : Path
        Folders with `metrics/*.json` and `tables/*.csv`.
    tolerance : float
        Two numbers are equal if they differ by at most this, or by this share of the first where
        that is larger than 1; two columns of text or of True and False, if at most this share of
        their cells differs.

    Returns
    -------
    pandas.DataFrame
        where (file), what (metric or column), row (of the cell that moved most: its number from 0
        and what stands first in it), a, b (the values there), difference (b - a), cells (how many
        of the column moved). Empty if the runs agree in every metric and every cell.

    Raises
    ------
    StudyError
        If a folder does not exist or holds neither metrics nor tables.
    """
    for folder in (a, b):
        if not result_files(folder):
            raise StudyError(f"{folder} holds no metrics and no tables: it is no run's folder.")
    rows = []
    for name in sorted({*result_files(a), *result_files(b)}):
        there = (a / name).exists(), (b / name).exists()
        if not all(there):
            rows.append({"where": str(name)} | _presence("file", there))
            continue
        for moved in _compare(_read(a / name), _read(b / name), tolerance):
            if name.suffix == ".json":  # one row of single numbers
                moved |= {"row": "", "cells": ""}
            rows.append({"where": str(name)} | moved)
    return pd.DataFrame(rows, columns=COLUMNS).astype(object).fillna("")


def result_files(folder: Path) -> list[Path]:
    """Metrics and tables of a run's folder, relative to it, in order; no killed process's."""
    result = [*folder.glob("metrics/*.json"), *folder.glob("tables/*.csv")]
    return sorted(path.relative_to(folder) for path in result if not path.name.startswith("."))


def rerun() -> Run:
    """The phantom study from nothing, in a scratch folder that is left for looking at."""
    scratch = Path(".cache/verify")
    shutil.rmtree(project_root() / scratch, ignore_errors=True)
    folders = {"run_folder": str(scratch / "run"), "cache_folder": str(scratch / "cache")}
    values = parameters.load(project_root() / f"params/{STUDY}.yaml", **folders)
    runner.reproduce(values)
    return Run(values.run_folder)


def check(run: Run, reference: Path) -> tuple[pd.DataFrame, float]:
    """Compare a finished run with a reference: exactly on one kind of machine, else about.

    Returns
    -------
    What moved, as from `compare_runs` with the reference first; and the tolerance, which is 0 on
    the kind of machine and environment that the reference comes from.

    Raises
    ------
    StudyError
        If there is no reference, the run is not finished, or it had other parameters.
    """
    about = reference / "reference.json"
    if not about.exists():
        raise StudyError(f"{reference} holds no reference; `kidneyct verify --keep` makes one.")
    kept, now = read_json(about, "restore it."), _about(run)
    old, new = kept["parameters"], now["parameters"]
    differing = [k for k in sorted(old | new) if (k in old, old.get(k)) != (k in new, new.get(k))]
    if differing:
        raise StudyError(
            f"{reference} was kept for other parameters: {', '.join(differing)}. "
            "Restore params/, or keep a new reference by `kidneyct verify --keep`."
        )
    same = all(kept[key] == now[key] for key in ("machine", "environment_sha256"))
    tolerance = 0.0 if same else TOLERANCE
    return compare_runs(reference, run.folder, tolerance=tolerance), tolerance


def keep(run: Run, reference: Path) -> None:
    """Make the metrics and tables of a finished run the reference, in place of an older one."""
    temporary = reference.with_name(f".{reference.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for name in result_files(run.folder):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.folder / name, temporary / name)
        (temporary / "reference.json").write_text(
            json.dumps(_about(run), indent=2) + "\n", encoding="utf-8"
        )
        shutil.rmtree(reference, ignore_errors=True)
        temporary.rename(reference)
    except OSError as error:
        raise StudyError(f"{reference} could not be written: {error}") from error


def _presence(what: str, there: tuple[bool, bool]) -> dict[str, Any]:
    a, b = ("there" if present else "missing" for present in there)
    return {"what": what, "a": a, "b": b}


def _compare(left: pd.DataFrame, right: pd.DataFrame, tolerance: float) -> Iterator[dict[str, Any]]:
    """What moved between two tables, column by column."""
    if len(left) != len(right):
        yield {"what": "rows", "a": len(left), "b": len(right), "cells": "all"}
        return
    for column in dict.fromkeys([*left.columns, *right.columns]):
        there = column in left, column in right
        if not all(there):
            yield _presence(column, there)
            continue
        x, y = left[column], right[column]
        numeric = all(values.dtype.kind in "iuf" for values in (x, y))
        if numeric:
            allowed = tolerance * x.abs().clip(lower=1).fillna(1)
            moved = ~np.isclose(x, y, rtol=0, atol=allowed, equal_nan=True)
        else:
            moved = (x.fillna("") != y.fillna("")).to_numpy()
            if moved.sum() <= tolerance * len(moved):
                continue
        if moved.any():
            apart = np.abs(x - y).to_numpy(float) if numeric else np.ones(len(x))
            most = int(np.where(moved, np.nan_to_num(apart, nan=np.inf), -1).argmax())
            cell = {"row": f"{most} ({left.iloc[most, 0]!s})", "a": x[most], "b": y[most]}
            difference = {"difference": y[most] - x[most]} if numeric else {}
            yield {"what": column, "cells": f"{moved.sum()} of {len(x)}"} | cell | difference


def _read(path: Path) -> pd.DataFrame:
    """A table, or metrics as a table of one row."""
    remedy = "make that run again."
    if path.suffix == ".json":
        return pd.DataFrame([flatten(read_json(path, remedy))])
    return read_table(path, remedy)


def flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to one level; keys joined by dots."""
    if not isinstance(content, dict | list):
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _about(run: Run) -> dict[str, Any]:
    """What a run's numbers depend on beside the code: parameters, machine, environment."""
    known = run.provenance()
    if not known or any("finished" not in facts for facts in run.notebooks().values()):
        raise StudyError(f"{run.folder} is no finished run; `make reproduce` finishes it.")
    folders = ("run_folder", "cache_folder", "data", "external", "masks")
    return {
        "parameters": {k: v for k, v in known["parameters"].items() if k not in folders},
        "machine": {key: known["machine"][key] for key in provenance.DECISIVE},
        "environment_sha256": known["environment_sha256"],
    }
