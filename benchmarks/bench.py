"""The study against the recipe that people run today: `python -m benchmarks.bench --help`.

Each side runs in a process of its own, one after the other, on the same images, split, epochs and
initial weights. Prints the tables and writes them to outputs/bench/.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import tables
from benchmarks.job import ROOT, prepare
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root
from kidneyct_lib.study.run_folder import Run

PUBLIC_SET = 12_446
FIRST_FIGURES = (
    "Of the phantom study's notebooks as they last ran, counted from the start of the kernel; "
    "empty before `make reproduce`."
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options; everything else is as in params/phantom.yaml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=480, help="images of both sides")
    parser.add_argument("--epochs1", type=int, default=10, help="epochs of stage 1")
    parser.add_argument("--epochs2", type=int, default=5, help="epochs of stage 2")
    parser.add_argument(
        "--synthetic-files", type=int, default=PUBLIC_SET, help="for catalog and grouping; 0: none"
    )
    parser.add_argument(
        "--folds", type=int, default=5, help="of the cross-validation by both schemes; 0: none"
    )
    parser.add_argument("--data", type=Path, help="folder of class sub-folders, for the phantom")
    parser.add_argument("--image-size", type=int, default=224, help="pixels of a side")
    parser.add_argument(
        "--weights", choices=("imagenet", "none"), default="imagenet", help="of the backbone"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of this study's training steps in stage 2",
    )
    parser.add_argument("--skip-baseline", action="store_true", help="only this study's side")
    parser.add_argument(
        "--baseline-xla",
        choices=("auto", "on", "off"),
        default="auto",
        help="jit_compile of the common recipe; auto is Keras's default",
    )
    return parser.parse_args(arguments)


def measured(module: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a module of this package reports of a job, run in a process of its own."""
    print(f"--- {module}", flush=True)
    scratch, started = Path(job["scratch"]), time.time()
    result = scratch / f"{module}.json"
    path = scratch / f"{module}-job.json"
    path.write_text(json.dumps(job | {"result": str(result), "started": started}))
    command = [sys.executable, "-m", f"benchmarks.{module}", str(path)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, cwd=ROOT, env=quiet, check=True)
    return json.loads(result.read_text()) | {"process_seconds": time.time() - started}


def images_seen(rows: pd.DataFrame, job: dict[str, Any]) -> dict[str, int]:
    """Images a phase: each once, or the training images in every epoch."""
    n, part = len(rows), rows["split"].value_counts()
    return dict.fromkeys(("decode", "prefix", "pooled features"), n) | {
        "stage 1": int(job["stage1_epochs"] * part["train"]),
        "stage 2": int(job["stage2_epochs"] * part["train"]),
        "test predictions": int(part["test"]),
    }


def conditions(rows: pd.DataFrame, job: dict[str, Any], load: float) -> str:
    """What was measured, on what, in words."""
    part = rows["split"].value_counts()
    scaled = f"; the public set has {PUBLIC_SET:,}" if len(rows) < PUBLIC_SET else ""
    text = (
        f"{len(rows)} images ({part['train']} train, {part['validation']} validation, "
        f"{part['test']} test{scaled}), {job['stage1_epochs']} + {job['stage2_epochs']} epochs, "
        f"one split; {os.cpu_count()} cores. Measured as it stands, nothing is extrapolated."
    )
    if load > 0.5:
        text += f" The machine was not idle (load {load:.1f} at the start): times are too long."
    return text


def bench(options: argparse.Namespace, scratch: Path) -> tuple[dict[str, Any], str, list[str]]:
    """All measurements, the report in Markdown, and where both sides disagree."""
    load = os.getloadavg()[0]
    job = prepare(options, scratch)
    results = {"machine": measured("machine", job), "two_stage": measured("two_stage", job)}
    if not options.skip_baseline:
        results["baseline"] = measured("baseline", job)
    if options.folds:
        apart = job | {"scratch": job["folds_scratch"], "rows": job["splits"][0]}
        results["folds"] = measured("folds", apart)
        if not options.skip_baseline:
            results["folds_baseline"] = measured("baseline", apart)
    if options.synthetic_files:
        results["files"] = measured("files", job)

    sections, wrong = [], []
    for title, section in (("Study", _study), ("Folds", _folds)):
        text, table, apart = section(results, job, load)
        sections.append((title, text, table))
        wrong += [f"{title}: {line}" for line in apart]
    machine, ours = results["machine"], results["two_stage"]
    sections += [
        ("Machine", _network_text(machine, ours), tables.machine_table(machine, ours)),
        ("Imports", "", tables.imports_table(machine["imports"])),
        ("Notebooks", FIRST_FIGURES, tables.first_figures(ROOT / "outputs/phantom/notebooks")),
    ]
    if options.synthetic_files:
        files = results["files"]
        sections.append(("Files", _files_text(files), tables.files_table(files)))
    sections = [section for section in sections if not section[2].empty]
    for name, _, table in sections:
        table.to_csv(scratch.parent / f"{name.lower()}.csv", index=False)
    report = "\n\n".join(
        f"## {name}\n\n{text}\n\n{tables.markdown(table)}" for name, text, table in sections
    )
    facts = {"options": {k: str(v) for k, v in vars(options).items()}, "load_at_start": load}
    return facts | results, report, wrong


def _study(results: dict[str, Any], job: dict[str, Any], load: float) -> tuple:
    """Text, table and disagreements of one study on each side."""
    rows = pd.read_csv(job["rows"])
    targets = rows.loc[rows["split"] == "test", "target"]
    ours, theirs = results["two_stage"], results.get("baseline")
    for side in filter(None, (ours, theirs)):
        side["scores"] = tables.scores(side["test_probabilities"], targets)
    table = tables.study_table(ours, theirs, images_seen(rows, job))
    text, wrong = conditions(rows, job, load), []
    if theirs:
        wrong = tables.disagreements(ours["scores"], theirs["scores"], len(targets))
        text += f"\n\n{_comparison_text(ours, theirs, wrong, len(targets))}"
    return text, table, wrong


def _folds(results: dict[str, Any], job: dict[str, Any], load: float) -> tuple:
    """The same of every training of the cross-validation; empty where it was not asked for."""
    if "folds" not in results:
        return "", pd.DataFrame(), []
    ours, theirs = results["folds"], results.get("folds_baseline")
    trainings = len(job["splits"])
    text = f"{job['folds']} folds by slice and by patient: {trainings} trainings from one store."
    wrong = []
    if theirs:
        rows = pd.read_csv(job["splits"][0])
        targets = rows.loc[rows["split"] == "test", "target"]
        scores = [tables.scores(side["test_probabilities"], targets) for side in (ours, theirs)]
        wrong = tables.disagreements(*scores, len(targets))
        text += (
            " The common recipe shares nothing between them: one of its trainings was measured, "
            f"and counts {trainings} times. {_verdict(wrong)} on the first split."
        )
    return text, tables.folds_table(ours, theirs, trainings), wrong


def _comparison_text(
    ours: dict[str, Any], theirs: dict[str, Any], wrong: list[str], tests: int
) -> str:
    pair = [np.array(side["test_probabilities"]) for side in (ours, theirs)]
    apart = abs(pair[0] - pair[1]).max()
    accuracy = max(tables.ACCURACY_TOLERANCE, 1 / tests)
    return (
        f"{_verdict(wrong)} (allowed: {accuracy:.3f} in test accuracy, "
        f"{tables.LOSS_TOLERANCE} in test loss); the largest difference of a test probability is "
        f"{apart:.4f}. "
        f"The common recipe ran {'with' if theirs['xla'] else 'without'} XLA, as Keras or the "
        "options chose; the study, deterministic, runs without."
    )


def _verdict(wrong: list[str]) -> str:
    return "Both sides DISAGREE. " + ". ".join(wrong) if wrong else "Both sides agree"


def _network_text(machine: dict[str, Any], ours: dict[str, Any]) -> str:
    count = {name: s["multiply_adds"] / 1e9 for name, s in machine["steady"].items()}
    return (
        f"Multiply-adds an image: whole network {count['whole network, forward']:.2f} G, prefix up "
        f"to {ours['cut']} {count['prefix']:.2f} G, a training step of the suffix "
        f"{count['suffix training']:.2f} G. Two operations each."
    )


def _files_text(files: dict[str, Any]) -> str:
    return (
        f"{files['files']:,} synthetic JPEGs of 512 x 512 pixels (the public set has "
        f"{PUBLIC_SET:,}): {files['links']:,} links, {files['groups']:,} groups, "
        f"peak memory {files['peak_memory_mb']:,.0f} MB."
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, save; 1 if both sides disagree or something is wrong."""
    options = parse(arguments)
    folder = project_root() / "outputs" / "bench"
    scratch = folder / f".scratch-{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        results, report, wrong = bench(options, scratch)
    except (StudyError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch)
    run = Run(folder)
    run.write_text("bench.json", json.dumps(results, indent=1) + "\n")
    run.write_text("bench.md", f"# Benchmark\n\n{report}\n")
    print(f"\n{report}\n\nSaved in {folder}.")
    for line in wrong:
        print(f"The two sides disagree: {line}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
