"""Run a study: its notebooks in order through papermill, skipping what is done and unchanged."""

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import psutil
from filelock import FileLock, Timeout

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import discard_temporaries
from kidneyct_lib.study import clusters, disk_space, plan, staleness
from kidneyct_lib.study.notebook_process import NotebookProcess
from kidneyct_lib.study.parameters import Params
from kidneyct_lib.study.plan import Step
from kidneyct_lib.study.run_folder import Run, project_root

_MEMORY = 3e9  # bytes that a notebook may take, if none of this run has taken more
_MOST = 4  # notebooks side by side: no more of them are ready at any time
PAUSE = 0.1  # seconds between looks at what runs


def reproduce(
    params: Params,
    changes: Mapping[str, Any] | None = None,
    *,
    jobs: int | None = None,
    cluster: clusters.Choice = clusters.HERE,
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
    cluster
        Where trainings and fits are computed.
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
    _announce(params)
    run = Run(params.run_folder)
    if dry_run:
        steps = plan.steps(plan.sources(), params, run)
        Screen().say(plan.summary(steps, run))
        return len(plan.stale(steps))
    with contextlib.closing(executing(params, changes, jobs=jobs, cluster=cluster)) as execution:
        while True:
            try:
                next(execution)
            except StopIteration as end:
                return end.value
            time.sleep(PAUSE)


class Screen(NamedTuple):
    """Where a run's lines go, beside those of other runs."""

    prefix: str = ""  # of each line
    first_bar: int = 0  # line of its first progress bar below the cursor

    def say(self, text: str) -> None:
        """Print a text, the prefix before each of its lines."""
        print("\n".join(f"{self.prefix}{line}" for line in text.split("\n")), flush=True)


def executing(
    params: Params,
    changes: Mapping[str, Any] | None = None,
    *,
    jobs: int | None = None,
    cluster: clusters.Choice = clusters.HERE,
    only: Iterable[str] | None = None,
    screen: Screen = Screen(),  # noqa: B008  # it is immutable
) -> Generator[None, None, int]:
    """Execute a study as `reproduce` does, but hand control back while notebooks run.

    Whoever takes the next value after a `PAUSE` can run several studies side by side. Closing the
    generator ends its notebooks.

    Parameters
    ----------
    params, changes, jobs, cluster
        As in `reproduce`.
    only
        Notebooks that matter, with those that they wait for; None: all of the study.
    screen
        Where it says what it does.

    Returns
    -------
    Number of notebooks executed, as the generator's value.

    Raises
    ------
    StudyError
        As in `reproduce`.
    """
    if jobs is not None and jobs < 1:
        raise StudyError(f"JOBS is {jobs}: give the number of notebooks side by side, 1 or more.")
    root, run = project_root(), Run(params.run_folder)
    sources = plan.sources(only)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(run.folder / ".lock", timeout=0):
            discard_temporaries(run.folder)
            identity = {"study": params.study, "changes": dict(changes or {})}
            if run.provenance() | identity != run.provenance():  # else not a byte of it changes
                run.record(**identity)
            steps = plan.steps(sources, params, run)
            screen.say(plan.summary(steps, run))
            if not plan.stale(steps):
                return 0
            disk_space.check(params, root)
            with clusters.scheduler(cluster):
                return (yield from _execute(steps, run, jobs or side_by_side(run), screen))
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


def side_by_side(run: Run) -> int:
    """As many notebooks as there are processors, and as fit into the memory that is free."""
    peaks = [(facts.get("peak_memory_mb") or 0) * 1e6 for facts in run.notebooks().values()]
    fitting = int(psutil.virtual_memory().available // max([_MEMORY, *peaks]))
    return max(1, min(os.cpu_count() or 1, fitting, _MOST))


def _execute(
    steps: Mapping[str, Step], run: Run, jobs: int, screen: Screen
) -> Generator[None, None, int]:
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
                screen.say(f"{numbers[name]} {name}")
                waiting.remove(name)
                finished[name] = _finished(run, name)
                taken = {process.line for process in running.values()}
                bars = range(screen.first_bar, screen.first_bar + len(taken) + 1)
                line = min(set(bars) - taken)
                source, given = steps[name].source, steps[name].depends_on["parameters"]
                target = run.folder / "notebooks" / source.name
                running[name] = NotebookProcess(source, target, given, line=line)
            yield
            for name in [name for name, one in running.items() if one.poll() is not None]:
                process = running.pop(name)
                failure = process.failure()
                if failure is None and _finished(run, name) == finished[name]:
                    failure = "never called `run.finish()`: its last cell must."
                if failure is None:
                    run.record_notebook(name, depends_on=steps[name].depends_on)
                    run.record_file(f"notebooks/{name}.ipynb", name)
                    seconds = time.monotonic() - process.began
                    screen.say(f"      {name} done in {seconds:.0f} s")
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
