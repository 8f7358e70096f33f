"""An archive as the public set's, small, and a stand-in for the package that fetches it."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

from kidneyct_lib.data.kaggle import DATASET

SLUG = DATASET.split("/")[1]
CLASSES = ("Cyst", "Normal")
WRAPPER = "CT-KIDNEY/CT-KIDNEY"
MEMBERS = {
    f"{WRAPPER}/Cyst/Cyst- (1).jpg": b"one",
    f"{WRAPPER}/Cyst/Cyst- (2).jpg": b"two",
    f"{WRAPPER}/Normal/Normal- (1).jpg": b"three",
    f"{WRAPPER}/Normal/Thumbs.db": b"x",
    "__MACOSX/Normal/Normal- (9).jpg": b"x",
    f"{WRAPPER}/Tumor/Tumor- (1).jpg": b"of no class",
    "kidneyData.csv": b"id",
}
UNPACKED = {"Cyst/Cyst- (1).jpg": b"one", "Cyst/Cyst- (2).jpg": b"two"}
UNPACKED |= {"Normal/Normal- (1).jpg": b"three"}
COUNTS = {"Cyst": 2, "Normal": 1}


def write_archive(path, members=None):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in (members or MEMBERS).items():
            bundle.writestr(name, content)


class FakeKaggle:
    """Stands in for the kaggle package: runs `behave(path)` in place of the download."""

    def __init__(self, monkeypatch):
        self.calls = []
        self.behave = write_archive
        self.api = SimpleNamespace(dataset_download_files=self.download)
        monkeypatch.setitem(sys.modules, "kaggle", self)

    def download(self, dataset, path, quiet, **options):
        self.calls.append((dataset, path, quiet))
        self.behave(Path(path) / f"{SLUG}.zip")


def failing(error):
    def behave(path):
        raise error

    return behave


def visible(folder):
    return [path.name for path in folder.iterdir() if path.name[0] != "."]


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
