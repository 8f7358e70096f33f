"""What an interrupted bench has measured, kept for the next call."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kidneyct_lib.core.files import replacement


def work_folder(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Folder of what is measured, within that of a bench; an earlier call's, if of these settings.

    Whoever has measured all removes it.
    """
    work = folder / "work"
    about, text = work / "settings.json", json.dumps(settings)
    if work.exists() and not (about.exists() and about.read_text() == text):
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    if earlier := len(list(work.rglob("measured-*.json"))):
        print(f"{earlier} measured steps are kept of an earlier call; without {work}, none are.")
    about.write_text(text)
    return work


def once(place: Path, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is measured, with load and bytes written; kept in a folder for calls after this."""
    kept = place / f"measured-{name}.json"
    if not kept.exists():
        print(f"{place.name}: {name}", flush=True)
        before, load = _bytes(place), os.getloadavg()[0]
        result = measure() | {"load": load}
        result["written_bytes"] = _bytes(place) - before
        with replacement(kept) as temporary:
            temporary.write_text(json.dumps(result))
    return json.loads(kept.read_text())


def _bytes(folder: Path) -> int:
    """Of all files but what only a bench hands from step to step."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".npy")
    return sum(path.stat().st_size for path in files)
