"""Work that is made ready in a thread while what came before it is used."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def one_ahead(
    function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Iterator[Result]:
    """Yield what a function returns for each argument, in turn, always computing the next one.

    Calls follow one another in one thread, so only this and the caller's work meet. What a call
    raises is raised where its result would have come.
    """
    with ThreadPoolExecutor(1) as thread:
        last: Future[Result] | None = None
        for argument in arguments:
            following = thread.submit(function, argument)
            if last is not None:
                yield last.result()
            last = following
        if last is not None:
            yield last.result()
