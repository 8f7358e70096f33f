"""What a branch changes in notebooks, cell by cell, and in parameter files, key by key."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json
from kidneyct_lib.review.checkout import Checkout
from kidneyct_lib.study import parameters

_KINDS = {"markdown": "Markdown", "code": "code", "raw": "raw"}


@dataclass(frozen=True)
class NotebookChange:
    """A notebook that the branch changes.

    Attributes
    ----------
    path, state
        In the project; "changed", "added" or "removed".
    cells
        Number of cells by kind and change, such as {("Markdown", "changed"): 1}.
    diff
        What nbdime's front end shows: the notebook at the base and nbdime's difference; None where
        a side can't be read as a notebook.
    problem
        Why it can't be.
    """

    path: str
    state: str
    cells: dict[tuple[str, str], int] = field(default_factory=dict)
    diff: dict[str, Any] | None = None
    problem: str = ""

    @property
    def in_words(self) -> str:
        """Its cells that differ, as "1 Markdown cell changed, 2 code cells added"."""
        if self.problem:
            return self.problem
        parts = [
            f"{n} {kind} cell{'s' if n > 1 else ''} {how}" for (kind, how), n in self.cells.items()
        ]
        return ", ".join(parts) or "metadata alone"


@dataclass(frozen=True)
class ParameterChange:
    """A key that differs in one parameter file; text of both values, None where it is missing."""

    file: str
    key: str
    before: str | None
    after: str | None


def notebook_changes(checkout: Checkout, changed: list[str]) -> list[NotebookChange]:
    """Compare each changed notebook with the base, as `nbdime_config.json` says.

    Parameters
    ----------
    checkout, changed
        The project, and the paths that differ from the base.

    Raises
    ------
    StudyError
        If nbdime is not installed.
    """
    paths = [path for path in changed if path.endswith(".ipynb")]
    if not paths:
        return []
    try:
        from nbdime.diffing import notebooks as nbdime
    except ImportError as error:
        raise StudyError(f"nbdime is missing ({error}); `make setup` installs it.") from None
    config = checkout.root / "nbdime_config.json"
    ignored = read_json(config, "restore it.")["Diff"]["Ignore"] if config.is_file() else {}
    nbdime.set_notebook_diff_ignores(ignored)
    try:
        return [_notebook_change(checkout, path, nbdime.diff_notebooks) for path in paths]
    finally:
        nbdime.reset_notebook_differ()


def _notebook_change(checkout: Checkout, path: str, compare: Any) -> NotebookChange:
    before, after = checkout.before(path), checkout.after(path)
    state = "added" if before is None else "removed" if after is None else "changed"
    try:
        base, head = (_notebook(text) for text in (before, after))
    except Exception as error:  # nbformat raises many kinds for a file that is no notebook
        why = " ".join(str(error).split())[:200]
        return NotebookChange(path, state, problem=f"can't be read as a notebook: {why}")
    entries = compare(base, head)
    cells = Counter[tuple[str, str]]()
    for entry in (inner for e in entries if e["key"] == "cells" for inner in e.get("diff", ())):
        for cell in entry.get("valuelist", ()):
            cells[_KINDS[cell["cell_type"]], "added"] += 1
        for cell in base.cells[entry["key"] :][: entry.get("length", 0)]:
            cells[_KINDS[cell["cell_type"]], "removed"] += 1
        if entry["op"] == "patch":
            cells[_KINDS[base.cells[entry["key"]]["cell_type"]], "changed"] += 1
    return NotebookChange(path, state, dict(cells), {"base": base, "diff": entries})


def _notebook(text: str | None) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook() if text is None else nbformat.reads(text, as_version=4)


def parameter_changes(checkout: Checkout, changed: list[str]) -> list[ParameterChange]:
    """Compare each changed file of params/ with the base, key by key.

    Raises
    ------
    StudyError
        If a side is not YAML of `key: value` lines.
    """
    rows = []
    for path in changed:
        if Path(path).parent.as_posix() != "params" or not path.endswith(".yaml"):
            continue
        before = _keys(checkout.before(path), f"{path} of the base")
        after = _keys(checkout.after(path), path)
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                rows.append(ParameterChange(path, key, before.get(key), after.get(key)))
    return rows


def _keys(text: str | None, where: str) -> dict[str, str]:
    """Read each key of a parameter file, with its value `as_text`.

    Raises
    ------
    StudyError
        If the text is not YAML of `key: value` lines; the message begins with `where`.
    """
    try:
        content = yaml.load(text or "", parameters.Loader) or {}
        return {str(key): as_text(value) for key, value in content.items()}
    except (yaml.YAMLError, AttributeError) as error:
        raise StudyError(f"{where} can't be read as YAML of `key: value` lines: {error}") from None


def as_text(value: Any) -> str:
    """Write a value as JSON, which tells 1 from "1", and null from a missing key."""
    return json.dumps(value, default=str)
