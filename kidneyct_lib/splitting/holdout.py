"""Training, validation and test parts by slice and by patient.

Both schemes move indivisible units: the files with the same bytes when splitting by slice,
whole groups when splitting by patient. The slice scheme is what published studies of this
data set do; the patient scheme is what a claim about new patients needs.

A table has one row per image, with at least ``path``, ``label``, ``sha256`` and, for the
patient scheme, ``group``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kidneyct_lib.core.errors import StudyError

PARTS = ("train", "validation", "test")

UNITS = {"slice": ["sha256"], "patient": ["sha256", "group"]}
"""What must not stand on two sides, by scheme: identical files, and whole groups."""

# Random group orders tried for each class: enough to come near the quotas, few enough that
# the seed and not the sizes decides which groups are tested on.
_GROUP_ORDERS = 200

# Share of a class's slices that an order may miss its quotas by beyond the best order.
_SLICE_SLACK = 0.03


class SplitError(StudyError):
    """The images cannot be split as requested, or a split leaks."""


def split(
    table: pd.DataFrame, scheme: str, *, test_fraction: float, validation_fraction: float, seed: int
) -> pd.Series:
    """Split by slice or by patient, stratified by class, every class in every part.

    By slice, identical files are on one side. The test part holds exactly ``round(test_fraction *
    N)`` slices, shared over the classes by largest remainder, and likewise the validation part;
    only sets of identical files too large to fit, or a class too small for one slice in each part,
    move a part off its quota.

    By patient, whole groups are on one side; those that share an identical file are kept together,
    and one that mixes classes counts as its most frequent one. Each class is cut where one of 200
    random orders of its groups comes nearest to the quotas in slices and, among the nearest, in
    groups.

    Parameters
    ----------
    table
        Columns ``label``, ``sha256`` and, by patient, ``group``.
    scheme
        "slice" or "patient".
    test_fraction, validation_fraction
        Shares of the slices, above 0 and together below 1.
    seed
        Of the random orders.

    Returns
    -------
    Series of "train", "validation" or "test", named "split", on the table's index.

    Raises
    ------
    SplitError
        If a fraction is out of range, a value is missing, or a class has fewer than three
        different files or groups, so that no such split exists.
    """
    unit = linked_rows(table, UNITS[scheme])
    if min(test_fraction, validation_fraction) <= 0 or test_fraction + validation_fraction >= 1:
        raise SplitError(
            f"test_fraction={test_fraction} and validation_fraction={validation_fraction} "
            "must each be above 0 and together below 1."
        )
    rng = np.random.default_rng(seed)
    majority, sizes = majority_and_size(table, unit)
    slices = pd.Series(sizes).groupby(majority).sum()
    slices = slices.reindex(sorted(set(table["label"])), fill_value=0)
    fractions = {"test": test_fraction, "validation": validation_fraction}
    quotas = pd.DataFrame({name: _apportion(slices, share) for name, share in fractions.items()})
    fill = fill_quotas if scheme == "slice" else _cut_nearest
    part = np.empty(len(sizes), object)
    for label in slices.index:
        members = np.flatnonzero(majority == label)
        if len(members) < len(PARTS):
            raise SplitError(
                f"A split by {scheme} is impossible: class {label!r} has {len(members)} "
                f"{'different files' if scheme == 'slice' else 'groups'} and needs at least "
                f"{len(PARTS)}, one for each of {', '.join(PARTS)}. Add images of this class from "
                "other patients, leave the class out, or, where it has two, set `folds: 2`."
            )
        part[members] = fill(sizes[members], quotas.loc[label].to_dict(), rng)
    return pd.Series(part[unit], index=table.index, name="split")


def linked_rows(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number the sets of rows that share a value in any column, directly or in a chain.

    Parameters
    ----------
    table
        One row per image.
    columns
        Such as ``sha256`` (identical files) and ``group``; no value may be missing.

    Returns
    -------
    int array (N,), numbered by first appearance.
    """
    _require(table, ["label", *columns])
    rows = np.arange(len(table))
    first = [
        pd.Series(rows).groupby(table[column].to_numpy(), sort=False).transform("min")
        for column in columns
    ]
    return components(np.tile(rows, len(columns)), np.concatenate(first), len(table))


def components(i: np.ndarray, j: np.ndarray, n: int) -> np.ndarray:
    """Number the connected components of n nodes linked by pairs (i, j), by first appearance."""
    links = coo_array((np.ones(len(i), bool), (i, j)), shape=(n, n))
    return pd.factorize(connected_components(links, directed=False)[1])[0]


def assert_disjoint(
    table: pd.DataFrame, split: Sequence[str] | pd.Series, *, by: Sequence[str]
) -> None:
    """Raise unless no value of the given columns lies in two parts.

    Called where a split is used, not where it is made, so that nothing in between can undo it.

    Parameters
    ----------
    table
        One row per image.
    split
        Part of each row, in the table's order.
    by
        Columns to compare, such as ``path``, ``sha256`` and ``group``.

    Raises
    ------
    SplitError
        Naming the column, one value found in two parts and a row from each of the two.
    """
    parts = pd.Series(np.asarray(split), index=range(len(split)))
    if len(parts) != len(table):
        raise SplitError(f"The split has {len(parts)} entries for {len(table)} images.")
    unknown = sorted(set(parts.unique()) - set(PARTS), key=str)
    if unknown:
        raise SplitError(f"The split holds {unknown[0]!r}; a part is one of {', '.join(PARTS)}.")
    for column in by:
        _require(table, [column])
        key = table[column].reset_index(drop=True)
        leaking = parts.groupby(key, sort=False).nunique().loc[lambda count: count > 1]
        if len(leaking):
            rows = parts[key == leaking.index[0]].drop_duplicates().index[:2]
            where = " and ".join(f"{parts[row]} ({_name(table, row)})" for row in rows)
            raise SplitError(
                f"The split leaks: {column} {leaking.index[0]} is in {where}; "
                f"{len(leaking)} such values in all. Make the split anew from this table."
            )


def majority_and_size(table: pd.DataFrame, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most frequent label and number of rows of each unit, by its number in `unit` (N,)."""
    counts = pd.crosstab(unit, table["label"].to_numpy())
    return counts.idxmax(axis=1).to_numpy(), counts.sum(axis=1).to_numpy()


def _apportion(slices: pd.Series, fraction: float) -> pd.Series:
    """Share round(fraction * N) slices over the classes by largest remainder."""
    exact = slices * fraction
    quota = np.floor(exact).astype(int)
    left = round(slices.sum() * fraction) - quota.sum()
    quota[(exact - quota).sort_values(ascending=False, kind="stable").index[:left]] += 1
    return quota


def fill_quotas(
    sizes: np.ndarray, quotas: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Fill parts to their quotas with whole units in random order; what fits nowhere trains.

    Parameters
    ----------
    sizes
        Slices of each unit, int (U,); at least one unit more than there are quotas.
    quotas
        {part: slices}; no part stays empty, whatever its quota.
    rng
        Of the order.

    Returns
    -------
    str (U,), the part of each unit.
    """
    shuffled = rng.permutation(len(sizes))
    # One unit is set aside for each part, so that none can be left empty; the smallest ones,
    # because they exceed a small quota least. Sets of one file, usually: a random few.
    smallest = shuffled[np.argsort(sizes[shuffled], kind="stable")[: len(quotas) + 1]]
    part = np.full(len(sizes), "train", object)
    part[smallest[: len(quotas)]] = list(quotas)
    left = {name: quotas[name] - sizes[part == name].sum() for name in quotas}
    for unit in shuffled[~np.isin(shuffled, smallest)]:
        for name in left:
            if sizes[unit] <= left[name]:
                part[unit] = name
                left[name] -= sizes[unit]
                break
    return part


def _cut_nearest(
    sizes: np.ndarray, quotas: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Cut random orders of units into test, validation, train; keep the one nearest to quota.

    Each order is cut where its slices come nearest to the quotas. Of the orders that miss them
    by little more than the best does, the one nearest to the quotas in units is kept: sizes are
    so unequal that the right number of slices alone often leaves training a few large series.
    """
    n = len(sizes)
    orders = rng.permuted(np.tile(np.arange(n), (_GROUP_ORDERS, 1)), axis=1)
    total = sizes[orders].cumsum(axis=1)
    each = np.arange(_GROUP_ORDERS)
    # The last unit of test leaves at least two behind it, the last of validation one.
    test_miss = np.abs(total - quotas["test"])[:, : n - 2]
    test_end = test_miss.argmin(axis=1)
    after_test = total - total[each, test_end, None]
    validation_miss = np.abs(after_test - quotas["validation"]).astype(float)
    validation_miss[(np.arange(n) <= test_end[:, None]) | (np.arange(n) == n - 1)] = np.inf
    validation_end = validation_miss.argmin(axis=1)
    slice_miss = test_miss[each, test_end] + validation_miss[each, validation_end]
    per_slice = n / sizes.sum()
    unit_miss = np.abs(test_end + 1 - quotas["test"] * per_slice)
    unit_miss += np.abs(validation_end - test_end - quotas["validation"] * per_slice)
    near = slice_miss <= slice_miss.min() + _SLICE_SLACK * sizes.sum()
    best = np.where(near, unit_miss, np.inf).argmin()
    part = np.full(n, "train", object)
    part[orders[best, : validation_end[best] + 1]] = "validation"
    part[orders[best, : test_end[best] + 1]] = "test"
    return part


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise unless the columns exist, the table has rows and no value is missing."""
    if table.empty:
        raise SplitError("There are no images to split.")
    for column in columns:
        if column not in table:
            raise SplitError(f"The table has no column {column!r}: {', '.join(map(str, table))}.")
        missing = table[column].isna() | (table[column].astype(str) == "")
        if missing.any():
            row = int(missing.to_numpy().argmax())
            raise SplitError(f"Column {column!r} is empty for {_name(table, row)}.")


def _name(table: pd.DataFrame, row: int) -> str:
    """Call a row by its path where it has one."""
    return str(table["path"].iloc[row]) if "path" in table else f"row {row}"
