"""One notebook through papermill, in a process of its own: `python -m` this module.

The process is told what to do on its standard input, which stays open as long as the one that
started it lives; when that is killed, so is this one, and the kernel follows.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kidneyct_lib.core.files import project_root

_LONGEST = 20_000  # characters of a message: more would fill the pipe, which is read at the end
_LONGEST_SOCKET = 70  # characters of a folder for sockets: their paths may have about a hundred
_STOPPED = 1  # exit status after a notebook that did not reach its end


SETTINGS = {
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "MATPLOTLIBRC": os.devnull,
}
"""What the user's own settings may not change: text, hashes, packages, the look of figures."""


class NotebookProcess(subprocess.Popen[str]):
    """A notebook that is being executed; it has ended once `poll` gives its exit status.

    Parameters
    ----------
    source, target : Path
        The notebook, and where the executed one is written.
    parameters : mapping
        Values for its `parameters` cell.
    line : int
        Its progress bars' line below the cursor, so that notebooks side by side do not write over
        each other's; kept as an attribute, as is `began`, the seconds of `time.monotonic`.
    """

    def __init__(
        self, source: Path, target: Path, parameters: Mapping[str, Any], *, line: int
    ) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.line, self.began = line, time.monotonic()
        options = {"source": str(source), "target": str(target), "parameters": dict(parameters)}
        on_screen = {"TQDM_POSITION": str(line), "TQDM_MININTERVAL": "1"}
        drawn = (on_screen if sys.stderr.isatty() else {"TQDM_MININTERVAL": "10"}) | os.environ
        super().__init__(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=drawn | SETTINGS,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the one that started it, which stops this one
        )
        print(json.dumps(options), file=self.stdin, flush=True)

    def failure(self) -> str | None:
        """What kept an ended one from its end; None if nothing did."""
        message, _ = self.communicate()
        if self.returncode == 0:
            return None
        return message.strip() or f"did not finish (exit status {self.returncode})"

    def stop(self) -> None:
        """End it and its kernel."""
        self.terminate()
        try:
            self.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()


def execute(source: str, target: str, parameters: Mapping[str, Any]) -> str | None:
    """Execute a notebook here, its progress bars as they are drawn; what kept it from its end."""
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    try:
        with tempfile.TemporaryDirectory(dir=_place_for_sockets()) as folder:
            os.environ["IPYTHONDIR"] = f"{folder}/ipython"  # no start-up files of the user's
            sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
            at_the_end = {"shutdown_kernel": "immediate"}
            execute_notebook(
                source,
                target,
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                stderr_file=sys.stderr,
                cwd=project_root(),
                config=Config({"KernelManager": sockets, "NotebookClient": at_the_end}),
            )
    except PapermillExecutionError as error:
        return (
            f"stopped in cell {error.cell_index}: {error.ename}: {error.evalue}\n"
            f"What ran until then is kept, and {target} shows it."
        )
    except Exception as error:  # a killed kernel, a lost connection to it
        return f"did not finish ({type(error).__name__}: {error})"
    return None


def _place_for_sockets() -> str:
    """The folder of temporary files, but one of a shorter path where that is too long."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST_SOCKET else "/tmp"


def _end_with_the_other_side() -> None:
    sys.stdin.read()  # gives nothing until the other side closes it or is gone
    os._exit(_STOPPED)


def main() -> int:
    """Execute the notebook named on standard input; print what kept it from its end."""
    # jsonschema, which papermill imports, would spend two seconds on a grammar of web addresses.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    options = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_other_side, daemon=True).start()
    message = execute(**options)
    print((message or "")[:_LONGEST])
    return _STOPPED if message else 0


if __name__ == "__main__":
    sys.exit(main())
