"""All folds by both schemes, from one store: `python -m benchmarks.folds JOB.json`."""

from pathlib import Path

import pandas as pd

from benchmarks.measure import Clock, read_job, write_result
from benchmarks.two_stage import build, columns, compute_body, save_initial, training


def main() -> None:
    """Train the network on every split of the job and write what all of it took.

    The common recipe's job is the first split; its answers there are compared.
    """
    job = read_job()
    splits = [pd.read_csv(path) for path in job["splits"]]
    clock = Clock()
    net = build(job)
    save_initial(net, job["initial"])
    body = compute_body(net, job, splits[0], clock)
    both, predictions = training(net, job, body), []
    for number, rows in enumerate(splits, 1):
        with clock.phase(f"training {number}"):
            outcomes = dict(both.train(*columns(rows), Path(job["scratch"]) / f"split{number}"))
        tested = rows.loc[rows["split"] != "train", "split"] == "test"
        predictions.append(outcomes[2].probabilities[tested].tolist())
    write_result(job, seconds=clock.seconds, test_probabilities=predictions[0])


if __name__ == "__main__":
    main()
