"""The doctor tells what is there, and names what is missing with what it is for."""

from kidneyct_lib.study import doctor


def test_it_tells_devices_versions_and_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "a-package-that-is-not-there"))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "node" else "/bin")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    weights = tmp_path / "weights"
    found = {k: dict(lines) for k, lines in doctor.report(["gpu:0"], weights).items()}
    assert found["computes with"]["devices"] == "gpu:0"
    assert found["computes with"]["OMP_NUM_THREADS"] == "3"
    assert set(found["versions"]) == {"python", "numpy"}
    missing = {"a-package-that-is-not-there": "a package of the lock: run make setup"}
    assert found["missing"] == missing | {"node": "for the page"}
    assert found["cluster"]["job queues"] == "sbatch (Slurm), qsub (PBS)"
    assert found["kept from earlier runs"]["ImageNet weights"] == "fetched when needed"
    weights.mkdir()
    (weights / "kept.npz").touch()
    kept = dict(doctor.report([], weights)["kept from earlier runs"])
    assert kept["ImageNet weights"] == str(weights)


def test_it_tells_what_a_cluster_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_DASK", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    for name in doctor.engine.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)

    def cluster():
        return dict(doctor.report([], tmp_path)["cluster"])

    assert cluster()["Dask"].startswith("numpy ")
    assert cluster()["Dask"].endswith("without no-such-package: make setup EXTRA=dask")
    assert cluster()["scheduler named"].startswith("none: ")
    assert cluster()["job queues"].startswith("neither sbatch (Slurm) nor qsub (PBS)")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://a:1")
    assert cluster()["scheduler named"] == "DASK_SCHEDULER_ADDRESS=tcp://a:1"
