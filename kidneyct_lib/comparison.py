"""Which metrics and tables moved between two runs, and by how much."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.errors import StudyError
from kidneyct_lib.files import read_json

COLUMNS = ["where", "what", "a", "b", "difference"]


def compare_runs(a: Path, b: Path) -> pd.DataFrame:
    """One row per metric and per table column that differs between two run folders.

    Returns
    -------
    pandas.DataFrame
        where (file), what (metric or column), a, b (the values; for columns the number of cells
        that differ and of rows), difference (b - a; for columns the largest absolute one). Empty
        if the runs agree in every metric and every cell.

    Raises
    ------
    StudyError
        If a folder does not exist or holds neither metrics nor tables.
    """
    for folder in (a, b):
        if not any(folder.glob("metrics/*.json")) and not any(folder.glob("tables/*.csv")):
            raise StudyError(f"{folder} holds no metrics and no tables: it is no run's folder.")
    rows = []
    for pattern, compare in (
        ("metrics/*.json", _compare_metrics),
        ("tables/*.csv", _compare_table),
    ):
        names = {path.relative_to(folder) for folder in (a, b) for path in folder.glob(pattern)}
        names = {name for name in names if not name.name.startswith(".")}  # a killed process's
        for name in sorted(names):
            there = (a / name).exists(), (b / name).exists()
            if all(there):
                rows += [(str(name), *row) for row in compare(a / name, b / name)]
            else:
                rows.append((str(name), "file", *("yes" if x else "no" for x in there), None))
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare_metrics(a: Path, b: Path) -> list[tuple]:
    left, right = (_flatten(read_json(path, "make that run again.")) for path in (a, b))
    rows = []
    for key in dict.fromkeys([*left, *right]):
        x, y = left.get(key), right.get(key)
        if x != y:
            rows.append((key, x, y, y - x if _number(x) and _number(y) else None))
    return rows


def _compare_table(a: Path, b: Path) -> list[tuple]:
    left, right = map(_read_table, (a, b))
    if len(left) != len(right):
        return [("rows", len(left), len(right), len(right) - len(left))]
    rows = []
    for column in dict.fromkeys([*left.columns, *right.columns]):
        if column not in left or column not in right:
            rows.append((column, *("yes" if column in x else "no" for x in (left, right)), None))
            continue
        x, y = left[column], right[column]
        moved = (x != y).to_numpy()
        if moved.any():
            numeric = all(pd.api.types.is_numeric_dtype(series) for series in (x, y))
            largest = float(np.abs(x[moved] - y[moved]).max()) if numeric else None
            rows.append((column, f"{moved.sum()} cells", f"of {len(x)}", largest))
    return rows


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, low_memory=False)
    except ValueError as error:  # what pandas raises for any file that is no table
        raise StudyError(f"{path} is damaged ({error}); make that run again.") from None


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to one level; keys joined by dots."""
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    else:
        return {prefix: content}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
