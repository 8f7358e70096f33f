"""How wrong a model becomes on corrupted slices: balanced errors by corruption and severity.

One table of counts carries everything: how many slices of each group and class a model gets right,
clean and at each severity of each corruption. Errors, their intervals over groups and the
comparison of two trainings are computed from it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.evaluation.bootstrap import Bootstrap, estimate, group_interval
from kidneyct_lib.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from kidneyct_lib.study import sibling_runs
from kidneyct_lib.study.run_folder import Run

_RIGHT = ["right_0", *(f"right_{severity}" for severity in SEVERITIES)]
_UNIT = ["corruption", "group", "label"]


def draw(rows: pd.DataFrame, most: int, *, seed: int) -> pd.DataFrame:
    """Draw at most `most` of the rows, one per slice, as evenly by ``label`` as they allow.

    The drawn rows stay in their order; `seed` is of the draw.
    """
    shuffled = rows.sample(frac=1, random_state=seed)
    turn = shuffled.groupby("label").cumcount()  # the first of every class, then the second, ...
    return rows.loc[turn.sort_values(kind="stable").index[:most].sort_values()]


def examples(image: np.ndarray, key: str, *, seed: int) -> dict[str, list[np.ndarray]]:
    """Give one slice, uint8 (S, S), in every corruption: {name: as it is, then at each severity}.

    `key` is the sha256 of its file, `seed` that of the corruptions.
    """
    return {
        name: [image] + [corrupt(image, key, name, severity, seed=seed) for severity in SEVERITIES]
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
        counted = marked.groupby(_UNIT).sum()
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
    size, names, errors = _errors(counts, bootstrap)
    groups, by_corruption = size["groups"], {}
    for i, name in enumerate(names):
        measures = _measures(errors[:, [i]])
        means = {"mean": measures["corrupted"], "increase": measures["increase"]}
        by_corruption[name] = {
            "balanced_error": errors[0, i, 1:].tolist(),
            "balanced_error_ci95": [group_interval(drawn, groups) for drawn in errors[1:, i, 1:].T],
            **_with_intervals(means, groups),
        }
    return size | _with_intervals(_measures(errors), groups) | {"by_corruption": by_corruption}


def compare(
    baseline: pd.DataFrame, compared: pd.DataFrame, *, bootstrap: Bootstrap
) -> dict[str, Any]:
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
    tables = [table.sort_values(_UNIT, ignore_index=True) for table in (baseline, compared)]
    columns = [*_UNIT, "n"]
    if not tables[0][columns].equals(tables[1][columns]):
        raise StudyError(
            "The two were not tried on the same corrupted slices; they can't be compared."
        )
    (size, _, errors), (_, _, others) = (_errors(table, bootstrap) for table in tables)
    before, after = _measures(errors), _measures(others)
    differences = {name: after[name] - before[name] for name in before}
    return size | _with_intervals(differences, size["groups"], signed=tuple(differences))


def error_table(summaries: Mapping[tuple[str, int], Mapping]) -> pd.DataFrame:
    """Set the errors of {(scheme, stage): what `summarise` gives} one below the other.

    There is a row per ``scheme``, ``stage``, ``corruption`` and ``severity`` (0: clean), with
    ``balanced_error`` and ``low`` and ``high``, its 95 % interval.
    """
    tables = {}
    for key, summary in summaries.items():
        for name, errors in summary["by_corruption"].items():
            table = pd.DataFrame({"balanced_error": [summary["clean"], *errors["balanced_error"]]})
            table[["low", "high"]] = [summary["clean_ci95"], *errors["balanced_error_ci95"]]
            tables[*key, name] = table
    return pd.concat(tables, names=["scheme", "stage", "corruption", "severity"]).reset_index()


def without_augmentation(run: Run) -> Run | None:
    """Run without augmentation beside an augmented one, where its counts are; else None."""
    plain = sibling_runs.beside(run, augment_views=None)
    if plain is None or plain is run:
        return None
    return plain if (plain.folder / "tables/robustness_counts.csv").is_file() else None


def _errors(
    counts: pd.DataFrame, bootstrap: Bootstrap
) -> tuple[dict[str, Any], list[str], np.ndarray]:
    """Give numbers of slices and groups, the C corruptions, and their balanced errors.

    The errors (1 + B, C, 1 + severities) are of the groups as they are, then of each resample.
    """
    names = [name for name in CORRUPTIONS if name in set(counts["corruption"])]
    units = pd.MultiIndex.from_product(
        [names, sorted(counts["group"].unique()), sorted(counts["label"].unique())]
    )
    of_unit = counts.set_index(_UNIT)[["n", *_RIGHT]]
    values = of_unit.reindex(units, fill_value=0).to_numpy().reshape(*units.levshape, -1)
    n = values[0, ..., 0]
    times = np.vstack([np.ones(len(n), int), bootstrap.times(len(n))])
    held = np.einsum("bg,gk->bk", times, n)[:, None, :, None]
    right = np.einsum("bg,cgks->bcks", times, values[..., 1:], optimize=True)
    recall = np.divide(right, held, out=np.full(right.shape, np.nan), where=held > 0)
    return {"n": int(n.sum()), "groups": len(n)}, names, 1 - np.nanmean(recall, axis=2)


def _measures(errors: np.ndarray) -> dict[str, np.ndarray]:
    """Clean and mean corrupted error, and what lies between them, (1 + B,) each."""
    clean, corrupted = errors[:, 0, 0], errors[..., 1:].mean(axis=(1, 2))
    return {"clean": clean, "corrupted": corrupted, "increase": corrupted - clean}


def _with_intervals(
    measures: Mapping[str, np.ndarray], groups: int, *, signed: Sequence[str] = ("increase",)
) -> dict[str, Any]:
    """Give the first of each measure's values, and the interval of the others.

    Values lie between 0 and 1, those of the `signed` measures between -1 and 1.
    """
    result: dict[str, Any] = {}
    for name, values in measures.items():
        bounds = (-1 if name in signed else 0, 1)
        result |= estimate(name, values[0], values[1:], groups, bounds=bounds)
    return result
