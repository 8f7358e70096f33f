"""The import graph: modules stand on floors, and a module imports only from floors below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "kidneyct_lib"

# A fraction orders the parts that one module was split into.
FLOOR = {
    "errors": -1,
    "files": -0.5,
    "params": 0,
    "store": 0,
    "images": 0,
    "phantom.paint": 0,
    "phantom.frame": 0.1,
    "phantom.anatomy": 0.2,
    "phantom.lesions": 0.2,
    "phantom.scanner": 0.2,
    "phantom.cohort": 0.3,
    "phantom": 0.4,
    "prediction_table": 0,
    "answers": 0.1,
    "provenance": 0,
    "runs": 1,
    "layout": 0.9,
    "augmentation": 1,
    "catalog": 1,
    "kaggle_download": 1,
    "intervals": 0.9,
    "evaluation": 1,
    "paired": 1.1,
    "map_scores": 1.1,
    "binary": 1.1,
    "subgroups": 1.1,
    "seeds": 1.1,
    "comparison": 1,
    "calibration": 1,
    "conformal": 1.1,
    "selective": 1.1,
    "scope": 1,
    "corruptions.pixels": 1,
    "corruptions.table": 1.1,
    "corruptions.scanner": 1.1,
    "corruptions.conditions": 1.2,
    "corruptions": 1.3,
    "odd_images": 1,
    "plots.style": 1,
    "plots.data": 1.1,
    "plots.groups": 1.1,
    "plots.leakage": 1.1,
    "plots.ladder": 1.1,
    "plots.maps": 1.1,
    "plots.audit_curves": 1.1,
    "plots.results": 1.1,
    "plots.binary": 1.1,
    "plots.errors": 1.1,
    "plots.subgroups": 1.1,
    "plots.calibration": 1.1,
    "plots.robustness": 1.1,
    "plots": 1.2,
    "sources": 2,
    "groups": 2,
    "splits": 2,
    "given_parts": 2.05,
    "cross_validation": 2.1,
    "probes": 2.2,
    "leakage": 2.3,
    "ladder": 2.3,
    "controls": 2.4,
    "redeals": 2.3,
    "gaps": 2.3,
    "patient_curve": 2.3,
    "variants": 2,
    "robustness": 2,
    "weights": 2,
    "linear_head": 2.2,
    "backend": 3,
    "looks": 3.1,
    "network": 3.2,
    "architectures": 3.3,
    "explain": 4,
    "map_sanity": 4.1,
    "prepare": 4,
    "deployable": 4.1,
    "convert": 4,
    "runners": 0,
    "stopwatch": 4,
    "exported": 0.1,
    "export": 5.1,
    "deployment": 5.2,
    "plots.deployment": 1.1,
    "activations": 4,
    "training": 4,
    "prediction": 4,
    "recipes": 5,
    "stage_answers": 5,
    "study": 5,
    "report.pictures": 1,
    "report.tables": 1,
    "report.saved": 4.8,
    "report.content": 4.9,
    "report": 5,
    "verification": 5.1,
    "cli": 6,
}
MAY_IMPORT_KERAS = {
    "backend",
    "looks",
    "network",
    "architectures",
    "explain",
    "map_sanity",
    "prepare",
    "deployable",
    "activations",
    "training",
    "recipes",
    "stage_answers",
}
MAY_IMPORT_KERAS_LAZILY = {"cli"}


def dotted(path):
    """Return a module's name below the library; a package bears its folder's name."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in sorted(LIBRARY.rglob("*.py")) if dotted(path)}
MODULES = list(FILES)


def imported_names(node):
    """Return the dotted names that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = ".".join(filter(None, ["kidneyct_lib" * bool(node.level), node.module]))
        return [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return []


def imports(source, *, when_loaded=False):
    """Return all dotted names that `source` imports, or only those it imports when loaded."""
    nodes = [ast.parse(source)]
    names = set()
    while nodes:
        node = nodes.pop()
        names.update(imported_names(node))
        if not (when_loaded and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))
    return names


def own_modules(names):
    """Return the modules of this library among dotted names, each at its longest."""
    below = {name.removeprefix("kidneyct_lib.") for name in names}
    found = {name for name in below if name in MODULES}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def packages(names):
    return {name.split(".")[0] for name in names}


def read(module):
    return FILES[module].read_text()


def test_imports_are_found_wherever_they_stand():
    source = (
        "import numpy.linalg\n"
        "from kidneyct_lib import errors, __version__\n"
        "from .errors import StudyError\n"
        "def f():\n    import keras\n    from . import errors\n"
        "class A:\n    import scipy\n"
    )
    assert own_modules(imports(source)) == {"errors"}
    assert own_modules(imports("from .errors import StudyError")) == {"errors"}
    assert own_modules(imports("from . import errors")) == {"errors"}
    assert packages(imports(source)) == {"numpy", "keras", "scipy", "kidneyct_lib"}
    assert "keras" not in packages(imports(source, when_loaded=True))
    assert "scipy" in packages(imports(source, when_loaded=True))


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_floors_below(module):
    assert module in FLOOR, f"give {module} a floor in this test and in the plan"
    level = {other for other in own_modules(imports(read(module))) if FLOOR[other] >= FLOOR[module]}
    assert not level, f"{module} (floor {FLOOR[module]}) imports {sorted(level)}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_network_modules_import_keras(module):
    if module == "convert":  # LiteRT is TensorFlow's own, so this one imports it, when it must
        return
    assert "tensorflow" not in packages(imports(read(module)))
    allowed = module in MAY_IMPORT_KERAS
    if not allowed:
        lazily = module in MAY_IMPORT_KERAS_LAZILY
        assert "keras" not in packages(imports(read(module), when_loaded=lazily))


def test_importing_the_light_modules_is_silent_and_loads_no_heavy_package():
    light = [f"kidneyct_lib.{m}" for m in MODULES if FLOOR[m] < 3 or m in MAY_IMPORT_KERAS_LAZILY]
    program = (
        f"import sys, {', '.join(['kidneyct_lib', *light])}\n"
        "heavy = {'tensorflow', 'keras', 'kaggle', 'pydicom'} & sys.modules.keys()\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
