"""The set-up: locks in step with pyproject.toml, and what `make` says where it cannot go on."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import kidneyct_lib

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UV_LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
REQUIREMENTS = (ROOT / "requirements.lock").read_text()


def parse_requirement(text):
    """Split `name>=1,<2` into its name and its set of bounds, whose order does not matter."""
    name, specifier = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", text).groups()
    return name, frozenset(specifier.split(","))


def locked_pins():
    """What the project and its development need, extras left out, directly or not."""
    found, waiting = set(), [{"name": "kidneyct", "extra": ["dev"]}]
    while waiting:
        wanted = waiting.pop()
        for package in UV_LOCK["package"]:
            pin = f"{package['name']}=={package['version']}"
            same = package["name"] == wanted["name"]
            if same and wanted.get("version", package["version"]) == package["version"]:
                extras = wanted.get("extra", [])
                if (pin, *extras) in found:
                    continue
                found.add((pin, *extras))
                groups = package.get("optional-dependencies", {}) | package.get(
                    "dev-dependencies", {}
                )
                waiting += package.get("dependencies", [])
                waiting += [one for extra in extras for one in groups.get(extra, [])]
    return {pin for pin, *_ in found if not pin.startswith("kidneyct==")}


def test_uv_lock_is_in_step_with_pyproject():
    def locked(table, extra=None):
        """Requirements of the project itself, or of one of its extras."""
        marks = {None: lambda mark: "extra ==" not in mark}
        asked = marks.get(extra, lambda mark: f"extra == '{extra}'" in mark)
        return {
            (r["name"], frozenset(r["specifier"].split(",")))
            for r in table
            if asked(r.get("marker", ""))
        }

    (project,) = (p for p in UV_LOCK["package"] if p["name"] == "kidneyct")
    declared = {parse_requirement(r) for r in PYPROJECT["project"]["dependencies"]}
    development = {parse_requirement(r) for r in PYPROJECT["dependency-groups"]["dev"]}
    assert locked(project["metadata"]["requires-dist"]) == declared
    assert locked(project["metadata"]["requires-dev"]["dev"]) == development
    for extra, listed in PYPROJECT["project"]["optional-dependencies"].items():
        plain = {re.sub(r"\[.*?\]|;.*", "", one) for one in listed}
        known = {parse_requirement(one) for one in plain}
        assert locked(project["metadata"]["requires-dist"], extra) == known
    bounds = UV_LOCK["requires-python"].replace(" ", "")
    assert bounds == PYPROJECT["project"]["requires-python"]


def test_requirements_lock_is_in_step_with_uv_lock():
    pins = set(re.findall(r"^([^\s#]+==[^\s;]+)", REQUIREMENTS, re.MULTILINE))
    assert pins == locked_pins()


def test_every_requirement_is_hashed_and_no_address_or_path_is_named():
    assert "/" not in REQUIREMENTS
    assert "--index" not in REQUIREMENTS
    statements = re.sub(r"^#.*\n", "", REQUIREMENTS, flags=re.MULTILINE).replace("\\\n", "")
    for statement in statements.splitlines():
        assert re.search(r"^\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", statement), statement


def test_environment_yml_is_in_step():
    written = (ROOT / "environment.yml").read_text()
    made = subprocess.run(
        [sys.executable, ROOT / "tools/environment_yml.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == written
    python, pip, packages = yaml.safe_load(written)["dependencies"]
    assert python == f"python {PYPROJECT['project']['requires-python']}"
    assert pip == "pip"
    *pins, project = packages["pip"]
    assert project == "-e ."
    assert {pin.split(" ;")[0] for pin in pins} == locked_pins()


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert kidneyct_lib.__version__ == PYPROJECT["project"]["version"] == citation["version"]


def make(*arguments, cwd=ROOT, path=os.environ["PATH"]):
    """Run make in a plain environment and return its result."""
    return subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_alone_lists_every_target_with_its_help():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE).group(1).split()
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", make().stdout, re.MULTILINE))
    assert set(listed) == set(targets)
    assert {"setup", "lab", "reproduce", "test", "lint", "review", "clean"} <= set(listed)


@pytest.fixture
def bare_tree(tmp_path):
    """Return a copy of what set-up reads, without an environment."""
    for name in ("Makefile", "pyproject.toml", "uv.lock", "requirements.lock", "tools"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def pretend_python(folder, preamble):
    """Put a `python3` first on PATH: this one, after `preamble` has changed what it says."""
    folder.mkdir()
    pretence = folder / "pretence.py"
    pretence.write_text(
        f"import sys\n{preamble}\n"
        "if sys.argv[1] == '-V': print('Python %d.%d.%d' % sys.version_info[:3])\n"
        "else: exec(sys.argv[2])\n"
    )
    command = folder / "python3"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{pretence}" "$@"\n')
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0)])
def test_unfit_python_is_refused_in_one_line(bare_tree, version):
    path = pretend_python(bare_tree / "bin", f"sys.version_info = {version}")
    result = make("test", "UV=", cwd=bare_tree, path=path)
    said = result.stderr.splitlines()
    assert result.returncode
    assert f"Python {'.'.join(map(str, version))}; install Python 3.11, 3.12 or 3.13" in said[0]
    assert said[1].startswith("make: ***")
    assert not (bare_tree / ".venv").exists()


def test_missing_venv_module_is_said_in_one_line(bare_tree):
    path = pretend_python(bare_tree / "bin", "sys.modules['ensurepip'] = None")
    result = make("reproduce", "UV=", cwd=bare_tree, path=path)
    said = result.stderr.splitlines()
    assert result.returncode
    assert "has no venv module" in said[0]
    assert "sudo apt install python3-venv" in said[0]
    assert said[1].startswith("make: ***")


def test_missing_python_is_said_in_one_line(bare_tree):
    result = make("setup", "UV=", "PYTHON=no-such-python", cwd=bare_tree)
    assert "there is no 'no-such-python'; install Python" in result.stderr.splitlines()[0]


def test_set_up_accepts_exactly_the_pythons_of_pyproject():
    script = (ROOT / "tools/setup.sh").read_text()
    low, high = map(
        ast.literal_eval, re.search(r"(\(3, \d+\)) <= .* <= (\(3, \d+\))", script).groups()
    )
    assert PYPROJECT["project"]["requires-python"] == f">=3.{low[1]},<3.{high[1] + 1}"


def test_interrupted_set_up_is_not_taken_for_ready(bare_tree):
    """A package manager that dies half way leaves no stamp, and the next try starts anew."""
    dying = bare_tree / "dying-uv"
    dying.write_text("#!/bin/sh\nmkdir .venv && touch .venv/half && exit 7\n")
    dying.chmod(0o755)
    for _ in range(2):
        result = make("setup", f"UV={dying}", cwd=bare_tree)
        assert result.returncode
        assert (bare_tree / ".venv/half").exists()
        assert not (bare_tree / ".venv/.ready").exists()
    assert "never finished" in result.stdout


def test_extras_stay_through_a_later_set_up(bare_tree):
    manager = bare_tree / "uv"
    manager.write_text('#!/bin/sh\nmkdir -p .venv && echo "$@" >> calls\n')
    manager.chmod(0o755)
    assert make("setup", f"UV={manager}", cwd=bare_tree).returncode == 0
    assert make("setup", f"UV={manager}", "EXTRA=dask jax", cwd=bare_tree).returncode == 0
    assert make("setup", f"UV={manager}", "EXTRA=jax", cwd=bare_tree).returncode == 0
    os.utime(bare_tree / ".venv/.ready", (0, 0))  # the lock is newer
    assert make("setup", f"UV={manager}", cwd=bare_tree).returncode == 0
    first, *later = (bare_tree / "calls").read_text().splitlines()
    assert "--extra" not in first
    asked = [set(re.findall(r"--extra (\w+)", line)) for line in later]
    assert asked == [{"dask"}, {"dask", "jax"}, {"dask", "jax"}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("EXTRA=dusk",), "those of pyproject.toml are: cuda dask jax"),
        (("EXTRA=dask", "UV="), "pip install uv"),
    ],
)
def test_extra_that_cannot_be_installed_is_told(bare_tree, options, said):
    (bare_tree / ".venv").mkdir()
    (bare_tree / ".venv/.ready").touch()
    result = make("setup", *options, cwd=bare_tree)
    assert result.returncode
    assert said in result.stderr
    assert (bare_tree / ".venv/.ready").exists()


def test_reproduce_hands_paths_with_spaces_on_whole(bare_tree):
    command = bare_tree / ".venv/bin/kidneyct"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    command.chmod(0o755)
    (bare_tree / ".venv/.ready").touch()
    given = (
        "STUDY=folder",
        "DATA=a b/c",
        "EXTERNAL=it's d",
        "MASKS=m n",
        "SEED=3",
        "AUGMENT=4",
        "SIZE=448",
    )
    spaced = make("reproduce", *given, "FOLDS=1", "RECIPE=patient", cwd=bare_tree)
    assert spaced.stdout.split("\n")[:-1] == [
        *("<reproduce>", "<--study>", "<folder>", "<--data>", "<a b/c>"),
        *(
            "<--external>",
            "<it's d>",
            "<--masks>",
            "<m n>",
            "<--recipe>",
            "<patient>",
            "<--seed>",
            "<3>",
            "<--augment>",
            "<4>",
        ),
        *("<--image-size>", "<448>", "<--folds>", "<1>"),
    ]
    plain = make("reproduce", cwd=bare_tree)
    assert plain.stdout.split() == ["<reproduce>", "<--study>", "<phantom>"]
    assert not (bare_tree / ".venv/.extra-dask").exists()


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ("WORKERS=4", "<--workers> <4>"),
        ("SCHEDULER=tcp://a:1", "<--scheduler> <tcp://a:1>"),
        ("CLUSTER=my params/slurm.yaml", "<--cluster> <my params/slurm.yaml>"),
        ("DASK_SCHEDULER_ADDRESS=tcp://a:1", ""),
    ],
)
def test_what_computes_by_dask_gets_the_extra_first(bare_tree, given, handed_on):
    manager = bare_tree / "uv"
    manager.write_text('#!/bin/sh\nmkdir -p .venv/bin && echo "uv $@"\n')
    manager.chmod(0o755)
    command = bare_tree / ".venv/bin/kidneyct"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\nfor word; do printf "<%s> " "$word"; done\n')
    command.chmod(0o755)
    (bare_tree / ".venv/.ready").touch()
    told = make("reproduce", f"UV={manager}", given, cwd=bare_tree).stdout
    assert "--extra dask" in told
    assert told.endswith(f"<reproduce> <--study> <phantom> {handed_on}".rstrip() + " ")
    again = make("reproduce", f"UV={manager}", given, cwd=bare_tree).stdout
    assert "--extra" not in again


def notebook(source="x = 1", *, cell=None, metadata=None):
    """Return the text of a notebook of one code cell."""
    blank = {"id": "a1", "metadata": {}, "outputs": [], "execution_count": None}
    code = {"cell_type": "code", "source": source} | blank | (cell or {})
    return json.dumps(
        {"cells": [code], "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}, indent=1
    )


@pytest.fixture
def notebook_repository(bare_tree):
    """Return a git repository with one committed notebook, set up with nothing but nbdime."""
    for name in (".gitattributes", "nbdime_config.json"):
        shutil.copy(ROOT / name, bare_tree)
    (bare_tree / "study.ipynb").write_text(notebook())
    git(bare_tree, "init", "--quiet", "--initial-branch=main")
    git(bare_tree, "add", "--all")
    git(bare_tree, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "first")
    nbdime = Path(sys.executable).with_name("git-nbdiffdriver")
    manager = bare_tree / "uv"
    manager.write_text(f"#!/bin/sh\nmkdir -p .venv/bin && ln -s '{nbdime}' .venv/bin/\n")
    manager.chmod(0o755)
    assert make("setup", f"UV={manager}", cwd=bare_tree).returncode == 0
    return bare_tree


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_git_diff_shows_what_a_notebook_reviewer_cares_about(notebook_repository):
    study = notebook_repository / "study.ipynb"
    run_marks = {
        "id": "b2",
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "seen"}],
        "metadata": {"papermill": {"duration": 1}, "execution": {"iopub.execute_input": "then"}},
    }
    about_the_run = {"papermill": {"duration": 1}, "language_info": {"name": "python"}}
    study.write_text(notebook(cell=run_marks, metadata=about_the_run))
    assert git(notebook_repository, "diff") == ""

    study.write_text(notebook("x = 2", cell={"metadata": {"tags": ["parameters"]}}))
    shown = git(notebook_repository, "diff")
    assert "-  x = 1\n+  x = 2" in shown
    assert "parameters" in shown
    assert "cell_type" not in shown
    assert make("review", "BASE=HEAD", cwd=notebook_repository).stdout.count("+  x = 2") == 1


def test_git_diff_falls_back_to_text_without_the_environment(notebook_repository):
    shutil.rmtree(notebook_repository / ".venv")
    (notebook_repository / "study.ipynb").write_text(notebook("x = 2"))
    assert '+   "source": "x = 2"' in git(notebook_repository, "diff")


def test_review_says_when_there_is_nothing_to_compare(notebook_repository):
    same = make("review", cwd=notebook_repository)
    assert same.stdout == "No notebook differs from main.\n"
    lost = make("review", "BASE=no-such-branch", cwd=notebook_repository)
    assert lost.returncode
    assert "neither no-such-branch nor origin/no-such-branch is here" in lost.stderr
