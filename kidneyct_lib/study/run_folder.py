"""One run's folder: the only writer of tables, metrics, figures, models and `run.json`."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from matplotlib.figure import Figure

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest, project_root, read_json, replacement
from kidneyct_lib.study import figure_texts, provenance
from kidneyct_lib.study.notebook_view import Shown, scroll_tables
from kidneyct_lib.study.parameters import digest

_ANEW = "`make reproduce` writes it anew."


class Run:
    """A run's folder and its `run.json`, opened for one notebook (or for reading only).

    Parameters
    ----------
    folder : str or Path
        The run's folder; a relative path is taken from the project's root.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = project_root() / folder
        self._notebook: str | None = None
        self._started, self._used = time.monotonic(), _processor_seconds()
        self._read: set[str] = set()
        self._written: list[str] = []

    # --- reading -------------------------------------------------------------------------------

    def read_table(self, name: str) -> pd.DataFrame:
        """`tables/<name>.csv`; an empty cell is missing in a number column, "" in a text column."""
        table = read_table(self._existing(f"tables/{name}.csv"), _ANEW)
        texts = table.select_dtypes(exclude="number").columns
        return table.fillna(dict.fromkeys(texts, ""))

    def read_metrics(self, name: str) -> dict[str, Any]:
        """`metrics/<name>.json`."""
        return read_json(self._existing(f"metrics/{name}.json"), _ANEW)

    def read_timings(self, name: str) -> dict[str, Any]:
        """`timings/<name>.json`."""
        return read_json(self._existing(f"timings/{name}.json"), _ANEW)

    def model_path(self, scheme: str) -> Path:
        """`models/<scheme>.keras`, which must exist."""
        return self._existing(f"models/{scheme}.keras")

    def export_folder(self, scheme: str) -> Path:
        """`export/<scheme>`, where the exported model of a scheme lies or will lie."""
        return self.folder / "export" / scheme

    @property
    def data_folder(self) -> Path:
        """Folder of the study's images, as notebook 01 recorded it."""
        data = self.provenance().get("data")
        if data is None:
            raise StudyError(f"{self.folder} knows no images yet: run notebook 01_download first.")
        return project_root() / data["folder"]

    def provenance(self) -> dict[str, Any]:
        """`run.json` as it stands; empty before the first notebook."""
        path = self.folder / "run.json"
        return read_json(path, f"delete it: {_ANEW}") if path.exists() else {}

    def notebooks(self) -> dict[str, dict[str, Any]]:
        """What `run.json` tells of each notebook that has begun."""
        return self.provenance().get("notebooks", {})

    def is_sound(self, relative: str, notebook: str) -> bool:
        """Whether a file still is what this notebook, or a later one, last wrote there."""
        known = self.provenance().get("files", {}).get(relative)
        if known is None or known["notebook"] < notebook:
            return False
        return known["sha256"] == file_digest(self.folder / relative)

    def _existing(self, relative: str) -> Path:
        path = self.folder / relative
        if not path.exists():
            raise StudyError(
                f"{path} is missing: run the notebooks before this one first "
                "(`make reproduce` runs them all)."
            )
        self._read.add(relative)
        return path

    # --- writing -------------------------------------------------------------------------------

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write `tables/<name>.csv` without its row index."""
        return self.write(f"tables/{name}.csv", lambda path: table.to_csv(path, index=False))

    def write_metrics(self, name: str, metrics: Mapping[str, Any]) -> Path:
        """Write `metrics/<name>.json`."""
        return self.write_json(f"metrics/{name}.json", metrics)

    def write_timings(self, name: str, timings: Mapping[str, Any]) -> Path:
        """Write `timings/<name>.json`: what clocks and memory say, which no other run repeats.

        They stay out of `metrics/` and `tables/`, whose files equal parameters give again.
        """
        return self.write_json(f"timings/{name}.json", timings)

    def write_figure(self, name: str, figure: Figure) -> Shown:
        """Write `figures/<notebook>__<name>.png` at 150 dots an inch; shown as the file's image.

        A cell that ends with this call shows what was written, and nothing is drawn twice. What is
        seen in it stands in `figures.yaml`.
        """
        stem = f"{self._notebook}__{name}" if self._notebook else name
        path = self.write(
            f"figures/{stem}.png",
            lambda path: figure.savefig(path, dpi=150, format="png", metadata={"Software": None}),
        )
        alt, width = figure_texts.of(stem)["alt"], round(72 * figure.get_figwidth())
        return Shown(path.read_bytes(), alt, width)

    def write_model(self, scheme: str, save: Callable[[Path], None], facts: Mapping) -> Path:
        """Write `models/<scheme>.keras` by `save(path)`, and what its user must know beside it."""
        self.write_json(f"models/{scheme}.json", facts)
        return self.write(f"models/{scheme}.keras", save)

    def write_text(self, relative: str, text: str) -> Path:
        """Write a text file at a path relative to the run's folder."""
        return self.write(relative, lambda path: path.write_text(text, encoding="utf-8"))

    def write_json(self, relative: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file at a path relative to the run's folder."""
        return self.write_text(relative, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def record_images(self, role: str, folder: Path, table: pd.DataFrame) -> None:
        """Record in `run.json` where images are, and one hash of their names and contents.

        The role is "data" for the study's own images; `table` is their catalog.
        """
        root, place = project_root().resolve(), folder.resolve()
        known = {
            "folder": str(place.relative_to(root) if place.is_relative_to(root) else folder),
            "images": len(table),
            "sha256": provenance.images_digest(table),
        }
        self.record(**{role: known})

    def record(self, **facts: Any) -> None:
        """Merge facts into `run.json` at its top level."""
        with self._recording() as known:
            known |= facts

    def record_file(self, relative: str, notebook: str) -> None:
        """Record in `run.json` which notebook wrote a file last, and the file's sha256."""
        facts = {"sha256": file_digest(self.folder / relative), "notebook": notebook}
        with self._recording() as known:
            known["files"] = known.get("files", {}) | {relative: facts}

    def record_notebook(self, notebook: str, **facts: Any) -> None:
        """Add facts to what `run.json` tells of a notebook."""
        with self._recording() as known:
            known["notebooks"][notebook] |= facts

    @contextlib.contextmanager
    def _recording(self) -> Iterator[dict[str, Any]]:
        """Content of `run.json`, to be changed: notebooks that run side by side take turns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".run.json.lock"):
                known = self.provenance()
                yield known
                self.write_json("run.json", known)
        except OSError as error:
            raise StudyError(f"{self.folder} cannot be written: {error}") from error

    def write(self, relative: str, save: Callable[[Path], Any]) -> Path:
        """Write a file at a path relative to the run's folder by `save(path)`."""
        path = self.folder / relative
        try:
            with replacement(path) as temporary:
                save(temporary)
        except OSError as error:
            raise StudyError(f"{path} could not be written: {error}") from error
        if self._notebook and relative != "run.json":
            self._written.append(relative)
            self.record_file(relative, self._notebook)
        return path

    # --- provenance ----------------------------------------------------------------------------

    def begin(self, notebook: str, parameters: Mapping[str, Any]) -> None:
        """Record that this notebook starts now, with what; it counts only after `finish`."""
        self._notebook = notebook
        self._started, self._used = time.monotonic(), _processor_seconds()
        self._read, self._written = set(), []
        source = project_root() / "notebooks" / f"{notebook}.ipynb"
        started = {"parameters": dict(parameters), "source_sha256": file_digest(source)}
        surroundings = {
            "library_sha256": provenance.library_digest(),
            "environment_sha256": provenance.environment_digest(),
            "git": provenance.git_state(project_root()),
            "packages": provenance.package_versions(),
            "machine": provenance.machine(),
        }
        with self._recording() as known:
            others = known.get("notebooks", {})
            # What it wrote the last time stays known until it has written it anew.
            started["outputs"] = others.pop(notebook, {}).get("outputs", [])
            given = [facts["parameters"] for facts in others.values()]
            merged = {k: v for values in (*given, parameters) for k, v in values.items()}
            known |= {"parameters": merged, "parameters_sha256": digest(merged)} | surroundings
            known["notebooks"] = dict(sorted((others | {notebook: started}).items()))

    def finish(self, **facts: Any) -> None:
        """Record seconds, peak memory, files read and written; called in a notebook's last cell.

        Seconds of the processor, of all threads, hardly depend on what else the machine does.
        """
        assert self._notebook, "finish without begin"
        self.record_notebook(
            self._notebook,
            **facts,
            seconds=round(time.monotonic() - self._started, 1),
            processor_seconds=round(_processor_seconds() - self._used, 1),
            peak_memory_mb=provenance.peak_memory_mb(),
            finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
            inputs=sorted(self._read),
            outputs=sorted(set(self._written)),
        )


def _processor_seconds() -> float:
    """Seconds that processors have worked for this process and the children that it waited for."""
    return sum(os.times()[:4])


def open_run(folder: str | Path, notebook: str, parameters: Mapping[str, Any]) -> Run:
    """Open a run's folder for one notebook and record its start in `run.json`.

    From here on the notebook shows its tables whole, in frames that scroll.
    """
    scroll_tables()
    run = Run(folder)
    run.begin(notebook, parameters)
    return run


# Columns that are text whatever it looks like: a class may be called 0, a patient 007.
_TEXTS = dict.fromkeys(("path", "label", "class", "predicted", "vote", "patient", "part"), str)


def read_table(path: Path, remedy: str) -> pd.DataFrame:
    """Content of a CSV file, where only an empty cell is missing.

    Raises
    ------
    StudyError
        If it holds no table; the message names the file and ends with the remedy.
    """
    try:
        return pd.read_csv(
            path, dtype=_TEXTS, keep_default_na=False, na_values=[""], low_memory=False
        )
    except ValueError as error:  # what pandas raises for any file that is no table
        raise StudyError(f"{path} is damaged ({error}); {remedy}") from None
