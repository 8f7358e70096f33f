"""The study's steps against the number of slices: `python -m benchmarks.scale --help`.

Each step runs in a process of its own, on generated slices, with the settings of
params/phantom.yaml. Prints the tables and writes them to outputs/scale/; `--grouping N` groups N
thumbnails instead, and writes to outputs/scale-grouping/. What an interrupted call has measured is
kept in outputs/scale/work/, where the next one finds it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import kept, scale_step, tables
from benchmarks.bench import PUBLIC_SET, measured
from benchmarks.bench import parse as bench_options
from benchmarks.job import ROOT, prepare
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.plots import journal
from kidneyct_lib.study import parameters
from kidneyct_lib.study.run_folder import Run

SIZES = (500, 1000, 2000, 4000, 8000, PUBLIC_SET)
LARGEST = 3  # sizes that the second exponent is of: the fixed costs of small ones hide growth
NETWORK_PHASES = ("prefix", "pooled features", "stage 1", "stage 2")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options; everything else is as in params/phantom.yaml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of slices, rising"
    )
    parser.add_argument(
        "--network-sizes", type=int, default=2, help="of these, so many with the network; 0: none"
    )
    parser.add_argument(
        "--grouping", type=int, default=0, help="only group so many thumbnails, e.g. 100000"
    )
    parser.add_argument("--image-size", type=int, help="pixels of a side; the phantom study's")
    parser.add_argument(
        "--weights", choices=("imagenet", "none"), default="imagenet", help="of the backbone"
    )
    options = parser.parse_args(arguments)
    fewest = 3 * scale_step.SLICES_A_SERIES * 4  # three patients of each class, one for each part
    if not options.grouping and min(options.sizes) < fewest:
        parser.error(f"--sizes: at least {fewest} slices, three series of each class")
    return options


def steps(options: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    """Run every step at every size, and yield a row for each phase."""
    settings = _settings(options)
    whole = settings | {"scratch": str(scratch), "folder": str(scratch / "cohort")}
    largest = _slice(settings["classes"][0], -(-max(options.sizes) // len(settings["classes"])))
    if not (scratch / "cohort" / largest).exists():
        shutil.rmtree(scratch / "cohort", ignore_errors=True)  # of an earlier call for fewer
        measured("scale_step", whole | {"step": "draw", "images": max(options.sizes)})
    for number, size in enumerate(sorted(options.sizes)):
        place = scratch / str(size)
        folder = _first_slices(scratch / "cohort", place / "slices", settings["classes"], size)
        job = settings | {"scratch": str(place), "folder": str(folder), "images": size}
        for step in scale_step.CHEAP:
            yield from _step(job, step.__name__)
        if number < options.network_sizes:
            yield from _step(job, scale_step.predict.__name__)
            yield from _training(options, job)


def _step(job: dict[str, Any], step: str) -> Iterator[dict[str, Any]]:
    """Rows of one step of `scale_step`."""
    place = Path(job["scratch"])
    result = kept.once(place, step, lambda: measured("scale_step", job | {"step": step}))
    yield from _rows(job["images"], result, stored=result["written_bytes"])


def _training(options: argparse.Namespace, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of one training of both stages, an epoch each, and of the features that it needs."""
    given = ["--data", job["folder"], "--images", str(job["images"])]
    given += ["--epochs1", "1", "--epochs2", "1", "--folds", "0", "--synthetic-files", "0"]
    given += ["--weights", options.weights, "--image-size", str(job["image_size"])]
    scratch = Path(job["scratch"]) / "training"

    def measure() -> dict[str, Any]:
        shutil.rmtree(scratch, ignore_errors=True)  # of a call that was interrupted in it
        scratch.mkdir()
        return measured("two_stage", prepare(bench_options(given), scratch))

    result = kept.once(Path(job["scratch"]), "training", measure)
    result["seconds"] = {name: result["seconds"][name] for name in NETWORK_PHASES}
    yield from _rows(job["images"], result, stored=result["stored_bytes"])


def _rows(size: int, result: dict[str, Any], *, stored: int) -> Iterator[dict[str, Any]]:
    """A row for each phase; the peak is the process's, the disk stands beside the first phase."""
    for number, (phase, seconds) in enumerate(result["seconds"].items()):
        yield {
            "step": phase,
            "slices": size,
            "seconds": seconds,
            "peak_memory_mb": result["peak_memory_mb"],
            "disk_mb": 0 if number else stored / 1e6,
            "load": result["load"],
        }


def growth(rows: pd.DataFrame) -> pd.DataFrame:
    """Exponents of growth: slopes of log seconds on log slices, by least squares.

    Parameters
    ----------
    rows
        ``step``, ``slices``, ``seconds``.

    Returns
    -------
    DataFrame with a row per step: ``step``, ``sizes`` (how many were measured), ``exponent`` and
    ``exponent, largest`` (of the three largest sizes; missing where there are fewer).
    """
    result = []
    for step, one in rows.groupby("step", sort=False):
        logs = np.log(one.sort_values("slices")[["slices", "seconds"]].to_numpy(float))
        slopes = [
            np.polyfit(*part.T, 1)[0] if len(part) >= least else np.nan
            for part, least in ((logs, 2), (logs[-LARGEST:], LARGEST))
        ]
        result.append((step, len(logs), *slopes))
    return pd.DataFrame(result, columns=["step", "sizes", "exponent", "exponent, largest"])


@journal.style
def figure(rows: pd.DataFrame) -> Figure:
    """Seconds of each step of several sizes against the number of slices, on logarithmic axes."""
    drawn, ((axes,),) = journal.new_figure(4.6)
    several = rows.groupby("step").filter(lambda one: len(one) > 1)
    for number, (step, one) in enumerate(several.groupby("step", sort=False)):
        look = {"marker": "osD^vPX"[number % 7], "color": f"C{number % 10}"}  # no two alike
        axes.plot(one["slices"], one["seconds"], label=step, **look)
    ends = np.array([rows["slices"].min(), rows["slices"].max()])
    for power, look in ((1, ":"), (2, "--")):
        line = rows["seconds"].max() * (ends / ends[-1]) ** power
        axes.plot(ends, line, color="0.5", linestyle=look, label=f"slices to the power of {power}")
    axes.set(xscale="log", yscale="log", xlabel="Slices", ylabel="Seconds")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return drawn


def wide(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """One row per step, one column per number of slices."""
    table = rows.pivot(index="step", columns="slices", values=value)
    table = table.reindex(rows["step"].unique())
    return table.rename(columns="{:,}".format).rename_axis(columns=None).reset_index()


def grouping_table(result: dict[str, Any]) -> pd.DataFrame:
    """What grouping that many thumbnails took: one row per measure."""
    facts = {f"{name}, s": seconds for name, seconds in result["seconds"].items()}
    facts |= {"peak memory, MB": result["peak_memory_mb"]}
    facts |= {"of which thumbnails, MB": result["thumbnails_mb"]}
    for threshold in result["links"]:
        facts[f"links above {threshold}"] = result["links"][threshold]
        facts[f"groups above {threshold}"] = result["groups"][threshold]
    return pd.DataFrame({"measure": list(facts), "value": list(facts.values())})


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    size = {"image_size": options.image_size} if options.image_size else {}
    loaded = parameters.load(ROOT / "params/phantom.yaml", weights=options.weights, **size)
    return loaded.model_dump()


def _first_slices(cohort: Path, folder: Path, classes: list[str], count: int) -> Path:
    """Link the first slices of each class, `count` in all, into a folder of their own."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for slice_number in range(1, count // len(classes) + (number < count % len(classes)) + 1):
            file = _slice(name, slice_number)
            if not (folder / file).exists():
                os.link(cohort / file, folder / file)
    return folder


def _slice(label: str, number: int) -> str:
    """Where the phantom writes a slice, within the cohort's folder."""
    return f"{label}/{label}- ({number}).png"


def _until_interrupted(rows: Iterator[dict[str, Any]]) -> tuple[pd.DataFrame, bool]:
    """What is measured until the end or until Ctrl-C, and whether that is all."""
    done = []
    try:
        for row in rows:
            done.append(row)
    except KeyboardInterrupt:
        print("Interrupted: the tables hold what had been measured.", file=sys.stderr)
        return pd.DataFrame(done), False
    return pd.DataFrame(done), True


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, save; 1 if something is wrong."""
    options = parse(arguments)
    folder = project_root() / "outputs" / ("scale-grouping" if options.grouping else "scale")
    asked = {name: str(value) for name, value in vars(options).items()}
    facts = {"options": asked, "load_at_start": os.getloadavg()[0]}
    settings, run, whole = _settings(options), Run(folder), True
    work = kept.work_folder(folder, settings)
    try:
        if options.grouping:
            job = settings | {"step": "group_many", "images": options.grouping}
            result = measured("scale_step", job | {"scratch": str(work)})
            written = {"grouping": grouping_table(result)}
        else:
            rows, whole = _until_interrupted(steps(options, work))
            written = {name: wide(rows, name) for name in ("seconds", "peak_memory_mb", "disk_mb")}
            written |= {"steps": rows, "growth": growth(rows)}
            run.write_figure("scale", figure(rows))
    except (StudyError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    if whole:
        shutil.rmtree(work)
    for name, table in written.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        print(f"\n## {name}\n\n{tables.markdown(table)}")
    run.write_text("scale.json", json.dumps(facts | {"load_at_end": os.getloadavg()[0]}, indent=1))
    print(f"\nSaved in {folder}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
