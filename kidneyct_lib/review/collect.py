"""Everything that a review shows of a branch: sources against the base, results run against run."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root, read_json
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.review import checkout as git
from kidneyct_lib.review import results, sources
from kidneyct_lib.review.checkout import Checkout
from kidneyct_lib.review.results import Results
from kidneyct_lib.review.sources import NotebookChange, ParameterChange
from kidneyct_lib.study import parameters, plan, provenance
from kidneyct_lib.study.run_folder import Run


@dataclass(frozen=True)
class Review:
    """What a branch changes.

    Attributes
    ----------
    checkout, study
        The branch and its base; the study whose results are compared.
    notebooks, parameters, others
        Notebooks and parameters that differ; other files that do.
    results
        What moved; None where a run is missing.
    missing
        Why there are no results to compare, where there are none.
    before, after
        What stands for the base's and for the branch's run.
    notes
        Sentences on what a reader must know before believing the comparison.
    """

    checkout: Checkout
    study: str
    notebooks: list[NotebookChange]
    parameters: list[ParameterChange]
    others: list[str]
    results: Results | None = None
    missing: str = ""
    before: str = ""
    after: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether any source or any result differs."""
        sources = self.notebooks or self.parameters or self.others
        return bool(sources or (self.results and self.results.moved))


def collect(
    base: str, study: str, *, run: Path | None = None, base_run: Path | None = None
) -> Review:
    """Compare the working tree with the base, and a finished run with that of the base.

    Parameters
    ----------
    base, study
        The branch to compare with; the study whose results are compared.
    run, base_run
        Folder of the branch's run (default: `outputs/<study>`, if it is finished) and of the base's
        (default: `outputs/<study>/reference` as the base commit holds it).

    Raises
    ------
    StudyError
        If git or the base is missing, or a folder given is no finished run.
    """
    root = project_root()
    checkout = git.find(root, base)
    changed = checkout.changed_files()
    notebooks = sources.notebook_changes(checkout, changed)
    keys = sources.parameter_changes(checkout, changed)
    shown = {change.path for change in notebooks} | {change.file for change in keys}
    others = [path for path in changed if path not in shown]
    known: dict[str, Any] = {"notebooks": notebooks, "parameters": keys, "others": others}
    with tempfile.TemporaryDirectory() as scratch:
        known |= _results(checkout, study, keys, run, base_run, Path(scratch))
    return Review(checkout, study, **known)


def _results(
    checkout: Checkout,
    study: str,
    keys: list[ParameterChange],
    run: Path | None,
    base_run: Path | None,
    scratch: Path,
) -> dict[str, Any]:
    name = run or f"outputs/{study}"
    after = Run(run.resolve() if run else name)
    if not _finished(after):
        missing = f"{name} is no finished run; make reproduce STUDY={study} makes it one."
        if run:
            raise StudyError(missing)
        return {"missing": missing}
    reference = f"outputs/{study}/reference"
    before = base_run.resolve() if base_run else checkout.extract(reference, scratch)
    if before is None:
        return {
            "missing": f"the base tracks no {reference}; name a finished run of it: BASE_RUN=path."
        }
    old, new = _facts(before), _facts(after.folder)
    known = new["parameters"]
    bootstrap = Bootstrap(resamples=known.get("bootstrap", 1000), seed=known.get("seed", 0))
    found = results.compare(before, after.folder, bootstrap)
    notes = _other_parameters(keys, study, old, new) + _other_machine(old, new)
    notes += _stale(study, after, checkout.root) + found.notes
    words = str(base_run or f"{reference} as the base tracks it")
    return {"results": found, "before": words, "after": str(name), "notes": notes}


def _finished(run: Run) -> bool:
    known = run.notebooks()
    return bool(known) and all("finished" in facts for facts in known.values())


def _facts(folder: Path) -> dict[str, Any]:
    """Parameters, machine and environment of a run, or of a reference."""
    for name in ("run.json", "reference.json"):
        if (folder / name).is_file():
            return {"parameters": {}} | read_json(folder / name, "make that run again.")
    return {"parameters": {}}


def _other_parameters(
    keys: list[ParameterChange], study: str, old: dict[str, Any], new: dict[str, Any]
) -> list[str]:
    """Say where a run was made with another value than its side's parameter file has."""
    notes = []
    for change in (change for change in keys if change.file == f"params/{study}.yaml"):
        for side, facts, value in (("base", old, change.before), ("branch", new, change.after)):
            used = facts["parameters"]
            if value is not None and change.key in used:
                text = sources.as_text(used[change.key])
                if text != value:
                    notes.append(
                        f"The run of the {side} was made with {change.key} = {text}, its "
                        f"{change.file} says {value}."
                    )
    return notes


def _other_machine(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    machines = [
        {key: facts.get("machine", {}).get(key) for key in provenance.DECISIVE}
        for facts in (old, new)
    ]
    environments = [facts.get("environment_sha256") for facts in (old, new)]
    if machines[0] == machines[1] and environments[0] == environments[1]:
        return []
    what = "kinds of machines" if machines[0] != machines[1] else "versions of packages"
    return [
        f"The two runs come from different {what}, which alone moves last digits: trust what is "
        "beyond noise more than what merely moved."
    ]


def _stale(study: str, run: Run, root: Path) -> list[str]:
    """Say which notebooks would run again, so that the run is not what the sources give."""
    file = root / f"params/{study}.yaml"
    if not file.is_file() or run.provenance().get("changes"):
        return []
    params = parameters.load(file, run_folder=str(run.folder))
    old = plan.stale(plan.steps(plan.sources(), params, run))
    if not old:
        return []
    return [
        f"The run of the branch is older than its sources: {', '.join(list(old)[:3])}"
        f"{' and others' if len(old) > 3 else ''} would run again ({len(old)} in all). "
        f"make reproduce STUDY={study} brings it up to date."
    ]
