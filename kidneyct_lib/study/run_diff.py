"""Which metrics and tables moved between two runs, and by how much."""

from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json

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
    files = {folder: result_files(folder) for folder in (a, b)}
    for folder, names in files.items():
        if not names:
            raise StudyError(f"{folder} holds no metrics and no tables: it is no run's folder.")
    rows = []
    for name in sorted({*files[a], *files[b]}):
        there = name in files[a], name in files[b]
        if all(there):
            compare = _compare_metrics if name.suffix == ".json" else _compare_tables
            moved = compare(a / name, b / name, tolerance)
            rows += [{"where": str(name)} | row for row in moved]
        else:
            rows.append({"where": str(name)} | _presence("file", there))
    return pd.DataFrame(rows, columns=COLUMNS).astype(object).fillna("")


def result_files(folder: Path) -> list[Path]:
    """Metrics and tables of a run's folder, relative to it, in order; no killed process's."""
    result = [*folder.glob("metrics/*.json"), *folder.glob("tables/*.csv")]
    return sorted(path.relative_to(folder) for path in result if not path.name.startswith("."))


def _presence(what: str, there: tuple[bool, bool]) -> dict[str, Any]:
    a, b = ("there" if present else "missing" for present in there)
    return {"what": what, "a": a, "b": b}


def _compare_metrics(a: Path, b: Path, tolerance: float) -> list[dict[str, Any]]:
    left, right = (_flatten(read_json(path, "make that run again.")) for path in (a, b))
    rows = []
    for key in dict.fromkeys([*left, *right]):
        x, y = left.get(key), right.get(key)
        if key not in left or key not in right:
            rows.append(_presence(key, (key in left, key in right)))
        elif _number(x) and _number(y):
            if _moved(np.array([x]), np.array([y]), tolerance)[0]:
                rows.append({"what": key, "a": x, "b": y, "difference": y - x})
        elif x != y:
            rows.append({"what": key, "a": x, "b": y})
    return rows


def _compare_tables(a: Path, b: Path, tolerance: float) -> list[dict[str, Any]]:
    left, right = map(_read_table, (a, b))
    if len(left) != len(right):
        return [{"what": "rows", "a": len(left), "b": len(right), "cells": "all"}]
    rows = []
    for column in dict.fromkeys([*left.columns, *right.columns]):
        if column not in left or column not in right:
            rows.append(_presence(column, (column in left, column in right)))
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
            cells = {"cells": f"{moved.sum()} of {len(x)}"}
            rows.append({"what": column} | cell | difference | cells)
    return rows


def _moved(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether numbers differ by more than is allowed; two missing ones are equal."""
    allowed = tolerance * np.maximum(1, np.abs(a))
    return ~((np.abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b)))


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
    except ValueError as error:  # what pandas raises for any file that is no table
        raise StudyError(f"{path} is damaged ({error}); make that run again.") from None


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to one level; keys joined by dots."""
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    else:
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
