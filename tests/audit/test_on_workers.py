"""The audit's fits by workers: the same numbers as by this process."""

import numpy as np
import pytest

from kidneyct_lib.audit import buffered_cv, learning_curve, nested_cv, probes
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.splitting import cross_validation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def probe(synthetic_probe):
    """Wide enough that its features travel as a file."""
    return synthetic_probe(groups=8, slices=5, width=400, step=0.2, informed=3.0)


@pytest.fixture(scope="module")
def tested(probe):
    return cross_validation.assign_folds(probe.table, "patient", folds=4, seed=3)


def results(probe, tested):
    """Numbers of each kind of fit that is handed out."""
    how = Bootstrap(50, 1)
    forest = probes.pca_forest(probe.features.shape, components=5, trees=10, seed=2)
    other = probes.Probe(forest, probe.features[:, ::2], probe.table, probe.classes)
    both, shown = {"a": probe, "b": other}, {"a": probe.features, "b": other.features}
    nested = nested_cv.nested_cv(both, shown, [tested, tested[::-1]])
    return {
        "each": probes.predict_each([probe, other], [tested] * 2, label="both", unit="probe"),
        "gaps": buffered_cv.buffered_curve(probe, tested, [0, 1], block=2, bootstrap=how),
        "fewer": learning_curve.patient_curve(probe, tested, [0.5, 1], repeats=2, seed=1),
        "nested": [*nested.predictions.values(), *nested.elsewhere.values(), nested.chosen],
        "choices": [nested.choices, nested.inner_macro_f1],
    }


@pytest.mark.long
def test_workers_fit_what_one_process_fits(probe, tested, pair, tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    monkeypatch.setenv("KIDNEYCT_PROJECT", str(tmp_path))  # features travel through its .cache
    monkeypatch.delenv("KIDNEYCT_SCHEDULER", raising=False)
    alone = results(probe, tested)
    monkeypatch.setenv("KIDNEYCT_SCHEDULER", pair.address)
    theirs = results(probe, tested)
    for name in ("each", "nested"):
        for mine, other in zip(alone[name], theirs[name], strict=True):
            np.testing.assert_array_equal(mine, other)
    for name in ("gaps", "fewer", "choices"):
        assert alone[name] == theirs[name]
    assert len(np.unique(alone["each"][0])) > 50  # numbers that could differ
    assert (tmp_path / ".cache").is_dir() and not list((tmp_path / ".cache").iterdir())
