"""How wrong a model becomes on corrupted slices: balanced errors by corruption and severity.

One table of counts carries everything: how many slices of each group and class a model gets right,
clean and at each severity of each corruption. Errors, their intervals over groups and the
comparison of two trainings are computed from it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, flat_row, percentile_interval
from kidneyct_lib.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kidneyct_lib.study import sibling_runs
from kidneyct_lib.study.run_folder import Run

_RIGHT = ["right_0", *(f"right_{severity}" for severity in SEVERITIES)]
_UNIT = ["corruption", "group", "label", "n"]


def draw(rows: pd.DataFrame, most: int, *, seed: int) -> pd.DataFrame:
    """Draw at most so many slices, as evenly from the classes as they allow.

    Parameters
    ----------
    rows
        One row per slice, with ``label``.
    most
        Number of slices at most.
    seed
        Of the draw.

    Returns
    -------
    The drawn rows, in their order.
    """
    shuffled = rows.sample(frac=1, random_state=seed)
    turn = shuffled.groupby("label").cumcount()  # the first of every class, then the second, ...
    return rows.loc[turn.sort_values(kind="stable").index[:most].sort_values()]


def examples(image: np.ndarray, key: str, *, seed: int) -> dict[str, list[np.ndarray]]:
    """One slice in every corruption, for an image of them.

    Parameters
    ----------
    image
        Gray slice, uint8 (S, S).
    key
        sha256 of its file.
    seed
        Of the corruptions.

    Returns
    -------
    By corruption: the slice as it is, then at each severity, uint8 (S, S).
    """
    return {
        name: [image]
        + [corrupt(image[None], [key], name, severity, seed=seed)[0] for severity in SEVERITIES]
        for name in CORRUPTIONS
    }


def tally(
    rows: pd.DataFrame,
    clean: np.ndarray,
    corrupted: Mapping[str, Sequence[np.ndarray]],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Count the right predictions of one model by corruption, group and class.

    Parameters
    ----------
    rows
        The N slices: ``label`` and ``group``.
    clean
        Class probabilities of the slices as they are, float (N, K).
    corrupted
        By corruption: class probabilities at each severity in turn, float (N, K) each.
    classes
        The study's classes, K.

    Returns
    -------
    DataFrame with one row per corruption, group and class: ``corruption``, ``group``, ``label``,
    ``n`` (slices), and of these the right predictions ``right_0`` (clean) and ``right_1`` to
    ``right_5`` by severity.

    Raises
    ------
    StudyError
        If there are no slices, or a severity has not one prediction for each.
    """
    if rows.empty:
        raise StudyError("There are no slices to corrupt.")
    true = rows["label"].map(list(classes).index).to_numpy()
    tables = []
    for name, probabilities in corrupted.items():
        series = [clean, *probabilities]
        if [len(a) for a in series] != [len(rows)] * len(_RIGHT):
            raise StudyError(f"{name}: not one prediction for each slice at each severity.")
        right = {c: a.argmax(axis=1) == true for c, a in zip(_RIGHT, series, strict=True)}
        marked = rows[["group", "label"]].assign(corruption=name, n=1, **right)
        counted = marked.groupby(["corruption", "group", "label"], sort=True).sum()
        tables.append(counted.astype(int).reset_index())
    return pd.concat(tables, ignore_index=True)


def summarise(counts: pd.DataFrame, *, bootstrap: Bootstrap) -> dict:
    """Balanced errors of one model, clean and corrupted, with intervals over groups.

    The balanced error is 1 minus the mean recall of the classes. As in MedMNIST-C
    (https://arxiv.org/abs/2406.17536), ``corrupted`` is its mean over all corruptions and
    severities, and ``increase`` what that lies above clean. Intervals are 95 % percentile intervals
    of a cluster bootstrap; a resample without any group of a class is scored on the others. With
    fewer than two groups nothing is known of other ones.

    Parameters
    ----------
    counts
        Of one model, from `tally`.
    bootstrap
        Resamples of the groups.

    Returns
    -------
    dict of plain numbers: ``n`` (slices), ``groups``; ``clean``, ``corrupted`` and ``increase``,
    each with ``<name>_ci95``; and ``by_corruption``: {name: {``balanced_error`` (one per severity),
    ``balanced_error_ci95`` (the same), ``mean``, ``mean_ci95``, ``increase``, ``increase_ci95``}}.
    """
    counted = _Counts(counts)
    errors, resampled = counted.errors(bootstrap)
    summary: dict = {"n": counted.slices, "groups": counted.groups}
    for name, measure in _OVERALL.items():
        summary |= _with_interval(name, measure(errors)[0], measure(resampled), counted)
    by_corruption = {}
    for i, name in enumerate(counted.corruptions):
        one, draws = errors[:, [i]], resampled[:, [i]]
        severities = [
            _interval(draws[:, 0, s], counted.groups, (0, 1)) for s in range(1, len(_RIGHT))
        ]
        by_corruption[name] = {
            "balanced_error": errors[0, i, 1:].tolist(),
            "balanced_error_ci95": severities,
            **_with_interval("mean", _corrupted(one)[0], _corrupted(draws), counted),
            **_with_interval("increase", _increase(one)[0], _increase(draws), counted),
        }
    return summary | {"by_corruption": by_corruption}


def compare(
    baseline: pd.DataFrame, compared: pd.DataFrame, *, bootstrap: Bootstrap
) -> dict[str, float | int | list[float]]:
    """Compare two models on the same corrupted slices, resampled by group together.

    Parameters
    ----------
    baseline, compared
        Counts of the two, of the same slices.
    bootstrap
        As in `summarise`.

    Returns
    -------
    dict with ``n``, ``groups`` and the differences (compared minus baseline; below 0 is better)
    ``clean``, ``corrupted`` and ``increase``, each with ``<name>_ci95``.

    Raises
    ------
    StudyError
        If the two are not of the same slices and corruptions.
    """
    tables = [table.sort_values(_UNIT).reset_index(drop=True) for table in (baseline, compared)]
    if not tables[0][_UNIT].equals(tables[1][_UNIT]):
        raise StudyError(
            "The two were not tried on the same corrupted slices; they can't be compared."
        )
    one, other = map(_Counts, tables)
    (errors, draws), (errors2, draws2) = one.errors(bootstrap), other.errors(bootstrap)
    summary: dict = {"n": one.slices, "groups": one.groups}
    for name, measure in _OVERALL.items():
        difference, drawn = measure(errors2) - measure(errors), measure(draws2) - measure(draws)
        summary |= {name: float(difference[0])}
        summary[f"{name}_ci95"] = _interval(drawn, one.groups, (-1, 1))
    return summary


def table(summaries: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set clean and corrupted errors of all models side by side, or their differences.

    Parameters
    ----------
    summaries
        {(scheme, stage): what `summarise` or `compare` gives}.

    Returns
    -------
    DataFrame with one row per scheme and stage: ``n``, ``groups``, ``clean``, ``corrupted`` and
    ``increase``, each of the three with ``_low`` and ``_high``.
    """
    return pd.DataFrame(
        [
            {"scheme": scheme, "stage": stage} | flat_row(result)
            for (scheme, stage), result in summaries.items()
        ]
    )


def error_table(summaries: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """One row per scheme, stage, corruption and severity, for a table and its image.

    Parameters
    ----------
    summaries
        {(scheme, stage): what `summarise` gives}.

    Returns
    -------
    DataFrame: ``scheme``, ``stage``, ``corruption``, ``severity`` (0: clean), ``balanced_error``,
    ``low``, ``high`` (its 95 % interval).
    """
    rows = []
    for (scheme, stage), summary in summaries.items():
        for name, errors in summary["by_corruption"].items():
            values = [summary["clean"], *errors["balanced_error"]]
            intervals = [summary["clean_ci95"], *errors["balanced_error_ci95"]]
            for severity, (value, (low, high)) in enumerate(zip(values, intervals, strict=True)):
                rows.append((scheme, stage, name, severity, value, low, high))
    columns = ["scheme", "stage", "corruption", "severity", "balanced_error", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def counts_table(counts: Mapping[tuple[str, int], pd.DataFrame]) -> pd.DataFrame:
    """All counts, {(scheme, stage): table}, as one table with these two columns before theirs."""
    parts = pd.concat(counts, names=["scheme", "stage"])
    return parts.reset_index(["scheme", "stage"]).reset_index(drop=True)


def without_augmentation(run: Run) -> Run | None:
    """Run without augmentation beside an augmented one, where its counts are; else None."""
    plain = sibling_runs.beside(run, augment_views=None)
    if plain is None or plain is run:
        return None
    return plain if (plain.folder / "tables/robustness_counts.csv").is_file() else None


class _Counts:
    """Counts as arrays: n (G, K), right (C, G, K, 1 + severities)."""

    def __init__(self, counts: pd.DataFrame) -> None:
        self.corruptions = [name for name in CORRUPTIONS if name in set(counts["corruption"])]
        units = pd.MultiIndex.from_product(
            [sorted(counts["group"].unique()), sorted(counts["label"].unique())]
        )
        columns = ["n", *_RIGHT]
        of_each = {
            name: rows.set_index(["group", "label"])[columns].reindex(units, fill_value=0)
            for name, rows in counts.groupby("corruption")
        }
        shape = *map(len, units.levels), len(columns)
        values = np.stack([of_each[name].to_numpy().reshape(shape) for name in self.corruptions])
        self.n, self._right = values[0, ..., 0], values[..., 1:]
        self.groups, self.slices = len(self.n), int(self.n.sum())

    def errors(self, bootstrap: Bootstrap) -> tuple[np.ndarray, np.ndarray]:
        """Balanced errors (1, C, severities) as they are, and (B, C, severities) resampled."""
        once = np.ones((1, self.groups), int)
        return self._errors(once), self._errors(bootstrap.times(self.groups))

    def _errors(self, times: np.ndarray) -> np.ndarray:
        held = np.einsum("bg,gk->bk", times, self.n)[:, None, :, None]
        right = np.einsum("bg,cgks->bcks", times, self._right, optimize=True)
        recall = np.divide(right, held, out=np.full(right.shape, np.nan), where=held > 0)
        return 1 - np.nanmean(recall, axis=2)


def _clean(errors: np.ndarray) -> np.ndarray:
    return errors[:, 0, 0]


def _corrupted(errors: np.ndarray) -> np.ndarray:
    return errors[..., 1:].mean(axis=(1, 2))


def _increase(errors: np.ndarray) -> np.ndarray:
    return _corrupted(errors) - _clean(errors)


_OVERALL = {"clean": _clean, "corrupted": _corrupted, "increase": _increase}


def _with_interval(name: str, value: float, drawn: np.ndarray, counts: _Counts) -> dict:
    bounds = (-1, 1) if name == "increase" else (0, 1)
    return {name: float(value), f"{name}_ci95": _interval(drawn, counts.groups, bounds)}


def _interval(drawn: np.ndarray, groups: int, bounds: tuple[int, int]) -> list[float]:
    return percentile_interval(drawn) if groups > 1 else [float(bound) for bound in bounds]
