"""Tables of two runs, cell by cell: rows are found again by what stands first in them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.study.run_folder import read_table

MOST_CELLS = 60
"""Cells of one table that are listed; those that moved most."""

_REMEDY = "make that run again."


@dataclass(frozen=True)
class Cell:
    """A cell that differs: the row's key, the column and both values."""

    row: str
    column: str
    before: Any
    after: Any

    @property
    def difference(self) -> float | None:
        """Branch minus base, of two numbers."""
        numbers = isinstance(self.before, float) and isinstance(self.after, float)
        return self.after - self.before if numbers else None


@dataclass(frozen=True)
class TableChange:
    """How a table differs between two runs.

    Attributes
    ----------
    name, state
        "tables/<name>.csv"; "changed", "added" or "removed".
    cells, differing
        The first `MOST_CELLS` cells that differ, largest differences first where there are more;
        how many differ in all.
    rows_added, rows_removed, columns_added, columns_removed
        Keys of rows, and names of columns, that one run alone has.
    """

    name: str
    state: str = "changed"
    cells: list[Cell] = field(default_factory=list)
    differing: int = 0
    rows_added: list[str] = field(default_factory=list)
    rows_removed: list[str] = field(default_factory=list)
    columns_added: list[str] = field(default_factory=list)
    columns_removed: list[str] = field(default_factory=list)


def table_changes(before: Path, after: Path) -> list[TableChange]:
    """Compare every table of two run folders.

    Raises
    ------
    StudyError
        If a file holds no table.
    """
    names = [{path.name for path in folder.glob("tables/[!.]*.csv")} for folder in (before, after)]
    changes = []
    for name in sorted(names[0] | names[1]):
        file = f"tables/{name}"
        if not all(name in there for there in names):
            changes.append(TableChange(file, "added" if name in names[1] else "removed"))
            continue
        if (before / file).read_bytes() == (after / file).read_bytes():
            continue
        old, new = (read_table(folder / file, _REMEDY) for folder in (before, after))
        change = _compare(file, old, new)
        if change != TableChange(file):
            changes.append(change)
    return changes


def _compare(name: str, old: pd.DataFrame, new: pd.DataFrame) -> TableChange:
    keys = _key_columns(old, new)
    before, after = (_keyed(table, keys) for table in (old, new))
    both = before.index.intersection(after.index, sort=False)
    cells: list[Cell] = []
    one, other = before.loc[both], after.loc[both]
    for column in [column for column in one if column in other]:
        x, y = one[column], other[column]
        if all(values.dtype.kind in "iuf" for values in (x, y)):
            x, y = x.astype(float), y.astype(float)
            moved = ~np.isclose(x, y, rtol=0, atol=0, equal_nan=True)
        else:
            moved = (x.fillna("").astype(str) != y.fillna("").astype(str)).to_numpy()
        cells += [
            Cell(str(row), str(column), a, b)
            for row, a, b in zip(both[moved], x[moved], y[moved], strict=True)
        ]
    if len(cells) > MOST_CELLS:
        cells.sort(key=_size, reverse=True)
    return TableChange(
        name,
        cells=cells[:MOST_CELLS],
        differing=len(cells),
        rows_added=after.index.difference(before.index, sort=False).tolist(),
        rows_removed=before.index.difference(after.index, sort=False).tolist(),
        columns_added=[str(column) for column in new if column not in old],
        columns_removed=[str(column) for column in old if column not in new],
    )


def _size(cell: Cell) -> float:
    """How far a cell moved; text, and a number that appeared or went, farther than any number."""
    moved = cell.difference
    return np.inf if moved is None or np.isnan(moved) else abs(moved)


def _key_columns(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Name the fewest leading columns that tell the rows of both tables apart; none if none do."""
    keys: list[str] = []
    for column in old.columns:
        if column not in new or "f" in (old[column].dtype.kind, new[column].dtype.kind):
            break
        keys.append(column)
        if not any(table.duplicated(keys).any() for table in (old, new)):
            return keys
    return []


def _keyed(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Index the rows by their key as text, or by their number where no columns make a key."""
    if not keys:
        return table.set_axis([f"row {number}" for number in range(len(table))])
    texts = table[keys].fillna("").astype(str).agg(", ".join, axis=1)
    return table.drop(columns=keys).set_axis(texts.tolist())
