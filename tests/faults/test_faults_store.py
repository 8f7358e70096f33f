"""Faults of row stores and phantoms: the right rows and pixels come back, or one message."""

import shutil
import subprocess
import sys
import time
from hashlib import sha256

import numpy as np
import pytest
from disturb import cut, delete, flip, remount, wait_for

from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.data import datasets
from kidneyct_lib.data.phantom import CohortSpec

pytestmark = pytest.mark.faults
RNG = np.random.default_rng(3)
# As the library does: no changed byte makes one content's sha256 that of another.
KEYS = [sha256(bytes([i])).hexdigest() for i in range(60)]
SHAPE = (16, 16)


# --- row store ---------------------------------------------------------------------------------


def rows_of(positions):
    return np.stack([np.random.default_rng(int(i)).random(SHAPE) for i in positions])


EXPECTED = rows_of(range(len(KEYS)))


def fill(folder, keys=KEYS, first=0, pause=0.0):
    def compute(at):
        time.sleep(pause)
        return rows_of(at + first)

    store = RowStore(folder, SHAPE, "float64")
    return store, store.fill(keys, compute, batch=3, label="rows")


def filling(folder, part="KEYS, 0"):
    """A process that fills a store slowly."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import pathlib, test_faults_store as t\nfrom test_faults_store import KEYS\n"
        f"t.fill(pathlib.Path({str(folder)!r}), *({part},), pause=0.03)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def assert_whole(folder):
    store, _ = fill(folder)
    np.testing.assert_array_equal(store.take(KEYS), EXPECTED)
    np.testing.assert_array_equal(RowStore(folder, SHAPE, "float64").take(KEYS), EXPECTED)
    assert fill(folder)[1] == 0


@pytest.mark.parametrize("rows", [1, 13, 31, 50])
def test_a_store_killed_while_it_fills_keeps_what_it_had(tmp_path, rows):
    folder = tmp_path / "store"
    process = filling(folder)
    index = folder / "index.csv"
    wait_for(lambda: index.exists() and index.read_text().count("\n") >= rows)
    process.kill()
    process.wait()
    _, computed = fill(folder)
    assert 0 < computed <= len(KEYS) - rows
    assert_whole(folder)


def test_two_processes_fill_one_store(tmp_path):
    folder = tmp_path / "store"
    both = [filling(folder, "KEYS[:40], 0"), filling(folder, "KEYS[20:], 20")]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len((folder / "index.csv").read_text().splitlines()) == len(KEYS)
    assert_whole(folder)


def test_a_reader_does_not_disturb_a_writer(tmp_path):
    folder = tmp_path / "store"
    process = filling(folder)
    while process.poll() is None:
        RowStore(folder, SHAPE, "float64")
    assert process.returncode == 0
    assert fill(folder)[1] == 0
    assert_whole(folder)


@pytest.mark.parametrize("name", ["rows.bin", "index.csv"])
@pytest.mark.parametrize("damage", ["delete", "empty", "cut", "longer", "flips"])
def test_a_damaged_store_gives_the_right_rows(tmp_path, name, damage):
    fill(tmp_path / "whole")
    for at in RNG.integers(0, 10**6, 25 if damage in ("cut", "flips") else 1):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "store")
        path = tmp_path / "store" / name
        match damage:
            case "delete":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
            case "cut":
                cut(path, at / 10**6)
            case "longer":
                path.write_bytes(path.read_bytes() + b"key,12\n\xff\n" * 20)
            case "flips":
                flip(path, at)
        assert_whole(tmp_path / "store")


@pytest.mark.parametrize("replacement", [b"\n", b",", b"0"])
def test_an_index_with_a_changed_byte_gives_the_right_rows(tmp_path, replacement):
    fill(tmp_path / "whole")
    content = (tmp_path / "whole/index.csv").read_bytes()
    for at in RNG.integers(0, len(content), 15):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "store")
        (tmp_path / "store/index.csv").write_bytes(content[:at] + replacement + content[at + 1 :])
        assert_whole(tmp_path / "store")


@pytest.mark.parametrize("content", [b"", b'{"shape": [1', b"[]", b"\xff", b'{"shape": [2, 3]}'])
def test_a_store_with_a_damaged_description_is_refused(tmp_path, content):
    fill(tmp_path / "store")
    (tmp_path / "store/about.json").write_bytes(content)
    with pytest.raises(StudyError, match="delete the folder"):
        fill(tmp_path / "store")
    delete(tmp_path / "store")
    assert_whole(tmp_path / "store")


def test_a_disk_that_fills_up_keeps_the_rows_that_fit(tmp_path, small_disk, monkeypatch):
    disk = small_disk(tmp_path / "disk", "96k")
    usage = type("Usage", (), {"free": 10**9})  # as if another program took the space meanwhile
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StudyError, match="No space left"):
        fill(disk / "store")
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    _, computed = fill(disk / "store")
    assert 0 < computed < len(KEYS)
    assert_whole(disk / "store")


def test_a_store_on_a_read_only_disk_is_told_and_can_still_be_read(tmp_path, small_disk):
    disk = small_disk(tmp_path / "disk", "1m")
    fill(disk / "store", KEYS[:30])
    remount(disk, "ro")
    with pytest.raises(StudyError, match="Read-only"):
        fill(disk / "store")
    store = RowStore(disk / "store", SHAPE, "float64")
    np.testing.assert_array_equal(store.take(KEYS[:30]), EXPECTED[:30])


# --- phantoms ----------------------------------------------------------------------------------

COHORT = CohortSpec(["Normal", "Stone"], 2, (2, 3), size=64, seed=4, plane="axial")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("damage", ["delete", "cut", "flip", "extra"])
def test_a_damaged_phantom_is_drawn_again(tmp_path, damage):
    folder = datasets.obtain("phantom", None, COHORT, cache=tmp_path)
    expected = contents(folder)
    image = folder / "Stone/Stone- (1).png"
    match damage:
        case "delete":
            image.unlink()
        case "cut":
            cut(image)
        case "flip":
            flip(image, 200)
        case "extra":
            shutil.copy(image, folder / "Normal/Normal- (99).png")
    assert datasets.obtain("phantom", None, COHORT, cache=tmp_path) == folder
    assert contents(folder) == expected


def test_a_phantom_killed_while_it_is_drawn_is_drawn_again(tmp_path):
    expected = contents(datasets.obtain("phantom", None, COHORT, cache=tmp_path / "a"))
    code = (
        "import pathlib\nfrom kidneyct_lib.data import datasets\n"
        "from kidneyct_lib.data.phantom import CohortSpec\n"
        f"datasets.obtain('phantom', None, {COHORT}, cache=pathlib.Path({str(tmp_path / 'b')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(lambda: list((tmp_path / "b").glob(".*/Normal/*.png")))
    process.kill()
    process.wait()
    assert contents(datasets.obtain("phantom", None, COHORT, cache=tmp_path / "b")) == expected
    assert not list((tmp_path / "b").glob(".*"))
