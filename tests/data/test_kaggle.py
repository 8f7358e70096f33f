import errno
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from kidneyct_lib.data import kaggle
from kidneyct_lib.data.kaggle import DATASET, DownloadError, fetch_kaggle
from kidneyct_lib.study import parameters

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
        self.behave(Path(path) / f"{DATASET.split('/')[1]}.zip")


def failing(error):
    def behave(path):
        raise error

    return behave


def http_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("refused", response=response)


@pytest.fixture
def fake(monkeypatch):
    return FakeKaggle(monkeypatch)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_images_of_the_classes_are_unpacked_and_nothing_else_is_left(fake, tmp_path):
    root = fetch_kaggle(tmp_path / "deep" / "data", CLASSES)
    assert contents(root) == UNPACKED
    assert fake.calls == [(DATASET, str(tmp_path / "deep" / "data"), False)]
    assert {path.name for path in root.parent.iterdir()} <= {"images", ".lock"}


def test_second_call_does_nothing(fake, tmp_path):
    root = fetch_kaggle(tmp_path, CLASSES)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert fetch_kaggle(tmp_path, CLASSES) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times
    assert len(fake.calls) == 1


def test_unpacking_that_was_interrupted_is_done_again_without_a_download(
    fake, tmp_path, monkeypatch
):
    copy = shutil.copyfileobj
    left = [1]

    def interrupted(source, sink):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        copy(source, sink)

    monkeypatch.setattr(kaggle.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_kaggle(tmp_path, CLASSES)
    assert not (tmp_path / "images").exists()
    monkeypatch.setattr(kaggle.shutil, "copyfileobj", copy)
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED
    assert len(fake.calls) == 1


def test_download_that_was_interrupted_is_left_for_kaggle_to_resume(fake, tmp_path):
    def cut(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    fake.behave = cut
    with pytest.raises(KeyboardInterrupt):
        fetch_kaggle(tmp_path, CLASSES)
    half = tmp_path / f"{DATASET.split('/')[1]}.zip"
    assert half.read_bytes() == b"half"
    fake.behave = write_archive
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED
    assert len(fake.calls) == 2


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (requests.ConnectionError("no name"), "can't be reached"),
        (requests.Timeout(), "can't be reached"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "can't be reached"),
        (http_error(401), r"refused the download .*HTTP 401"),
        (http_error(403), r"refused the download .*HTTP 403"),
        (http_error(404), "answered HTTP 404"),
        (SystemExit(1), "refused the download"),
        (ValueError("size mismatch"), r"failed \(ValueError: size mismatch\)"),
    ],
)
def test_a_failed_download_says_why_and_every_way_out(fake, tmp_path, error, problem):
    fake.behave = failing(error)
    with pytest.raises(DownloadError, match=problem) as caught:
        fetch_kaggle(tmp_path, CLASSES)
    message = str(caught.value)
    for way in ("KAGGLE_API_TOKEN", "access_token", "KAGGLE_USERNAME", "KAGGLE_KEY", "kaggle.json"):
        assert way in message
    assert "make reproduce STUDY=folder DATA=" in message
    assert not (tmp_path / "images").exists()


def test_what_the_import_prints_or_raises_is_not_shown(tmp_path, monkeypatch, capfd):
    (tmp_path / "kaggle.py").write_text("print('a long manual')\nraise SystemExit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "kaggle", raising=False)
    with pytest.raises(DownloadError, match="refused"):
        fetch_kaggle(tmp_path / "data", CLASSES)
    assert capfd.readouterr() == ("", "")


def test_full_disk_is_told_from_a_missing_network(fake, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    fake.behave = failing(full)
    with pytest.raises(DownloadError, match=r"disk of .* is full.*resumes"):
        fetch_kaggle(tmp_path, CLASSES)
    fake.behave = write_archive
    monkeypatch.setattr(kaggle.shutil, "copyfileobj", lambda *_: failing(full)(None))
    with pytest.raises(DownloadError, match=r"disk of .* is full"):
        fetch_kaggle(tmp_path, CLASSES)


def test_too_small_a_disk_is_refused_before_unpacking(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(kaggle.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(DownloadError, match=r"needs 0\.00 GB and the disk .* has 0\.00 GB"):
        fetch_kaggle(tmp_path, CLASSES)


def test_a_folder_that_cannot_be_made_is_named(fake, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"writing .* failed .*file/data"):
        fetch_kaggle(tmp_path / "file" / "data", CLASSES)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"<html>" + data[6:60]])
def test_damaged_archive_is_deleted_so_that_the_next_call_fetches_it(fake, tmp_path, damage):
    def damaged(path):
        write_archive(path)
        path.write_bytes(damage(path.read_bytes()))

    fake.behave = damaged
    with pytest.raises(DownloadError, match="damaged"):
        fetch_kaggle(tmp_path, CLASSES)
    fake.behave = write_archive
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED


def test_flipped_bytes_in_a_member_are_noticed(fake, tmp_path):
    def flipped(path):
        write_archive(path)
        path.write_bytes(path.read_bytes().replace(b"three", b"thr33"))

    fake.behave = flipped
    with pytest.raises(DownloadError, match="damaged"):
        fetch_kaggle(tmp_path, CLASSES)


def test_members_cannot_leave_the_folder(fake, tmp_path):
    evil = {"../Cyst/a.jpg": b"up", "/Cyst/b.jpg": b"root", "Cyst/../../c.jpg": b"out"}
    fake.behave = lambda path: write_archive(path, MEMBERS | evil)
    root = fetch_kaggle(tmp_path / "data", CLASSES)
    assert contents(root) == UNPACKED | {"Cyst/a.jpg": b"up", "Cyst/b.jpg": b"root"}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert {path.name for path in root.parent.iterdir()} <= {"images", ".lock"}


def test_two_members_of_one_name_are_refused(fake, tmp_path):
    twice = {"other/Cyst/Cyst- (1).jpg": b"another"}
    fake.behave = lambda path: write_archive(path, MEMBERS | twice)
    with pytest.raises(DownloadError, match=r"Cyst- \(1\)\.jpg"):
        fetch_kaggle(tmp_path, CLASSES)


def test_archive_without_a_class_is_refused(fake, tmp_path):
    with pytest.raises(DownloadError, match="class Stone"):
        fetch_kaggle(tmp_path, (*CLASSES, "Stone"))


def test_expected_counts_are_the_published_ones():
    expected = parameters.load(Path(__file__).parents[2] / "params/kaggle.yaml").expected_counts
    assert sum(expected.values()) == 12_446
