"""A project in git whose branch changes notebooks and a parameter, and the runs of both sides."""

import json
import shutil
import subprocess
from pathlib import Path

import made_up_run
import nbformat
import numpy as np
import pandas as pd
from PIL import Image

from kidneyct_lib.evaluation import metrics as evaluation_metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[1]
CLASSES = ["Cyst", "Normal", "Stone"]
SENTENCE = "Rows are the true classes."
CLEARER = "Each row is a true class."


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def notebook(*cells):
    """Text of a notebook of (kind, source) cells."""
    made = []
    for number, (kind, source) in enumerate(cells):
        cell = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        made.append(cell(source, id=f"cell-{number}"))
    return nbformat.writes(nbformat.v4.new_notebook(cells=made))


def commit(folder, files):
    """Write these files, remove those that are None, and commit."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "step")


def make_project(folder):
    """A checkout on `main`: a parameter file, two notebooks, and what a review needs."""
    folder.mkdir(parents=True)
    for name in ("tools/review_base.sh", "nbdime_config.json", "params/phantom.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    commit(
        folder,
        {
            ".gitignore": "outputs/*\n!outputs/phantom/\noutputs/phantom/*\n",
            "notes/one.ipynb": notebook(("markdown", SENTENCE), ("code", "bins = 15")),
            "notes/other.ipynb": notebook(("code", "1"), ("code", "2"), ("code", "3")),
        },
    )
    git(folder, "switch", "-q", "-c", "branch")
    return folder


def change(folder):
    """On the branch: a sentence, and a parameter."""
    text = (folder / "params/phantom.yaml").read_text()
    commit(
        folder,
        {
            "notes/one.ipynb": notebook(("markdown", CLEARER), ("code", "bins = 15")),
            "params/phantom.yaml": text.replace("calibration_bins: 15", "calibration_bins: 10"),
        },
    )


def make_runs(folder):
    """Two finished runs; in the second one scheme is right throughout, and one figure is red."""
    made_up_run.make(folder / "before", audit=False)
    shutil.copytree(folder / "before", folder / "after")
    run = Run(folder / "after")
    table = pd.read_csv(run.folder / "tables/predictions.csv", dtype={"label": str})
    columns = [f"p_{name}" for name in CLASSES]
    chosen = (table["scheme"] == "patient") & (table["stage"] == 2)
    truth = table["label"].map(CLASSES.index)[chosen].to_numpy()
    table.loc[chosen, columns] = np.full((chosen.sum(), 3), 0.1) + 0.7 * np.eye(3)[truth]
    table.to_csv(run.folder / "tables/predictions.csv", index=False)
    rows = table[chosen & (table["split"] == "test")]
    path = run.folder / "metrics/test.json"
    metrics = json.loads(path.read_text())
    metrics["patient"] |= evaluation_metrics.summarise(rows, CLASSES, bootstrap=Bootstrap(100, 0))
    path.write_text(json.dumps(metrics))
    figure = next((run.folder / "figures").glob("01_*.png"))
    with Image.open(figure) as picture:
        colours = np.array(picture.convert("RGB"))
    colours[:5, :10] = (255, 0, 0)
    Image.fromarray(colours).save(figure)
    return folder / "before", folder / "after"
