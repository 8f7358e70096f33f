"""Run a study: its notebooks in order through papermill, skipping what is done and unchanged."""

import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from nbformat import ValidationError

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import discard_temporaries
from kidneyct_lib.study.parameters import Params
from kidneyct_lib.study.provenance import library_digest
from kidneyct_lib.study.run_folder import Run, project_root

_PATIENT_RECIPE = 0.7  # of the published recipe's minutes: 86 of about 120 on the axial slices


def run_folder(
    params: Params,
    *,
    recipe: str | None = None,
    seed: int | None = None,
    image_size: int | None = None,
    augment_views: int | None = None,
    folds: int | None = None,
) -> str:
    """Folder of the results; its name marks what differs from the study's own.

    That is an untrained backbone, and another recipe, seed, image size, number of augmented views
    or of folds than the file's.
    """
    other_recipe = "" if recipe in (None, params.recipe) else f"-{recipe}"
    untrained = "-untrained" if params.weights == "none" else ""
    size = "" if image_size in (None, params.image_size) else f"-{image_size}px"
    other_folds = "" if folds in (None, params.folds) else f"-{folds}fold"
    augmented = (
        "" if augment_views in (None, params.augment_views) else f"-augmented{augment_views}"
    )
    other_seed = "" if seed in (None, params.seed) else f"-seed{seed}"
    return f"{params.run_folder}{other_recipe}{untrained}{size}{other_folds}{augmented}{other_seed}"


def scaled_minutes(
    params: Params,
    *,
    recipe: str | None = None,
    image_size: int | None = None,
    folds: int | None = None,
) -> float:
    """Minutes to expect with another recipe, or at another image size and number of folds.

    Nearly all of them go with the pixels, and most with the folds: of the axial slices' 110
    minutes, the ten trainings of five folds take 62. The patient recipe trains in seconds and takes
    longer to answer, whatever the size and the folds.
    """
    if recipe == "patient" and params.recipe != "patient":
        return float(f"{params.expected_minutes * _PATIENT_RECIPE:.2g}")
    size, count = image_size or params.image_size, folds or params.folds
    pixels = (size / params.image_size) ** 2
    trainings = 0.56 * count / params.folds + 0.44
    return float(f"{params.expected_minutes * pixels * trainings:.2g}")


def reproduce(params: Params, changes: Mapping[str, Any] | None = None) -> int:
    """Execute every notebook whose inputs changed since it last finished in this run's folder.

    Parameters
    ----------
    params
        Of the run.
    changes
        What they change of the study's own; recorded, so that runs find one another.

    Returns
    -------
    int
        Number of notebooks executed.

    Raises
    ------
    StudyError
        If a notebook fails, or another process is working in the same folder.
    """
    root = project_root()
    run = Run(params.run_folder)
    _announce(params)
    sources = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not sources:
        raise StudyError(f"{root} holds no notebooks: run this from the project's root.")
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(run.folder / ".lock", timeout=0):
            discard_temporaries(run.folder)
            _record_identity(run, params.study, dict(changes or {}))
            return _execute_stale(sources, run, params)
    except Timeout:
        raise StudyError(
            f"Another process is running in {run.folder}; wait for it, or choose another SEED."
        ) from None
    except OSError as error:
        raise StudyError(f"{run.folder} cannot be written: {error}") from error


def _record_identity(run: Run, study: str, changes: dict[str, Any]) -> None:
    """Record what the run is; a run that is up to date stays as it is, byte for byte."""
    known, identity = run.provenance(), {"study": study, "changes": changes}
    if any(known.get(key) != value for key, value in identity.items()):
        run.record(**identity)


def _announce(params: Params) -> None:
    data = params.data if params.source == "folder" else f"source {params.source}"
    line = (
        f"Study {params.study} on {data}: about {params.expected_minutes:g} minutes on two cores."
    )
    if params.study != "kaggle":
        line += " The published study on the full public set: make reproduce STUDY=kaggle"
    print(line, flush=True)


def _execute_stale(sources: list[Path], run: Run, params: Params) -> int:
    plan, executed = _plan(sources, params), 0
    missing = _lacks_images(run) and not all(_is_current(run, s.stem, x) for s, _, x in plan)
    for number, (source, given, stamp) in enumerate(plan, 1):
        if _is_current(run, source.stem, stamp) and not (missing and number == 1):
            continue
        started = time.monotonic()
        print(f"[{number}/{len(sources)}] {source.stem}", flush=True)
        _execute(source, run, given)
        notebooks = run.provenance()["notebooks"]
        notebooks[source.stem]["stamp"] = stamp
        run.record(notebooks=notebooks)
        run.record_file(f"notebooks/{source.name}", source.stem)
        executed += 1
        print(f"      done in {time.monotonic() - started:.0f} s", flush=True)
    if not executed:
        print(f"Nothing to do: {run.folder} is up to date.", flush=True)
    return executed


def _plan(sources: list[Path], params: Params) -> list[tuple[Path, dict[str, Any], str]]:
    """Each notebook with its parameters and the stamp of what its outcome depends on."""
    plan, stamp = [], library_digest()
    for source in sources:
        try:
            given = _parameters_of(source, params)
            stamp = _stamp(stamp, source, given)
        except (ValueError, KeyError, AttributeError, ValidationError) as error:
            raise StudyError(
                f"{source} is no study notebook ({type(error).__name__}: {error}); restore it."
            ) from None
        plan.append((source, given, stamp))
    return plan


def _lacks_images(run: Run) -> bool:
    """Whether notebook 01 must bring the images back, as after the cache was deleted."""
    return "data" in run.provenance() and not run.data_folder.is_dir()


def _parameters_of(source: Path, params: Params) -> dict[str, Any]:
    """The study's values of the keys in the notebook's own `parameters` cell."""
    from papermill import inspect_notebook

    return {key: getattr(params, key) for key in inspect_notebook(str(source))}


def _stamp(previous: str, source: Path, given: dict[str, Any]) -> str:
    """What a notebook's outcome depends on: the notebooks before it, its code, values and data."""
    cells = json.loads(source.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    folders = [given[key] for key in ("data", "external") if given.get(key)]
    listing = [_listing(Path(folder)) for folder in folders]
    return hashlib.sha256(json.dumps([previous, code, given, listing]).encode()).hexdigest()


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file below a folder: cheap, and changes when they do."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def _is_current(run: Run, notebook: str, stamp: str) -> bool:
    known = run.provenance().get("notebooks", {}).get(notebook, {})
    outputs = [f"notebooks/{notebook}.ipynb", *known.get("outputs", [])]
    return known.get("stamp") == stamp and all(run.is_sound(name, notebook) for name in outputs)


def _execute(source: Path, run: Run, given: dict[str, Any]) -> None:
    """One notebook through papermill; its progress bars reach the terminal as they are drawn."""
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    os.environ.setdefault("TQDM_MININTERVAL", "1")
    os.environ.setdefault("PYTHONHASHSEED", "0")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not a user's own
    target = run.folder / "notebooks" / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as sockets:
            execute_notebook(
                source,
                target,
                parameters=given,
                kernel_name="python3",
                progress_bar=False,
                stderr_file=sys.stderr,
                cwd=project_root(),
                config=Config(
                    {
                        "KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"},
                        "NotebookClient": {"shutdown_kernel": "immediate"},
                    }
                ),
            )
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what waited for the kernel
        raise
    except PapermillExecutionError as error:
        raise StudyError(
            f"{source.stem} stopped in cell {error.cell_index}: {error.ename}: {error.evalue}\n"
            f"What ran until then is kept, and {target} shows it; "
            "the same command goes on from there."
        ) from None
    except Exception as error:  # a killed kernel, a lost connection to it
        raise StudyError(
            f"{source.stem} did not finish ({type(error).__name__}: {error}); "
            "the same command goes on from there."
        ) from error
