"""Answers of `kidneyct predict` as comma-separated values, which open in a spreadsheet."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

_BEFORE = ("path", "series", "uid", "slices", "label")
_AFTER = (
    "out_of_distribution",
    "low_confidence",
    "distance",
    "warning",
    "error",
    "model",
    "input_sha256",
)
_ACTIVE = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what begins with these


def writer(classes: Sequence[str], stream: TextIO) -> Callable[[Mapping[str, Any]], None]:
    """Write the head line, and give the function that writes each answer's line.

    The columns are the same for images and series; the probability of a class is called
    `p_<class>`. Text that a spreadsheet would take for a formula gets an apostrophe before it.

    Parameters
    ----------
    classes
        The model's classes.
    stream
        Open for text, with ``newline=""`` where it is a file.
    """
    columns = [*_BEFORE, *(f"p_{name}" for name in classes), *_AFTER]
    rows = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()

    def write(answer: Mapping[str, Any]) -> None:
        shares = {f"p_{name}": p for name, p in answer.get("probabilities", {}).items()}
        warnings = {"warning": json.dumps(answer["warnings"])} if "warnings" in answer else {}
        rows.writerow({k: _passive(v) for k, v in {**answer, **shares, **warnings}.items()})
        stream.flush()

    return write


def _passive(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_ACTIVE) else value
