"""Run the phantom study anew and compare it with the metrics and tables kept as reference."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json
from kidneyct_lib.study import parameters, provenance, run_diff, runner
from kidneyct_lib.study.run_folder import Run, project_root

STUDY = "phantom"
REFERENCE = f"outputs/{STUDY}/reference"
TOLERANCE = 0.05
"""Allowed on another kind of machine, as in `run_diff.compare_runs`; chosen, not measured."""


class Verdict(NamedTuple):
    """What a comparison with the reference found."""

    moved: pd.DataFrame  # from `run_diff.compare_runs`, the reference first; empty if nothing moved
    tolerance: float  # 0 on the kind of machine and environment that the reference comes from
    files: int  # compared


def rerun() -> Run:
    """The phantom study from nothing, in a scratch folder that is left for looking at."""
    scratch = Path(".cache/verify")
    shutil.rmtree(project_root() / scratch, ignore_errors=True)
    folders = {"run_folder": str(scratch / "run"), "cache_folder": str(scratch / "cache")}
    values = parameters.load(project_root() / f"params/{STUDY}.yaml", **folders)
    runner.reproduce(values)
    return Run(values.run_folder)


def check(run: Run, reference: Path) -> Verdict:
    """Compare a finished run with a reference: exactly on one kind of machine, else about.

    Raises
    ------
    StudyError
        If there is no reference, the run is not finished, or it had other parameters.
    """
    about = reference / "reference.json"
    if not about.exists():
        raise StudyError(f"{reference} holds no reference; `kidneyct verify --keep` makes one.")
    kept, now = read_json(about, "restore it."), _about(run)
    old, new = kept["parameters"], now["parameters"]
    differing = [k for k in sorted(old | new) if (k in old, old.get(k)) != (k in new, new.get(k))]
    if differing:
        raise StudyError(
            f"{reference} was kept for other parameters: {', '.join(differing)}. "
            "Restore params/, or keep a new reference by `kidneyct verify --keep`."
        )
    same = all(kept[key] == now[key] for key in ("machine", "environment_sha256"))
    tolerance = 0.0 if same else TOLERANCE
    moved = run_diff.compare_runs(reference, run.folder, tolerance=tolerance)
    return Verdict(moved, tolerance, len(run_diff.result_files(reference)))


def keep(run: Run, reference: Path) -> None:
    """Make the metrics and tables of a finished run the reference, in place of an older one."""
    temporary = reference.with_name(f".{reference.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for name in run_diff.result_files(run.folder):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.folder / name, temporary / name)
        (temporary / "reference.json").write_text(json.dumps(_about(run), indent=2) + "\n")
        shutil.rmtree(reference, ignore_errors=True)
        temporary.rename(reference)
    except OSError as error:
        raise StudyError(f"{reference} could not be written: {error}") from error


def _about(run: Run) -> dict[str, Any]:
    """What a run's numbers depend on beside the code: parameters, machine, environment."""
    known = run.provenance()
    if not known or any("finished" not in facts for facts in run.notebooks().values()):
        raise StudyError(f"{run.folder} is no finished run; `make reproduce` finishes it.")
    folders = ("run_folder", "cache_folder", "data", "external", "masks")
    return {
        "parameters": {k: v for k, v in known["parameters"].items() if k not in folders},
        "machine": {key: known["machine"][key] for key in provenance.DECISIVE},
        "environment_sha256": known["environment_sha256"],
    }
