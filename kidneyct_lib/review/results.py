"""What a branch did to results: metrics with their intervals, tables cell by cell, figures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from kidneyct_lib.core.files import read_json
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import EvaluationError
from kidneyct_lib.review import paired
from kidneyct_lib.review.figures import FigureChange, figure_changes
from kidneyct_lib.review.paired import Difference, Flips
from kidneyct_lib.review.tables import TableChange, table_changes
from kidneyct_lib.study.run_diff import compare_runs, flatten

_REMEDY = "make that run again."
_SAME = 1e-6
"""Most that a paired difference may be off the metric's own and still be its difference."""


@dataclass(frozen=True)
class MetricChange:
    """A metric that differs between two runs.

    Attributes
    ----------
    file, key
        Where it stands: `metrics/<name>.json`, and its keys joined by dots.
    before, after
        Its values; None where a run lacks it.
    before_interval, after_interval
        [low, high] of its 95 % intervals, where it has them.
    paired
        The paired difference over groups, where both runs predict the same slices.
    """

    file: str
    key: str
    before: Any
    after: Any
    before_interval: list[float] | None = None
    after_interval: list[float] | None = None
    paired: Difference | None = None

    @property
    def difference(self) -> float | None:
        """Branch minus base, of two numbers."""
        numbers = all(_is_number(value) for value in (self.before, self.after))
        return self.after - self.before if numbers else None

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval of the paired difference excludes 0."""
        return self.paired is not None and self.paired.beyond_noise


@dataclass(frozen=True)
class Results:
    """How the results of a branch's run differ from those of the base.

    Attributes
    ----------
    metrics
        Those that moved: beyond noise first, then the other paired ones, then those with an
        interval.
    counted
        Metrics that both runs have; those with a paired difference.
    tables, flips, figures
        Tables with cells that differ, flips of each scheme, figures that differ.
    same_figures
        Number of figures that are equal in both runs; None where a side keeps no figures.
    notes
        Sentences on what could not be compared.
    """

    metrics: list[MetricChange] = field(default_factory=list)
    counted: tuple[int, int] = (0, 0)
    tables: list[TableChange] = field(default_factory=list)
    flips: list[Flips] = field(default_factory=list)
    figures: list[FigureChange] = field(default_factory=list)
    same_figures: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def beyond_noise(self) -> list[MetricChange]:
        """Metrics of which the interval of the paired difference excludes 0."""
        return [change for change in self.metrics if change.beyond_noise]

    @property
    def moved(self) -> bool:
        """Whether any metric, table or figure differs."""
        return bool(self.metrics or self.tables or self.figures)


def compare(before: Path, after: Path, bootstrap: Bootstrap) -> Results:
    """Compare two run folders; the first may be a reference, which keeps no figures.

    Parameters
    ----------
    before, after
        Folders of the base's and of the branch's run.
    bootstrap
        Resamples of the groups.

    Raises
    ------
    StudyError
        If a folder holds no results, or a file of it is damaged.
    """
    compare_runs(before, after)  # an empty or missing folder is reported by it
    pairs, notes = paired.read_sides(before, after)
    differences: dict[str, Difference] = {}
    flips = []
    for pair in pairs:
        try:
            differences |= paired.differences(pair, bootstrap)
            flips += [paired.flips(pair)] if pair.final else []
        except EvaluationError as error:
            notes.append(str(error))
    old, new = _metrics(before), _metrics(after)
    figures, same = figure_changes(before, after)
    return Results(
        metrics=_moved(old, new, differences),
        counted=(len(old.keys() & new.keys()), len(differences.keys() & old.keys() & new.keys())),
        tables=table_changes(before, after),
        flips=flips,
        figures=figures,
        same_figures=same,
        notes=notes,
    )


def _metrics(folder: Path) -> dict[str, tuple[Any, list[float] | None]]:
    """Each metric of a run with its interval, where it has one; `file:key` names it."""
    result = {}
    for path in sorted(folder.glob("metrics/[!.]*.json")):
        flat = flatten(read_json(path, _REMEDY))
        for key, value in flat.items():
            parent = key.rpartition(".")[0]
            if parent.endswith(("_ci95", "_wilson95")):
                continue
            ends = [flat.get(f"{key}_ci95.{end}") for end in (0, 1)]
            interval = [end for end in ends if _is_number(end)]
            result[f"metrics/{path.name}:{key}"] = (value, interval if len(interval) == 2 else None)
    return result


def _moved(old: dict, new: dict, differences: dict[str, Difference]) -> list[MetricChange]:
    rows = []
    for name in dict.fromkeys([*old, *new]):
        (before, low), (after, high) = old.get(name, (None, None)), new.get(name, (None, None))
        found = differences.get(name)
        if _is_number(before) and _is_number(after):
            if found and abs(found.value - (after - before)) > _SAME:
                found = None  # another number than the predictions tables give
            equal = before == after and low == high and not (found and found.beyond_noise)
        else:
            found, equal = None, before == after
        if not equal:
            file, _, key = name.partition(":")
            rows.append(MetricChange(file, key, before, after, low, high, found))
    return sorted(rows, key=_rank)


def _rank(change: MetricChange) -> tuple[bool, bool, bool]:
    return not change.beyond_noise, change.paired is None, change.after_interval is None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
