"""The benchmark's results as tables, and whether both sides agree."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ACCURACY_TOLERANCE = 0.01
LOSS_TOLERANCE = 0.02
"""How far test accuracy and loss of both sides may lie apart; one test image is always allowed."""

OURS, THEIRS = "two-stage study", "common recipe"


def scores(probabilities: Sequence[Sequence[float]], targets: Sequence[int]) -> dict[str, float]:
    """Accuracy and mean negative log likelihood of probabilities (N, K) against N true classes."""
    predictions, truth = np.asarray(probabilities, float), np.asarray(targets)
    chosen = predictions[np.arange(len(truth)), truth]
    return {
        "test accuracy": float((predictions.argmax(axis=1) == truth).mean()),
        "test loss": float(-np.log(chosen.clip(1e-7, 1)).mean()),
    }


def disagreements(ours: Mapping[str, float], theirs: Mapping[str, float], n: int) -> list[str]:
    """One line for each test metric that differs by more than its tolerance; n test images."""
    allowed = {"test accuracy": max(ACCURACY_TOLERANCE, 1 / n), "test loss": LOSS_TOLERANCE}
    return [
        f"{name}: {ours[name]:.4f} against {theirs[name]:.4f}, {most:.4f} apart at most allowed"
        for name, most in allowed.items()
        if not abs(ours[name] - theirs[name]) <= most + 1e-12
    ]


def study_table(
    ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, passes: Mapping[str, int]
) -> pd.DataFrame:
    """Seconds and images/s a phase, totals, memory and test metrics; ratios where both have it.

    Parameters
    ----------
    ours, theirs
        Results with `seconds` (a phase each), `process_seconds`, `peak_memory_mb` and `scores`.
    passes
        Images that count for images/s in each phase, over all its epochs.
    """
    sides = {OURS: ours} | ({THEIRS: theirs} if theirs else {})
    columns = {side: _column(result) for side, result in sides.items()}
    table = pd.DataFrame(columns)
    if theirs is None:
        table[THEIRS] = np.nan
    timed = [name for name in table.index if name.endswith(", s") or name.endswith(" MB")]
    table["ratio"] = (table[THEIRS] / table[OURS]).where(table.index.isin(timed))
    for side in (OURS, THEIRS):
        speed = {f"{phase}, s": count for phase, count in passes.items()}
        table[f"images/s, {side}"] = pd.Series(speed) / table[side]
    return table.reindex(_ROWS).dropna(how="all").rename_axis("measure").reset_index()


_SHARED = ("decode", "prefix", "pooled features")
_ROWS = [
    *(f"{name}, s" for name in ("start-up", *_SHARED, "stage 1", "stage 2", "test predictions")),
    "stage 1 with all that it needs, s",
    "study without start-up, s",
    "whole process, s",
    "peak memory, MB",
    "activations and pixels on disk, MB",
    "test accuracy",
    "test loss",
]


def _column(result: Mapping[str, Any]) -> dict[str, float]:
    seconds = result["seconds"]
    needed = sum(seconds.get(name, 0) for name in (*_SHARED, "stage 1"))
    return {
        **{f"{name}, s": value for name, value in seconds.items()},
        "stage 1 with all that it needs, s": needed,
        "study without start-up, s": sum(seconds.values()) - seconds["start-up"],
        "whole process, s": result["process_seconds"],
        "peak memory, MB": result["peak_memory_mb"],
        "activations and pixels on disk, MB": result.get("stored_bytes", np.nan) / 1e6,
        **result["scores"],
    }


def folds_table(
    ours: Mapping[str, Any], theirs: Mapping[str, Any] | None, trainings: int
) -> pd.DataFrame:
    """Seconds of a cross-validation: what is shared, a further training, and all of them.

    The start of the processes is not counted on either side.
    """
    seconds = ours["seconds"]
    shared = sum(seconds[name] for name in _SHARED)
    each = [value for name, value in seconds.items() if name.startswith("training ")]
    one = np.nan
    if theirs:
        one = sum(theirs["seconds"].values()) - theirs["seconds"]["start-up"]
    rows = [
        ("shared by all trainings, s", shared, np.nan),
        ("a further training, s", sum(each) / len(each), one),
        (f"all {trainings} trainings, s", shared + sum(each), trainings * one),
        ("peak memory, MB", ours["peak_memory_mb"], theirs["peak_memory_mb"] if theirs else np.nan),
    ]
    table = pd.DataFrame(rows, columns=["measure", OURS, THEIRS])
    return table.assign(ratio=table[THEIRS] / table[OURS])


def first_figures(folder: Path) -> pd.DataFrame:
    """Seconds to the first figure, and to the end, of every executed notebook in a folder."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        known = notebook["metadata"]["papermill"]
        start = datetime.fromisoformat(known["start_time"])
        ends = [
            datetime.fromisoformat(cell["metadata"]["papermill"]["end_time"])
            for cell in notebook["cells"]
            if any(_is_figure(output) for output in cell.get("outputs", []))
        ]
        first = (min(ends) - start).total_seconds() if ends else np.nan
        rows.append((path.stem, first, known["duration"]))
    return pd.DataFrame(rows, columns=["notebook", "first figure, s", "all, s"])


def _is_figure(output: Mapping[str, Any]) -> bool:
    return "".join(output.get("data", {}).get("text/html", "")).startswith("<img ")


def machine_table(machine: Mapping[str, Any], ours: Mapping[str, Any]) -> pd.DataFrame:
    """GFLOP/s of matrix multiplication and of the network, each as a share of the peak.

    Two operations a multiply-add.
    """
    peak = max(machine["matmul_gflops"].values())
    rows = [(f"matrix multiply, {name}", g) for name, g in machine["matmul_gflops"].items()]
    for name, steady in machine["steady"].items():
        if "images_per_second" in steady:
            rate = 2 * steady["multiply_adds"] * steady["images_per_second"] / 1e9
            rows.append((f"{name}, batches in memory", rate))
    for phase, count in ours["multiply_adds"].items():
        rows.append(
            (f"{phase}, whole phase of the study", 2 * count / ours["seconds"][phase] / 1e9)
        )
    table = pd.DataFrame(rows, columns=["what", "GFLOP/s"])
    return table.assign(share_of_peak=table["GFLOP/s"] / peak)


def files_table(files: Mapping[str, Any]) -> pd.DataFrame:
    """Seconds and files/s of each step on the synthetic files."""
    steps = {name: s for name, s in files["seconds"].items() if name != "writing the files"}
    table = pd.DataFrame({"step": list(steps), "seconds": list(steps.values())})
    return table.assign(files_per_second=files["files"] / table["seconds"])


def imports_table(imports: Mapping[str, float]) -> pd.DataFrame:
    """Seconds of importing each module in a fresh interpreter."""
    return pd.DataFrame({"import": list(imports), "seconds": list(imports.values())})


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown: numbers to three significant digits, missing ones blank."""

    def text(value: Any) -> str:
        if isinstance(value, str):
            return value
        return "" if pd.isna(value) else _number(float(value))

    lines = [list(table.columns), ["---"] + ["---:"] * (table.shape[1] - 1)]
    lines += [[text(value) for value in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
