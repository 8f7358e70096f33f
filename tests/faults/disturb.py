"""Start a study as a user does, disturb it, and look at what is left."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

CLI = "import sys; from kidneyct_lib import cli; sys.exit(cli.main())"


def _heed_signals() -> None:
    """A shell may ignore Ctrl-C in its background jobs, and nohup hang-ups: children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(project: Path, *arguments: str, main: str = CLI, env: dict | None = None):
    """The command line as a process of its own, its two streams in files beside the project."""
    with (project / "out.log").open("w") as out, (project / "err.log").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-c", main, *arguments],
            cwd=project,
            stdout=out,
            stderr=err,
            env=env,
            preexec_fn=_heed_signals,
        )


def finish(process, project: Path, timeout: float = 400) -> tuple[int, str, str]:
    """Exit status and both streams."""
    status = process.wait(timeout)
    return status, (project / "out.log").read_text(), (project / "err.log").read_text()


def executed(out: str) -> list[str]:
    """Names of the notebooks that a run executed."""
    return [line.split("] ")[1] for line in out.splitlines() if line.startswith("[")]


def told(ended: tuple[int, str, str]) -> str:
    """The one message of a run that could not go on; fails on a traceback or on silence."""
    status, _, err = ended
    lines = [line for line in err.splitlines() if line.startswith("kidneyct: ")]
    assert "Traceback" not in err, err
    assert len(lines) == 1, err
    assert status in (1, 130)
    return lines[0]


def wait_for(condition, timeout: float = 120):
    """The first true value of a condition."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("this never came true")


def wait_for_notebook(process, project: Path, name: str) -> None:
    """Wait until a run has started a notebook (or ended, which the caller meets later)."""
    log = project / "out.log"
    wait_for(lambda: name in log.read_text() or process.poll() is not None)


def kernels(process) -> list[psutil.Process]:
    """Kernels below a process."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        return [child for child in below if "ipykernel" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def results(folder: Path) -> dict[str, bytes]:
    """Contents of all metrics and tables of a run folder."""
    files = [*folder.glob("metrics/*"), *folder.glob("tables/*")]
    assert files, f"{folder} holds no results"  # two empty folders would be equal
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def cut(path: Path, share: float = 0.5) -> None:
    """Leave only the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip(path: Path, at: int = 30) -> None:
    """Flip all bits of one byte."""
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 0xFF
    path.write_bytes(content)


def delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def remount(folder: Path, how: str) -> None:
    """Make a small disk read-only ("ro") or writable ("rw")."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)
