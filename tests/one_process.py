"""Notebooks executed in the process of the tests, which loads Keras once for all of them."""

import shutil
import time

import nbformat
from IPython.display import display


class OneProcess:
    """Stands in for `NotebookProcess`: the notebook has ended when the constructor returns."""

    def __init__(self, source, target, parameters, *, line):
        self.line, self.began, self._failure = line, time.monotonic(), None
        names = {"__name__": "__main__", "display": display}
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        try:
            for cell in nbformat.read(source, as_version=4).cells:
                if cell.cell_type == "code":
                    exec(compile(cell.source, f"{source.stem}, {cell.id}", "exec"), names)
                if "parameters" in cell.metadata.get("tags", []):
                    names |= parameters
        except Exception as error:  # what a notebook meets stops it alone
            self._failure = f"stopped in cell {cell.id}: {type(error).__name__}: {error}"

    def poll(self):
        return int(self._failure is not None)

    def failure(self):
        return self._failure
