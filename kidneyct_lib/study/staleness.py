"""What a notebook's outcome depends on, and so whether it must run again, and why.

A notebook depends on the code of its cells, on the modules that it imports (and what these import),
on its parameters, on the images, on the versions of the packages that compute, on runs beside its
own if it looks at them, and on the notebooks whose results it reads. Docstrings, comments and
layout of code change no outcome and are left out.
"""

import ast
import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kidneyct_lib.study import provenance, sibling_runs
from kidneyct_lib.study.run_folder import Run

LIBRARY = Path(__file__).parents[1]
_DRAWING = "kidneyct_lib.plots"
_IN_THE_FOLDER = ("data", "external", "masks")  # parameters that name folders of images

NEEDS = {
    "01_download": [],
    "02_explore": ["01_download"],
    "03_split_and_weight": ["01_download"],
    "04_two_stage_training": ["03_split_and_weight"],
    "05_error_analysis": ["04_two_stage_training"],
    "06_external_grayscale": ["04_two_stage_training"],
    "07_leakage_audit": ["04_two_stage_training"],
    "08_robustness_and_calibration": ["04_two_stage_training"],
    "09_patient_level": ["05_error_analysis"],
    "10_deployment": ["04_two_stage_training"],
}
"""Whose results each notebook reads, beside those that these have read."""

ALONE = {"10_deployment"}
"""Notebooks that time something: no other runs beside them."""

AFTER = {"03_split_and_weight": ["02_explore"]}
"""Notebooks that change a table which others read: these come first."""

OF_SEVERAL_RUNS = {"00_explore_results", "11_sweep"}
"""Notebooks that are no step of a study: they read finished runs, one or many."""

_REASONS = {
    "parameters": "{key}: {old} -> {new}",
    "modules": "{key}",
    "packages": "{key}: {old} -> {new}",
    "images": "images of {key}",
    "runs beside it": "{key}",
    "needed": "results of {key}",
}


def study_notebooks(folder: Path) -> list[Path]:
    """The notebooks of a folder that are steps of a study, in their order."""
    numbered = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in numbered if path.stem not in OF_SEVERAL_RUNS]


def needed_by(notebook: str, notebooks: list[str]) -> list[str]:
    """Notebooks whose results one reads; one that `NEEDS` does not know reads all before it."""
    before = [name for name in notebooks if name < notebook]
    return [name for name in NEEDS.get(notebook, before) if name in before]


def parameter_names(source: Path) -> list[str]:
    """Names that a notebook's `parameters` cell sets.

    Raises
    ------
    ValueError, KeyError, AttributeError, TypeError
        If the file is no notebook.
    """
    for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            nodes = ast.walk(ast.parse("".join(cell["source"])))
            return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    raise ValueError("no cell is tagged as its parameters")


def inputs(source: Path, parameters: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Collect what one notebook depends on, other notebooks left out.

    Parameters
    ----------
    source
        The notebook.
    parameters
        Values for its `parameters` cell.
    run
        Where it is executed.

    Returns
    -------
    dict of plain values: ``code`` (hex digest), ``modules`` {name: digest}, ``parameters``,
    ``packages`` {name: version}, ``images`` {parameter: digest}, ``runs beside it`` {name: digest}.

    Raises
    ------
    ValueError, KeyError, AttributeError, TypeError
        If the file is no notebook.
    """
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    modules = _with_imports(_imports(ast.parse(code)))
    versions = provenance.package_versions()
    listings = {key: parameters[key] for key in _IN_THE_FOLDER if parameters.get(key)}
    looks_beside = sibling_runs.__name__ in modules
    return {
        "code": _digest(_meaning(code)),
        "modules": {name: _module(name)[0] for name in sorted(modules)},
        "parameters": json.loads(json.dumps(dict(parameters))),
        "packages": {name: v for name, v in versions.items() if name != "kidneyct"},
        "images": {key: _digest(json.dumps(listing(Path(at)))) for key, at in listings.items()},
        "runs beside it": sibling_runs.results_digests(run) if looks_beside else {},
    }


def results_stamp(read: Mapping[str, Any], needed: Mapping[str, str]) -> str:
    """One digest of what a notebook's metrics, tables and models depend on: figures play no part.

    `read` is from `inputs`; `needed` {notebook: its own results stamp}.
    """
    modules = {k: v for k, v in read["modules"].items() if not k.startswith(_DRAWING)}
    return _digest(json.dumps([{**read, "modules": modules}, needed], sort_keys=True))


def reasons(known: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Say what a notebook depends on that is not as it was when it last finished.

    Both are from `inputs`, with "needed" {notebook: results stamp} beside them; None: it has not
    finished yet. Empty if all is as it was.
    """
    if known is None:
        return ["not finished yet"]
    changes = ["its code"] if known["code"] != now["code"] else []
    for kind, words in _REASONS.items():
        old, new = known[kind], now[kind]
        changed = sorted(key for key in old | new if old.get(key) != new.get(key))
        changes += [words.format(key=k, old=old.get(k), new=new.get(k)) for k in changed]
    return changes


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file below a folder: cheap, and changes when they do.

    Linked folders are looked into; hidden files and what file managers leave are passed over.
    """
    result, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
                continue
            file = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):  # a link that leads nowhere
                facts = file.stat()
                result.append((str(file.relative_to(folder)), facts.st_size, facts.st_mtime_ns))
    return sorted(result)


# --- code ----------------------------------------------------------------------------------------


def _meaning(code: str) -> str:
    """Code without comments, layout and strings that stand alone, which are docstrings."""
    return ast.dump(_WithoutTexts().visit(ast.parse(code)))


class _WithoutTexts(ast.NodeTransformer):
    """Leaves out statements that are a string."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node


def _with_imports(modules: set[str]) -> set[str]:
    """Modules and all that they import, directly or not."""
    result: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        result.add(name)
        waiting |= _module(name)[1] - result
    return result


@functools.cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    """Digest of a module's meaning, and the library's modules that it imports."""
    code = _path(name).read_text(encoding="utf-8")
    return _digest(_meaning(code)), frozenset(_imports(ast.parse(code)))


def _imports(tree: ast.Module) -> set[str]:
    """Modules of this library that code imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names |= {package + alias.name for alias in node.names}
    own = [name for name in names if name.partition(".")[0] == LIBRARY.name]
    return {module for name in own for module in _modules(name)}


def _modules(name: str) -> set[str]:
    """The module of this name, or that holds what is named so; a package and all that it holds."""
    path = _path(name)
    if path.name != "__init__.py":
        return {name if path.is_file() else name.rpartition(".")[0]}
    files = [file.relative_to(LIBRARY.parent) for file in path.parent.rglob("*.py")]
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}


def _path(module: str) -> Path:
    """File of a module, whether or not it exists."""
    path = LIBRARY.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
