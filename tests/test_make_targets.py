"""Every make target is run by some check: that of a fresh clone, the nightly one, or this file."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = [ROOT / ".ci/run", *sorted((ROOT / ".github/workflows").glob("*.yml"))]
RUN_HERE = {"help", "clean", "review", "lab", "review-web"}
COMPARED = {"docs"}  # test_docs.py compares the pages with what it would write
INDIRECTLY = {"setup"}  # by every target that needs the environment
BY_HAND = {
    "web": "serves the page that web-test tests until a person stops it",
    "lock": "asks the registry for newer versions; lock-check compares what it wrote",
    "distclean": "removes the environment that the checks run in",
}


def targets():
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def checked():
    text = "\n".join(path.read_text() for path in CHECKS)
    matrix = re.findall(r"target: \[(.*)\]", text)
    return set(re.findall(r"make ([a-z-]+)", text)) | set(", ".join(matrix).split(", "))


def test_every_target_is_run_by_some_check_or_says_why_not():
    known = checked() | RUN_HERE | COMPARED | INDIRECTLY | set(BY_HAND)
    assert targets() <= known, f"no check runs {sorted(targets() - known)}"
    assert not set(BY_HAND) & checked(), "a target that a check runs needs no excuse"
    assert set(BY_HAND) | RUN_HERE <= targets()


def make(folder, *arguments):
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def look_closely(project):
    """Change the notebook's title."""
    notebook = project / "notebooks/02_explore.ipynb"
    notebook.write_text(notebook.read_text().replace("# 02 Explore", "# 02 Look closely"))


@pytest.fixture
def project(tmp_path):
    """A git checkout of the Makefile and one notebook, with this environment."""
    if not (ROOT / ".venv/.ready").exists():
        pytest.skip("the environment is not .venv of this checkout")
    for name in ("Makefile", "pyproject.toml", "uv.lock", "requirements.lock", "tools"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/02_explore.ipynb", tmp_path / "notebooks")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".gitignore").write_text(".venv\n.cache\n")
    for command in ("init -q -b main", "add -A", "commit -q -m first", "switch -q -c branch"):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *command.split()], cwd=tmp_path, check=True)
    return tmp_path


def test_help_lists_every_target(project):
    done = make(project, "help")
    assert done.returncode == 0
    assert set(re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)) == targets()


def test_clean_removes_stores_and_keeps_outputs(project):
    for name in (".cache/store", "outputs/phantom/report.html"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("")
    assert make(project, "clean").returncode == 0
    assert not (project / ".cache").exists()
    assert (project / "outputs/phantom/report.html").exists()


def test_review_shows_what_a_branch_changes_in_notebooks(project):
    done = make(project, "-o", ".venv/.ready", "review")
    assert done.stdout.strip() == "No notebook differs from main.", done.stderr
    look_closely(project)
    done = make(project, "-o", ".venv/.ready", "review")
    assert done.returncode == 0, done.stderr
    assert "Look closely" in done.stdout


def test_sweep_hands_on_what_it_is_given(project):
    """A dry run on a folder whose name has a space."""
    shutil.copytree(ROOT / "params", project / "params")
    (project / "my images").mkdir()
    axes = "name: mine\nbase: {study: folder}\naxes: {seed: [1, 2]}\n"
    (project / "my sweep.yaml").write_text(axes)
    asked = ["-o", ".venv/.ready", "sweep", "SWEEP=my sweep.yaml", "JOBS=1", "DRY=1"]
    done = make(project, *asked, "DATA=my images")
    assert done.returncode == 0, done.stderr
    assert "folder-seed2: 1 notebooks" in done.stdout
    assert not (project / "outputs").exists()
    done = make(project, *asked, "DATA=other images")
    assert done.returncode != 0
    assert "DATA=other images is no folder" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "page", "shown"),
    [
        ("lab", r"http://localhost:\d+/lab/tree/notebooks\S+", "JupyterLab"),
        ("review-web", r"http://127.0.0.1:\d+/difftool", "nbdime"),
    ],
)
def test_what_opens_a_page_serves_it(project, target, page, shown):
    """No browser is opened: BROWSER names a program that only ends."""
    look_closely(project)
    log = project / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["make", "-o", ".venv/.ready", target],
            cwd=project,
            env=os.environ | {"BROWSER": "true", "HOME": str(project)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    try:
        while not (found := re.search(page, log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        with urllib.request.urlopen(found[0], timeout=30) as answer:
            assert shown in answer.read().decode()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def test_hooks_before_a_commit_are_valid_and_call_what_is_there():
    if not (ROOT / ".venv/bin/pre-commit").exists():
        pytest.skip("the environment is not .venv of this checkout")
    config = ROOT / ".pre-commit-config.yaml"
    command = [ROOT / ".venv/bin/pre-commit", "validate-config", config]
    subprocess.run(command, check=True)
    for entry in re.findall(r"entry: (\S+)", config.read_text()):
        assert (ROOT / entry).exists(), entry
