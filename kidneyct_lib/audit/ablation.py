"""A ladder of recipes, one change a rung, each tested out of fold on patients it has not seen.

Every rung is fitted and tested on the same deals of patients to folds. A rung is kept or dropped by
its difference from the last rung kept, resampled by group; what that choice is worth is shown by
making it anew inside every training part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score
from tqdm import tqdm

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.evaluation.bootstrap import (
    Bootstrap,
    flat_row,
    group_confusions,
    percentile_interval,
    resampled_scores,
)
from kidneyct_lib.evaluation.predictions import probability_columns
from kidneyct_lib.splitting import cross_validation
from kidneyct_lib.study.run_folder import Run

UNITS = ("slice", "series")
"""What is scored: every slice, or one vote of each group, its slices' mean probabilities.

A group with slices of several classes votes once in each."""

_COUNTED = {"slice": "slices", "series": "patients"}  # as the table calls the units

WORTH = 0.05
"""Rise of the worst class's recall for which a rung is kept where macro-F1 does not tell."""


class Climb(NamedTuple):
    """What the rungs answered.

    Attributes
    ----------
    answers
        {rung: float64 (deals, N, K)}: class probabilities out of fold, in each deal.
    chosen
        (deals, N, K): answers of the rung that did best inside each training part.
    choices
        {rung: how often it was chosen}.
    inside
        {rung: macro-F1 by slice inside the training parts, mean}; empty where there are no folds
        inside, with two folds in all.
    """

    answers: dict[str, np.ndarray]
    chosen: np.ndarray
    choices: dict[str, int]
    inside: dict[str, float]


def deals(table: pd.DataFrame, first: np.ndarray, *, count: int, seed: int) -> list[np.ndarray]:
    """Deal the patients to folds several times.

    Parameters
    ----------
    table
        Catalog: ``label``, ``sha256``, ``group``.
    first
        int (N,): the study's own deal, which is the first; the others have as many folds.
    count
        Deals wanted.
    seed
        The others' seeds follow it.

    Returns
    -------
    list of int arrays (N,): number of the fold that tests each image.
    """
    folds = int(first.max()) + 1
    others = [
        cross_validation.deal_folds(table, "patient", folds=folds, seed=seed + 1000 * number)
        for number in range(1, count)
    ]
    return [first, *others]


def climb(rungs: Mapping[str, Probe], dealt: Sequence[np.ndarray]) -> Climb:
    """Answer for every image out of fold by every rung, and by the rung that seems best inside.

    Inside a training part each of its folds is answered by the others; the rung of the highest
    macro-F1 there answers for the test part. No test image has a say in that.

    Parameters
    ----------
    rungs
        {name: classifier and features}, all of the same images.
    dealt
        From `deals`. With two folds nothing is left to choose by inside, and the first rung answers
        as chosen.
    """
    any_rung = next(iter(rungs.values()))
    classes = list(any_rung.classes)
    true = any_rung.table["label"].map(classes.index).to_numpy()
    shape = (len(dealt), len(true), len(classes))
    answers = {name: np.empty(shape) for name in rungs}
    chosen, choices = np.empty(shape), dict.fromkeys(rungs, 0)
    promised: dict[str, list[float]] = {name: [] for name in rungs}
    todo = [(deal, tested, fold) for deal, tested in enumerate(dealt) for fold in np.unique(tested)]
    for deal, tested, fold in tqdm(todo, desc="rungs, outer folds", unit="fold"):
        test, held = tested == fold, np.flatnonzero(tested != fold)
        several = len(np.unique(tested[held])) > 1
        for name, probe in rungs.items():
            answers[name][deal, test] = probe.answers(~test, test)
            if several:
                inside = _inside(probe, held, tested[held])
                promised[name].append(f1_score(true[held], inside.argmax(axis=1), average="macro"))
        best = max(rungs, key=lambda name: promised[name][-1]) if several else next(iter(rungs))
        choices[best] += 1
        chosen[deal, test] = answers[best][deal, test]
    means = {name: float(np.mean(values)) for name, values in promised.items() if values}
    return Climb(answers, chosen, choices, means)


def _inside(probe: Probe, held: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Answers for the images of a training part, out of its own folds."""
    own = replace(probe, features=probe.features[held], table=probe.table.iloc[held])
    return own.out_of_fold(tested)


class Scores:
    """Macro-F1 and recalls of answers in several deals, and what other patients might give.

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
        self._times = bootstrap.times(len(groups))
        self._once = np.ones((1, len(groups)), int)
        both = np.stack([self._group, self._true], axis=1)
        votes, self._vote = np.unique(both, axis=0, return_inverse=True)
        self._vote_group, self._vote_true = votes.T

    def of(self, answers: np.ndarray) -> dict:
        """Score answers (deals, N, K).

        Returns
        -------
        dict by `UNITS`: ``macro_f1`` (mean over deals), ``macro_f1_ci95``, ``deals`` (each) and
        ``recall`` {class: mean over deals}.
        """
        found = {}
        for unit in UNITS:
            counts = [self._confusions(one, unit) for one in answers]
            each = [float(self._macro_f1(one, self._once)[0]) for one in counts]
            drawn = np.mean([self._macro_f1(one, self._times) for one in counts], axis=0)
            totals = [one.sum(axis=0) for one in counts]
            recalls = np.mean([one.diagonal() / one.sum(axis=1) for one in totals], axis=0)
            found[unit] = {
                "macro_f1": float(np.mean(each)),
                "macro_f1_ci95": percentile_interval(drawn),
                "deals": each,
                "recall": dict(zip(self._classes, recalls.tolist(), strict=True)),
            }
        return found

    def difference(self, below: np.ndarray, above: np.ndarray) -> dict:
        """Compare two answers (deals, N, K) on the same resamples of groups.

        Returns
        -------
        dict by `UNITS`: ``macro_f1`` (above minus below, mean over deals) and ``macro_f1_ci95``.
        """
        found = {}
        for unit in UNITS:
            pair = [[self._confusions(one, unit) for one in side] for side in (below, above)]
            one, drawn = (
                np.mean(
                    [
                        self._macro_f1(b, times) - self._macro_f1(a, times)
                        for a, b in zip(*pair, strict=True)
                    ],
                    axis=0,
                )
                for times in (self._once, self._times)
            )
            found[unit] = {"macro_f1": float(one[0]), "macro_f1_ci95": percentile_interval(drawn)}
        return found

    def _confusions(self, answers: np.ndarray, unit: str) -> np.ndarray:
        if unit == "slice":
            named, true, group = answers.argmax(axis=1), self._true, self._group
        else:
            sums = np.zeros((len(self._vote_true), len(self._classes)))
            np.add.at(sums, self._vote, answers)
            named, true, group = sums.argmax(axis=1), self._vote_true, self._vote_group
        return group_confusions(true, named, group, len(self._classes))

    @staticmethod
    def _macro_f1(confusions: np.ndarray, times: np.ndarray) -> np.ndarray:
        return resampled_scores(confusions, times)[1]


def kept(scores: Mapping, below: Mapping, difference: Mapping) -> bool:
    """Decide by slices whether a rung stays.

    It does where the interval of the difference lies above 0, or where the worst recall of a class
    rises by at least `WORTH` and macro-F1 does not fall.

    Parameters
    ----------
    scores, below
        `Scores.of` the rung, and of the last one kept.
    difference
        `Scores.difference` of the two.
    """
    by_slice = difference["slice"]
    worst = [min(found["slice"]["recall"].values()) for found in (below, scores)]
    lifts = worst[1] - worst[0] >= WORTH and by_slice["macro_f1"] >= 0
    return by_slice["macro_f1_ci95"][0] > 0 or lifts


def compare(
    answers: Mapping[str, np.ndarray], scores: Scores, *, climbing: bool = True
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Score every rung, and compare each with the last one kept.

    Parameters
    ----------
    answers
        {rung: (deals, N, K)} in the ladder's order; the first is the ground.
    scores
        Of the study's images.
    climbing
        Whether a rung that is kept is what the next is compared with; otherwise the ground is.

    Returns
    -------
    tuple
        {rung: what `Scores.of` gives} and, for all but the ground, {rung: {"below": name,
        "kept": bool} and what `Scores.difference` gives}.
    """
    found = {name: scores.of(answer) for name, answer in answers.items()}
    below, compared = next(iter(answers)), {}
    for name in list(answers)[1:]:
        difference = scores.difference(answers[below], answers[name])
        stays = kept(found[name], found[below], difference)
        compared[name] = {"below": below, "kept": stays} | difference
        below = name if stays and climbing else below
    return found, compared


def table(found: Mapping[str, Mapping], compared: Mapping[str, Mapping]) -> pd.DataFrame:
    """One row a rung and way of counting, for a table and its picture.

    Parameters
    ----------
    found, compared
        From `compare`.

    Returns
    -------
    DataFrame: ``rung``, ``counted`` ("slices" or "patients", each with one vote), ``macro_f1`` with
    ``_low`` and ``_high``, ``recall_<class>``, ``below`` (the rung compared with, "" for the
    ground), ``difference`` with ``_low`` and ``_high``, ``kept``.
    """
    rows = []
    for name, by_unit in found.items():
        against = compared.get(name)
        for unit, score in by_unit.items():
            row = {"rung": name, "counted": _COUNTED[unit]} | flat_row(score)
            row |= {f"recall_{label}": value for label, value in score["recall"].items()}
            gain = flat_row(against[unit]) if against else {}
            row |= {"below": against["below"] if against else ""}
            row |= {key.replace("macro_f1", "difference"): value for key, value in gain.items()}
            rows.append(row | {"kept": against["kept"] if against else True})
    return pd.DataFrame(rows)


def published_run(folder: Path) -> Run | None:
    """Find the finished training of the published recipe: this run, or the one beside it.

    Parameters
    ----------
    folder
        Of a run of either recipe; that of `RECIPE=patient` bears the recipe's name.

    Returns
    -------
    Run of the published recipe that has its predictions; None where there is none.
    """
    run = Run(folder.with_name(folder.name.replace("-patient", "")))
    trained = run.is_sound("tables/predictions.csv", "04_two_stage_training")
    published = run.provenance().get("parameters", {}).get("recipe", "published") == "published"
    return run if trained and published else None


def saved_answers(
    predictions: pd.DataFrame, table: pd.DataFrame, tested: np.ndarray, classes: Sequence[str]
) -> np.ndarray | None:
    """Take a training's final answers on new patients out of the predictions table.

    Parameters
    ----------
    predictions
        The table of a run.
    table
        Catalog of the N images.
    tested
        int (N,): fold that tests each image in the first of the `deals`.
    classes
        The study's classes, K.

    Returns
    -------
    float64 (1, N, K), in the catalog's order; None where the run tested other images, not all of
    them, or by other folds: then it can't be compared.
    """
    rows = predictions.query("scheme == 'patient' and stage == 2 and split == 'test'")
    dealt = pd.Series(rows["fold"].to_numpy(), rows["path"].to_numpy())
    if not dealt.sort_index().equals(pd.Series(tested, table["path"].to_numpy()).sort_index()):
        return None
    return rows.set_index("path").loc[table["path"], probability_columns(classes)].to_numpy()[None]
