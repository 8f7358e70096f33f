"""What a study needs on the disk is asked for before it runs."""

from collections import namedtuple
from pathlib import Path

import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.study import disk_space, parameters

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def phantom():
    return parameters.load(ROOT / "params/phantom.yaml")


def with_free(monkeypatch, gigabytes):
    usage = Usage(0, 0, gigabytes * 1e9)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: usage)


def test_a_full_disk_is_told_with_what_is_missing(phantom, tmp_path, monkeypatch):
    with_free(monkeypatch, 0.3)
    with pytest.raises(StudyError, match=r"needs about 1\.\d GB more .* has 0\.3 GB free"):
        disk_space.check(phantom, tmp_path)
    with_free(monkeypatch, 5)
    disk_space.check(phantom, tmp_path)


def test_what_is_there_already_is_not_needed_again(phantom, tmp_path, monkeypatch):
    with_free(monkeypatch, 0.3)
    kept = tmp_path / phantom.cache_folder / "stores" / "rows.bin"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(2_000_000_000)
    disk_space.check(phantom, tmp_path)


def test_more_images_views_pixels_and_folds_need_more(phantom, tmp_path):
    least = disk_space.needed(phantom)
    for change in ({"augment_views": 2}, {"image_size": 512}, {"folds": 9}):
        assert disk_space.needed(phantom.model_copy(update=change)) > least
    for number in range(2000):
        (tmp_path / f"{number}.png").touch()
    folder = parameters.load(ROOT / "params/folder.yaml", data=str(tmp_path))
    capped = folder.model_copy(update={"feature_cache_gb": 0.0})
    assert disk_space.needed(folder) - disk_space.needed(capped) == pytest.approx(0.9e9)
    public = parameters.load(ROOT / "params/kaggle.yaml")
    copied = public.model_copy(update={"data": str(tmp_path)})
    assert disk_space.needed(public) - disk_space.needed(copied) == pytest.approx(3.2e9)
