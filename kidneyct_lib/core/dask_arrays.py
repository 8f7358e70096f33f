"""Arguments of a call on their way to a worker: large arrays go through files that both see.

Pickled, as Dask sends all objects, are messages between a study and its own workers, never files.
"""

import functools
import io
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from kidneyct_lib.core.files import replacement

_LEAST = 2**16  # bytes of an array that is worth a file


class Packer:
    """Packs arguments of several calls; an array that many of them hold is written once.

    Parameters
    ----------
    place
        Gives the file of an array by its digest.
    """

    def __init__(self, place: Callable[[str], Path]) -> None:
        self._place, self._kept = place, dict[int, tuple[np.ndarray, str]]()

    def pack(self, arguments: Any) -> bytes:
        """Give what `unpack` restores; equal arguments give equal bytes, as a rule."""
        file = io.BytesIO()
        _Pickler(file, self._keep).dump(arguments)
        return file.getvalue()

    def remove(self) -> None:
        """Delete the files."""
        for _, digest in self._kept.values():
            self._place(digest).unlink(missing_ok=True)

    def _keep(self, array: np.ndarray) -> str:
        if id(array) not in self._kept:
            facts = f"{array.dtype.str}{array.shape}{array.flags.f_contiguous}"
            digest = sha256(facts.encode() + array.tobytes("A")).hexdigest()
            path = self._place(digest)
            if not path.exists():
                with replacement(path) as temporary:
                    np.save(temporary, array, allow_pickle=False)
            self._kept[id(array)] = array, digest  # held, so that its id stays its own
        return self._kept[id(array)][1]


def unpack(packed: bytes, place: Callable[[str], Path]) -> Any:
    """Restore what `Packer.pack` was given."""
    return _Unpickler(io.BytesIO(packed), place).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, keep: Callable[[np.ndarray], str]) -> None:
        super().__init__(file, protocol=5)
        self._keep = keep

    def persistent_id(self, thing: Any) -> str | None:
        """Name the file of a large array; everything else is packed as it is."""
        if type(thing) is not np.ndarray or thing.dtype.hasobject or thing.nbytes < _LEAST:
            return None
        return self._keep(thing)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, place: Callable[[str], Path]) -> None:
        super().__init__(file)
        self._place = place

    def persistent_load(self, digest: str) -> np.ndarray:
        """Read the array of a name."""
        return _loaded(digest, self._place(digest))


@functools.lru_cache(maxsize=4)  # of a call's arrays most are those of the call before
def _loaded(digest: str, path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)
