"""Reviews of branches, made up, for the tests of their page in a browser.

`.venv/bin/python web/e2e/review_report.py OUT_FOLDER` writes OUT_FOLDER/review.html: a sentence, a
cell that holds what a page must not run, a parameter, metrics, flips and a figure. In
OUT_FOLDER/review-large.html there are, beside these, 50 changed cells in two notebooks and 10 MB of
figures, before and after together.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from kidneyct_lib import review
from kidneyct_lib.core.files import PROJECT
from kidneyct_lib.review import collect

TESTS = Path(__file__).resolve().parents[2] / "tests"
CELLS, FIGURE_BYTES, SIDE = 25, 10e6, 1200  # changed cells of a notebook; bytes; pixels
HOSTILE = (
    "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>\n\n"
    "![asks](https://kidneyct.invalid/a.png) $x^2$"
)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out.resolve()
    sys.path.insert(0, str(TESTS))
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch) / "small", out / "review.html", large=False)
        write(Path(scratch) / "large", out / "review-large.html", large=True)


def write(scratch: Path, page: Path, *, large: bool) -> None:
    """Make a branch and its runs below `scratch`, and write its review."""
    import changed_branch

    project = changed_branch.make_project(scratch / "project")
    changed_branch.change(project)
    for side, branch in (("base", "main"), ("branch", "branch")):
        changed_branch.git(project, "switch", "-q", branch)
        names = ("large", "larger") if large else ("few",)
        files = {f"notes/{name}.ipynb": notebook(side, CELLS if large else 4) for name in names}
        changed_branch.commit(project, files)
        if branch == "main":
            changed_branch.git(project, "switch", "-q", "branch")
            changed_branch.git(project, "rebase", "-q", "main")
    before, after = changed_branch.make_runs(scratch / "runs")
    if large:
        draw(before / "figures", after / "figures")
    os.environ[PROJECT] = str(project)
    found = collect.collect("main", "phantom", run=after, base_run=before)
    review.write(found, page)


def notebook(side: str, changed: int) -> str:
    """Twice as many cells as change, code and Markdown in turns, the last of them hostile."""
    import changed_branch

    cells = []
    for number in range(changed):
        kind = ("code", "markdown")[number % 2]
        lines = [f"value_{number}_{line} = {line}" for line in range(12)]
        cells.append((kind, "\n".join([*lines, f"shown = '{side} {number}'"])))
        cells.append((kind, "\n".join(lines)))
    cells[-2] = ("markdown", f"{side} {HOSTILE}")
    return changed_branch.notebook(*cells)


def draw(before: Path, after: Path) -> None:
    """Figures that no compression makes small, until they weigh enough."""
    rng, written, number = np.random.default_rng(0), 0, 0
    while written < FIGURE_BYTES:
        levels = rng.integers(0, 2**8, (SIDE, SIDE), np.uint8)
        name = f"07_leakage_audit__noise_{number}.png"
        Image.fromarray(levels).save(before / name)
        levels[SIDE // 3 :, : SIDE // 2] //= 2
        Image.fromarray(levels).save(after / name)
        written += sum((folder / name).stat().st_size for folder in (before, after))
        number += 1


if __name__ == "__main__":
    main()
