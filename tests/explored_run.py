"""A small finished run with images, masks and an exported model, made up: what is explored."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from made_up_graph import write_graph
from made_up_run import make

from kidneyct_lib.core.files import file_digest
from kidneyct_lib.study.run_folder import Run

CLASSES = ["Normal", "Stone"]
SHAPE = 24, 32  # of each slice, which is no square


def level(number):
    """Gray level of a slice, neither black nor white: what the exported model goes by."""
    return 60 + 5 * number % 150


def explored(folder, *, export=True):
    """Copy a run whose slice k is of one gray level; a square in each Stone slice is the lesion."""
    template = _template().name
    shutil.copytree(template, folder, dirs_exist_ok=True)
    run = Run(folder / "outputs/made")
    known = run.folder / "run.json"
    known.write_text(known.read_text().replace(template, str(folder)))
    if not export:
        shutil.rmtree(run.folder / "export")
    return run


@functools.cache
def _template():
    """Folder, deleted at the end, of a run that is made once and copied."""
    place = tempfile.TemporaryDirectory()
    data, masks = Path(place.name, "data"), Path(place.name, "masks")
    made = Path(place.name, "outputs/made")
    run = make(made, classes=CLASSES, analysed=False, masks=str(masks))
    table = run.read_table("catalog")
    for number, row in enumerate(table.itertuples()):
        write(data / row.path, np.full(SHAPE, level(number), np.uint8))
        if row.label == "Stone":
            lesion = np.zeros(SHAPE, np.uint8)
            lesion[4:8, 20:28] = 255
            write(masks / row.path, lesion)
    run.record_images("data", data, table)
    write_export(run.export_folder("final"))
    return place


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_export(folder):
    """Write a bundle that answers as `made_up_graph` does; above 229 is out of distribution."""
    folder.mkdir(parents=True)
    write_graph(folder / "model-float32.onnx")
    bundle = {"study": "made", "scheme": "final", "weights": "imagenet", "classes": CLASSES}
    bundle["operating_points"] = {"distance": 0.9, "confidence": 0.7, "recall": {}}
    digest = file_digest(folder / "model-float32.onnx")
    bundle["files"] = {"model-float32.onnx": {"sha256": digest}}
    (folder / "bundle.json").write_text(json.dumps(bundle))
