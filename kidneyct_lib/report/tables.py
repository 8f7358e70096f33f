"""Saved tables in the form in which the page shows them: headers and cells of text."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

MOST_ROWS = 60
MISSING = "–"


class Shown(NamedTuple):
    """A table as text.

    Attributes
    ----------
    headers
        One a column.
    rows
        Cells of each row, as many as headers.
    numeric
        Whether a column holds numbers, which stand at the right.
    intervals
        Whether cells hold intervals.
    left_out
        Rows that the table has beyond those shown.
    """

    headers: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    intervals: bool
    left_out: int


def shown(table: pd.DataFrame, names: Mapping[str, Mapping[str, str]]) -> Shown:
    """Turn a saved table into text.

    A number with the ends of its interval (`x`, `x_low`, `x_high`) becomes one cell, the ends of an
    interval without a number another, and the mark `few_groups` a note where any row has it.

    Parameters
    ----------
    table
        As saved.
    names
        ``headers`` and ``cells`` that are not shown as they are saved.
    """
    head = table.head(MOST_ROWS)
    known = [str(column) for column in head]
    ends = [name.removesuffix("_low") for name in known if name.endswith("_low")]
    ends = [name for name in ends if f"{name}_high" in head]
    columns: dict[str, list[str]] = {}
    numeric = []
    for column in known:
        base = column.removesuffix("_low").removesuffix("_high")
        if column == "few_groups":
            if not head[column].any():
                continue
            texts = ["fewer than ten groups" if few else "" for few in head[column]]
        elif base in ends and base != column:
            if base in head or column.endswith("_high"):
                continue
            texts = _intervals(head, base)
        else:
            texts = _texts(head[column], names["cells"])
            if column in ends:
                both = zip(texts, _intervals(head, column), strict=True)
                texts = [a if b == MISSING else f"{a} ({b})" for a, b in both]
        columns[names["headers"].get(base, _header(base))] = texts
        numeric.append(pd.api.types.is_numeric_dtype(head[column]) and column != "few_groups")
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Shown(list(columns), rows, numeric, bool(ends), len(table) - len(head))


def _header(column: str) -> str:
    """Name a column by its own name; capitals in it, as of a class, stay."""
    words = column.replace("_", " ")
    return words[:1].upper() + words[1:]


def _intervals(table: pd.DataFrame, name: str) -> list[str]:
    low, high = (_texts(table[f"{name}_{end}"], {}) for end in ("low", "high"))
    pairs = zip(low, high, strict=True)
    return [MISSING if MISSING in pair else " to ".join(pair) for pair in pairs]


def _texts(column: pd.Series, names: Mapping[str, str]) -> list[str]:
    """Write counts with separators, other numbers with three digits, words as they are named."""
    if pd.api.types.is_bool_dtype(column):
        return ["yes" if value else "no" for value in column]
    if not pd.api.types.is_numeric_dtype(column):
        return [names.get(value, str(value)) or MISSING for value in column]
    known = column.dropna()
    counts = (known % 1 == 0).all() and (known.abs() > 1).any()
    written = "{:,.0f}" if counts or pd.api.types.is_integer_dtype(column) else "{:.3f}"
    return [MISSING if pd.isna(value) else written.format(value) for value in column]
