"""Negative controls of the audit: labels independent of the image, and the chance level.

Labels drawn at random for each patient were used on brain MRI by Yagis et al. (2021): 96 % by
slice, 50 % by subject, on two classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kidneyct_lib.audit.leakage import AuditFolds
from kidneyct_lib.audit.probes import Probe, predict_each


def predict_controls(probe: Probe, folds: AuditFolds, *, draws: int, seed: int) -> pd.DataFrame:
    """Fit and test a probe on labels that no image can tell, on the same folds.

    Parameters
    ----------
    probe
        To fit; its own labels are replaced.
    folds
        From `audit_folds`.
    draws
        Draws of `control_labels`, all evaluated: one alone is above or below chance by luck.
    seed
        Of the first draw; the others use the seeds that follow.

    Returns
    -------
    DataFrame as `predict_all` gives, each image once a ``draw``, without ``path``; the model is
    the control's name, ``label`` the label that it drew.
    """
    table, todo = probe.table, []
    for draw in range(draws):
        drawn = control_labels(table["label"], table["group"], probe.classes, seed=seed + draw)
        for name, labels in drawn.items():
            control = replace(probe, table=table.assign(label=labels))
            todo += [(draw, name, control, scheme) for scheme in folds.tested]
    given = [one[2] for one in todo], [folds.tested[one[3]] for one in todo]
    predicted = predict_each(*given, label="controls", unit="fit")
    frames = []
    for (draw, name, control, scheme), predictions in zip(todo, predicted, strict=True):
        rows = control.rows(predictions, folds.tested[scheme], scheme=scheme, model=name)
        frames.append(rows.drop(columns="path").assign(draw=draw))
    return pd.concat(frames, ignore_index=True)


def control_labels(
    labels: Sequence[str], group: Sequence, classes: Sequence[str], *, seed: int
) -> dict[str, np.ndarray]:
    """Draw labels that no image can tell.

    Parameters
    ----------
    labels, group
        Class and group of each image, (N,).
    classes
        The study's classes.
    seed
        Of the draws.

    Returns
    -------
    ``labels by group``: each group gets a class at random, all its slices the same. A model can
    know it only by knowing the patient; for new patients 1/K is expected of any model.
    ``labels by slice``: the true labels, shuffled over the slices; nothing is left to be known.
    """
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(np.asarray(group))
    by_group = np.asarray(classes)[rng.integers(len(classes), size=len(names))][codes]
    return {"labels by group": by_group, "labels by slice": rng.permutation(np.asarray(labels))}


def chance(labels: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
    """Accuracy without looking: always the commonest class, and each class equally often."""
    shares = pd.Series(np.asarray(labels)).value_counts(normalize=True)
    return {"majority": float(shares.max()), "uniform": 1 / len(classes)}


def control_chance(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """`chance` for each control of `predict_controls`, mean over its draws."""
    by_draw = rows[rows["scheme"] == "slice"].groupby(["model", "draw"], sort=False)["label"]
    each = {name: chance(labels, classes) for name, labels in by_draw}
    return pd.DataFrame(each).T.groupby(level=0, sort=False).mean().to_dict("index")
