"""Which metrics and tables moved between two runs, and by how much."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json
from kidneyct_lib.study.run_folder import read_table

COLUMNS = ["where", "what", "row", "a", "b", "difference", "cells"]


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
            moved = _moved(x.to_numpy(float), y.to_numpy(float), tolerance)
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


def _moved(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether numbers differ by more than is allowed; two missing ones are equal."""
    allowed = tolerance * np.maximum(1, np.abs(a))
    return ~((np.abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b)))


def _read(path: Path) -> pd.DataFrame:
    """A table, or metrics as a table of one row."""
    remedy = "make that run again."
    if path.suffix == ".json":
        return pd.DataFrame([_flatten(read_json(path, remedy))])
    return read_table(path, remedy)


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to one level; keys joined by dots."""
    if not isinstance(content, dict | list):
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
