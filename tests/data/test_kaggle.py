import errno
import importlib
import os
import random
import shutil
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from kaggle_server import KaggleServer

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import kaggle
from kidneyct_lib.data.image_folder import CatalogError
from kidneyct_lib.data.kaggle import DATASET, DownloadError, fetch_kaggle
from kidneyct_lib.study import parameters

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


@pytest.fixture
def fake(monkeypatch):
    return FakeKaggle(monkeypatch)


def visible(folder):
    return [path.name for path in folder.iterdir() if path.name[0] != "."]


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_images_of_the_classes_are_unpacked_and_nothing_else_is_left(fake, tmp_path):
    root = fetch_kaggle(tmp_path / "deep" / "data", CLASSES)
    assert contents(root) == UNPACKED
    assert fake.calls == [(DATASET, str(tmp_path / "deep" / "data" / ".download"), False)]
    assert visible(root.parent) == ["images"]
    assert not list(root.parent.rglob("*.zip"))


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
    assert not visible(tmp_path)
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
    half = tmp_path / f".download/{SLUG}.zip"
    assert half.read_bytes() == b"half"
    fake.behave = write_archive
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED
    assert len(fake.calls) == 2


@pytest.mark.parametrize(
    ("error", "problem", "login"),
    [
        (requests.ConnectionError("no name"), "can't be reached .*it resumes", False),
        (requests.Timeout(), "can't be reached", False),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "can't be reached", False),
        (SystemExit(1), "refused the download", True),
        (ValueError("size mismatch"), r"failed \(ValueError: size mismatch\)", False),
    ],
)
def test_a_failed_download_says_why_and_every_way_out(fake, tmp_path, error, problem, login):
    fake.behave = failing(error)
    with pytest.raises(DownloadError, match=problem) as caught:
        fetch_kaggle(tmp_path, CLASSES)
    message = str(caught.value)
    for way in ("KAGGLE_API_TOKEN", "access_token", "KAGGLE_USERNAME", "KAGGLE_KEY", "kaggle.json"):
        assert (way in message) == login
    assert "make reproduce STUDY=kaggle DATA=" in message
    assert not visible(tmp_path)


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
    with pytest.raises(DownloadError, match=r"can't be used .*file/data.*DATA=path"):
        fetch_kaggle(tmp_path / "file" / "data", CLASSES)


def encrypted(data):
    start = data.index(b"PK\1\2") + 8
    return data[:start] + b"\1" + data[start + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: b"<html>" + data[6:60], encrypted]
)
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
    assert visible(tmp_path) == ["data"]
    assert visible(root.parent) == ["images"]


def test_two_members_of_one_name_are_refused(fake, tmp_path):
    twice = {"other/Cyst/Cyst- (1).jpg": b"another"}
    fake.behave = lambda path: write_archive(path, MEMBERS | twice)
    with pytest.raises(DownloadError, match=r"Cyst- \(1\)\.jpg"):
        fetch_kaggle(tmp_path, CLASSES)


def test_archive_without_a_class_is_refused(fake, tmp_path):
    with pytest.raises(DownloadError, match="class Stone"):
        fetch_kaggle(tmp_path, (*CLASSES, "Stone"))


HEADER = ",image_id,path,diag,target,Class"


def write_copy(folder, **more):
    """An unzipped archive with its table."""
    files = {name: content for name, content in MEMBERS.items() if name != "kidneyData.csv"}
    for name, content in (files | more).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_table(folder / "kidneyData.csv")
    return folder


def rows(*names):
    """Lines of the table; the class of an image is the beginning of its name."""
    for number, name in enumerate(names or ("Cyst- (2)", "Cyst- (1)", "Normal- (1)", "Tumor- (1)")):
        label = name.split("-")[0]
        yield f'{number},{name},"/content/data/Normal, CYST/{name}.jpg",{label},3,{label}'


def write_table(path, header=HEADER, lines=None, encoding="utf-8"):
    path.write_text("\n".join([header, *(lines or rows())]) + "\n", encoding=encoding)


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


COUNTS = {"Cyst": 2, "Normal": 1}


@pytest.fixture
def offline(fake):
    fake.behave = failing(AssertionError("a download"))
    return fake


@pytest.mark.parametrize("below", ["", "CT-KIDNEY", WRAPPER])
def test_an_unzipped_copy_is_taken_from_each_level_without_a_download(offline, tmp_path, below):
    before = stamps(write_copy(tmp_path / "copy"))
    root = fetch_kaggle(tmp_path / "copy" / below, CLASSES, COUNTS)
    assert root == tmp_path / "copy" / WRAPPER
    assert stamps(tmp_path / "copy") == before
    assert not offline.calls


def test_a_relative_folder_is_taken_too(offline, tmp_path, monkeypatch):
    monkeypatch.chdir(write_copy(tmp_path))
    assert fetch_kaggle(".", CLASSES, COUNTS) == Path(WRAPPER)


def test_a_copy_with_too_few_images_is_refused_and_left_as_it_is(offline, tmp_path):
    before = stamps(write_copy(tmp_path))
    with pytest.raises(CatalogError) as caught:
        fetch_kaggle(tmp_path, CLASSES, {"Cyst": 3709, "Normal": 1})
    assert str(caught.value).startswith(
        f"{tmp_path / WRAPPER} is no complete copy of the public set (expected_counts): "
        "Cyst has 2 images, not 3,709. It was left as it is. Name with DATA=path"
    )
    assert stamps(tmp_path) == before


def test_counts_that_are_not_known_are_not_checked(offline, tmp_path):
    assert fetch_kaggle(write_copy(tmp_path), CLASSES) == tmp_path / WRAPPER


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["archive.zip"], r"archive\.zip, but"),
        (["notes.txt", "Cyst/a.jpg"], r"Cyst/, notes\.txt, but .* per class \(Cyst, Normal\)"),
        ([f"{n}.txt" for n in range(10)], r"6\.txt, 7\.txt and 2 more, but"),
        (["a/Cyst/a.jpg", "a/Normal/a.jpg", "b/Cyst/a.jpg", "b/Normal/a.jpg"], "a/, b/, but"),
        (
            ["Train/Cyst/a.jpg", "Train/Normal/a.jpg", "Test/Cyst/b.jpg", "Test/Normal/b.jpg"],
            "Test/, Train/, but",
        ),
    ],
)
def test_a_folder_of_other_things_is_refused_by_what_it_holds(offline, tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    before = stamps(tmp_path)
    with pytest.raises(CatalogError, match=found) as caught:
        fetch_kaggle(tmp_path, CLASSES)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} is neither a copy of the public set nor empty")
    assert "DATA=path" in message and "STUDY=folder" in message
    assert stamps(tmp_path) == before
    assert not offline.calls


def test_a_file_is_refused_with_the_advice_to_unzip_it(offline, tmp_path):
    write_archive(tmp_path / "archive.zip")
    with pytest.raises(CatalogError, match=r"archive\.zip is a file; unzip it"):
        fetch_kaggle(tmp_path / "archive.zip", CLASSES)


def test_an_archive_of_the_users_own_is_not_used_up(offline, tmp_path):
    write_archive(tmp_path / f"{SLUG}.zip")
    with pytest.raises(CatalogError, match=f"holds {SLUG}"):
        fetch_kaggle(tmp_path, CLASSES)
    assert visible(tmp_path) == [f"{SLUG}.zip"]


def test_a_folder_of_hidden_files_alone_is_downloaded_into(fake, tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED


@pytest.mark.parametrize("place", ["", "CT-KIDNEY", WRAPPER])
@pytest.mark.parametrize(
    ("header", "encoding"), [(HEADER, "utf-8-sig"), ("Class,image_id,path", "utf-8")]
)
def test_the_table_is_read_wherever_it_lies_with_a_mark_and_in_any_order(
    offline, tmp_path, place, header, encoding
):
    table = write_copy(tmp_path) / place / "kidneyData.csv"
    (tmp_path / "kidneyData.csv").rename(table)

    def write(label):
        names = {"Cyst- (1)": "Cyst", "Cyst- (2)": label, "Normal- (1)": "Normal"}
        known = [{"image_id": name, "Class": of, "path": "a"} for name, of in names.items()]
        lines = [",".join(row.get(name, "0") for name in header.split(",")) for row in known]
        write_table(table, header, lines, encoding)

    write("Cyst")
    assert fetch_kaggle(tmp_path, CLASSES, COUNTS) == tmp_path / WRAPPER
    write("Tumor")
    with pytest.raises(CatalogError) as caught:
        fetch_kaggle(tmp_path, CLASSES, COUNTS)
    assert str(caught.value).startswith(
        f"{tmp_path / WRAPPER}/Cyst/Cyst- (2).jpg lies in the folder of the class Cyst, but "
        f"{table} says Tumor."
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["Cyst- (1)", "Normal- (1)"], r"Cyst- \(2\)\.jpg lies .* names no class for it"),
        (
            ["Cyst- (1)", "Cyst- (2)", "Normal- (1)", "Normal- (2)"],
            r"lists 2 images of the class Normal, its folder holds 1; Normal- \(2\) is missing",
        ),
        (
            ["Cyst- (1)", "Cyst- (2)", "Cyst- (2)", "Normal- (1)"],
            "lists 3 images of the class Cyst, its folder holds 2. Take",
        ),
    ],
)
def test_a_table_that_lists_other_images_is_told(offline, tmp_path, names, problem):
    write_table(write_copy(tmp_path) / "kidneyData.csv", lines=list(rows(*names)))
    with pytest.raises(CatalogError, match=problem):
        fetch_kaggle(tmp_path, CLASSES, COUNTS)


def test_another_table_of_that_name_is_passed_over(offline, silence, tmp_path):
    table = write_copy(tmp_path) / "kidneyData.csv"
    for header in ("id,age,bp,class", ""):
        write_table(table, header)
        assert fetch_kaggle(tmp_path, CLASSES, COUNTS) == tmp_path / WRAPPER


@pytest.mark.parametrize("header", [",image_id,path", HEADER.replace(",", ";")])
def test_the_archives_table_without_its_columns_is_refused(offline, tmp_path, header):
    write_table(write_copy(tmp_path) / "kidneyData.csv", header)
    with pytest.raises(CatalogError, match=r"kidneyData\.csv is no table with the columns"):
        fetch_kaggle(tmp_path, CLASSES, COUNTS)


LARGE = {"Cyst/Cyst- (3).jpg": random.Random(0).randbytes(3 << 20)}  # the client stores by MiB


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server to which the real client is led in Kaggle's place; the client never waits."""
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # without anybody's credentials
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    write_archive(tmp_path / "archive.zip", MEMBERS | LARGE)
    with KaggleServer(SLUG, (tmp_path / "archive.zip").read_bytes()) as server:
        settings = importlib.import_module("kagglesdk.kaggle_env")
        endpoints = settings._env_to_endpoint
        monkeypatch.setitem(endpoints, settings.KaggleEnv.PROD, server.address)
        client = importlib.import_module("kaggle.api.kaggle_api_extended")
        clock = SimpleNamespace(mktime=time.mktime, sleep=lambda seconds: None)
        monkeypatch.setattr(client, "time", clock)
        monkeypatch.delitem(sys.modules, "kaggle")  # its next import logs in anew
        yield server


def refused_at_first(folder, problem):
    """The message of a call that fails and leaves nothing that looks finished."""
    with pytest.raises(StudyError, match=problem) as caught:
        fetch_kaggle(folder, CLASSES)
    assert not visible(folder)
    return str(caught.value)


def assert_fetched(folder):
    root = fetch_kaggle(folder, CLASSES, COUNTS | {"Cyst": 3})
    assert contents(root) == UNPACKED | LARGE
    assert visible(folder) == ["images"]


def test_the_real_client_follows_to_the_storage_and_gives_it_no_token(
    server, tmp_path, monkeypatch
):
    server.token = "secret"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    assert_fetched(tmp_path / "data")
    names = [path.rsplit("/")[-1] for path, _ in server.seen]
    assert names == ["IntrospectToken", "DownloadDataset", "storage"]
    assert "Authorization" not in server.seen[-1][1]
    assert_fetched(tmp_path / "data")
    assert len(server.seen) == 3


def test_a_download_that_is_cut_goes_on_from_there(server, tmp_path):
    server.cuts = [(2 << 20) + 1000, 1000]
    assert_fetched(tmp_path / "data")
    assert server.ranges() == ["", "bytes=2097152-", "bytes=2097152-"]


def test_a_download_that_stays_cut_is_resumed_by_the_next_call(server, tmp_path):
    server.cuts = [(1 << 20) + 1000, *[1000] * 5]
    refused_at_first(tmp_path / "data", "the connection broke .*it resumes")
    assert server.ranges()[1:] == ["bytes=1048576-"] * 5
    assert_fetched(tmp_path / "data")
    assert server.ranges()[6:] == ["", "bytes=1048576-"]  # the client asks for the size first


def test_what_the_storage_says_after_a_cut_is_not_taken_for_the_archive(server, tmp_path):
    server.cuts, server.storage = [2 << 20], 403
    refused_at_first(tmp_path / "data", "failed .ValueError: Downloaded file size .* again")
    server.storage = None
    assert_fetched(tmp_path / "data")
    assert server.ranges()[-1] == ""


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"token": "another"}, r"refused .*\(HTTP 401\)(.|\n)*create a token"),
        ({"refusal": (403, {})}, r"refused .*\(HTTP 403\)(.|\n)*create a token"),
        ({"slug": "renamed"}, r"no data set .*\(HTTP 404\)\. Look for its new name"),
        ({"refusal": (429, {"Retry-After": "2"})}, "asked too often .* again in 2 seconds"),
        ({"refusal": (429, {})}, "asked too often .* again in some minutes"),
        ({"refusal": (503, {})}, "answered HTTP 503 .*again later"),
    ],
)
def test_a_refusal_is_told_and_the_next_call_works(server, tmp_path, monkeypatch, fault, problem):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "expired")
    usual = {name: getattr(server, name) for name in fault}
    vars(server).update(fault)
    message = refused_at_first(tmp_path / "data", problem)
    assert "make reproduce STUDY=kaggle DATA=" in message
    vars(server).update(usual)
    assert_fetched(tmp_path / "data")


def test_no_server_is_told_as_no_network(server, tmp_path):
    server.shutdown()
    server.socket.close()
    refused_at_first(tmp_path / "data", "can't be reached")


def test_an_archive_that_arrives_damaged_is_fetched_again(server, tmp_path):
    whole = server.archive
    server.archive = whole[: 1 << 20] + bytes([whole[1 << 20] ^ 1]) + whole[(1 << 20) + 1 :]
    refused_at_first(tmp_path / "data", r"was damaged \(Bad CRC-32 .* run the same command again")
    server.archive = whole
    assert_fetched(tmp_path / "data")


def test_expected_counts_are_the_published_ones():
    expected = parameters.load(Path(__file__).parents[2] / "params/kaggle.yaml").expected_counts
    assert sum(expected.values()) == 12_446
