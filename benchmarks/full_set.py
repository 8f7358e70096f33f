"""A generated stand-in of the public set: `python -m benchmarks.full_set FOLDER`.

As many JPEGs of each class as params/kaggle.yaml expects, to rehearse the whole study on:
`make reproduce STUDY=kaggle DATA=FOLDER`. Only hours, memory and disk mean something then.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

from benchmarks.files import write_files
from benchmarks.job import ROOT
from kidneyct_lib.study import parameters


def main(arguments: list[str] | None = None) -> int:
    """Write the files; 1 if the folder exists."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="to be made")
    folder = parser.parse_args(arguments).folder
    if folder.exists():
        print(f"{folder} exists: name a folder that does not.", file=sys.stderr)
        return 1
    params = parameters.load(ROOT / "params/kaggle.yaml")
    began, unfinished = time.perf_counter(), folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_files(unfinished, params.expected_counts, params.seed)
    unfinished.rename(folder)
    total = sum(params.expected_counts.values())
    print(f"{total:,} files in {time.perf_counter() - began:.0f} s: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
