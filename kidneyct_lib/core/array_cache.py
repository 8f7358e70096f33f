"""Rows of one shape and dtype on disk, computed once and found again by their content key.

Both stations that are costly to reach (decoded images, frozen activations) are kept this way.
"""

import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from kidneyct_lib.core import progress
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import read_json, replacement
from kidneyct_lib.core.shared_lock import SharedLock


class RowStore:
    """Append-only rows on disk: ``rows.bin`` holds the values, ``index.csv`` a key and a CRC a row.

    A row counts only once its line is in the index, and the line is written after the values have
    reached the disk. A process killed at any moment therefore loses at most the batch in flight.
    Processes on one or several machines may fill it at once: each row is computed by one of them.

    Parameters
    ----------
    folder : Path
        The store's own folder; made when the first rows are written.
    shape : tuple of int
        Shape of one row.
    dtype : numpy dtype
        Type of the stored values.
    """

    def __init__(self, folder: Path, shape: Sequence[int], dtype: np.typing.DTypeLike) -> None:
        self.folder = Path(folder)
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self._values = self.folder / "rows.bin"
        self._index = self.folder / "index.csv"
        self._sound: set[str] = set()
        self._read_index(repair=False)

    def take(self, keys: Sequence[str]) -> np.ndarray:
        """Rows of these keys, in their order, as a new array ``(len(keys), *shape)``.

        Raises
        ------
        StudyError
            If a key is not in the store.
        """
        try:
            positions = [self._rows[key][0] for key in keys]
        except KeyError as missing:
            raise StudyError(
                f"{self.folder} holds no row {missing}; run the notebook that fills it first."
            ) from None
        if not positions:
            return np.empty((0, *self.shape), self.dtype)
        shape = (self._length, *self.shape)
        return np.memmap(self._values, self.dtype, "r", shape=shape)[positions]

    def fill(
        self,
        keys: Sequence[str],
        compute: Callable[[np.ndarray], np.ndarray],
        *,
        batch: int,
        label: str,
        most_bytes: float = math.inf,
    ) -> int:
        """Compute and keep the rows that are missing or damaged, as far as they may take space.

        Parameters
        ----------
        keys : sequence of str
            Content keys of the wanted rows; repeated keys are computed once.
        compute : callable
            Given integer positions into `keys`, returns their rows ``(b, *shape)``.
        batch : int
            Rows computed and made durable at a time.
        label : str
            Name of the work on the progress bar.
        most_bytes : float
            How large the store's values may become; what goes beyond is left out.

        Returns
        -------
        int
            Number of rows computed.

        Raises
        ------
        StudyError
            If the disk is too small for the missing rows, or the folder can't be written.
        """
        try:
            self._read_index(repair=False)
            if not self._missing(keys, most_bytes):
                return 0  # nobody has to wait for who fills it with other rows
            self.folder.mkdir(parents=True, exist_ok=True)
            with SharedLock(self.folder / ".holder") as lock:
                self._read_index(repair=True)
                missing = self._missing(keys, most_bytes)
                self._require_space(len(missing))
                title = f"{label} ({len(missing) * self.row_bytes / 1e6:.0f} MB)"
                bar = progress.bar(total=len(missing), desc=title, unit="row", disable=not missing)
                with bar:
                    for start in range(0, len(missing), batch):
                        progress.stop_if_unwanted()
                        positions = np.asarray(missing[start : start + batch])
                        computed = compute(positions)
                        lock.require()
                        self._append([keys[i] for i in positions], computed, label)
                        bar.update(len(positions))
                return len(missing)
        except OSError as error:
            raise StudyError(
                f"{self.folder} could not be filled: {error}; what is there is kept. Mend this or "
                "point cache_folder to another disk."
            ) from error

    def holds(self, keys: Sequence[str]) -> np.ndarray:
        """Whether each key's row is there and its checksum holds, bool (len(keys),)."""
        return np.fromiter((self._is_sound(key) for key in keys), bool, len(keys))

    def _missing(self, keys: Sequence[str], most_bytes: float) -> list[int]:
        """Positions of the keys that are not held, each key's first, as many as find room."""
        first = np.sort(np.unique(list(keys), return_index=True)[1]).tolist()
        missing = [i for i in first if not self._is_sound(keys[i])]
        room = most_bytes / self.row_bytes - self._length  # infinite where there is no limit
        return missing[: int(min(max(room, 0), len(missing)))]

    def _is_sound(self, key: str) -> bool:
        """Whether the row is there and its checksum still holds; each row is checked once."""
        if key not in self._rows:
            return False
        if key not in self._sound and _checksum(self.take([key])) == self._rows[key][1]:
            self._sound.add(key)
        return key in self._sound

    def _require_space(self, rows: int) -> None:
        need, free = rows * self.row_bytes, shutil.disk_usage(self.folder).free
        if need > 0.98 * free:
            raise StudyError(
                f"{self.folder} needs {need / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB: "
                "free some space or point cache_folder to a larger disk."
            )

    def _append(self, keys: Sequence[str], computed: np.ndarray, label: str) -> None:
        rows = np.ascontiguousarray(computed, self.dtype)
        if rows.shape != (len(keys), *self.shape):
            raise ValueError(f"{label}: rows of shape {rows.shape[1:]}, not {self.shape}")
        end = self._length * self.row_bytes
        with self._values.open("r+b" if self._values.exists() else "wb") as values:
            values.truncate(end)  # drop rows that a killed process never indexed
            values.seek(end)
            values.write(rows.tobytes())
            values.flush()
            os.fsync(values.fileno())
        checksums = [_checksum(row) for row in rows]
        with self._index.open("a") as index:
            index.writelines(f"{key},{crc}\n" for key, crc in zip(keys, checksums, strict=True))
            index.flush()
            os.fsync(index.fileno())
        self._rows |= dict(zip(keys, enumerate(checksums, self._length), strict=True))
        self._length += len(keys)
        self._sound.update(keys)

    def _read_index(self, *, repair: bool) -> None:
        """Load the index, leaving out a torn last line and lines whose values are not there.

        Only under the lock may they be cut off: another process may be writing that last line.
        """
        self._rows: dict[str, tuple[int, int]] = {}  # {key: (position, checksum)}
        self._length = 0
        self._check_format(repair)
        if not self._index.exists():
            return
        text = self._index.read_text(errors="replace")
        held = self._values.stat().st_size // self.row_bytes if self._values.exists() else 0
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)[:held]
        whole = "".join(lines)
        if repair and whole != text:
            with replacement(self._index) as temporary:
                temporary.write_text(whole, encoding="utf-8")
        self._length = len(lines)
        for position, line in enumerate(lines):
            key, _, checksum = line.rstrip("\n").partition(",")
            if checksum.isdecimal():  # else the line is damaged, and its row is computed anew
                self._rows[key] = position, int(checksum)

    def _check_format(self, repair: bool) -> None:
        """Refuse a folder that was filled with rows of another shape or dtype."""
        about = self.folder / "about.json"
        mine = {"shape": list(self.shape), "dtype": str(self.dtype)}
        if about.exists():
            if read_json(about, f"delete the folder {self.folder}.") != mine:
                raise StudyError(f"{self.folder} holds other rows than {mine}; delete the folder.")
        elif repair:
            with replacement(about) as temporary:
                temporary.write_text(json.dumps(mine), encoding="utf-8")


def content_keys(images: np.ndarray) -> list[str]:
    """sha256 (hex) of each image's pixels; images uint8 (N, H, W)."""
    return [sha256(image.tobytes()).hexdigest() for image in images]


def _checksum(row: np.ndarray) -> int:
    return zlib.crc32(row.tobytes())
