"""Results of studies in results/, and the numbers in README and docs that are made of them.

    python tools/results.py keep outputs/coronal_stone    # after make reproduce
    python tools/results.py write                         # make docs
    python tools/results.py check                         # fails where a page says something else

In a page, a number stands between the expression that gives it and a closing mark, both of which
readers do not see: <!--= percent("phantom", "slice") -->80.7 %<!--/-->. An expression may use what
`functions` returns.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLES = (  # without those that have a row for each slice or group
    *("ablation", "architectures", "calibration", "conformal", "data_flow", "deployment"),
    *("external", "headline", "history", "leakage", "ood_detection", "operating_points", "paired"),
    *("per_class", "robustness", "seeds", "selective_prediction", "subgroups"),
)
MARKED = re.compile(r"<!--= (.*?) -->(.*?)<!--/-->", re.DOTALL)


def keep(run: Path) -> None:
    """Copy a finished run's metrics, timings and aggregate tables to results/."""
    known = json.loads((run / "run.json").read_text())
    unfinished = [name for name, facts in known["notebooks"].items() if "finished" not in facts]
    if unfinished or known["git"]["dirty"]:
        sys.exit(f"{run} is not finished, or of no commit: {', '.join(unfinished) or 'dirty'}")
    target, temporary = RESULTS / run.name, RESULTS / f".{run.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    kept = [*sorted(run.glob("metrics/*.json")), *sorted(run.glob("timings/*.json"))]
    kept += [run / f"tables/{name}.csv" for name in TABLES]
    for path in kept:
        if path.is_file():
            copy = temporary / path.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (temporary / "about.json").write_text(json.dumps(about(known), indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    print(f"{target.relative_to(ROOT)}: {sum(path.is_file() for path in target.rglob('*'))} files")


def about(known: dict[str, Any]) -> dict[str, Any]:
    """What made a run's results, of its run.json: no path of the machine."""
    names = {"recipe": "RECIPE", "seed": "SEED", "image_size": "SIZE", "folds": "FOLDS"}
    names |= {"augment_views": "AUGMENT"}
    changed = [f"{names[key]}={value}" for key, value in known["changes"].items()]
    data = ["DATA=path"] if known["parameters"]["source"] == "folder" else []
    folders = ("run_folder", "cache_folder", "data", "external")
    return {
        "command": " ".join(["make reproduce", f"STUDY={known['study']}", *data, *changed]),
        "commit": known["git"]["commit"],
        "images": {key: known["data"][key] for key in ("images", "sha256")},
        "parameters": {k: v for k, v in known["parameters"].items() if k not in folders},
        "environment_sha256": known["environment_sha256"],
        "machine": {key: known["machine"][key] for key in ("processor", "cpus", "python")},
        "notebooks": {
            name: {key: facts[key] for key in ("seconds", "peak_memory_mb")}
            for name, facts in known["notebooks"].items()
        },
    }


def functions() -> dict[str, Callable[..., str]]:
    """Functions of the expressions in pages, by name."""

    def read(study: str, where: str) -> Any:
        file, *keys = where.split(".")
        value = json.loads((RESULTS / study / f"{file}.json").read_text())
        for key in keys:
            value = value[int(key) if isinstance(value, list) else key]
        return value

    def shown(value: float, ends: list[float] | None, digits: int, unit: str) -> str:
        interval = f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
        return f"{value:.{digits}f}{unit}{interval}"

    def percent(study: str, scheme: str) -> str:
        """Accuracy of the test slices in percent with its interval; by patient in bold."""
        result = read(study, f"metrics/test.{scheme}")
        ends, bold = [100 * end for end in result["accuracy_ci95"]], scheme == "patient"
        number = shown(100 * result["accuracy"], ends, 1, " %")
        return f"**{number}**".replace(" (", "** (").removesuffix("**") if bold else number

    def minutes(study: str) -> str:
        """Minutes of all notebooks added up, as they ran: side by side they slow one another."""
        seconds = sum(one["seconds"] for one in read(study, "about.notebooks").values())
        return f"{seconds / 60:.0f}"

    def memory(study: str) -> str:
        """Peak memory of the notebook that took most, in GB."""
        peaks = [one["peak_memory_mb"] for one in read(study, "about.notebooks").values()]
        return f"{max(peaks) / 1e3:.1f}"

    def made(study: str) -> str:
        """Command and commit that made the results."""
        return f"`{read(study, 'about.command')}` at {read(study, 'about.commit')[:7]}"

    every = (percent, minutes, memory, made)
    return {function.__name__: function for function in every}


def written(page: str) -> str:
    """Text of a page with every number as results/ has it."""
    known, environment = functions(), Environment(autoescape=False)

    def number(result: re.Match) -> str:
        text = environment.compile_expression(result[1], undefined_to_none=False)(**known)
        return f"<!--= {result[1]} -->{text}<!--/-->"

    return MARKED.sub(number, page)


def main(task: str, *given: str) -> None:
    """Do what the command line asks for."""
    if task == "keep":
        for run in given:
            keep(Path(run))
        return
    moved = {page: new for page in PAGES if (new := written(page.read_text())) != page.read_text()}
    if task == "write":
        for page, text in moved.items():
            page.write_text(text)
    elif moved:
        sys.exit("make docs: numbers differ from results/ in " + ", ".join(p.name for p in moved))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("keep", "write", "check"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
