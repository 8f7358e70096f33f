"""What importing a module loads; which layer may import which is a contract in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "kidneyct_lib"
MAY_IMPORT_KERAS = {
    "deployment.export",
    "deployment.inference_graph",
    "deployment.preprocessing",
    "interpretability.grad_cam",
    "interpretability.weight_randomization",
    "models.multiply_adds",
    "models.small_cnn",
    "models.keras_setup",
    "models.backbones",
    "models.builder",
    "models.freezing",
    "models.harmonization",
    "models.roi_crops",
    "models.segmentation",
    "robustness.inference",
    "training.feature_cache",
    "training.lesion_crops",
    "training.recipes",
    "training.segmentation",
    "training.stage",
}
MAY_IMPORT_TENSORFLOW = {"deployment.quantization"}  # LiteRT's converter is TensorFlow's own
MAY_IMPORT_KERAS_LAZILY = {"cli"}
LIGHT = (
    "core",
    "study",
    "data",
    "splitting",
    "evaluation",
    "plots",
    "report",
    "explore",
    "uncertainty",
    "cli",
)
HEAVY = {"tensorflow", "keras", "kaggle", "pydicom", "dask", "distributed"}
LOADED_ONLY_WHERE_NEEDED = {  # by functions of light modules
    "core.dask_client",
    "core.dask_worker",
    "data.dicom",
    "data.dicom_values",
}


def dotted(path):
    """Return a module's name below the library; a package bears its folder's name."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in sorted(LIBRARY.rglob("*.py")) if dotted(path)}


def imported_packages(source, *, when_loaded=False):
    """Return the packages that `source` imports, or only those it imports when loaded."""
    nodes, packages = [ast.parse(source)], set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            packages.update(alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            packages.add(node.module.split(".")[0])
            if node.module.startswith("kidneyct_lib"):
                packages.update(alias.name for alias in node.names if alias.name == "keras")
        if not (when_loaded and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))
    return packages


def test_imports_are_found_wherever_they_stand():
    source = (
        "import numpy.linalg\n"
        "from kidneyct_lib.models.keras_setup import keras\n"
        "def f():\n    import tensorflow.lite\n"
        "class A:\n    import scipy\n"
    )
    everything = {"numpy", "kidneyct_lib", "keras", "tensorflow", "scipy"}
    assert imported_packages(source) == everything
    assert imported_packages(source, when_loaded=True) == everything - {"tensorflow"}


@pytest.mark.parametrize("module", FILES)
def test_only_the_network_modules_import_keras(module):
    source = FILES[module].read_text()
    if module not in MAY_IMPORT_TENSORFLOW:
        assert "tensorflow" not in imported_packages(source)
    if module not in MAY_IMPORT_KERAS | MAY_IMPORT_TENSORFLOW:
        lazily = module in MAY_IMPORT_KERAS_LAZILY
        assert "keras" not in imported_packages(source, when_loaded=lazily)


def test_the_named_modules_do_import_keras():
    for module in MAY_IMPORT_KERAS:
        assert "keras" in imported_packages(FILES[module].read_text()), module


def test_importing_the_light_sub_packages_is_silent_and_loads_no_heavy_package():
    names = [name for name in FILES if name.split(".")[0] in LIGHT]
    light = [f"kidneyct_lib.{name}" for name in names if name not in LOADED_ONLY_WHERE_NEEDED]
    program = (
        f"import sys, {', '.join(['kidneyct_lib', *light])}\n"
        f"heavy = {HEAVY} & sys.modules.keys()\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_every_sub_package_says_what_it_holds():
    for package in LIBRARY.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(package.read_text())), package
