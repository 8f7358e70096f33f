"""A study's trainings in one process and on workers: the same numbers, byte for byte."""

import shutil

import numpy as np
import pytest
from cluster_study import EPOCHS, ONE_THREAD, Study
from local_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.long]


TOLERANCE = 1e-3
"""Of class probabilities and losses, where threads differ in number; docs/cluster.md states it."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny study whose stores are filled, and that was trained in one process of one thread."""
    one = Study(tmp_path_factory.mktemp("study"))
    one.begin()
    one.alone = one.trained()
    one.alone_epochs = one.epochs_trained
    return one


@pytest.fixture
def untrained(study):
    """The study with its stores, before any training."""
    shutil.rmtree(study.run.folder / "checkpoints")
    for name in ("epochs.log", "result.npz"):
        (study.folder / name).unlink(missing_ok=True)
    return study


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_give_what_one_process_gives(untrained, tmp_path, workers):
    env = ONE_THREAD | {EPOCHS: str(untrained.epochs)}
    options = ("--no-nanny", "--preload", "cluster_study")
    cluster = Cluster(tmp_path / "cluster", workers=workers, env=env, options=options)
    try:
        result = untrained.trained(KIDNEYCT_SCHEDULER=cluster.address)
    finally:
        cluster.close()
    assert result == untrained.alone
    assert len(result) == 3 * 2 * 3 + 5  # trainings, stages, arrays; and weights of the models
    assert sorted(untrained.epochs_trained) == sorted(untrained.alone_epochs)
    processes = {line.split()[-1] for line in untrained.epochs.read_text().splitlines()}
    assert len(processes) == min(workers, 3)  # each had some of it
    assert not list(untrained.run.folder.glob("checkpoints/.*"))


def test_other_threads_change_last_digits_at_most(untrained):
    more = untrained.trained(**dict.fromkeys(ONE_THREAD, "2"))
    assert more.keys() == untrained.alone.keys()
    for name, expected in untrained.alone.items():
        if not name.endswith("weights"):
            one, two = (np.frombuffer(values) for values in (expected, more[name]))
            np.testing.assert_allclose(two, one, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
