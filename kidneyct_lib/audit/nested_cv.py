"""Nested cross-validation: what choosing the best of several recipes is worth on new patients.

An outer fold is predicted by the recipe that did best in cross-validation within the other folds,
so that no test image has a say in the choice (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.core import engine
from kidneyct_lib.splitting import cross_validation


class NestedCV(NamedTuple):
    """Out-of-fold predictions of several recipes, and of the recipe chosen within each fold.

    Attributes
    ----------
    predictions
        {recipe: float64 (repeats, N, K)}: class probabilities out of fold, in each repeat.
    elsewhere
        The same for the images in other display windows.
    chosen
        (repeats, N, K): the predictions `elsewhere` of the recipe of the highest inner score, fold
        by fold.
    choices
        {recipe: in how many outer folds it was chosen}.
    inner_macro_f1
        {recipe: macro-F1 by slice in other display windows in the inner folds, mean}; empty with
        two folds, which leave no inner ones.
    """

    predictions: dict[str, np.ndarray]
    elsewhere: dict[str, np.ndarray]
    chosen: np.ndarray
    choices: dict[str, int]
    inner_macro_f1: dict[str, float]


def repeated_folds(
    table: pd.DataFrame, first: np.ndarray, *, repeats: int, seed: int
) -> list[np.ndarray]:
    """Assign the patients to folds several times.

    Parameters
    ----------
    table
        Catalog: ``label``, ``sha256``, ``group``.
    first
        int (N,): the study's own folds, which are the first; the others are as many.
    repeats
        Assignments wanted.
    seed
        The others' seeds follow it.

    Returns
    -------
    list of int arrays (N,): number of the fold that tests each image.
    """
    folds = int(first.max()) + 1
    others = [
        cross_validation.assign_folds(table, "patient", folds=folds, seed=seed + 1000 * number)
        for number in range(1, repeats)
    ]
    return [first, *others]


def nested_cv(
    recipes: Mapping[str, Probe], elsewhere: Mapping[str, np.ndarray], repeats: Sequence[np.ndarray]
) -> NestedCV:
    """Predict every image out of fold by every recipe, and by the one chosen in the inner folds.

    Recipes are fitted to the images as they are shown, and chosen by what they score on the images
    in other display windows: what lives on the window is not chosen.

    Parameters
    ----------
    recipes
        {name: classifier and features}, all of the same images.
    elsewhere
        {name: features (N, D) of the images in other display windows}.
    repeats
        From `repeated_folds`. With two folds there are no inner ones, and the first recipe counts
        as chosen.
    """
    any_recipe = next(iter(recipes.values()))
    shape = (len(repeats), len(any_recipe.table), len(any_recipe.classes))
    predictions = {name: np.empty(shape) for name in recipes}
    moved = {name: np.empty(shape) for name in recipes}
    chosen, choices = np.empty(shape), dict.fromkeys(recipes, 0)
    inner: dict[str, list[float]] = {name: [] for name in recipes}
    todo = [(n, tested, fold) for n, tested in enumerate(repeats) for fold in np.unique(tested)]
    light = {
        name: replace(probe, table=probe.table[["label", "group"]])
        for name, probe in recipes.items()
    }
    calls = [
        {"probe": light[name], "elsewhere": elsewhere[name], "tested": tested, "fold": fold}
        for _, tested, fold in todo
        for name in recipes
    ]
    fitted = iter(engine.run_all(_fit_outer, calls, label="outer folds", unit="fit"))
    for repeat, tested, fold in todo:
        test, scores = tested == fold, {}
        for name in recipes:
            predictions[name][repeat, test], moved[name][repeat, test], score = next(fitted)
            if score is not None:
                scores[name] = score
                inner[name].append(score)
        best = max(scores, key=scores.__getitem__) if scores else next(iter(recipes))
        choices[best] += 1
        chosen[repeat, test] = moved[best][repeat, test]
    means = {name: float(np.mean(values)) for name, values in inner.items() if values}
    return NestedCV(predictions, moved, chosen, choices, means)


def _fit_outer(
    probe: Probe, elsewhere: np.ndarray, tested: np.ndarray, fold: int
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Predict the images of an outer fold by one recipe, and score it in the inner folds.

    Returns
    -------
    float64 (tested images, K) twice, of the images as shown and elsewhere; macro-F1 elsewhere in
    the inner folds, None where there are none.
    """
    test, held = tested == fold, np.flatnonzero(tested != fold)
    predict = probe.fit(~test)
    result = predict(probe.features[test]), predict(elsewhere[test])
    if len(np.unique(tested[held])) < 2:
        return *result, None
    also = None if probe.also is None else probe.also[held]
    own = replace(probe, features=probe.features[held], also=also, table=probe.table.iloc[held])
    labels = own.out_of_fold(tested[held], elsewhere[held]).argmax(axis=1)
    true = own.table["label"].map(list(probe.classes).index).to_numpy()
    return *result, f1_score(true, labels, average="macro")
