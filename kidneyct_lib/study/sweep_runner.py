"""Run a sweep: its cells side by side, one table of their scores, and the notebook about them."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import folder_bytes, project_root
from kidneyct_lib.study import runner
from kidneyct_lib.study.run_folder import Run
from kidneyct_lib.study.runner import Screen
from kidneyct_lib.study.sweep import (
    NOTEBOOK,
    Cell,
    Sweep,
    expected_minutes,
    missing_bytes,
    seconds,
    to_run,
)

_METRICS = ("accuracy", "macro_f1")
_COLUMNS = ["scheme", "metric", "value", "low", "high", "n", "groups"]


@dataclass
class Outcome:
    """What became of the cells, by their names.

    Attributes
    ----------
    finished
        Names of cells that are up to date.
    failed
        What kept a cell from its end.
    left
        Why a cell was not begun.
    """

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def of(self, cell: Cell) -> tuple[str, str]:
        """Status of a cell, and what there is to say of it."""
        for status, messages in (("failed", self.failed), ("left", self.left)):
            if cell.name in messages:
                return status, messages[cell.name]
        return ("finished" if cell.name in self.finished else "to run"), ""


def run(
    sweep: Sweep,
    *,
    jobs: int | None = None,
    finished: Callable[[Cell], Any] = lambda cell: None,
) -> Outcome:
    """Run every cell that is not up to date, then the notebook that compares them.

    A cell that fails does not stop the others, and none is begun that would go beyond the budget.

    Parameters
    ----------
    sweep
        From `sweep.read`.
    jobs
        Most notebooks side by side: cells first, each one notebook at a time while others wait;
        None: as processors and memory allow.
    finished
        Called with each cell that has run to its end.

    Raises
    ------
    StudyError
        If `jobs` is below 1, the notebook about the cells fails, or the same sweep is running.
    """
    at_once = side_by_side(sweep, jobs)
    folder = sweep.run.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            outcome = _Execution(sweep, at_once, finished).outcome()
            if table(sweep, outcome)["value"].notna().any():
                _compare(sweep)
    except Timeout:
        raise StudyError(
            f"Another process is running the sweep of {folder}; wait for it."
        ) from None
    except OSError as error:
        raise StudyError(f"{folder} cannot be written: {error}") from error
    return outcome


def side_by_side(sweep: Sweep, jobs: int | None) -> int:
    """Most notebooks side by side, as asked for or as processors and memory allow."""
    if jobs is not None and jobs < 1:
        raise StudyError(f"JOBS is {jobs}: give the number of notebooks side by side, 1 or more.")
    return jobs or min(runner.side_by_side(cell.run) for cell in sweep.cells)


class _Execution:
    """Cells that wait, that run, and what became of the others."""

    def __init__(self, sweep: Sweep, jobs: int, finished: Callable[[Cell], Any]) -> None:
        self.sweep, self.jobs, self.finished = sweep, jobs, finished
        self.began = time.monotonic()
        self.result = Outcome()
        self.stale = to_run(sweep)
        self.waiting = [cell for cell in sweep.cells if self.stale[cell.name]]
        self.result.finished = [name for name, notebooks in self.stale.items() if not notebooks]
        self.at_once = max(1, min(jobs, len(self.waiting)))
        self.running: dict[int, tuple[Cell, float, Generator[None, None, int]]] = {}

    def outcome(self) -> Outcome:
        """Run the cells; the table is written anew whenever one ends."""
        for number, cell in enumerate(self.sweep.cells, 1):
            if not self.stale[cell.name]:
                print(f"[{number}/{len(self.sweep.cells)}] {cell.name} is finished.", flush=True)
        self._save()
        try:
            while self._start():
                time.sleep(runner.PAUSE)
                for slot in list(self.running):
                    self._go_on(slot)
        finally:
            for _, _, execution in self.running.values():
                execution.close()
        return self.result

    def _start(self) -> bool:
        """Begin cells where there is room, within the budget; whether any runs."""
        for slot in range(self.at_once):
            if slot not in self.running and self.waiting:
                cell = self.waiting[0]
                if reason := self._beyond(cell):
                    self.result.left |= {one.name: reason for one in self.waiting}
                    self.waiting = []
                    self._save()
                    break
                self.waiting.pop(0)
                self._begin(slot, cell)
        return bool(self.running)

    def _begin(self, slot: int, cell: Cell) -> None:
        number = self.sweep.cells.index(cell) + 1
        print(f"[{number}/{len(self.sweep.cells)}] {cell.name}", flush=True)
        jobs = max(1, self.jobs // self.at_once)
        prefix = f"  {cell.name}: " if self.at_once > 1 else "  "
        execution = runner.executing(
            cell.params,
            cell.changes,
            jobs=jobs,
            only=self.sweep.notebooks,
            screen=Screen(prefix, slot * jobs),
        )
        self.running[slot] = cell, time.monotonic(), execution

    def _go_on(self, slot: int) -> None:
        """Let a cell look after its notebooks; it may end or fail."""
        cell, began, execution = self.running[slot]
        try:
            if next(execution, "ended") is None:
                return
            taken = time.monotonic() - began
            print(f"  {cell.name} done in {taken:.0f} s{_headline(cell.run)}", flush=True)
            self.finished(cell)
            self.result.finished.append(cell.name)
        except StudyError as error:
            self.result.failed[cell.name] = str(error)
            print(f"  {cell.name} failed: {error}", flush=True)
        del self.running[slot]
        self._save()

    def _beyond(self, cell: Cell) -> str:
        """Why the budget does not allow a cell now; empty if it does."""
        budget, expected = self.sweep.budget, self.stale[cell.name]
        hours = (time.monotonic() - self.began) / 3600
        hours += expected_minutes(self.sweep, cell, expected) / 60
        if budget.hours is not None and hours > budget.hours:
            return f"would end after {hours:.2g} hours, beyond the budget of {budget.hours:g}"
        busy = [one for one, _, _ in self.running.values()]
        there = sum(
            folder_bytes(project_root() / one.params.run_folder) for one in self.sweep.cells
        )
        room = (there + sum(map(missing_bytes, [*busy, cell]))) / 1e9
        if budget.disk_gb is not None and room > budget.disk_gb:
            return f"would make {room:.2g} GB, beyond the budget of {budget.disk_gb:g}"
        return ""

    def _save(self) -> None:
        folders = {cell.name: cell.params.run_folder for cell in self.sweep.cells}
        self.sweep.run.record(axes=list(self.sweep.cells[0].levels), cells=folders)
        self.sweep.run.write_table("cells", table(self.sweep, self.result))


def _headline(run: Run) -> str:
    if not (run.folder / "metrics/test.json").is_file():
        return ""
    scores = run.read_metrics("test").items()
    return ": " + ", ".join(f"by {scheme} {one['accuracy']:.3f}" for scheme, one in scores)


def table(sweep: Sweep, outcome: Outcome) -> pd.DataFrame:
    """Collect the scores of a sweep's cells.

    Returns
    -------
    DataFrame with one row per finished cell, scheme and metric, and one per other cell: ``cell``, a
    column per axis, ``scheme`` ("slice", "patient" or "other_window"), ``metric``, its ``value``
    with the ends ``low`` and ``high`` of its 95 % interval over groups, ``n`` slices, ``groups``,
    ``seconds`` of the cell, ``status`` ("finished", "failed", "left" or "to run"), ``message``.
    """
    rows = []
    for cell in sweep.cells:
        levels = {axis: _plain(value) for axis, value in cell.levels.items()}
        status, message = outcome.of(cell)
        done = status == "finished"
        taken = seconds(sweep, cell) if done else None
        facts = {"seconds": taken, "status": status, "message": message.partition("\n")[0]}
        scores = _scores(cell.run) if done else []
        rows += [{"cell": cell.name} | levels | row | facts for row in scores or [{}]]
    columns = ["cell", *sweep.cells[0].levels, *_COLUMNS, "seconds", "status", "message"]
    return pd.DataFrame(rows, columns=columns)


def _scores(run: Run) -> list[dict[str, Any]]:
    """One row per scheme and metric of a run's headline, if it has one."""
    if not (run.folder / "metrics/test.json").is_file():
        return []
    metrics = run.read_metrics("test")
    parts = {scheme: metrics[scheme] for scheme in ("slice", "patient")}
    parts["other_window"] = metrics["patient"]["other_window"]
    rows = []
    for scheme, one in parts.items():
        for metric in _METRICS:
            low, high = one[f"{metric}_ci95"]
            row = {"scheme": scheme, "metric": metric, "value": one[metric]}
            rows.append(row | {"low": low, "high": high, "n": one["n"], "groups": one["groups"]})
    return rows


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _compare(sweep: Sweep) -> None:
    """Execute the notebook about the cells into the sweep's folder."""
    source = project_root() / "notebooks" / f"{NOTEBOOK}.ipynb"
    first = sweep.cells[0].params
    draws = {"seed": first.seed, "bootstrap": first.bootstrap}
    given = {"run_folder": f"outputs/sweeps/{sweep.name}"} | draws
    target = sweep.run.folder / "notebooks" / source.name
    process = runner.NotebookProcess(source, target, given, line=0)
    try:
        while process.poll() is None:
            time.sleep(runner.PAUSE)
        if failure := process.failure():
            raise StudyError(f"{NOTEBOOK} {failure}")
    finally:
        if process.poll() is None:
            process.stop()


def summary(sweep: Sweep, outcome: Outcome) -> str:
    """Say what became of the cells and where the comparison lies."""
    lines = [f"{len(outcome.finished)} of {len(sweep.cells)} cells are finished."]
    for title, messages in (("failed", outcome.failed), ("was not begun", outcome.left)):
        lines += [f"  {name} {title}: {message}" for name, message in messages.items()]
    if outcome.failed or outcome.left:
        lines.append("The same command goes on with these.")
    if (compared := sweep.run.folder / "notebooks" / f"{NOTEBOOK}.ipynb").is_file():
        lines.append(f"Compared: {compared}")
    return "\n".join(lines)
