"""A project to open in JupyterLab: the notebooks, and links to the files of a finished run.

`.venv/bin/python web/lab/project.py --study phantom FOLDER` makes it anew. What notebooks write
there leaves the run as it is: small files are copied, and a new file is renamed over a link to a
large one. A second run of the same results stands beside it, to be compared with.
"""

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.explore.finished_run import FinishedRun

ROOT = Path(__file__).resolve().parents[2]
LARGE = 5_000_000  # bytes
LEFT_OUT = ("checkpoints", "models", "export", "reference", ".lock", ".run.json.lock")


def link(source: str, target: str) -> None:
    """Give a large file a second name, or copy it to where it can't have one."""
    if Path(source).stat().st_size > LARGE:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def make(study: str, folder: Path) -> None:
    """Make the project; raises StudyError where the run is not finished or has no export."""
    finished = FinishedRun(ROOT / "outputs" / study)
    assert finished.model
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("params", "notebooks"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".cache").symlink_to(ROOT / ".cache")
    run, runs = finished.run.folder, folder / "outputs"
    locks = shutil.ignore_patterns(LEFT_OUT[0], *LEFT_OUT[3:])
    shutil.copytree(run, runs / study, copy_function=link, ignore=locks)
    results = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(run, runs / f"{study}-again", copy_function=link, ignore=results)


def main() -> None:
    """Make the project that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="phantom", help="run folder below outputs/")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to make it")
    options = parser.parse_args()
    make(options.study, options.folder)


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"project.py: {error}")
