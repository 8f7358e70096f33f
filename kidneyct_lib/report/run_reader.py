"""What a run has saved, as the page's templates ask for it."""

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from kidneyct_lib.report.tables import Shown, shown
from kidneyct_lib.study.run_folder import Run


class Saved:
    """A finished run's files, by the names that the templates use.

    Only what the notebooks last wrote counts: a file that an older notebook left is not shown.

    Parameters
    ----------
    run
        A finished run.
    names
        ``headers`` and ``cells`` of tables that are not shown as they are saved.
    """

    def __init__(self, run: Run, names: Mapping[str, Mapping[str, str]]) -> None:
        self.run = run
        self._names = names

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Content of `run.json`."""
        return self.run.provenance()

    @cached_property
    def files(self) -> set[str]:
        """Paths in the run's folder that its notebooks last wrote, and the notebooks."""
        notebooks = self.provenance.get("notebooks", {})
        written = {path for known in notebooks.values() for path in known.get("outputs", [])}
        written |= {f"notebooks/{name}.ipynb" for name in notebooks}
        return {path for path in written if (self.run.folder / path).is_file()}

    def has(self, path: str) -> bool:
        """Whether the run saved this file."""
        return path in self.files

    def timings(self, name: str) -> dict[str, Any]:
        """`timings/<name>.json`; empty where the run has none."""
        return self.run.read_timings(name) if self.has(f"timings/{name}.json") else {}

    def metrics(self, name: str) -> dict[str, Any]:
        """`metrics/<name>.json`; empty where the run has none."""
        return self.run.read_metrics(name) if self.has(f"metrics/{name}.json") else {}

    def records(self, name: str) -> list[dict[str, Any]]:
        """Rows of `tables/<name>.csv`; none where the run has none."""
        if not self.has(f"tables/{name}.csv"):
            return []
        rows = self.run.read_table(name).to_dict("records")
        return [{str(key): value for key, value in row.items()} for row in rows]

    def table(
        self, name: str, *, without: Sequence[str] = (), only: Mapping[str, Any] | None = None
    ) -> Shown | None:
        """`tables/<name>.csv` as text; None where the run has none or nothing of it is left.

        Parameters
        ----------
        name
            Of the table.
        without
            Beginnings of the names of columns to leave out.
        only
            {column: value} of the rows to keep; these columns are left out, too.
        """
        if not self.has(f"tables/{name}.csv"):
            return None
        table = rows = self.run.read_table(name)
        for column, value in (only or {}).items():
            rows = rows[rows[column] == value].drop(columns=column)
        if rows.empty:
            return None
        kept = [column for column in rows if not str(column).startswith(tuple(without))]
        content = shown(rows[kept], self._names)
        return content._replace(left_out=len(table) - len(content.rows))

    def figures(self, *notebooks: str) -> list[str]:
        """Names of the figures that notebooks of these numbers saved, in order of their names."""
        names = [Path(path).stem for path in sorted(self.files) if path.startswith("figures/")]
        return [name for name in names if name[:2] in notebooks]

    def image(self, figure: str) -> dict[str, Any]:
        """`data:` address of a figure, with its width and height in pixels.

        The address holds the image itself, as PNG in 256 colours: half the bytes, no visible loss.
        With its size known a page keeps its place while it loads.
        """
        with Image.open(self.run.folder / f"figures/{figure}.png") as image:
            reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small = io.BytesIO()
        reduced.save(small, "PNG")
        address = f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"
        return {"address": address, "width": reduced.width, "height": reduced.height}
