"""Pictures of a study and what Python answers for them, for the tests of the page.

`.venv/bin/python web/e2e/expected.py --study phantom --scheme final OUT_FOLDER` writes pictures
of every class as they are, some of them again as JPEG, and expected.json with the answers of the
exported 8-bit model. Below OUT_FOLDER/decoding it writes files of many kinds, and decoding.json
with the pixels and the warning that Python reads in each, or that it refuses it, and the place in
a series that its tags tell. Below OUT_FOLDER/series it writes series, and in
OUT_FOLDER/series.json what Python answers for them.
"""

import argparse
import base64
import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from kidneyct_lib.core.errors import ImageError, StudyError
from kidneyct_lib.data import dicom, image_io
from kidneyct_lib.deployment import runtimes, series
from kidneyct_lib.deployment.predictor import ExportedModel
from kidneyct_lib.study import run_folder

PICTURES = 20
SHOTS = 3  # pictures of the series that is no DICOM
SLICES = {"1.2.5": 12, "1.2.9": 3}  # of each DICOM series
SEED = 2026
MODEL = "model-int8.onnx"
TINT = np.array([1.0, 0.9, 0.75])
TESTS = Path(__file__).resolve().parents[2] / "tests"
PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


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


def decoding_files() -> dict[str, bytes]:
    """{name: content} of files as scanners, archives and encoders leave them."""
    sys.path.insert(0, str(TESTS))
    import damaged_files
    import dicom_files

    situations = dicom_files.situations().items()
    paths = sorted(path for path in PYDICOM_FILES.rglob("*") if path.is_file())
    return (
        {f"situation: {name}": data for name, (data, *_) in situations}
        | {f"pydicom: {path.relative_to(PYDICOM_FILES)}": path.read_bytes() for path in paths}
        | {f"damaged: {name}": data for name, data in damaged_files.damaged_files().items()}
        | {"16-bit PNG": _png(dicom_files.STORED)}
        | {f"PNG of {n} frames": _png(*[dicom_files.GRAY + k for k in range(n)]) for n in (1, 2)}
    )


def _png(first: np.ndarray, *others: np.ndarray) -> bytes:
    file = BytesIO()
    frames = [Image.fromarray(frame) for frame in others]
    Image.fromarray(first).save(file, "PNG", save_all=bool(others), append_images=frames)
    return file.getvalue()


def reading(data: bytes) -> dict[str, Any]:
    """What an entry of decoding.json says of a file's content."""
    try:
        picture = image_io.read(data)
    except ImageError as error:
        return {"refused": str(error)}
    height, width, _ = picture.rgb.shape
    pixels = picture.rgb.tobytes()
    # Decoders of lossy JPEG may round differently, so its pixels are compared one by one.
    whole = _is_lossy_jpeg(data)
    return {
        "width": width,
        "height": height,
        "warning": picture.warning,
        "sha256": hashlib.sha256(pixels).hexdigest(),
        **({"lossy_rgb": base64.b64encode(pixels).decode()} if whole else {}),
    }


def _is_lossy_jpeg(data: bytes) -> bool:
    if image_io.format_of(data) != "DICOM":
        return False
    try:
        meta = pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=True).file_meta
        return meta.get("TransferSyntaxUID") == JPEGBaseline8Bit
    except Exception:  # a damaged file meets the parser with errors of every kind
        return False


def _place(data: bytes) -> dict[str, Any]:
    is_dicom = image_io.format_of(data) == "DICOM"
    uid, position = dicom.place_in_series(data) if is_dicom else ("", 0.0)
    return {"isImage": image_io.format_of(data) is not None, "uid": uid, "position": position}


def write_decoding(folder: Path) -> int:
    """Write files of many kinds and decoding.json; returns their number."""
    folder.mkdir(exist_ok=True)
    readings = []
    for number, (name, data) in enumerate(decoding_files().items()):
        file = f"{number:03d}"
        (folder / file).write_bytes(data)
        with image_io.quiet_decoders():
            readings.append({"file": file, "name": name, "place": _place(data)} | reading(data))
    (folder / "decoding.json").write_text(json.dumps(readings, indent=1) + "\n")
    return len(readings)


class SmallModel(ExportedModel):
    """The exported 8-bit model, which the page runs."""

    def __init__(self, judge: runtimes.Runner, bundle: dict[str, Any]) -> None:
        self.classes = bundle["classes"]
        self.name = f"{bundle['study']}/{bundle['scheme']}"
        self._points = bundle["operating_points"]
        self._run = judge


def write_series(model: SmallModel, pictures: list[Path], folder: Path) -> int:
    """Write series and series.json beside their folder; returns their number.

    Two DICOM series lie shuffled in one folder, with a localizer, a file that is refused and
    clutter among them; a folder below holds pictures.
    """
    sys.path.insert(0, str(TESTS))
    import dicom_files

    shots = folder / "shots"
    shots.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(pictures[:SHOTS]):
        (shots / f"shot {8 + number}{path.suffix}").write_bytes(path.read_bytes())
    for name in ("notes.txt", ".DS_Store"):
        (folder / name).write_text("no image")
    order = np.random.default_rng(SEED).permutation(sum(SLICES.values()))
    places = [(uid, place) for uid, count in SLICES.items() for place in range(count)]
    for number, ((uid, place), picture) in enumerate(zip(places, _in_turn(pictures), strict=False)):
        gray = image_io.read_gray(picture)
        units = np.where(gray > 0, gray * (400 / 255) - 160, -1000).round().astype(np.int16)
        tags: dict[str, Any] = {
            "PatientName": "Doe^Jane",
            "PatientID": "P-4711",
            "SeriesInstanceUID": uid,
            "ImagePositionPatient": [1, 2, 5 * (place - 3)],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        }
        if uid == "1.2.5" and place == 0:
            tags["ImageType"] = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        if uid == "1.2.5" and place == 4:
            tags |= dicom_files.NO_RESCALE
        (folder / f"IM{order[number]}").write_bytes(dicom_files.dicom(units, **tags))
    root = folder.parent
    answers = []
    with image_io.quiet_decoders():
        for answer in series.answers(model, folder):
            answer["series"] = Path(answer["series"]).relative_to(root).as_posix()
            for key in ("most", "errors"):
                named = answer.get(key, {}).items()
                answer[key] = {Path(at).relative_to(root).as_posix(): told for at, told in named}
            answers.append(answer)
    (root / "series.json").write_text(json.dumps(answers, indent=1) + "\n")
    return len(answers)


def _in_turn(pictures: list[Path]) -> list[Path]:
    return pictures * (1 + sum(SLICES.values()) // len(pictures))


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
    files = write_decoding(options.folder / "decoding")
    small = SmallModel(judge, json.loads((model.parent / "bundle.json").read_text()))
    pictures = [options.folder / name for name in names]
    found = write_series(small, pictures, options.folder / "series")
    print(
        f"{len(expected)} images, their predictions, {files} files and {found} series in "
        f"{options.folder}"
    )


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"expected.py: {error}")
