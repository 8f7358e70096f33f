"""A file that describes the jobs of a Slurm or PBS cluster: `params/clusters/*.yaml`."""

import os
import re
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field

from kidneyct_lib.study import parameters
from kidneyct_lib.study.notebook_process import SETTINGS

_FOR_WORKERS = ("KERAS_BACKEND", "KIDNEYCT_WEIGHTS", "XLA_FLAGS")
_SHORTEST = timedelta(minutes=5)
_LONGEST_MARGIN = timedelta(minutes=10)  # before the end of a job, for its worker to leave


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text.strip())
    if not found:
        raise ValueError("give hours:minutes:seconds, as 04:00:00, or days-hours:minutes:seconds")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if duration < _SHORTEST:
        raise ValueError("a worker needs at least 00:05:00")
    return duration


def _none(text: str) -> str | None:
    return None if text in ("", "null", "~") else text


Count = Annotated[int, Field(ge=1)]
Name = Annotated[str | None, BeforeValidator(_none)]


class ClusterFile(BaseModel):
    """Jobs of a cluster, one worker each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["slurm", "pbs"]
    queue: Name = Field(None, description="partition or queue; None: the cluster's default")
    account: Name = Field(None, description="that the time is charged to")
    workers: Count = Field(description="jobs, one worker each")
    cores: Count = Field(description="of each job")
    memory: Annotated[ByteSize, Field(ge=1_500_000_000, description="of each job")]
    walltime: Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]
    gpus: Annotated[int, Field(ge=0, description="of each job")] = 0
    setup_lines: list[str] = Field([], description="shell lines before a worker starts")
    interface: Name = Field(None, description="network between workers and scheduler")
    extra_directives: list[str] = Field([], description="options after #SBATCH or #PBS")

    @property
    def submit_command(self) -> str:
        """The program that submits a job."""
        return {"slurm": "sbatch", "pbs": "qsub"}[self.kind]

    def queue_command(self, jobs: list[str]) -> list[str]:
        """The command that prints those of some jobs that wait or run."""
        if self.kind == "slurm":
            return ["squeue", "--noheader", "--format=%i", f"--jobs={','.join(jobs)}"]
        return ["qstat", *jobs]

    def for_dask_jobqueue(self, project: Path, logs: Path) -> dict[str, Any]:
        """Make the arguments of `dask_jobqueue.SLURMCluster` or `PBSCluster`.

        Parameters
        ----------
        project
            Root of the project, in which workers start.
        logs
            Folder of the jobs' logs.
        """
        seconds = int(self.walltime.total_seconds())
        margin = int(min(self.walltime / 5, _LONGEST_MARGIN).total_seconds())
        variables = SETTINGS | {key: os.environ[key] for key in _FOR_WORKERS if key in os.environ}
        exports = [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
        given: dict[str, Any] = {
            "queue": self.queue,
            "account": self.account,
            "cores": self.cores,
            "processes": 1,
            "memory": f"{int(self.memory)}B",
            "walltime": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            "interface": self.interface,
            "job_name": "kidneyct",
            "python": shlex.quote(sys.executable),
            "job_script_prologue": [*self.setup_lines, f"cd {shlex.quote(str(project))}", *exports],
            # Workers leave in turn and in order; the last has half the margin left.
            "worker_extra_args": [
                *("--lifetime", f"{seconds - margin}s", "--lifetime-stagger", f"{margin // 2}s")
            ],
            "job_extra_directives": [*self._directives(logs), *self.extra_directives],
        }
        if self.kind == "pbs" and self.gpus:
            memory = f"mem={-(-int(self.memory) // 2**20)}MB"
            given["resource_spec"] = f"select=1:ncpus={self.cores}:{memory}:ngpus={self.gpus}"
        return given

    def _directives(self, logs: Path) -> list[str]:
        if self.kind == "pbs":
            return ["-j oe", f"-o {logs}/"]
        gpus = [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        return [f'--output="{logs}/%j.log"', *gpus]


def load(path: Path) -> ClusterFile:
    """Read and check a file of `params/clusters/`.

    Raises
    ------
    ParamsError
        If it is missing or not YAML, or a key is unknown, given twice, missing or out of range.
    """
    if not path.is_file():
        raise parameters.ParamsError(
            f"CLUSTER={path}: there is no such file; params/clusters/ holds examples to copy."
        )
    try:
        text = path.read_text(encoding="utf-8")
        # All values as the texts they are: 12:00:00 would be a number to YAML.
        content = yaml.load(text, Loader=yaml.BaseLoader)
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise parameters.ParamsError(f"{path} can't be read as YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise parameters.ParamsError(f"{path} must hold `key: value` lines.")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in lines:
            raise parameters.ParamsError(
                f"{path}: {key.value} is given twice, in lines {lines[key.value]} and {line}; "
                "keep one."
            )
        lines[key.value] = line
    return parameters.validated(ClusterFile, content, str(path), lines)
