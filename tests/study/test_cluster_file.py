"""The description of a cluster's jobs: what is refused, and what a job's script has of it."""

from datetime import timedelta
from pathlib import Path

import pytest

from kidneyct_lib.study import cluster_file
from kidneyct_lib.study.parameters import ParamsError

ROOT = Path(__file__).parents[2]
SMALL = "kind: slurm\nworkers: 2\ncores: 4\nmemory: 8 GB\nwalltime: 12:00:00\n"
LOGS = Path("/logs of jobs")


def written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def loaded(folder, text):
    return cluster_file.load(written(folder, text))


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_the_examples_are_valid_and_name_every_key(kind):
    path = ROOT / f"params/clusters/{kind}.yaml"
    known = cluster_file.load(path)
    assert (known.kind, known.walltime) == (kind, timedelta(hours=4))
    assert known.queue is None
    assert f"CLUSTER={path.parent.relative_to(ROOT)}" in path.read_text()
    keys = {line.partition(":")[0] for line in path.read_text().splitlines() if line[0] != "#"}
    assert keys == set(cluster_file.ClusterFile.model_fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "workerss: 2\n", "line 6: workerss: unknown key; did you mean 'workers'?"),
        (SMALL + "cores: 2\n", "cores is given twice, in lines 3 and 6"),
        (SMALL.replace("cores: 4\n", ""), "cores: missing"),
        (SMALL.replace("cores: 4", "cores: many"), "line 3: cores = 'many'"),
        (SMALL.replace("workers: 2", "workers: 0"), "line 2: workers = '0'"),
        (SMALL.replace("8 GB", "8 MB"), "line 4: memory = '8 MB'"),
        (SMALL.replace("12:00:00", "12"), "line 5: walltime = '12': give hours:minutes:seconds"),
        (SMALL.replace("12:00:00", "0:04:59"), "needs at least 00:05:00"),
        (SMALL.replace("slurm", "lsf"), "'slurm' or 'pbs'"),
        (SMALL + "setup_lines: module load x\n", "line 6: setup_lines"),
        ("- a list\n", "`key: value` lines"),
        ("a: [1", "can't be read as YAML"),
    ],
)
def test_a_wrong_file_is_told_by_line_key_and_value(tmp_path, text, message):
    with pytest.raises(ParamsError, match=r"mine\.yaml") as error:
        loaded(tmp_path, text)
    assert message in str(error.value)


def test_a_missing_file_points_to_the_examples():
    with pytest.raises(ParamsError, match="params/clusters"):
        cluster_file.load(ROOT / "params/clusters/not-there.yaml")


@pytest.mark.parametrize(
    ("walltime", "given", "lifetime"),
    [("12:00:00", "12:00:00", 42600), ("2-01:00:00", "49:00:00", 175800), ("0:10:00", None, 480)],
)
def test_workers_leave_before_their_job_is_ended(tmp_path, walltime, given, lifetime):
    known = loaded(tmp_path, SMALL.replace("12:00:00", walltime))
    made = known.for_dask_jobqueue(ROOT, LOGS)
    _, life, _, stagger = made["worker_extra_args"]
    assert made["walltime"] == (given or "00:10:00")
    assert life == f"{lifetime}s"
    latest = lifetime + int(stagger.removesuffix("s"))
    assert latest < known.walltime.total_seconds()


def script(folder, text, monkeypatch):
    """The script that a job would get."""
    jobqueue = pytest.importorskip("dask_jobqueue", reason="the extra `dask` is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "a b")
    made = loaded(folder, text).for_dask_jobqueue(Path("/my project"), LOGS)
    kind = jobqueue.slurm.SLURMJob if "slurm" in text else jobqueue.pbs.PBSJob
    return kind(scheduler="tcp://a:1", name="w", **made).job_script()


def test_a_job_of_slurm_has_what_the_file_says(tmp_path, monkeypatch):
    more = "queue: long\naccount: us\ngpus: 2\nsetup_lines: [module load cuda]\ninterface: ib0\n"
    lines = script(tmp_path, SMALL + more + "extra_directives: [--nice=5]\n", monkeypatch)
    directives = {line.removeprefix("#SBATCH ") for line in lines.splitlines() if "#S" in line}
    assert directives >= {"-p long", "-A us", "--cpus-per-task=4", "--mem=8G", "-t 12:00:00"}
    assert directives >= {"--gres=gpu:2", "--nice=5", '--output="/logs of jobs/%j.log"'}
    *_, before = lines.partition("#SBATCH --nice=5\n")
    setup, place, *exports, command = before.strip().splitlines()
    assert (setup, place) == ("module load cuda", "cd '/my project'")
    assert "export KERAS_BACKEND='a b'" in exports
    assert "export PYTHONHASHSEED=0" in exports
    for option in ("tcp://a:1", "--nthreads 4", "--memory-limit 7.45GiB", "--interface ib0"):
        assert option in command


def test_a_job_of_pbs_has_what_the_file_says(tmp_path, monkeypatch):
    text = SMALL.replace("slurm", "pbs")
    with_gpus = script(tmp_path, text + "queue: long\ngpus: 1\n", monkeypatch)
    assert "#PBS -q long" in with_gpus
    assert "#PBS -l select=1:ncpus=4:mem=7630MB:ngpus=1" in with_gpus
    assert "#PBS -l walltime=12:00:00" in with_gpus
    plain = script(tmp_path, text, monkeypatch)
    assert "select=1:ncpus=4:mem=7630MB" in plain
    assert "ngpus" not in plain


@pytest.mark.parametrize(
    ("kind", "command"),
    [("slurm", "squeue --noheader --format=%i --jobs=12,13"), ("pbs", "qstat 12 13")],
)
def test_the_queue_is_asked_for_the_jobs_by_number(tmp_path, kind, command):
    known = loaded(tmp_path, SMALL.replace("slurm", kind))
    assert known.queue_command(["12", "13"]) == command.split()
