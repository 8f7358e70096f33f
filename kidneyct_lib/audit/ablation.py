"""Ablation: recipes that differ by one change each, compared on patients they have not seen.

Every step is fitted and tested on the same folds. A step is kept or dropped by its difference from
the last step kept, resampled by group; `nested_cv` tells what that choice is worth.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kidneyct_lib.evaluation.bootstrap import (
    Bootstrap,
    flat_row,
    group_confusions,
    percentile_interval,
    resampled_scores,
)
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.study import sibling_runs
from kidneyct_lib.study.run_folder import Run

UNITS = ("slice", "series")
"""What is scored: every slice, or one vote of each group, its slices' mean probabilities.

A group with slices of several classes votes once in each."""

_COUNTED = {"slice": "slices", "series": "patients"}  # as the table calls the units

KEPT_IF_RECALL_GAINS = 0.05
"""Gain of the worst class's recall for which a step is kept where macro-F1 does not decide."""


class Scores:
    """Macro-F1 and recalls of predictions in several repeats, with intervals over groups.

    Parameters
    ----------
    table
        ``label`` and ``group`` of the N images.
    classes
        The study's classes, K.
    bootstrap
        Resamples of the groups.
    """

    def __init__(
        self, table: pd.DataFrame, classes: Sequence[str], *, bootstrap: Bootstrap
    ) -> None:
        self._true = table["label"].map(list(classes).index).to_numpy()
        groups, self._group = np.unique(table["group"].to_numpy(), return_inverse=True)
        self._classes = list(classes)
        once = np.ones((1, len(groups)), int)
        self._times = np.vstack([once, bootstrap.times(len(groups))])  # as they are, then drawn
        both = np.stack([self._group, self._true], axis=1)
        votes, self._vote = np.unique(both, axis=0, return_inverse=True)
        self._vote_group, self._vote_true = votes.T

    def of(self, probabilities: np.ndarray) -> dict:
        """Score predictions (repeats, N, K).

        Returns
        -------
        dict by `UNITS`: ``macro_f1`` (mean over repeats), ``macro_f1_ci95``, ``cv_repeats``
        (each) and ``recall`` {class: mean over repeats}.
        """
        scores = {}
        for unit in UNITS:
            counts = [self._confusions(one, unit) for one in probabilities]
            macro_f1 = self._macro_f1(counts)
            totals = [one.sum(axis=0) for one in counts]
            recalls = np.mean([one.diagonal() / one.sum(axis=1) for one in totals], axis=0)
            scores[unit] = {
                "macro_f1": float(macro_f1[:, 0].mean()),
                "macro_f1_ci95": percentile_interval(macro_f1[:, 1:].mean(axis=0)),
                "cv_repeats": macro_f1[:, 0].tolist(),
                "recall": dict(zip(self._classes, recalls.tolist(), strict=True)),
            }
        return scores

    def difference(self, baseline: np.ndarray, step: np.ndarray) -> dict:
        """Compare two sets of predictions (repeats, N, K) on the same resamples of groups.

        Returns
        -------
        dict by `UNITS`: ``macro_f1`` (step minus baseline, mean over repeats), ``macro_f1_ci95``.
        """
        scores = {}
        for unit in UNITS:
            before, after = (
                self._macro_f1([self._confusions(one, unit) for one in side])
                for side in (baseline, step)
            )
            once, *drawn = (after - before).mean(axis=0)
            scores[unit] = {"macro_f1": float(once), "macro_f1_ci95": percentile_interval(drawn)}
        return scores

    def _confusions(self, probabilities: np.ndarray, unit: str) -> np.ndarray:
        if unit == "slice":
            named, true, group = probabilities.argmax(axis=1), self._true, self._group
        else:
            sums = np.zeros((len(self._vote_true), len(self._classes)))
            np.add.at(sums, self._vote, probabilities)
            named, true, group = sums.argmax(axis=1), self._vote_true, self._vote_group
        return group_confusions(true, named, group, len(self._classes))

    def _macro_f1(self, confusions: Sequence[np.ndarray]) -> np.ndarray:
        """Of all groups as they are, then of each resample: (repeats, 1 + resamples)."""
        return np.stack([resampled_scores(one, self._times)[1] for one in confusions])


def kept(scores: Mapping, baseline: Mapping, difference: Mapping) -> bool:
    """Decide by slices whether a step is kept.

    It does where the interval of the difference lies above 0, or where the worst recall of a class
    gains at least `KEPT_IF_RECALL_GAINS` and macro-F1 does not fall.

    Parameters
    ----------
    scores, baseline
        `Scores.of` the step, and of the last one kept.
    difference
        `Scores.difference` of the two.
    """
    by_slice = difference["slice"]
    worst = [min(one["slice"]["recall"].values()) for one in (baseline, scores)]
    lifts = worst[1] - worst[0] >= KEPT_IF_RECALL_GAINS and by_slice["macro_f1"] >= 0
    return by_slice["macro_f1_ci95"][0] > 0 or lifts


def compare(
    predictions: Mapping[str, np.ndarray],
    scores: Scores,
    *,
    decisive: Mapping[str, np.ndarray] | None = None,
    cumulative: bool = True,
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Score every step, and compare each with the last one kept.

    Parameters
    ----------
    predictions
        {step: (repeats, N, K)} in their order; the first is the baseline.
    scores
        Of the study's images.
    decisive
        The predictions by which a step is kept or not, as those for the same images in other
        display windows; `predictions` by default.
    cumulative
        Whether the next step is compared with a step that is kept; otherwise all are compared with
        the first.

    Returns
    -------
    tuple
        {step: what `Scores.of` gives} and, for all but the first, {step: {"baseline": name,
        "kept": bool} and what `Scores.difference` gives}.
    """
    decisive = predictions if decisive is None else decisive
    scored = {name: scores.of(one) for name, one in predictions.items()}
    judged = {name: scores.of(one) for name, one in decisive.items()}
    baseline, compared = next(iter(predictions)), {}
    for name in list(predictions)[1:]:
        difference = scores.difference(decisive[baseline], decisive[name])
        stays = kept(judged[name], judged[baseline], difference)
        shown = scores.difference(predictions[baseline], predictions[name])
        compared[name] = {"baseline": baseline, "kept": stays} | shown
        baseline = name if stays and cumulative else baseline
    return scored, compared


def table(scored: Mapping[str, Mapping], compared: Mapping[str, Mapping]) -> pd.DataFrame:
    """One row per step and unit, for a table and its figure.

    Parameters
    ----------
    scored, compared
        From `compare`.

    Returns
    -------
    DataFrame: ``step``, ``counted`` ("slices" or "patients", each with one vote), ``macro_f1`` with
    ``_low`` and ``_high``, ``recall_<class>``, ``baseline`` (the step compared with, "" for
    the first), ``difference`` with ``_low`` and ``_high``, ``kept``.
    """
    rows = []
    for name, by_unit in scored.items():
        against = compared.get(name)
        for unit, score in by_unit.items():
            row = {"step": name, "counted": _COUNTED[unit]} | flat_row(score)
            row |= {f"recall_{label}": value for label, value in score["recall"].items()}
            gain = flat_row(against[unit]) if against else {}
            row |= {"baseline": against["baseline"] if against else ""}
            row |= {key.replace("macro_f1", "difference"): value for key, value in gain.items()}
            rows.append(row | {"kept": against["kept"] if against else True})
    return pd.DataFrame(rows)


def surviving(
    as_shown: Mapping[str, np.ndarray],
    elsewhere: Mapping[str, np.ndarray],
    compared: Mapping[str, Mapping],
    scores: Scores,
) -> pd.DataFrame:
    """Compare what each step gains on slices as shown and in other display windows.

    Parameters
    ----------
    as_shown, elsewhere
        {step: predictions (repeats, N, K)} on the same folds.
    compared
        From `compare`: which step each one is compared with.
    scores
        Of the study's images.

    Returns
    -------
    DataFrame with one row per step, over slices: ``macro_f1`` in other windows and
    ``recall_<class>`` there; ``baseline`` ("" for the first), ``gain_shown`` and ``gain_elsewhere``
    (differences of macro-F1 from the baseline). Each number but recall has ``_low`` and ``_high``.
    """
    rows = []
    for step, predictions in elsewhere.items():
        score = scores.of(predictions)["slice"]
        row = {"step": step} | flat_row(score)
        row |= {f"recall_{label}": value for label, value in score["recall"].items()}
        row["baseline"] = compared[step]["baseline"] if step in compared else ""
        for name, side in (("gain_shown", as_shown), ("gain_elsewhere", elsewhere)):
            if row["baseline"]:
                gain = scores.difference(side[row["baseline"]], side[step])["slice"]
                row |= {k.replace("macro_f1", name): v for k, v in flat_row(gain).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def published_run(run: Run) -> Run | None:
    """Find the finished training of the published recipe: this run, or the one beside it.

    Returns
    -------
    Run of the published recipe that has its predictions; None where there is none.
    """
    if _is_published(run):
        return run if _is_trained(run) else None
    other = sibling_runs.beside(run, recipe=None)
    return other if other is not None and _is_published(other) and _is_trained(other) else None


def _is_published(run: Run) -> bool:
    return run.provenance().get("parameters", {}).get("recipe") == "published"


def _is_trained(run: Run) -> bool:
    return run.is_sound("tables/predictions.csv", "04_two_stage_training")


def saved_predictions(
    predictions: pd.DataFrame, table: pd.DataFrame, tested: np.ndarray, classes: Sequence[str]
) -> np.ndarray | None:
    """Take a training's final predictions of new patients out of the predictions table.

    Parameters
    ----------
    predictions
        The table of a run.
    table
        Catalog of the N images.
    tested
        int (N,): the study's own folds, which test each image once.
    classes
        The study's classes, K.

    Returns
    -------
    float64 (1, N, K), in the catalog's order; None where the run did not test all of them,
    or by other folds: then it can't be compared.
    """
    rows = predictions.query("scheme == 'patient' and stage == 2 and split == 'test'")
    rows = rows[rows["path"].isin(table["path"])]
    assigned = pd.Series(rows["fold"].to_numpy(), rows["path"].to_numpy())
    if not assigned.sort_index().equals(pd.Series(tested, table["path"].to_numpy()).sort_index()):
        return None
    return rows.set_index("path").loc[table["path"], probability_columns(classes)].to_numpy()[None]
