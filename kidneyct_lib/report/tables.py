"""Saved tables in the form in which the page shows them: headers and cells of text."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

MOST_ROWS = 60


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
    left_out
        Rows that the table has beyond those shown.
    """

    headers: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    left_out: int


def shown(table: pd.DataFrame, names: Mapping[str, str], missing: str = "–") -> Shown:
    """Turn a saved table into text.

    A number with the ends of its interval (`x`, `x_low`, `x_high`) becomes one cell, and the mark
    `few_groups` a note.

    Parameters
    ----------
    table
        As saved.
    names
        Header of each column, and text of each cell, that is not shown as it is saved.
    missing
        Text of an empty cell.
    """
    head = table.head(MOST_ROWS)
    columns: dict[str, list[str]] = {}
    numeric = []
    for column in head:
        base = column.removesuffix("_low").removesuffix("_high")
        alone = base not in head and f"{base}_low" in head and f"{base}_high" in head
        if base != column and not (alone and column.endswith("_low")):
            continue
        header = names.get(base, _header(base))
        if column == "few_groups":
            if not head[column].any():
                continue
            texts = ["fewer than ten groups" if few else "" for few in head[column]]
        elif alone:
            texts = _intervals(head, base, missing)
        else:
            texts = [_text(value, names, missing) for value in head[column]]
            if f"{column}_low" in head and f"{column}_high" in head:
                ends = _intervals(head, column, missing)
                texts = [
                    a if a == missing else f"{a} ({b})" for a, b in zip(texts, ends, strict=True)
                ]
                header += " (95 % interval)"
        columns[header] = texts
        numeric.append(pd.api.types.is_numeric_dtype(head[column]) and column != "few_groups")
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Shown(list(columns), rows, numeric, len(table) - len(head))


def _header(column: str) -> str:
    """Name a column by its own name; capitals in it, as of a class, stay."""
    words = column.replace("_", " ")
    return words[:1].upper() + words[1:]


def _intervals(table: pd.DataFrame, name: str, missing: str) -> list[str]:
    ends = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [f"{_text(low, {}, missing)} to {_text(high, {}, missing)}" for low, high in ends]


def _text(value: Any, names: Mapping[str, str], missing: str) -> str:
    if isinstance(value, str):
        return names.get(value, value) or missing
    if pd.isna(value):
        return missing
    if isinstance(value, bool) or not isinstance(value, float):
        return f"{value:,}" if not isinstance(value, bool) else ("yes" if value else "no")
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.3f}"
