"""Training, validation and test parts by slice and by patient, or beside a predefined test set.

Both schemes move indivisible units: the files with the same bytes when splitting by slice,
whole groups when splitting by patient. The slice scheme is what published studies of this
data set do; the patient scheme is what a claim about new patients needs.

Some public sets are published divided into Train and Test. A number by slice can be set beside
theirs only on the same test images. Whether the two parts share patients is not known from such a
set; the recovered groups tell, and the patient scheme does not look at the given parts.

A table has one row per image, with at least ``path``, ``label``, ``sha256`` and, for the
patient scheme, ``group``; ``part`` ("train" or "test") where the images come with a test part.
"""

from collections.abc import Callable, Mapping, Sequence

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
    _require(table, ["label"])
    fractions = {"test": test_fraction, "validation": validation_fraction}
    if min(fractions.values()) <= 0 or sum(fractions.values()) >= 1:
        raise SplitError(
            f"test_fraction={test_fraction} and validation_fraction={validation_fraction} "
            "must each be above 0 and together below 1."
        )
    too_few = (
        f"A split by {scheme} is impossible: class {{label!r}} has {{count}} "
        f"{'different files' if scheme == 'slice' else 'groups'} and needs at least {len(PARTS)}, "
        f"one for each of {', '.join(PARTS)}. Add images of this class from other patients, leave "
        "the class out, or, where it has two, set `folds: 2`."
    )

    def quotas(slices: pd.Series) -> pd.DataFrame:
        return pd.DataFrame({part: _apportion(slices, share) for part, share in fractions.items()})

    fill = _fill_quotas if scheme == "slice" else _cut_nearest
    return _divide(table, UNITS[scheme], sorted(set(table["label"])), quotas, fill, seed, too_few)


def predefined_split(table: pd.DataFrame, *, validation_fraction: float, seed: int) -> pd.Series:
    """Keep the predefined test set, and divide the given training part for validation by slice.

    Stratified by class, identical files on one side, every class in every part.

    `table` has the columns ``label``, ``sha256`` and ``part``; `validation_fraction`, above 0 and
    below 1, is a share of each class's training slices. Returns a Series as `split` does.

    Raises
    ------
    SplitError
        If a class is not in the predefined test set or has fewer than two different training files.
    """
    tested = table["part"] == "test"
    classes = sorted(set(table["label"]))
    for label in sorted(set(classes) - set(table.loc[tested, "label"])):
        raise SplitError(
            f"The predefined test set holds no image of the class {label!r}. Add some, or put all "
            "images into one folder per class, so that the study chooses a test part."
        )
    too_few = (
        "Beside the test part there are {count} different files of the class {label!r}, and two "
        "are needed, one for training and one for validation."
    )

    def quotas(slices: pd.Series) -> pd.DataFrame:
        return (validation_fraction * slices).round().astype(int).to_frame("validation")

    divided = _divide(table[~tested], ["sha256"], classes, quotas, _fill_quotas, seed, too_few)
    return divided.reindex(table.index, fill_value="test")


def shared(table: pd.DataFrame) -> dict[str, int]:
    """Count what the given parts share; `table` has ``part`` and ``group``.

    The keys are ``test_slices``, ``groups`` (in all) and ``groups_in_both`` parts.
    """
    parts = table.groupby("group")["part"].nunique()
    return {
        "test_slices": int((table["part"] == "test").sum()),
        "groups": len(parts),
        "groups_in_both": int((parts > 1).sum()),
    }


def describe(counted: Mapping[str, int], *, folds: int) -> str:
    """Tell in words what the predefined test set means for a study that asks for so many folds."""
    message = (
        f"The images come with a test part of {counted['test_slices']:,} slices. The slice scheme "
        "keeps it; the patient scheme goes by groups over all images. "
        f"{counted['groups_in_both']:,} of {counted['groups']:,} groups stand in both given parts."
    )
    if folds > 1:
        message += (
            f" A predefined test set makes one split, so the {folds} folds asked for are not made: "
            "put all images into one folder per class to have every image tested."
        )
    return message


def linked_rows(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number the sets of rows that share a value in any column, directly or in a chain.

    The columns are such as ``sha256`` (identical files) and ``group``; no value may be missing.
    Gives int (N,), numbered by first appearance.
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


def _divide(
    table: pd.DataFrame,
    columns: Sequence[str],
    classes: list[str],
    quotas: Callable[[pd.Series], pd.DataFrame],
    fill: Callable[..., np.ndarray],
    seed: int,
    too_few: str,
) -> pd.Series:
    """Give each class's units (rows linked by the columns) a part, as `fill` does with its quotas.

    A unit counts as its most frequent class. `quotas` takes the slices of each class and gives
    those of each part but training; `too_few` is the message where a part would stay empty.
    """
    unit = linked_rows(table, columns)
    counts = pd.crosstab(unit, table["label"].to_numpy())
    majority, sizes = counts.idxmax(axis=1), counts.sum(axis=1)
    wanted = quotas(sizes.groupby(majority).sum().reindex(classes, fill_value=0))
    rng = np.random.default_rng(seed)
    part = np.empty(len(sizes), object)
    for label in classes:
        members = np.flatnonzero(majority == label)
        if len(members) <= wanted.shape[1]:
            raise SplitError(too_few.format(label=label, count=len(members)))
        part[members] = fill(sizes.to_numpy()[members], wanted.loc[label].to_dict(), rng)
    return pd.Series(part[unit], index=table.index, name="split")


def _apportion(slices: pd.Series, fraction: float) -> pd.Series:
    """Share round(fraction * N) slices over the classes by largest remainder."""
    exact = slices * fraction
    quota = np.floor(exact).astype(int)
    left = round(slices.sum() * fraction) - quota.sum()
    quota[(exact - quota).sort_values(ascending=False, kind="stable").index[:left]] += 1
    return quota


def _fill_quotas(
    sizes: np.ndarray, quotas: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Fill parts to their quotas with whole units in random order; what fits nowhere trains.

    `sizes`, int (U,), are the slices of each unit, one unit more than there are quotas at least.
    No part of `quotas` stays empty, whatever its quota. Gives the part of each unit, str (U,).
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
