"""Pictures of a study and what Python answers for them, for the tests of the page.

`.venv/bin/python web/e2e/expected.py --study phantom --scheme final OUT_FOLDER` writes pictures
of every class as they are, some of them again as JPEG, and expected.json with the answers of the
exported 8-bit model.
"""

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import image_io
from kidneyct_lib.deployment import runtimes
from kidneyct_lib.study import run_folder

PICTURES = 20
SEED = 2026
MODEL = "model-int8.onnx"
TINT = np.array([1.0, 0.9, 0.75])


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="phantom", help="folder in outputs/")
    parser.add_argument("--scheme", default="final", help="which of its exported models")
    parser.add_argument("folder", type=Path, metavar="OUT_FOLDER", help="where to write")
    return parser.parse_args()


def write_images(run: run_folder.Run, folder: Path) -> list[str]:
    """Write images of all classes in turn, then one per class as gray JPEG and one in colour.

    Returns
    -------
    Their names, in the order of writing.
    """
    rng = np.random.default_rng(SEED)
    table = run.read_table("catalog")
    table = table.iloc[rng.permutation(len(table))]
    turn = table.groupby("label").cumcount()
    chosen = table.assign(turn=turn).sort_values(["turn", "label"]).head(PICTURES)
    names = []
    for number, path in enumerate(chosen["path"]):
        source = run.data_folder / path
        names.append(f"{number:02d} {source.name}")
        (folder / names[-1]).write_bytes(source.read_bytes())
    for number, path in enumerate(chosen["path"].head(table["label"].nunique())):
        names.append(f"gray {number}.jpg")
        gray = image_io.read_gray(run.data_folder / path)
        Image.fromarray(gray).save(folder / names[-1], quality=90)
    names.append("colour.jpg")
    tinted = (gray[..., None] * TINT).astype(np.uint8)
    Image.fromarray(tinted).save(folder / names[-1], quality=90)
    return names


def prediction(judge: runtimes.Runner, path: Path) -> dict[str, Any]:
    """One entry of expected.json."""
    judged = {name: array[0] for name, array in judge(image_io.read_color(path)[None]).items()}
    return {
        "file": path.name,
        "probabilities": judged["probabilities"].tolist(),
        "maps": base64.b64encode(judged["maps"].astype("<f4").tobytes()).decode(),
        "map_shape": judged["maps"].shape,
        "distance": float(judged["distance"]),
    }


def main() -> None:
    """Write the pictures and the answers."""
    options = parse()
    run = run_folder.Run(Path("outputs") / options.study)
    model = run.export_folder(options.scheme) / MODEL
    if not model.is_file():
        raise StudyError(f"{model} is missing: `kidneyct export --study {options.study}` makes it.")
    options.folder.mkdir(parents=True, exist_ok=True)
    judge = runtimes.onnx(model, threads=1)
    names = write_images(run, options.folder)
    expected = [prediction(judge, options.folder / name) for name in names]
    (options.folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{len(expected)} images and their predictions in {options.folder}")


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"expected.py: {error}")
