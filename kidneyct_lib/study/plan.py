"""Which notebooks of a study must run, and why."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import staleness
from kidneyct_lib.study.parameters import Params
from kidneyct_lib.study.run_folder import Run, project_root


class Step(NamedTuple):
    """A notebook of the plan."""

    source: Path
    depends_on: dict[str, Any]  # from `staleness.inputs`, with "needed" {notebook: results stamp}
    why: list[str]  # it must run; empty if it need not


def sources(only: Iterable[str] | None = None) -> list[Path]:
    """The study's notebooks in their order, or some with those that they wait for.

    Raises
    ------
    StudyError
        If there are none, or not one that is named.
    """
    root = project_root()
    found = staleness.study_notebooks(root / "notebooks")
    if not found:
        raise StudyError(f"{root} holds no notebooks: run this from the project's root.")
    if only is None:
        return found
    names = [source.stem for source in found]
    wanted = set(only)
    if strangers := sorted(wanted - set(names)):
        raise StudyError(f"There is no notebook {strangers[0]!r}; there are {', '.join(names)}.")
    for name in reversed(names):  # each waits for earlier ones alone
        if name in wanted:
            wanted.update(staleness.needed_by(name, names), staleness.AFTER.get(name, []))
    return [source for source in found if source.stem in wanted]


def steps(notebooks: Sequence[Path], params: Params, run: Run) -> dict[str, Step]:
    """Plan each notebook: what it depends on, and why it must run, if it must.

    Raises
    ------
    StudyError
        If a file is no notebook of the study.
    """
    names = [source.stem for source in notebooks]
    stamps: dict[str, str] = {}
    result: dict[str, Step] = {}
    for name, source in zip(names, notebooks, strict=True):
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
        result[name] = Step(source, depends_on, _reasons(run, name, depends_on))
    first = result[names[0]]
    # Notebook 01 must bring the images back, as after the cache was deleted.
    gone = "data" in run.provenance() and not run.data_folder.is_dir()
    if any(step.why for step in result.values()) and gone and not first.why:
        first.why.append("the images are gone")
    # One that adds to the table of an earlier one must do so again when that is written anew.
    wrote = {name: set(known.get("outputs", [])) for name, known in run.notebooks().items()}
    for earlier, later in combinations(sorted(wrote.keys() & result.keys()), 2):
        if result[earlier].why and not result[later].why and wrote[earlier] & wrote[later]:
            result[later].why.append(f"{earlier} writes its table anew")
    return result


def _reasons(run: Run, notebook: str, depends_on: dict[str, Any]) -> list[str]:
    """Why a notebook must run: what it depends on changed, or what it wrote is gone or damaged."""
    known = run.notebooks().get(notebook, {})
    written = [f"notebooks/{notebook}.ipynb", *known.get("outputs", [])]
    return staleness.reasons(known.get("depends_on"), depends_on) or [
        f"{name} is missing or not what it wrote"
        for name in written
        if not run.is_sound(name, notebook)
    ]


def stale(steps: Mapping[str, Step]) -> dict[str, list[str]]:
    """Notebooks that must run, and why."""
    return {name: step.why for name, step in steps.items() if step.why}


def summary(steps: Mapping[str, Step], run: Run) -> str:
    """Say what must run and why, in one line or more."""
    to_run = stale(steps)
    if not to_run:
        return f"Nothing to do: {run.folder} is up to date."
    if all(step.why == ["not finished yet"] for step in steps.values()):
        return f"All {len(steps)} notebooks are to run."
    lines = [f"{len(to_run)} of {len(steps)} notebooks are to run:"]
    for name, why in to_run.items():
        more = f" and {len(why) - 3} more" if len(why) > 3 else ""
        lines.append(f"  {name}: {', '.join(why[:3])}{more}")
    return "\n".join(lines)
