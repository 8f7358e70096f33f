"""Faults of a whole run: each ends in one message, or in a run with the undisturbed results."""

import json
import os
import shutil
import signal

import pytest
from disturb import (
    cut,
    delete,
    executed,
    finish,
    flip,
    is_gone,
    kernels,
    remount,
    results,
    told,
    wait_for,
    wait_for_notebook,
)
from small_project import NOTEBOOKS, write_image, write_notebook

from kidneyct_lib import cli

pytestmark = [pytest.mark.faults, pytest.mark.slow]
ALL = list(NOTEBOOKS)


@pytest.fixture
def refused(monkeypatch, capsys):
    """Function that runs a study which starts no kernel, and returns the message."""

    def run(small):
        monkeypatch.chdir(small.folder)
        status = cli.main(["reproduce", "--study", "folder"])
        return told((status, "", capsys.readouterr().err))

    return run


def stopped_in_the_middle(small, how, victim="runner"):
    """Disturb a run while notebook 02 fills its store; no kernel may outlive it."""
    process = small.start(PAUSE="0.5")
    rows = small.folder / ".cache/rows/index.csv"
    wait_for(lambda: rows.exists() and rows.read_text().count("\n") >= 2)
    (kernel,) = kernels(process)
    (process if victim == "runner" else kernel).send_signal(how)
    ended = finish(process, small.folder)
    wait_for(lambda: is_gone(kernel), 10)
    return ended


# --- killed and stopped ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGKILL", "SIGHUP"])
def test_a_killed_runner_takes_its_kernel_along_and_the_next_goes_on(fresh, expected, how):
    status, *_ = stopped_in_the_middle(fresh, getattr(signal, how))
    assert status == -getattr(signal, how)
    assert (fresh.run / ".lock").exists()  # a stale one: nobody holds it
    assert fresh.executes() == ["02_rows", "03_last"]
    assert results(fresh.run) == expected


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_stopped_runner_says_so_and_the_next_goes_on(fresh, expected, how):
    ended = stopped_in_the_middle(fresh, getattr(signal, how))
    assert "the same command goes on" in told(ended)
    assert ended[0] == 130
    assert fresh.executes() == ["02_rows", "03_last"]
    assert results(fresh.run) == expected


def test_a_killed_kernel_is_told_and_the_next_run_goes_on(fresh, expected):
    assert "02_rows did not finish" in told(stopped_in_the_middle(fresh, signal.SIGKILL, "kernel"))
    assert fresh.executes() == ["02_rows", "03_last"]
    assert results(fresh.run) == expected


def test_a_second_run_of_the_same_study_is_refused_and_the_first_finishes(fresh, expected):
    first = fresh.start(PAUSE="0.5")
    wait_for_notebook(first, fresh.folder, "02_rows")
    (fresh.folder / "out.log").rename(fresh.folder / "first.log")
    assert "Another process" in told(fresh.reproduce())
    assert first.wait(60) == 0
    assert executed((fresh.folder / "first.log").read_text()) == ALL
    assert results(fresh.run) == expected


def test_the_cache_deleted_after_a_kill_is_filled_again(fresh, expected):
    stopped_in_the_middle(fresh, signal.SIGKILL)
    delete(fresh.folder / ".cache")
    assert fresh.executes() == ["02_rows", "03_last"]
    assert results(fresh.run) == expected


# --- disks and folders -------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["outputs", "outputs/folder", "outputs/folder/tables", ".cache"])
def test_a_file_in_the_place_of_a_folder_is_named(fresh, place):
    path = fresh.folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    assert place in told(fresh.reproduce())


@pytest.mark.parametrize("place", ["outputs", ".cache"])
def test_a_full_disk_is_told_and_the_next_run_goes_on(fresh, expected, small_disk, place):
    disk = small_disk(fresh.folder / place)
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(10**6))
    message = told(fresh.reproduce())
    assert "No space left" in message or "free some space" in message
    filler.unlink()
    fresh.executes()
    assert results(fresh.run) == expected


@pytest.mark.parametrize("place", ["outputs", ".cache"])
def test_a_read_only_disk_is_told(fresh, small_disk, place):
    remount(small_disk(fresh.folder / place), "ro")
    assert "Read-only file system" in told(fresh.reproduce())


def test_a_disk_that_becomes_read_only_half_way_is_told(done, small_disk):
    metrics = done.run / "metrics"
    kept = shutil.copytree(metrics, done.folder / "kept")
    shutil.copytree(kept, small_disk(metrics), dirs_exist_ok=True)
    code = (
        "import subprocess\n"
        "subprocess.run(['mount', '-o', 'remount,ro', str(run.folder / 'metrics')], check=True)\n"
        "run.write_metrics('groups', {})"
    )
    write_notebook(done.folder, "02_rows", "bootstrap = 1", code)
    assert "Read-only file system" in told(done.reproduce())


# --- damaged files of a finished run -----------------------------------------------------------


@pytest.mark.parametrize("content", ["half", b"", b"[]", b"\xff\xfe\x00 no text"])
def test_a_damaged_run_json_is_named(done, refused, expected, content):
    path = done.run / "run.json"
    cut(path) if content == "half" else path.write_bytes(content)
    message = refused(done)
    assert str(path) in message
    assert "delete it" in message
    assert results(done.run) == expected


def test_without_run_json_everything_runs_again(done, expected):
    (done.run / "run.json").unlink()
    assert done.executes() == ALL
    assert results(done.run) == expected


@pytest.mark.parametrize(
    ("damage", "name", "again"),
    [
        (cut, "metrics/pixels.json", ["01_images", "02_rows"]),  # both write the catalog
        (flip, "metrics/groups.json", ["02_rows"]),
        (cut, "tables/last.csv", ["03_last"]),
        (flip, "tables/last.csv", ["03_last"]),
        (flip, "tables/catalog.csv", ["01_images", "02_rows"]),
        (delete, "tables/catalog.csv", ["01_images", "02_rows"]),
        (delete, "notebooks/03_last.ipynb", ["03_last"]),
    ],
)
def test_a_damaged_result_is_made_again(done, expected, damage, name, again):
    damage(done.run / name)
    assert done.executes() == again
    assert results(done.run) == expected


def test_files_under_temporary_names_are_swept(done, expected):
    for name in ("metrics/.test.4242.json", "figures/.01_x__a.4242.png", "checkpoints/.c.4242.npz"):
        path = done.run / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"half":')
    assert done.executes() == []
    assert not list(done.run.rglob("*4242*"))
    assert results(done.run) == expected


# --- things that change half-way ---------------------------------------------------------------


def test_a_parameter_changed_half_way_runs_only_what_depends_on_it(fresh):
    stopped_in_the_middle(fresh, signal.SIGKILL)
    fresh.change(bootstrap=200)
    assert fresh.executes() == ["02_rows", "03_last"]
    assert json.loads((fresh.run / "metrics/groups.json").read_text())["bootstrap"] == 200
    fresh.change(bootstrap=200, external_images=7)
    assert fresh.executes() == ["03_last"]
    assert b",7\n" in (fresh.run / "tables/last.csv").read_bytes()


def test_an_image_changed_half_way_leaves_nothing_of_the_old_one(fresh, tmp_path):
    stopped_in_the_middle(fresh, signal.SIGKILL)
    write_image(fresh.folder / "data/Stone/Stone- (3).png", 99)
    assert fresh.executes() == ALL
    half_way = results(fresh.run)
    delete(fresh.run)
    delete(fresh.folder / ".cache")
    assert fresh.executes() == ALL
    assert results(fresh.run) == half_way


def test_images_that_vanish_half_way_are_named(fresh):
    stopped_in_the_middle(fresh, signal.SIGKILL)
    delete(fresh.folder / "data")
    assert "data" in told(fresh.reproduce())


def test_a_changed_notebook_runs_again_and_those_after_it(done):
    parameters, code = NOTEBOOKS["02_rows"]
    write_notebook(done.folder, "02_rows", parameters, code.replace('f"g{', 'f"group {'))
    assert done.executes() == ["02_rows", "03_last"]
    assert b"group " in (done.run / "tables/last.csv").read_bytes()


@pytest.mark.parametrize("content", ["half", b"", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_notebook_source_is_named(done, refused, expected, content):
    path = done.folder / "notebooks/02_rows.ipynb"
    cut(path) if content == "half" else path.write_bytes(content)
    assert "02_rows.ipynb" in refused(done)
    assert results(done.run) == expected


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"study: [", b"", b"study: folder"])
def test_a_damaged_parameter_file_is_named(done, refused, expected, content):
    (done.folder / "params/folder.yaml").write_bytes(content)
    assert "folder.yaml" in refused(done)
    assert results(done.run) == expected


def test_a_kernel_that_cannot_start_is_told(fresh, tmp_path):
    broken = tmp_path / "broken/ipykernel_launcher.py"
    broken.parent.mkdir()
    broken.write_text("raise SystemExit('broken installation')")
    paths = os.pathsep.join([str(broken.parent), os.environ.get("PYTHONPATH", "")])
    assert "01_images did not finish" in told(fresh.reproduce(PYTHONPATH=paths))


# --- compare -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metrics/pixels.json", "tables/last.csv"])
@pytest.mark.parametrize("content", [b"", b'"half,\xff', b'{"half": '])
def test_compare_names_a_damaged_file(done, undisturbed, capsys, name, content):
    if name.endswith("csv") and content.startswith(b"{"):
        pytest.skip("this text is a table of one column")
    (done.run / name).write_bytes(content)
    assert cli.main(["compare", str(done.run), str(undisturbed.run)]) == 1
    assert str(done.run / name) in capsys.readouterr().err


def test_compare_passes_over_temporary_names(done, undisturbed, capsys):
    (done.run / "metrics/.pixels.4242.json").write_text('{"half":')
    assert cli.main(["compare", str(done.run), str(undisturbed.run)]) == 0
