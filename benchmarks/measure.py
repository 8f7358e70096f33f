"""What every measured process reports: seconds a phase, peak memory, and its own results."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Clock:
    """Wall-clock seconds of named phases, in order; `seconds` holds them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block under this name."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB (the page cache counts where it is mapped)."""
    import resource  # not on Windows, where nothing but the benchmark needs it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def read_job() -> dict[str, Any]:
    """The job whose JSON file is this process's first argument."""
    return json.loads(Path(sys.argv[1]).read_text())


def write_result(job: dict[str, Any], **facts: Any) -> None:
    """Write what was measured, with the peak memory, where the job says."""
    Path(job["result"]).write_text(json.dumps(facts | {"peak_memory_mb": peak_memory_mb()}))
