"""All trainings of a study: `python -m benchmarks.trainings JOB.json`.

In this process, or on as many workers of this machine as the job says; on one thread each.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure import Clock, read_job, write_result
from kidneyct_lib.core import engine
from kidneyct_lib.core.threads import THREADS
from kidneyct_lib.study.run_folder import Run


@contextmanager
def readings(workers: int) -> Iterator[list[dict[str, Any]]]:
    """Start workers that `engine` finds; the list holds worker, start and stop of each task then.

    None are started for 0, and the list stays empty.
    """
    found: list[dict[str, Any]] = []
    if not workers:
        yield found
        return
    from distributed import Client, LocalCluster, get_task_stream

    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**local, memory_limit=None) as cluster, Client(cluster) as client:
        os.environ[engine.SCHEDULERS[0]] = cluster.scheduler_address
        with get_task_stream(client) as stream:
            yield found
        for task in stream.data:
            found += [
                {"worker": task["worker"], "start": part["start"], "stop": part["stop"]}
                for part in task["startstops"]
                if part["action"] == "compute"
            ]


def main() -> None:
    """Train all and write how long it took, and the seconds of each training on a worker."""
    job = read_job()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # before TensorFlow is loaded
    clock = Clock()
    with readings(job["workers"]) as tasks, clock.phase("trainings"):
        from kidneyct_lib.training.study_training import StudyTraining, train_all

        train_all(StudyTraining(job["params"], Run(Path(job["params"]["run_folder"]))))
    rows = pd.DataFrame(tasks, columns=["worker", "start", "stop"]).sort_values("start")
    by_worker = {name: one["stop"] - one["start"] for name, one in rows.groupby("worker")}
    write_result(job, seconds=clock.seconds, tasks=[one.tolist() for one in by_worker.values()])


if __name__ == "__main__":
    main()
