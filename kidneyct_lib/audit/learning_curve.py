"""What more patients would bring: accuracy over the number of patients in training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from kidneyct_lib.audit.probes import Probe
from kidneyct_lib.core import engine
from kidneyct_lib.evaluation.bootstrap import NO_INTERVAL

MEASURES = ("accuracy", "macro_f1")

# An extrapolation is of no use where its standard error at the farthest projection is above this.
_MOST_UNCERTAINTY = 0.1

# Nor where a curve rises by less than this when the patients are multiplied by e.
_LEAST_RISE = 0.001

# A fitted ceiling above this is the bound of the fit, not a finding.
_NO_CEILING = 0.99


def draw_groups(
    labels: np.ndarray, group: np.ndarray, train: np.ndarray, fraction: float, *, seed: int
) -> np.ndarray:
    """Keep a share of the training groups of each class, whole groups, at least one of each.

    Parameters
    ----------
    labels, group
        Class and group of each image, (N,). A group that mixes classes counts as the first's.
    train
        bool (N,): the training images.
    fraction
        Share of the groups, above 0 to 1; rounded up. Of one seed, a smaller share's groups are
        among a larger one's.
    seed
        Of the draw.

    Returns
    -------
    bool (N,): the training images that are kept.
    """
    rng = np.random.default_rng(seed)
    known = pd.DataFrame({"label": labels, "group": group})[train].drop_duplicates("group")
    kept = []
    for _, members in known.groupby("label"):
        drawn = rng.permutation(members["group"].to_numpy())
        kept.extend(drawn[: int(np.ceil(fraction * len(drawn)))])
    return train & np.isin(group, kept)


def patient_curve(
    probe: Probe, tested: np.ndarray, fractions: Sequence[float], *, repeats: int, seed: int
) -> list[dict]:
    """Test by patient after training on fewer patients, drawn several times.

    Parameters
    ----------
    probe
        To fit.
    tested
        int (N,): fold that tests each image, by patient.
    fractions
        Shares of the training groups of each fold, rising, above 0 to 1.
    repeats
        Draws of each share below 1.
    seed
        Of the first draw; the others use the seeds that follow.

    Returns
    -------
    One dict per fraction: ``fraction``, ``groups`` (in training, mean over folds and draws), and of
    ``accuracy`` and ``macro_f1`` the mean over the draws and its range (``accuracy_low`` ...).
    """
    todo = [(part, draw) for part in fractions for draw in range(repeats if part < 1 else 1)]
    light = replace(probe, table=probe.table[["label", "group"]])
    calls = [
        {"probe": light, "tested": tested, "fraction": part, "seed": seed + draw}
        for part, draw in todo
    ]
    drawn = engine.run_all(_fewer_patients, calls, label="fewer patients", unit="draw")
    rows = []
    for (fraction, _), (predictions, groups) in zip(todo, drawn, strict=True):
        scores = probe.score(predictions, bootstrap=NO_INTERVAL)
        measured = {measure: scores[measure] for measure in MEASURES}
        rows.append({"fraction": fraction, "groups": groups} | measured)
    result = []
    for fraction, draws in pd.DataFrame(rows).groupby("fraction"):
        point = {"fraction": float(fraction), "groups": float(draws["groups"].mean())}
        for measure in MEASURES:
            values = draws[measure]
            point |= {measure: float(values.mean())}
            point |= {f"{measure}_low": float(values.min()), f"{measure}_high": float(values.max())}
        result.append(point)
    return result


def _fewer_patients(
    probe: Probe, tested: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, float]:
    """Predictions (N, K) after training on one draw of patients, and how many these were."""
    labels, group = probe.table["label"].to_numpy(), probe.table["group"].to_numpy()
    predictions, trained = np.empty((len(tested), len(probe.classes))), []
    for fold in np.unique(tested):
        train = draw_groups(labels, group, tested != fold, fraction, seed=seed)
        predictions[tested == fold] = probe.predict(train, tested == fold)
        trained.append(len(np.unique(group[train])))
    return predictions, np.mean(trained)


def power_law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """Learning curve a - b n^-c: it rises towards `a` (Cortes et al. 1993)."""
    return a - b * np.asarray(n, float) ** -c


def extrapolate(points: Sequence[dict], measure: str, factors: Sequence[int]) -> dict:
    """Fit a power law to a learning curve and read off what more patients would bring.

    Parameters
    ----------
    points
        From `patient_curve`.
    measure
        "accuracy" or "macro_f1".
    factors
        Multiples of the largest number of groups.

    Returns
    -------
    dict: ``use`` (bool: whether the fit says anything), ``why`` (it does not, or ""), and where it
    does ``a``, ``b``, ``c`` of `power_law` and ``projections``: for each factor ``factor``,
    ``groups``, ``value`` and ``error`` (standard error of the fit alone).
    """
    n = np.array([point["groups"] for point in points])
    y = np.array([point[measure] for point in points])
    if len(np.unique(n)) < 5:
        return _of_no_use(
            f"{len(np.unique(n))} numbers of patients are too few for three constants"
        )
    if np.polyfit(np.log(n), y, 1)[0] < _LEAST_RISE:
        return _of_no_use("it does not rise with the number of patients")
    start = (min(1.0, y.max() + 0.1), 1.0, 0.5)
    try:
        best, covariance = curve_fit(power_law, n, y, start, bounds=([0, 0, 0.01], [1, 10, 3]))
    except RuntimeError as error:
        return _of_no_use(str(error))
    far = np.array(factors) * n.max()
    _, b, c = best
    slope = np.stack([np.ones_like(far), -(far**-c), b * far**-c * np.log(far)])
    errors = np.sqrt(np.einsum("if,ij,jf->f", slope, covariance, slope))
    if not errors.max() <= _MOST_UNCERTAINTY:
        return _of_no_use(
            f"the fit leaves a standard error of {errors.max():.2f} at {far.max():.0f} groups"
        )
    return {
        "use": True,
        "why": "",
        **dict(zip("abc", best.tolist(), strict=True)),
        "projections": [
            {
                "factor": f,
                "groups": float(g),
                "value": float(power_law(g, *best)),
                "error": float(e),
            }
            for f, g, e in zip(factors, far, errors, strict=True)
        ],
    }


def describe(fits: Mapping[str, Mapping]) -> str:
    """Say in words what `extrapolate` found for each measure, and how far to trust it."""
    parts = []
    for measure, fit in fits.items():
        if fit["use"]:
            projected = "; ".join(
                f"{point['value']:.2f} ± {point['error']:.2f} with {point['groups']:.0f} "
                f"patients in training ({point['factor']} times as many)"
                for point in fit["projections"]
            )
            parts.append(f"{measure}, extrapolated and not measured: {projected}.")
            if fit["a"] > _NO_CEILING:
                parts.append("The measured points do not show where it levels off.")
        else:
            parts.append(f"{measure}: no extrapolation, {fit['why']}.")
    if any(fit["use"] for fit in fits.values()):
        parts.append(
            "The error is of the fitted curve alone: it supposes more patients like these, and "
            "other patients would move the measured points as well."
        )
    return " ".join(parts)


def _of_no_use(why: str) -> dict:
    return {"use": False, "why": why}
