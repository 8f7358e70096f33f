"""The bench of workers: what it makes of its readings, and what it simulates."""

import json

import numpy as np
import pytest

from benchmarks import trainings, workers


def test_a_start_is_what_the_first_training_takes_beyond_the_others():
    assert workers.starting([[30, 10, 12], [21, 11], [5]]) == pytest.approx((19 + 10) / 2)
    assert np.isnan(workers.starting([[5], [6]]))


def test_the_measured_table_compares_with_one_process():
    tasks = [[], [[30.0, 10.0]], [[20.0, 10.0]] * 2, [[20.0]] * 4]
    seconds = zip((80, 100, 50, 40), tasks, strict=True)
    results = [{"process_seconds": s, "tasks": t} for s, t in seconds]
    table = workers.measured_table(results)
    assert table["times as fast"].tolist() == [1, 0.8, 1.6, 2]
    starts = table["a worker's start, s"].to_numpy()
    np.testing.assert_array_equal(starts, [np.nan, 20, 10, np.nan])
    further = table["a further training, s"].to_numpy()
    np.testing.assert_array_equal(further, [np.nan, 10, 10, np.nan])


@pytest.mark.parametrize(("count", "least"), [(1, 50), (4, 20)])
def test_simulated_workers_share_the_tasks_and_each_has_its_start(count, least):
    """Waiting takes as long as it must; how much longer depends on the machine."""
    pytest.importorskip("distributed", reason='needs Dask: make setup EXTRA="dask"')
    seconds = workers.simulate([10.0] * 4, 10.0, count)
    assert least <= seconds
    assert len(workers._STARTED) == count


@pytest.mark.slow
@pytest.mark.long
def test_trainings_are_measured_in_one_process_and_on_workers(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason='needs Dask: make setup EXTRA="dask"')
    monkeypatch.setattr(workers, "MEASURED", (0, 2))
    load = workers.parameters.load
    few = {"folds": 1, "image_size": 64, "stage1_epochs": 1, "stage2_epochs": 1}
    monkeypatch.setattr(workers.parameters, "load", lambda *a, **k: load(*a, **k | few))
    options = workers.parse(["--patients", "4", "--weights", "none"])
    (tmp_path / "scratch").mkdir()
    alone, both = workers.measure(options, tmp_path / "scratch")
    assert alone["tasks"] == []
    assert sorted(map(len, both["tasks"])) == [1, 2]  # two schemes and the final model
    assert all(0 < task < both["process_seconds"] for one in both["tasks"] for task in one)
    json.dumps([alone, both])


def test_no_workers_are_started_for_none():
    with trainings.readings(0) as found:
        assert trainings.engine.scheduler() is None
    assert found == []
