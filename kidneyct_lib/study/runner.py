"""Run a study: its notebooks in order through papermill, skipping what is done and unchanged."""

import os
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from filelock import FileLock, Timeout

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import discard_temporaries
from kidneyct_lib.study import disk_space, staleness
from kidneyct_lib.study.notebook_process import NotebookProcess
from kidneyct_lib.study.parameters import Params
from kidneyct_lib.study.run_folder import Run, project_root

_PATIENT_RECIPE = 0.7  # of the published recipe's minutes: 86 of about 120 on the axial slices
_MEMORY = 3e9  # bytes that a notebook may take, if none of this run has taken more
_MOST = 4  # notebooks side by side: no more of them are ready at any time

_MARKS = {
    "recipe": "-{}",
    "weights": "-untrained",
    "image_size": "-{}px",
    "folds": "-{}fold",
    "augment_views": "-augmented{}",
    "seed": "-seed{}",
}

CHANGES = ("recipe", "seed", "image_size", "augment_views", "folds")
"""Parameters that a run can have otherwise than its study."""


def changed(params: Params, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some `CHANGES` that differ from the study's own values; None: the study's own."""
    return {k: v for k, v in changes.items() if v not in (None, getattr(params, k))}


def run_folder(params: Params, **changes: Any) -> str:
    """Folder of the results; its name marks an untrained backbone and `CHANGES` of the study."""
    marked = changed(params, changes)
    if params.weights == "none":
        marked["weights"] = "none"
    marks = [mark.format(marked[key]) for key, mark in _MARKS.items() if key in marked]
    return params.run_folder + "".join(marks)


def scaled_minutes(params: Params, **changes: Any) -> float:
    """Minutes to expect with some of the `CHANGES`.

    Nearly all of them go with the pixels, and most with the folds: of the axial slices' 110
    minutes, the ten trainings of five folds take 62. The patient recipe trains in seconds and takes
    longer to predict, whatever the size and the folds.
    """
    run = params.model_copy(update=changed(params, changes))
    if run.recipe == "patient" and params.recipe != "patient":
        return float(f"{params.expected_minutes * _PATIENT_RECIPE:.2g}")
    pixels = (run.image_size / params.image_size) ** 2
    trainings = 0.56 * run.folds / params.folds + 0.44
    return float(f"{params.expected_minutes * pixels * trainings:.2g}")


class Step(NamedTuple):
    """A notebook of the plan."""

    source: Path
    depends_on: dict[str, Any]  # from `staleness.inputs`, with "needed" {notebook: results stamp}
    why: list[str]  # it must run; empty if it need not


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
        If a notebook fails, the disk has no room, or another process is working in the same folder.
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
        return sum(bool(step.why) for step in _plan(sources, params, run).values())
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(run.folder / ".lock", timeout=0):
            discard_temporaries(run.folder)
            identity = {"study": params.study, "changes": dict(changes or {})}
            if run.provenance() | identity != run.provenance():  # else not a byte of it changes
                run.record(**identity)
            plan = _plan(sources, params, run)
            if any(step.why for step in plan.values()):
                disk_space.check(params, root)
            return _execute(plan, run, jobs or _side_by_side(run))
    except Timeout:
        raise StudyError(
            f"Another process is running in {run.folder}; wait for it, or choose another SEED."
        ) from None
    except OSError as error:
        raise StudyError(f"{run.folder} cannot be written: {error}") from error


def _announce(params: Params) -> None:
    data = params.data if params.source == "folder" else f"source {params.source}"
    line = (
        f"Study {params.study} on {data}: about {params.expected_minutes:g} minutes on two cores."
    )
    if params.study != "kaggle":
        line += " The published study on the full public set: make reproduce STUDY=kaggle"
    print(line, flush=True)


# --- what must run -------------------------------------------------------------------------------


def _plan(sources: list[Path], params: Params, run: Run) -> dict[str, Step]:
    """Each notebook with its parameters and why it must run, if it must; that is printed."""
    names = [source.stem for source in sources]
    stamps: dict[str, str] = {}
    steps: dict[str, Step] = {}
    for name, source in zip(names, sources, strict=True):
        try:
            given = {key: getattr(params, key) for key in staleness.parameter_names(source)}
            read = staleness.inputs(source, given, run)
        except (ValueError, KeyError, AttributeError, TypeError, SyntaxError) as error:
            raise StudyError(
                f"{source} is no study notebook ({type(error).__name__}: {error}); restore it."
            ) from None
        needed = {other: stamps[other] for other in staleness.needed_by(name, names)}
        stamps[name] = staleness.results_stamp(read, needed)
        depends_on = read | {"needed": needed}
        steps[name] = Step(source, depends_on, _reasons(run, name, depends_on))
    first = steps[names[0]]
    # Notebook 01 must bring the images back, as after the cache was deleted.
    gone = "data" in run.provenance() and not run.data_folder.is_dir()
    if any(step.why for step in steps.values()) and gone and not first.why:
        first.why.append("the images are gone")
    # One that adds to the table of an earlier one must do so again when that is written anew.
    wrote = {name: set(known.get("outputs", [])) for name, known in run.notebooks().items()}
    for earlier, later in combinations(sorted(wrote.keys() & steps.keys()), 2):
        if steps[earlier].why and not steps[later].why and wrote[earlier] & wrote[later]:
            steps[later].why.append(f"{earlier} writes its table anew")
    _describe(steps, run)
    return steps


def _reasons(run: Run, notebook: str, depends_on: dict[str, Any]) -> list[str]:
    """Why a notebook must run: what it depends on changed, or what it wrote is gone or damaged."""
    known = run.notebooks().get(notebook, {})
    written = [f"notebooks/{notebook}.ipynb", *known.get("outputs", [])]
    return staleness.reasons(known.get("depends_on"), depends_on) or [
        f"{name} is missing or not what it wrote"
        for name in written
        if not run.is_sound(name, notebook)
    ]


def _describe(plan: Mapping[str, Step], run: Run) -> None:
    """Print what must run and why."""
    stale = {name: step.why for name, step in plan.items() if step.why}
    if not stale:
        print(f"Nothing to do: {run.folder} is up to date.", flush=True)
    elif all(step.why == ["not finished yet"] for step in plan.values()):
        print(f"All {len(plan)} notebooks are to run.", flush=True)
    else:
        print(f"{len(stale)} of {len(plan)} notebooks are to run:", flush=True)
        for name, why in stale.items():
            more = f" and {len(why) - 3} more" if len(why) > 3 else ""
            print(f"  {name}: {', '.join(why[:3])}{more}", flush=True)


# --- running it ----------------------------------------------------------------------------------


def _side_by_side(run: Run) -> int:
    """As many notebooks as there are processors, and as fit into the memory that is free."""
    peaks = [(facts.get("peak_memory_mb") or 0) * 1e6 for facts in run.notebooks().values()]
    fitting = int(psutil.virtual_memory().available // max([_MEMORY, *peaks]))
    return max(1, min(os.cpu_count() or 1, fitting, _MOST))


def _execute(steps: Mapping[str, Step], run: Run, jobs: int) -> int:
    """Execute what must run, each notebook as soon as those that it waits for are done."""
    numbers = {name: f"[{number}/{len(steps)}]" for number, name in enumerate(steps, 1)}
    waiting = [name for name, step in steps.items() if step.why]
    count = len(waiting)
    running: dict[str, NotebookProcess] = {}
    finished: dict[str, str | None] = {}
    failures: list[str] = []
    try:
        while running or (waiting and not failures):
            for name in [] if failures else _ready(waiting, running, steps)[: jobs - len(running)]:
                print(f"{numbers[name]} {name}", flush=True)
                waiting.remove(name)
                finished[name] = _finished(run, name)
                taken = {process.line for process in running.values()}
                line = min(set(range(len(taken) + 1)) - taken)
                source, given = steps[name].source, steps[name].depends_on["parameters"]
                target = run.folder / "notebooks" / source.name
                running[name] = NotebookProcess(source, target, given, line=line)
            time.sleep(0.1)
            for name in [name for name, one in running.items() if one.poll() is not None]:
                process = running.pop(name)
                failure = process.failure()
                if failure is None and _finished(run, name) == finished[name]:
                    failure = "never called `run.finish()`: its last cell must."
                if failure is None:
                    run.record_notebook(name, depends_on=steps[name].depends_on)
                    run.record_file(f"notebooks/{name}.ipynb", name)
                    seconds = time.monotonic() - process.began
                    print(f"      {name} done in {seconds:.0f} s", flush=True)
                else:
                    failures.append(f"{name} {failure}")
    finally:
        for process in running.values():
            process.stop()
    if failures:
        raise StudyError("\n".join([*failures, "The same command goes on from there."]))
    return count


def _finished(run: Run, notebook: str) -> str | None:
    """When a notebook last finished, if ever."""
    return run.notebooks().get(notebook, {}).get("finished")


def _before(notebook: str, steps: Mapping[str, Step]) -> set[str]:
    """Notebooks whose results one needs, directly or not."""
    needed = steps[notebook].depends_on["needed"].keys()
    return set(needed).union(*(_before(name, steps) for name in needed))


def _ready(
    waiting: Sequence[str], running: Mapping[str, NotebookProcess], steps: Mapping[str, Step]
) -> list[str]:
    """Notebooks that may start now, as those that they wait for are done.

    One that runs alone starts when no other runs or can.
    """
    if staleness.ALONE & running.keys():
        return []
    busy = {*waiting, *running}
    ready = [
        name
        for name in waiting
        if busy.isdisjoint(_before(name, steps).union(staleness.AFTER.get(name, [])))
    ]
    others = [name for name in ready if name not in staleness.ALONE]
    return others or ([] if running else ready[:1])
