"""A sweep: studies run with every combination of some parameters, read from a YAML file.

Each combination is a cell, and each cell an ordinary run in its own folder.
"""

import difflib
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import folder_bytes
from kidneyct_lib.study import disk_space, plan, variants
from kidneyct_lib.study.parameters import Params, Strict, read_yaml, validated
from kidneyct_lib.study.run_folder import Run, project_root

NOTEBOOK = "11_sweep"
"""Compares the cells; executed into the sweep's own folder."""

_SHARES = {
    "01_download": 0.02,
    "02_explore": 0.01,
    "03_split_and_weight": 0.07,
    "04_two_stage_training": 0.35,
    "05_error_analysis": 0.19,
    "06_external_grayscale": 0.15,
    "07_leakage_audit": 0.08,
    "08_robustness_and_calibration": 0.33,
    "09_patient_level": 0.42,
    "10_deployment": 0.27,
}
"""Minutes of each notebook per minute of the phantom study, in which two run side by side."""


class Budget(Strict):
    """What one call of the command may take; None: as much as it needs."""

    hours: Annotated[float, Field(gt=0, description="by the clock")] | None = None
    disk_gb: Annotated[float, Field(gt=0, description="of all cells' folders")] | None = None


class _File(Strict):
    """The YAML file of a sweep."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    base: dict[str, Any] = Field(default={}, description="the same in every cell")
    axes: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1)]],
        Field(min_length=1, description="values of a parameter; null: the study's own"),
    ]
    notebooks: Annotated[list[str], Field(min_length=1)] | None = None
    budget: Budget = Budget()


class Cell(NamedTuple):
    """One combination: where it stands on each axis, and the run that it is."""

    levels: dict[str, Any]
    params: Params
    changes: dict[str, Any]

    @property
    def run(self) -> Run:
        """Its run, finished or not."""
        return Run(self.params.run_folder)

    @property
    def name(self) -> str:
        """Name of its folder in `outputs/`."""
        return Path(self.params.run_folder).name


class Sweep(NamedTuple):
    """What a sweep runs: its cells in order, the last axis fastest.

    Attributes
    ----------
    notebooks
        Those that a cell needs, with the ones that they wait for, in order.
    """

    name: str
    cells: list[Cell]
    notebooks: list[str]
    budget: Budget

    @property
    def run(self) -> Run:
        """The folder that compares the cells."""
        return Run(f"outputs/sweeps/{self.name}")


def read(path: Path, folders: Mapping[str, str] | None = None) -> Sweep:
    """Read a sweep's file and make every cell of it, so that a mistake is found before any runs.

    Parameters
    ----------
    path
        The YAML file.
    folders
        ``data``, ``external`` or ``masks`` for the cells; a study that generates its images takes
        no ``data``.

    Raises
    ------
    StudyError
        If the file is missing or wrong, a cell is no valid study, or two cells are the same run.
    """
    if not path.is_file():
        known = ", ".join(map(str, sorted(path.parent.glob("*.yaml")))) or "none"
        raise StudyError(f"There is no sweep at {path}; sweeps there: {known}.")
    content = read_yaml(path)
    if content.get("budget") is not None:
        content["budget"] = validated(Budget, content["budget"], f"{path}, budget,")
    file = validated(_File, content, str(path))
    if twice := sorted(file.base.keys() & file.axes.keys()):
        raise StudyError(f"{path}: {twice[0]} stands in base and is an axis; keep one of them.")
    if "study" not in file.base.keys() | file.axes.keys():
        raise StudyError(f"{path} names no study: add it to base, such as {{study: phantom}}.")
    cells = []
    for values in product(*file.axes.values()):
        levels = dict(zip(file.axes, values, strict=True))
        try:
            cells.append(_cell(file.base, levels, folders or {}))
        except StudyError as error:
            raise StudyError(f"{path}, cell {_told(levels)}: {error}") from None
    _check_apart(cells, path)
    if "data" in (folders or {}) and all(cell.params.source == "phantom" for cell in cells):
        raise StudyError(f"DATA is given, but every study of {path} generates its images.")
    return Sweep(file.name, cells, _notebooks(file.notebooks, path), file.budget)


def _cell(base: Mapping[str, Any], levels: Mapping[str, Any], folders: Mapping[str, str]) -> Cell:
    changes = {**base, **levels}
    study = changes.pop("study")
    own = variants.load(study, changes).params
    used = {k: v for k, v in folders.items() if (k, own.source) != ("data", "phantom")}
    variant = variants.load(study, changes, used)
    return Cell({axis: getattr(variant.params, axis) for axis in levels}, *variant)


def _check_apart(cells: Sequence[Cell], path: Path) -> None:
    """Two levels may be written differently and be the same, as null and the study's own."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        if (other := seen.setdefault(cell.name.casefold(), cell)) is not cell:
            raise StudyError(
                f"{path}: two cells are the run {cell.params.run_folder}, {_told(other.levels)} "
                f"and {_told(cell.levels)}; remove one of the levels."
            )


def _told(levels: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in levels.items())


def _notebooks(wanted: Sequence[str] | None, path: Path) -> list[str]:
    known = [source.stem for source in plan.sources()]
    for name in wanted or []:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.1)
            raise StudyError(f"{path}: there is no notebook {name!r}; did you mean {near[0]!r}?")
    return [source.stem for source in plan.sources(wanted)]


# --- what it will take ---------------------------------------------------------------------------


def to_run(sweep: Sweep) -> dict[str, list[str]]:
    """Notebooks that must run in each cell, {cell's name: notebooks}; none where it is finished."""
    sources = plan.sources(sweep.notebooks)
    steps = {cell.name: plan.steps(sources, cell.params, cell.run) for cell in sweep.cells}
    return {name: list(plan.stale(planned)) for name, planned in steps.items()}


def seconds(sweep: Sweep, cell: Cell) -> float | None:
    """Seconds that the sweep's notebooks took in a cell; None if one never finished."""
    known = cell.run.notebooks()
    taken = [known[name].get("seconds") for name in sweep.notebooks if name in known]
    finished = [float(one) for one in taken if one is not None]
    return round(sum(finished), 1) if len(finished) == len(sweep.notebooks) else None


def expected_minutes(sweep: Sweep, cell: Cell, notebooks: Sequence[str]) -> float:
    """Minutes to expect of some notebooks of a cell.

    They go by cells like it that have run; before there are any, by the minutes of its study.
    """
    alike = [one for one in sweep.cells if _costs(one) == _costs(cell)]
    taken = [value for one in alike if (value := seconds(sweep, one)) is not None]
    shares = {name: _SHARES.get(name, 0.1) for name in sweep.notebooks}
    part = sum(shares[name] for name in notebooks)
    if taken:
        return sum(taken) / len(taken) / 60 * part / sum(shares.values())
    return cell.params.expected_minutes * part


def _costs(cell: Cell) -> tuple[str, float]:
    return cell.params.study, cell.params.expected_minutes


def missing_bytes(cell: Cell) -> float:
    """Bytes that a cell will still write."""
    there = folder_bytes(project_root() / cell.params.run_folder)
    return max(0.0, disk_space.needed(cell.params) - there)


def describe(sweep: Sweep, at_once: int) -> str:
    """Tell the cells, the hours and the disk that a sweep will take, so many cells side by side."""
    stale = to_run(sweep)
    first, last = sweep.notebooks[0], sweep.notebooks[-1]
    lines = [f"Sweep {sweep.name}: {len(sweep.cells)} cells, notebooks {first} to {last}."]
    minutes = room = 0.0
    for number, cell in enumerate(sweep.cells, 1):
        state, names = "finished", stale[cell.name]
        if names:
            takes, bytes_ = expected_minutes(sweep, cell, names), missing_bytes(cell)
            minutes, room = minutes + takes, room + bytes_
            state = f"{len(names)} notebooks, about {takes:.1f} minutes, {bytes_ / 1e9:.1f} GB"
        lines.append(f"  [{number}/{len(sweep.cells)}] {cell.name}: {state}")
    count = sum(map(bool, stale.values()))
    hours = minutes / 60 / max(1, min(at_once, count))
    lines.append(
        f"To run: {count} cells, about {hours:.1f} hours on two cores, {room / 1e9:.1f} GB of disk."
    )
    if sweep.budget != Budget():
        limits = {"hours": sweep.budget.hours, "GB": sweep.budget.disk_gb}
        told = " and ".join(f"{value:g} {unit}" for unit, value in limits.items() if value)
        lines.append(f"Budget: {told}; no cell is begun that would go beyond.")
    return "\n".join(lines)
