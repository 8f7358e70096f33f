"""One self-contained page from a run's saved metrics, tables and figures; computes no result."""

from pathlib import Path

from kidneyct_lib.report import context
from kidneyct_lib.study.run_folder import Run


def write(run: Run) -> Path:
    """Write `report.html` of a finished run, unless it is there already as it should be.

    Raises
    ------
    StudyError
        If the run lacks its metrics or tables.
    """
    page = context.page(run)
    path = run.folder / "report.html"
    if path.exists() and path.read_text(encoding="utf-8") == page:
        return path  # a second call does nothing
    return run.write_text("report.html", page)
