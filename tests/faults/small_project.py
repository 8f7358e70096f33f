"""A project of three notebooks of a few lines: quick to run, so that it can be disturbed often."""

import os
from pathlib import Path

import disturb
import nbformat
import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]

FIRST = """
cache = project_root() / cache_folder
found = catalog.index_folder(data, classes)
images = catalog.decode_all(data, found.table, image_size, cache)
run.write_table("catalog", found.table)
run.record_images("data", Path(data), found.table)
run.write_metrics("pixels", {"mean": float(images.mean()), "seed": seed})
run.finish()
"""
SECOND = """
cache = project_root() / cache_folder
table = run.read_table("catalog")
images = catalog.decode_all(run.data_folder, table, image_size, cache)
keys = list(table["sha256"])


def compute(at):
    time.sleep(float(os.environ.get("PAUSE", 0)))
    return images[at].mean(axis=2).astype("float64")


rows = RowStore(cache / "rows", (image_size,), "float64")
rows.fill(keys, compute, batch=1, label="rows")
table["group"] = [f"g{round(value)}" for value in rows.take(keys).sum(axis=1)]
run.write_table("catalog", table)
run.write_metrics("groups", {"groups": table["group"].nunique(), "bootstrap": bootstrap})
run.finish()
"""
THIRD = """
table = run.read_table("catalog")
told = run.read_metrics("groups") | {"most": external_images}
run.write_table("last", table[["path", "group"]].assign(**told))
run.finish()
"""
NOTEBOOKS = {
    "01_images": ('data = ""\nclasses = []\ncache_folder = ""\nimage_size = 1\nseed = 1', FIRST),
    "02_rows": ('cache_folder = ""\nimage_size = 1\nbootstrap = 1', SECOND),
    "03_last": ("external_images = 1", THIRD),
}


def write_notebook(project: Path, name: str, parameters: str, code: str) -> None:
    """A notebook of two cells that opens its run as the study's do."""
    begin = (
        "import os, time\nfrom pathlib import Path\n"
        "from kidneyct_lib.core.array_cache import RowStore\n"
        "from kidneyct_lib.core.files import project_root\n"
        "from kidneyct_lib.data import catalog\n"
        "from kidneyct_lib.study import parameters\n"
        "from kidneyct_lib.study.run_folder import open_run\n"
        f'run = open_run(run_folder, "{name}", parameters.checked(globals()))\n'
    )
    sources = [f'run_folder = ""\n{parameters}', begin + code]
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    (project / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def write_params(project: Path, study: str, **changes) -> None:
    (project / "params").mkdir(exist_ok=True)
    content = yaml.safe_load((ROOT / f"params/{study}.yaml").read_text()) | changes
    (project / f"params/{study}.yaml").write_text(yaml.safe_dump(content))


class Small:
    """A project of three notebooks of a few lines on eight pictures, and what it should leave."""

    # Its notebooks leave nothing that a report could tell.
    MAIN = (
        "import sys; from kidneyct_lib import cli, report; "
        "report.write = lambda run: run.folder; sys.exit(cli.main())"
    )
    VALUES = {  # noqa: RUF012
        "classes": ["Normal", "Stone"],
        "must_not_miss": ["Stone"],
        "image_size": 32,
        "data": "data",
    }

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "outputs/folder"

    def start(self, **env):
        arguments = ("reproduce", "--study", "folder")
        return disturb.start(self.folder, *arguments, main=self.MAIN, env=os.environ | env)

    def reproduce(self, **env):
        return disturb.finish(self.start(**env), self.folder)

    def executes(self) -> list[str]:
        """Notebooks that a run to the end executes."""
        ended = self.reproduce()
        assert ended[0] == 0, ended
        return disturb.executed(ended[1])

    def change(self, **changes) -> None:
        """Write its parameters."""
        write_params(self.folder, "folder", **self.VALUES | changes)

    def begin(self) -> None:
        """Write its parameters, notebooks and pictures."""
        self.change()
        for name, (parameters, code) in NOTEBOOKS.items():
            write_notebook(self.folder, name, parameters, code)
        for number in range(8):
            label = self.VALUES["classes"][number % 2]
            write_image(self.folder / f"data/{label}/{label}- ({number}).png", number)
