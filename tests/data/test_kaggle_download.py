"""The download of the public set, by a stand-in for the kaggle package and by the real one."""

import errno
import importlib
import os
import random
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from kaggle_archive import (
    CLASSES,
    COUNTS,
    MEMBERS,
    SLUG,
    UNPACKED,
    FakeKaggle,
    contents,
    failing,
    visible,
    write_archive,
)
from kaggle_server import KaggleServer

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import kaggle
from kidneyct_lib.data.kaggle import DATASET, DownloadError, fetch_kaggle
from kidneyct_lib.study import parameters


@pytest.fixture
def fake(monkeypatch):
    return FakeKaggle(monkeypatch)


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


def test_a_folder_of_hidden_files_alone_is_downloaded_into(fake, tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert contents(fetch_kaggle(tmp_path, CLASSES)) == UNPACKED


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
