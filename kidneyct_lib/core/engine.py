"""Independent work, handed out: done here one call after the other, or by the workers of a cluster.

Where the environment names a Dask scheduler (`SCHEDULERS`), calls go to its workers. Where it
does not, nothing of Dask is imported, and a call costs what it costs without this module.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kidneyct_lib.core import progress
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import project_root

SCHEDULERS = ("KIDNEYCT_SCHEDULER", "DASK_SCHEDULER_ADDRESS")
"""Environment variables that name the scheduler, as ``tcp://host:port``; the first one set counts.

They change who computes, never what: no result depends on them."""


def scheduler() -> str | None:
    """Address of the scheduler that the environment names, None where it names none."""
    return next((address for name in SCHEDULERS if (address := os.environ.get(name))), None)


def run_all(
    function: Callable[..., Any],
    calls: Sequence[Mapping[str, Any]],
    *,
    label: str,
    names: Sequence[str] | None = None,
    folders: Sequence[Path] = (),
    unit: str = "task",
    own_bars: bool = False,
) -> list[Any]:
    """Call a function with each of several arguments, in any order or all at once.

    Calls must not need one another, and the outcome of one must not hang on where or when it is
    made. One whose worker dies is made again by another worker, so it keeps what should survive
    that in files.

    Parameters
    ----------
    function
        A module's own, or a method of a module's class, so that a worker finds it by its name.
    calls
        Keyword arguments of each call. They travel to workers, so they are small, but for arrays:
        large ones are written beside the first of `folders`, once for all calls.
    label, unit
        Names of the whole and of one call, on the progress bar.
    names
        Of the calls, for the bar and for messages; their numbers by default.
    folders
        That calls read and write, and that workers must see, too; by default the project's
        `.cache`.
    own_bars
        Whether calls show `progress.bar` themselves: one for all would stand in their way here.

    Returns
    -------
    list of what each call returned, in the order of `calls`.

    Raises
    ------
    StudyError
        If the scheduler can't be reached or is gone, no worker is left, a worker sees other
        folders or has other code, or a call ended several workers. What a call raises comes
        through where it is a StudyError, and is told by one otherwise.
    """
    names = [f"{unit} {number}" for number in range(1, len(calls) + 1)] if names is None else names
    address = scheduler()
    if address is None:
        return _one_by_one(
            function, calls, names, tqdm(desc=label, unit=unit, total=len(calls), disable=own_bars)
        )
    try:
        from kidneyct_lib.core import dask_client
    except ImportError as error:
        raise StudyError(
            f"A scheduler is named ({address}), but {error.name} is not installed: "
            f'`make setup EXTRA="dask"`, or unset {" and ".join(SCHEDULERS)}.'
        ) from None
    shared = folders or [project_root() / ".cache"]
    work = dask_client.Work(function, calls, names, label, unit, shared)
    return dask_client.run(address, work)


def _one_by_one(
    function: Callable[..., Any],
    calls: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    bar: tqdm,
) -> list[Any]:
    results = []
    with bar:
        for call, name in zip(calls, names, strict=True):
            with progress.doing(name):
                results.append(function(**call))
            bar.update()
    return results
