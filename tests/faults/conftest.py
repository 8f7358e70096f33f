"""Fixtures of the fault suite: small disks, and small projects that ran undisturbed once."""

import shutil
import subprocess
from pathlib import Path

import disturb
import pytest
from small_project import NOTEBOOKS, Small


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The small project after an undisturbed run."""
    small = Small(tmp_path_factory.mktemp("undisturbed"))
    small.begin()
    assert small.executes() == list(NOTEBOOKS)
    return small


@pytest.fixture(scope="session")
def expected(undisturbed):
    """Metrics and tables of the undisturbed run."""
    return disturb.results(undisturbed.run)


@pytest.fixture
def fresh(tmp_path):
    """The small project before any run."""
    small = Small(tmp_path / "small")
    small.folder.mkdir()
    small.begin()
    return small


@pytest.fixture
def done(tmp_path, undisturbed):
    """A copy of the small project after its undisturbed run."""
    shutil.copytree(undisturbed.folder, tmp_path / "small")
    return Small(tmp_path / "small")


@pytest.fixture
def small_disk(tmp_path):
    """Function that mounts a disk of a few kB at a folder; skips where that is not permitted."""
    mounted = []

    def mount(folder: Path, size: str = "256k") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            answer = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            pytest.skip(f"no small disk: {error}")
        if answer.returncode:
            pytest.skip(f"no small disk without the right to mount: {answer.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
