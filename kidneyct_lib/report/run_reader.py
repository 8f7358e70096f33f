"""What a run has saved, as the page's templates ask for it."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from kidneyct_lib.core import inline_image
from kidneyct_lib.study.run_folder import Run

MOST_ROWS = 60
MISSING = "–"


class Shown(NamedTuple):
    """A table as text."""

    headers: list[str]
    rows: list[list[str]]  # cells of each row, as many as headers
    numeric: list[bool]  # of each column: whether it holds numbers, which stand at the right
    intervals: bool  # whether cells hold intervals
    left_out: int  # rows that the table has beyond those shown


class Saved:
    """A finished run's files, by the names that the templates use.

    Only what the notebooks last wrote counts: a file that an older notebook left is not shown.

    Parameters
    ----------
    run
        A finished run.
    names
        ``headers`` and ``cells`` of tables that are not shown as they are saved.
    """

    def __init__(self, run: Run, names: Mapping[str, Mapping[str, str]]) -> None:
        self.run = run
        self._names = names

    @cached_property
    def files(self) -> set[str]:
        """Paths in the run's folder that its notebooks last wrote, and the notebooks."""
        notebooks = self.run.notebooks()
        written = {path for known in notebooks.values() for path in known.get("outputs", [])}
        written |= {f"notebooks/{name}.ipynb" for name in notebooks}
        return {path for path in written if (self.run.folder / path).is_file()}

    def timings(self, name: str) -> dict[str, Any]:
        """`timings/<name>.json`; empty where the run has none."""
        return self.run.read_timings(name) if f"timings/{name}.json" in self.files else {}

    def metrics(self, name: str) -> dict[str, Any]:
        """`metrics/<name>.json`; empty where the run has none."""
        return self.run.read_metrics(name) if f"metrics/{name}.json" in self.files else {}

    def records(self, name: str) -> list[dict[Any, Any]]:
        """Rows of `tables/<name>.csv`; none where the run has none."""
        known = f"tables/{name}.csv" in self.files
        return self.run.read_table(name).to_dict("records") if known else []

    def table(
        self, name: str, *, without: Sequence[str] = (), only: Mapping[str, Any] | None = None
    ) -> Shown | None:
        """`tables/<name>.csv` as text; None where the run has none or nothing of it is left.

        Parameters
        ----------
        name
            Of the table.
        without
            Beginnings of the names of columns to leave out.
        only
            {column: value} of the rows to keep; these columns are left out, too.
        """
        if f"tables/{name}.csv" not in self.files:
            return None
        table = rows = self.run.read_table(name)
        for column, value in (only or {}).items():
            rows = rows[rows[column] == value].drop(columns=column)
        if rows.empty:
            return None
        kept = [column for column in rows if not str(column).startswith(tuple(without))]
        content = shown(rows[kept], self._names)
        return content._replace(left_out=len(table) - len(content.rows))

    def figures(self, *notebooks: str) -> list[str]:
        """Names of the figures that notebooks of these numbers saved, in order of their names."""
        names = [Path(path).stem for path in sorted(self.files) if path.startswith("figures/")]
        return [name for name in names if name[:2] in notebooks]

    def image(self, figure: str) -> dict[str, Any]:
        """Give a figure as `inline_image.inline` does."""
        with Image.open(self.run.folder / f"figures/{figure}.png") as image:
            return inline_image.inline(image)


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
        words = base.replace("_", " ")  # capitals in it, as of a class, stay
        columns[names["headers"].get(base, words[:1].upper() + words[1:])] = texts
        numeric.append(pd.api.types.is_numeric_dtype(head[column]) and column != "few_groups")
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Shown(list(columns), rows, numeric, bool(ends), len(table) - len(head))


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
