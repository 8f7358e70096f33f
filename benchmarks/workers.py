"""A study's trainings on one process and on several workers: `python -m benchmarks.workers --help`.

Measures those of a generated study on this machine, one thread each, and simulates more workers
than it has processors: Dask's own scheduler hands out tasks that only wait, as long as trainings
were measured to take. Prints both tables and writes them to outputs/workers/. What an interrupted
call has measured is kept in outputs/workers/work/, where the next one finds it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import kept, tables
from benchmarks.bench import measured
from benchmarks.job import ROOT, begin_run
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.study import parameters
from kidneyct_lib.study.run_folder import Run

MEASURED = (0, 1, 2, 4)  # workers; 0: in one process, without any
SIMULATED = (1, 2, 4, 8, 16, 32, 64)
FASTER = 50  # times as fast as it says it is is a simulated task
_STARTED: set[str] = set()  # simulated workers that have had a task


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options; everything else is as in params/phantom.yaml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--patients", type=int, default=96, help="generated patients of each class: the slices"
    )
    parser.add_argument("--folds", type=int, default=5, help="of cross-validation: the trainings")
    parser.add_argument(
        "--weights", choices=("imagenet", "none"), default="imagenet", help="of the backbone"
    )
    parser.add_argument(
        "--studies", type=int, nargs="+", default=[1, 5, 20], help="simulated side by side"
    )
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Train all of a generated study in every way of `MEASURED`, from the same stores."""
    study = {"run_folder": str(scratch / "run"), "cache_folder": str(scratch / "cache")}
    study |= {"phantom_patients": options.patients, "folds": options.folds}
    params = parameters.load(ROOT / "params/phantom.yaml", weights=options.weights, **study)
    begin_run(params)

    def train(workers: int, **changes: int) -> dict[str, Any]:
        shutil.rmtree(Path(params.run_folder, "checkpoints"), ignore_errors=True)
        given = params.model_copy(update=changes).model_dump(mode="json")
        job = {"params": given, "scratch": str(scratch), "workers": workers}
        return measured("trainings", job)

    kept.once(scratch, "stores", lambda: train(0, stage1_epochs=1, stage2_epochs=1))  # fills them
    return [kept.once(scratch, f"{n}-workers", partial(train, n)) for n in MEASURED]


def measured_table(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Seconds of all trainings, and how many times as fast as one process each way is.

    Beside them what a worker's first training takes beyond the others, and what those take each.
    """
    seconds = [result["process_seconds"] for result in results]
    rows = {"workers": ["none, one process", *map(str, MEASURED[1:])], "seconds": seconds}
    rows["times as fast"] = seconds[0] / np.array(seconds)
    starts = [starting(result["tasks"]) if result["tasks"] else np.nan for result in results]
    rows["a worker's start, s"] = starts
    further = [[s for task in result["tasks"] for s in task[1:]] for result in results]
    rows["a further training, s"] = [np.mean(one) if one else np.nan for one in further]
    return pd.DataFrame(rows)


def starting(tasks: Sequence[Sequence[float]]) -> float:
    """Seconds by which a worker's first training is longer than the others, mean over workers.

    It loads TensorFlow, builds the network and traces both stages. `tasks` are seconds of each
    training of each worker, in turn; NaN if no worker has had two.
    """
    known = [one[0] - np.mean(one[1:]) for one in tasks if len(one) > 1]
    return float(np.mean(known)) if known else np.nan


def simulate(tasks: Sequence[float], start: float, workers: int) -> float:
    """Seconds until so many workers have done all tasks, by Dask's scheduler in this process.

    Parameters
    ----------
    tasks
        Seconds of each.
    start
        By which the first task of each worker is longer.
    workers
        Of one thread.
    """
    from distributed import Client, LocalCluster

    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    local |= {"processes": False, "memory_limit": None}  # all share the memory of this process
    _STARTED.clear()
    with LocalCluster(**local) as cluster, Client(cluster) as client:
        began = perf_counter()
        client.gather([client.submit(_wait, seconds, start, pure=False) for seconds in tasks])
        return (perf_counter() - began) * FASTER


def _wait(seconds: float, start: float) -> None:
    """Take as long as a training, `FASTER` times as fast."""
    from distributed import get_worker

    name = get_worker().id
    sleep((seconds + start * (name not in _STARTED)) / FASTER)
    _STARTED.add(name)


def simulated_table(tasks: Sequence[float], start: float, studies: Sequence[int]) -> pd.DataFrame:
    """How many times as fast as one worker several are, for so many studies side by side."""
    rows: dict[str, Sequence[Any]] = {"workers": SIMULATED}
    for count in studies:
        seconds = [simulate(list(tasks) * count, start, workers) for workers in SIMULATED]
        name = f"{count * len(tasks)} trainings"
        rows[f"{name}, minutes"] = np.array(seconds) / 60
        rows[f"{name}, times as fast"] = seconds[0] / np.array(seconds)
    return pd.DataFrame(rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure, simulate, print, save; 1 if something is wrong."""
    options = parse(arguments)
    folder = project_root() / "outputs/workers"
    facts = {"options": {name: str(value) for name, value in vars(options).items()}}
    facts |= {"load_at_start": os.getloadavg()[0]}
    asked = {name: value for name, value in vars(options).items() if name != "studies"}
    work = kept.work_folder(folder, asked)
    try:
        results = measure(options, work)
        (tasks,) = results[MEASURED.index(1)]["tasks"]
        start = starting([tasks])
        written = {
            "measured": measured_table(results),
            "simulated": simulated_table([tasks[0] - start, *tasks[1:]], start, options.studies),
        }
    except (StudyError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(work)
    for name, table in written.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        print(f"\n## {name}\n\n{tables.markdown(table)}")
    facts |= {"load_at_end": os.getloadavg()[0], "results": results}
    Run(folder).write_text("workers.json", json.dumps(facts, indent=1))
    print(f"\nSaved in {folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
