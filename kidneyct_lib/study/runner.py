"""Run a study: its notebooks in order through papermill, skipping what is done and unchanged."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from filelock import FileLock, Timeout

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import discard_temporaries
from kidneyct_lib.study import staleness
from kidneyct_lib.study.notebook_process import NotebookProcess
from kidneyct_lib.study.parameters import Params
from kidneyct_lib.study.run_folder import Run, project_root

_PATIENT_RECIPE = 0.7  # of the published recipe's minutes: 86 of about 120 on the axial slices
_MEMORY = 3e9  # bytes that a notebook may take, if none of this run has taken more
_MOST = 4  # notebooks side by side: no more of them are ready at any time


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
    longer to predict, whatever the size and the folds.
    """
    if recipe == "patient" and params.recipe != "patient":
        return float(f"{params.expected_minutes * _PATIENT_RECIPE:.2g}")
    size, count = image_size or params.image_size, folds or params.folds
    pixels = (size / params.image_size) ** 2
    trainings = 0.56 * count / params.folds + 0.44
    return float(f"{params.expected_minutes * pixels * trainings:.2g}")


class Step(NamedTuple):
    """A notebook of the plan.

    Attributes
    ----------
    source : Path
        The notebook.
    parameters : dict
        The study's values of the keys in its own `parameters` cell.
    depends_on : dict
        What its outcome depends on, from `staleness.inputs`, with "needed" notebooks.
    why : list of str
        Why it must run; empty if it need not.
    """

    source: Path
    parameters: dict[str, Any]
    depends_on: dict[str, Any]
    why: list[str]

    @property
    def name(self) -> str:
        """Name of the notebook."""
        return self.source.stem


def reproduce(
    params: Params,
    changes: Mapping[str, Any] | None = None,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
) -> int:
    """Execute every notebook whose inputs changed since it last finished in this run's folder.

    Parameters
    ----------
    params
        Of the run.
    changes
        What they change of the study's own; recorded, so that runs find one another.
    jobs
        Most notebooks side by side; None: as processors and memory allow.
    dry_run
        Say what would be executed and why, and write nothing.

    Returns
    -------
    int
        Number of notebooks executed, or that would be.

    Raises
    ------
    StudyError
        If a notebook fails, or another process is working in the same folder.
    """
    if jobs is not None and jobs < 1:
        raise StudyError(f"JOBS is {jobs}: give the number of notebooks side by side, 1 or more.")
    root = project_root()
    run = Run(params.run_folder)
    _announce(params)
    sources = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not sources:
        raise StudyError(f"{root} holds no notebooks: run this from the project's root.")
    if dry_run:
        return sum(bool(step.why) for step in _described(_plan(sources, params, run), run))
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(run.folder / ".lock", timeout=0):
            discard_temporaries(run.folder)
            _record_identity(run, params.study, dict(changes or {}))
            plan = _described(_plan(sources, params, run), run)
            return _execute(plan, run, jobs or _side_by_side(run))
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


# --- what must run -------------------------------------------------------------------------------


def _plan(sources: list[Path], params: Params, run: Run) -> list[Step]:
    """Each notebook with its parameters and why it must run, if it must."""
    names = [source.stem for source in sources]
    stamps: dict[str, str] = {}
    plan: list[Step] = []
    for source in sources:
        try:
            given = _parameters_of(source, params)
            read = staleness.inputs(source, given, run)
        except (ValueError, KeyError, AttributeError, TypeError, SyntaxError) as error:
            raise StudyError(
                f"{source} is no study notebook ({type(error).__name__}: {error}); restore it."
            ) from None
        needed = {name: stamps[name] for name in staleness.needed_by(source.stem, names)}
        stamps[source.stem] = staleness.results_stamp(read, needed)
        depends_on = read | {"needed": needed}
        plan.append(Step(source, given, depends_on, _reasons(run, source.stem, depends_on)))
    if any(step.why for step in plan) and _lacks_images(run) and not plan[0].why:
        plan[0].why.append("the images are gone")
    steps = {step.name: step for step in plan}
    for later, earlier in staleness.ADDS_TO.items():
        if {later, earlier} <= steps.keys() and steps[earlier].why and not steps[later].why:
            steps[later].why.append(f"{earlier} writes its table anew")
    return plan


def _reasons(run: Run, notebook: str, depends_on: dict[str, Any]) -> list[str]:
    """Why a notebook must run: what it depends on changed, or what it wrote is gone or damaged."""
    known = run.provenance().get("notebooks", {}).get(notebook, {})
    reasons = staleness.reasons(known.get("depends_on"), depends_on)
    written = [f"notebooks/{notebook}.ipynb", *known.get("outputs", [])]
    damaged = [name for name in written if not run.is_sound(name, notebook)]
    return reasons or [f"{name} is missing or not what it wrote" for name in damaged]


def _lacks_images(run: Run) -> bool:
    """Whether notebook 01 must bring the images back, as after the cache was deleted."""
    return "data" in run.provenance() and not run.data_folder.is_dir()


def _parameters_of(source: Path, params: Params) -> dict[str, Any]:
    """The study's values of the keys in the notebook's own `parameters` cell."""
    return {key: getattr(params, key) for key in staleness.parameter_names(source)}


def _described(plan: list[Step], run: Run) -> list[Step]:
    """Print what must run and why, and give the plan back."""
    stale = [step for step in plan if step.why]
    if not stale:
        print(f"Nothing to do: {run.folder} is up to date.", flush=True)
    elif all(step.why == ["not finished yet"] for step in plan):
        print(f"All {len(plan)} notebooks are to run.", flush=True)
    else:
        print(f"{len(stale)} of {len(plan)} notebooks are to run:", flush=True)
        for step in stale:
            more = f" and {len(step.why) - 3} more" if len(step.why) > 3 else ""
            print(f"  {step.name}: {', '.join(step.why[:3])}{more}", flush=True)
    return plan


# --- running it ----------------------------------------------------------------------------------


def _side_by_side(run: Run) -> int:
    """As many notebooks as there are processors, and as fit into the memory that is free."""
    known = run.provenance().get("notebooks", {}).values()
    peaks = [(facts.get("peak_memory_mb") or 0) * 1e6 for facts in known]
    fitting = int(psutil.virtual_memory().available // max([_MEMORY, *peaks]))
    return max(1, min(os.cpu_count() or 1, fitting, _MOST))


def _execute(plan: list[Step], run: Run, jobs: int) -> int:
    """Execute what must run, each notebook as soon as those that it waits for are done."""
    steps = {step.name: step for step in plan}
    numbers = {name: f"[{number}/{len(plan)}]" for number, name in enumerate(steps, 1)}
    waiting = [step.name for step in plan if step.why]
    running: dict[str, NotebookProcess] = {}
    finished: dict[str, str | None] = {}
    failures: list[str] = []
    executed = 0
    try:
        while running or (waiting and not failures):
            for name in [] if failures else _ready(waiting, running, steps)[: jobs - len(running)]:
                print(f"{numbers[name]} {name}", flush=True)
                waiting.remove(name)
                finished[name] = _finished(run, name)
                running[name] = _start(steps[name], run, running)
            time.sleep(0.1)
            for name in [name for name, process in running.items() if process.has_ended()]:
                process = running.pop(name)
                failure = process.failure()
                if failure is None and _finished(run, name) == finished[name]:
                    failure = "never called `run.finish()`: its last cell must."
                if failure is None:
                    run.record_notebook(name, depends_on=steps[name].depends_on)
                    run.record_file(f"notebooks/{name}.ipynb", name)
                    executed += 1
                    print(f"      {name} done in {process.seconds:.0f} s", flush=True)
                else:
                    failures.append(f"{name} {failure}")
    finally:
        for process in running.values():
            process.stop()
    if failures:
        raise StudyError("\n".join([*failures, "The same command goes on from there."]))
    return executed


def _finished(run: Run, notebook: str) -> str | None:
    """When a notebook last finished, if ever."""
    return run.provenance().get("notebooks", {}).get(notebook, {}).get("finished")


def _before(notebook: str, steps: Mapping[str, Step]) -> set[str]:
    """Notebooks whose results one needs, directly or not."""
    result: set[str] = set()
    waiting = [notebook]
    while waiting:
        new = steps[waiting.pop()].depends_on["needed"].keys() - result
        result |= new
        waiting += new
    return result


def _start(step: Step, run: Run, running: Mapping[str, NotebookProcess]) -> NotebookProcess:
    taken = {process.line for process in running.values()}
    line = min(set(range(len(taken) + 1)) - taken)
    target = run.folder / "notebooks" / step.source.name
    return NotebookProcess(step.source, target, step.parameters, line=line)


def _ready(
    waiting: Sequence[str], running: Mapping[str, NotebookProcess], steps: Mapping[str, Step]
) -> list[str]:
    """Notebooks that may start now, as those that they wait for are done.

    One that runs alone starts when no other runs or can.
    """
    if staleness.ALONE & running.keys():
        return []
    busy, ready = {*waiting, *running}, []
    for name in waiting:
        if not (_before(name, steps) | {*staleness.AFTER.get(name, [])}) & busy:
            ready.append(name)
    others = [name for name in ready if name not in staleness.ALONE]
    return others or ([] if running else ready[:1])
