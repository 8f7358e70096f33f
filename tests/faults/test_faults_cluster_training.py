"""A study's own trainings on workers that are killed: the same numbers, and no epoch twice."""

import signal
from collections import Counter

import pytest
from cluster_study import EPOCHS, ONE_THREAD, PAUSE, Study
from disturb import wait_for
from local_cluster import Cluster, end

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The result of one process of one thread, and the epochs that it trained."""
    study = Study(tmp_path_factory.mktemp("alone"))
    study.begin()
    return study.trained(), study.epochs_trained


@pytest.fixture
def study(tmp_path):
    """The same study before any training, in a folder of its own."""
    one = Study(tmp_path / "study")
    one.folder.mkdir()
    one.begin()
    return one


@pytest.fixture
def cluster(tmp_path, study):
    env = ONE_THREAD | {EPOCHS: str(study.epochs), PAUSE: "1"}
    one = Cluster(tmp_path / "cluster", workers=1, env=env, options=OPTIONS)
    yield one
    one.close()


OPTIONS = ("--no-nanny", "--preload", "cluster_study")


def assert_nothing_twice(study, alone, lost):
    """All epochs were trained once, but for so many that were lost before they were kept."""
    counts = Counter(study.epochs_trained)
    assert set(counts) == set(alone[1])
    assert sum(counts.values()) - len(counts) <= lost
    assert not list(study.run.folder.glob("checkpoints/.*"))


@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_a_worker_killed_in_a_training_costs_one_epoch_at_most(study, cluster, alone, epochs):
    """After 1, 3 or 5 epochs: in stage 1, at the end of stage 2, in the next training."""
    process = study.train(KIDNEYCT_SCHEDULER=cluster.address)
    wait_for(lambda: len(study.epochs_trained) >= epochs, 300)
    end(cluster.workers[0])
    cluster.add_worker()
    assert process.wait(400) == 0, study.message
    assert study.result == alone[0]
    assert_nothing_twice(study, alone, lost=1)


def test_a_study_without_scheduler_is_told_and_the_same_command_goes_on(study, cluster, alone):
    process = study.train(KIDNEYCT_SCHEDULER=cluster.address)
    wait_for(lambda: len(study.epochs_trained) >= 2, 300)
    end(cluster.scheduler, signal.SIGKILL)
    assert process.wait(120) == 1
    assert "is gone" in study.message and "the same command goes on" in study.message
    assert "Traceback" not in study.message
    assert cluster.workers[0].wait(120) is not None  # it ends with its scheduler
    assert study.trained() == alone[0]  # here, in one process
    assert_nothing_twice(study, alone, lost=1)
