"""Executed notebooks for the site: figures and tables linked, no noise and no path of a machine."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kidneyct_lib.core.files import file_digest
from kidneyct_lib.study import figure_texts
from kidneyct_lib.study.run_folder import Run

Cell = dict[str, Any]
_PATH = re.compile(r"(?:Posix|Windows)Path\('(.+)'\)")
_PICTURE = re.compile(
    r'<img alt="([^"]*)"(?: width="(\d+)")?[^>]* src="data:image/png;base64,([^"]+)">'
)
_WIDGET = "application/vnd.jupyter.widget-view+json"
_WRITTEN = re.compile(r"(?:tables|metrics|figures|models)/[^/]+$")
_CODE = re.compile(r"`([\w./-]+\.(?:csv|json))`")
_NOTEBOOK = re.compile(r"\b([Nn]otebook (\d\d))\b")


def write(run: Run, files: set[str], folder: Path) -> dict[str, str]:
    """Write a run's notebooks as the site shows them.

    Parameters
    ----------
    run
        Finished.
    files
        Paths in the run's folder that the site has.
    folder
        To write to.

    Returns
    -------
    dict: the address of each figure, from the study's folder.
    """
    folder.mkdir()
    shown = {}
    for name in run.notebooks():
        content = json.loads((run.folder / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
        page = Page(run, name, files)
        content["cells"] = page.cells(content["cells"])
        for key in (
            "papermill",
            "widgets",
        ):  # the state of widgets calls for scripts from elsewhere
            content["metadata"].pop(key, None)
        (folder / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")
        shown |= {figure: f"notebooks/{name}.html#{figure}" for figure in page.figures}
    return shown


class Page:
    """One notebook on its way to a page.

    Parameters
    ----------
    run
        Whose notebook it is.
    name
        Of the notebook.
    files
        Paths in the run's folder that the site has.
    """

    def __init__(self, run: Run, name: str, files: set[str]) -> None:
        self.run, self.name, self.files = run, name, files
        self.figures: set[str] = set()
        own = [path for path in files if path.startswith(f"figures/{name}__")]
        self._pictures = {file_digest(run.folder / path): path for path in own}
        self._pages = {other[:2]: f"{other}.ipynb" for other in run.notebooks()}

    def cells(self, cells: list[Cell]) -> list[Cell]:
        """Cells of the page: those of the notebook, and its files at the end."""
        tags = [cell["metadata"].get("tags", []) for cell in cells]
        if any("injected-parameters" in one for one in tags):  # they replace the notebook's own
            cells = [c for c, one in zip(cells, tags, strict=True) if "parameters" not in one]
        for cell in cells:
            if "injected-parameters" in cell["metadata"].get("tags", []):
                cell["metadata"]["tags"].append("hide-input")  # shown on a click
            if cell["cell_type"] == "markdown":
                cell["source"] = self._linked("".join(cell["source"]))
            else:
                # A widget needs a kernel, and its scripts from elsewhere.
                kept = [
                    one for one in cell.get("outputs", []) if _WIDGET not in one.get("data", {})
                ]
                cell["outputs"] = [self._output(output) for output in kept]
        last = {"cell_type": "markdown", "id": "files", "metadata": {}, "source": self._files()}
        return [*cells, last]

    def _output(self, output: dict[str, Any]) -> dict[str, Any]:
        """An output with its figure as the run's file, its path as a link."""
        data = output.get("data", {})
        shown = "".join(data.get("text/html", ""))
        if picture := _PICTURE.fullmatch(shown):
            digest = hashlib.sha256(base64.b64decode(picture[3])).hexdigest()
            if path := self._pictures.get(digest):
                output["data"] = {"text/html": self._figure(path, picture[2])}
        elif known := _PATH.fullmatch("".join(data.get("text/plain", "")).strip()):
            output["data"] = {"text/html": self._place(known[1])}
        elif shown:  # the corner of a table is no header
            data["text/html"] = shown.replace("<th></th>", "<td></td>")
        return output

    def _place(self, path: str) -> str:
        """A path that a cell gave, without the machine's folders."""
        if written := _WRITTEN.search(path):
            return f"<p>Written: {self._link(written[0])}</p>"
        return f"<p><code>…/{html.escape(Path(path).name)}</code></p>"

    def _figure(self, path: str, width: str | None) -> str:
        name = Path(path).stem
        self.figures.add(name)
        size = f' width="{width}"' if width else ""
        what, alt = name.partition("__")[2].replace("_", " "), figure_texts.of(name)["alt"]
        return (
            f'<figure id="{name}" class="study-figure"><a href="../{path}">'
            f'<img src="../{path}" alt="{html.escape(alt)}"{size} loading="lazy"></a>'
            f'<figcaption><a href="../report.html#{name}">{html.escape(what)} in the report</a>'
            "</figcaption></figure>"
        )

    def _linked(self, text: str) -> str:
        """Markdown whose names of files and of other notebooks are links."""

        def file(known: re.Match) -> str:
            path = self._path(known[1])
            return self._link(path, known[1]) if path else known[0]

        def notebook(known: re.Match) -> str:
            page = self._pages.get(known[2])
            return f"[{known[1]}]({page})" if page and known[2] != self.name[:2] else known[0]

        return _NOTEBOOK.sub(notebook, _CODE.sub(file, text))

    def _path(self, name: str) -> str | None:
        """Path of a file that a text names with its folder or without."""
        places = (name, f"tables/{name}", f"metrics/{name}")
        return next((place for place in places if place in self.files), None)

    def _files(self) -> str:
        known = self.run.notebooks()[self.name]
        last = self.run.provenance()["files"]
        read = [
            f"{self._link(path)} of [{last[path]['notebook'][:2]}]({last[path]['notebook']}.ipynb)"
            if path in last and last[path]["notebook"] != self.name
            else self._link(path)
            for path in known["inputs"]
        ]
        hidden = [path for path in known["outputs"] if self._is_hidden_figure(path)]
        figures = [f"\n{self._figure(path, '511')}" for path in hidden]
        lines = ["## Files", "", f"- Read: {_listing(read)}"]
        lines += [f"- Written: {_listing(map(self._link, known['outputs']))}", *figures]
        return "\n".join(lines)

    def _is_hidden_figure(self, path: str) -> bool:
        """Whether a figure was saved and not shown."""
        return path.endswith(".png") and path in self.files and Path(path).stem not in self.figures

    def _link(self, path: str, text: str | None = None) -> str:
        code = f"<code>{html.escape(text or path)}</code>"
        return f'<a href="../{path}">{code}</a>' if path in self.files else code


def _listing(items: Iterable[str]) -> str:
    return ", ".join(items) or "nothing"
