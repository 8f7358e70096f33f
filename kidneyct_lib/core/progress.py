"""How far a work is, shown where the study runs; and whether its outcome is still wanted there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


class Unwanted(Exception):
    """What a worker computes is asked for no more: its study was stopped, or its time is up."""


class _Here:
    """A process that works for itself."""

    name = ""  # of what it does, where that is one of several things

    def bar(self, *arguments: Any, **options: Any) -> tqdm:
        """Draw a bar that says what it belongs to."""
        parts = [self.name, options.get("desc")]
        return tqdm(*arguments, **options | {"desc": ": ".join(filter(None, parts)) or None})

    def stop_if_unwanted(self) -> None:
        """Go on: whoever stops this process stops its work."""


_HERE = _Here()
_place: Any = _HERE  # `dask_worker.Place` in a worker


def bar(*arguments: Any, **options: Any) -> tqdm:
    """A progress bar of tqdm's; that of a worker is shown where the study runs."""
    return _place.bar(*arguments, **options)


def stop_if_unwanted() -> None:
    """End a worker's call whose outcome is asked for no more; called where that loses little.

    Raises
    ------
    Unwanted
        In a worker whose study was stopped. Anywhere else nothing happens.
    """
    _place.stop_if_unwanted()


@contextmanager
def doing(name: str) -> Iterator[None]:
    """Name what this process does, in front of what its bars say."""
    before, _HERE.name = _HERE.name, name
    try:
        yield
    finally:
        _HERE.name = before


def become(place: Any) -> None:
    """Work as in this place from now on; called by a worker."""
    global _place
    _place = place
