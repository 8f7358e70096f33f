"""Results of studies in results/, and the numbers in README and docs that are made of them.

    python tools/results.py keep outputs/coronal_stone    # after make reproduce
    python tools/results.py keep outputs/bench            # after make bench
    python tools/results.py keep outputs/scale            # after python -m benchmarks.scale
    python tools/results.py keep outputs/workers          # after python -m benchmarks.workers
    python tools/results.py write                         # make docs
    python tools/results.py check                         # fails where a page says something else

In a page, a number stands between the expression that gives it and a closing mark, both of which
readers do not see: <!--= percent("phantom", "slice") -->80.7 %<!--/-->. An expression may use the
`FUNCTIONS`.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from jinja2 import Environment

from benchmarks import bench as benchmark
from benchmarks import scale, tables, workers
from kidneyct_lib.study import provenance

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLES = (  # without those that have a row for each slice or group
    *("ablation", "ablation_other_window", "architectures", "calibration", "conformal"),
    *("data_flow", "deployment", "external", "headline", "history", "leakage", "ood_detection"),
    *("neighbours", "operating_points", "paired", "per_class", "robustness", "seeds"),
    *("selective_prediction", "shortcuts", "subgroups"),
)
BENCH_TABLES = ("study", "folds", "machine", "files")
SCALE_TABLES = ("steps", "seconds", "peak_memory_mb", "disk_mb", "growth", "grouping")
WORKERS_TABLES = ("measured", "simulated")
MOST_LOAD = 0.5  # of a machine that counts as idle when a bench starts
MARKED = re.compile(r"<!--= (.*?) -->(.*?)<!--/-->", re.DOTALL)


def keep(run: Path) -> None:
    """Copy what finished notebooks of a run wrote to results/: no row of a slice."""
    if (run / "bench.json").is_file():
        facts = about_bench(run)
        kept = [run / f"{name}.csv" for name in BENCH_TABLES]
    elif (run / "scale.json").is_file():
        facts = about_module(run / "scale.json", scale)
        kept = [run / f"{name}.csv" for name in SCALE_TABLES]
    elif (run / "workers.json").is_file():
        facts = about_module(run / "workers.json", workers)
        kept = [run / f"{name}.csv" for name in WORKERS_TABLES]
    else:
        known = json.loads((run / "run.json").read_text())
        facts = about(known)
        wanted = ("metrics/", "timings/", *(f"tables/{name}.csv" for name in TABLES))
        kept = [
            run / name
            for name, one in known["files"].items()
            if one["notebook"] in facts["notebooks"] and name.startswith(wanted)
        ]
    target, temporary = RESULTS / run.name, RESULTS / f".{run.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    for path in kept:
        if path.is_file():
            copy = temporary / path.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (temporary / "about.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    print(f"results/{target.name}: {sum(path.is_file() for path in target.rglob('*'))} files")


def about(known: dict[str, Any]) -> dict[str, Any]:
    """What made a run's results, of its run.json: no path of the machine."""
    if known["git"]["dirty"]:
        sys.exit("The run is of no commit: tracked files had been changed.")
    names = {"recipe": "RECIPE", "seed": "SEED", "image_size": "SIZE", "folds": "FOLDS"}
    names |= {"augment_views": "AUGMENT"}
    changed = [f"{names[key]}={value}" for key, value in known["changes"].items()]
    data = ["DATA=path"] if known["parameters"]["source"] == "folder" else []
    data += ["MASKS=path"] if known["parameters"].get("masks") else []
    folders = ("run_folder", "cache_folder", "data", "external", "masks")
    return {
        "command": " ".join(["make reproduce", f"STUDY={known['study']}", *data, *changed]),
        "commit": known["git"]["commit"],
        "images": {key: known["data"][key] for key in ("images", "sha256")},
        "parameters": {k: v for k, v in known["parameters"].items() if k not in folders},
        "environment_sha256": known["environment_sha256"],
        "machine": {key: known["machine"][key] for key in ("processor", "cpus", "python")},
        "notebooks": {
            name: {key: facts[key] for key in ("seconds", "processor_seconds", "peak_memory_mb")}
            for name, facts in known["notebooks"].items()
            if "finished" in facts
        },
    }


def about_bench(folder: Path) -> dict[str, Any]:
    """What made the bench's tables; the machine must have been idle."""
    known = json.loads((folder / "bench.json").read_text())
    if known["load_at_start"] > MOST_LOAD:
        sys.exit(f"The machine was not idle: load {known['load_at_start']:.1f} at the start.")
    options = _changed(known, benchmark.parse([]))
    return _made_by("make bench" + (f' BENCH="{options}"' if options else ""))


def about_module(file: Path, module: ModuleType) -> dict[str, Any]:
    """What made the tables of such a bench, and how busy the machine was, which pages tell."""
    known = json.loads(file.read_text())
    command = f"python -m {module.__name__} {_changed(known, module.parse([]))}".strip()
    return _made_by(command) | {"load": [known["load_at_start"], known["load_at_end"]]}


def _changed(known: dict[str, Any], usual: argparse.Namespace) -> str:
    """Options of a bench that are not the usual ones, as they are typed."""
    return " ".join(
        f"--{name.replace('_', '-')} {re.sub(r'[][,]', '', value)}"
        for name, value in known["options"].items()
        if value != str(getattr(usual, name))
    )


def _made_by(command: str) -> dict[str, Any]:
    """Command, commit and machine of a bench that ran on this machine and these sources."""
    git, machine = provenance.git_state(ROOT), provenance.machine()
    if git["dirty"]:
        sys.exit("Tracked files have been changed: the bench is of no commit.")
    return {
        "command": command,
        "commit": git["commit"],
        "machine": {key: machine[key] for key in ("processor", "cpus", "python")},
    }


def read(study: str, where: str) -> Any:
    """A value of a study's JSON file: ``file.key.key``."""
    file, *keys = where.split(".")
    value = json.loads((RESULTS / study / f"{file}.json").read_text())
    for key in keys:
        value = value[int(key) if isinstance(value, list) else key]
    return value


def mean_and_ends(study: str, where: str, scale: float = 1) -> list[float]:
    """A metric and, where it has one, its 95 % interval."""
    metrics, _, name = where.rpartition(".")
    known = read(study, metrics)
    return [scale * number for number in [known[name], *known.get(f"{name}_ci95", [])]]


def shown(numbers: list[float], digits: int, unit: str = "", bold: bool = False) -> str:
    """``0.85 (0.73 to 0.91)``, the number itself in bold on request."""
    value, *ends = (f"{number:.{digits}f}" for number in numbers)
    number = f"**{value}{unit}**" if bold else f"{value}{unit}"
    return number + (f" ({ends[0]} to {ends[1]})" if ends else "")


def percent(study: str, scheme: str) -> str:
    """Accuracy of the test slices in percent with its interval; in bold where patients are new."""
    numbers = mean_and_ends(study, f"metrics/test.{scheme}.accuracy", 100)
    digits = 1 if numbers[0] < 99.9 else 2  # 100.0 would hide the slices that are missed
    return shown(numbers, digits, " %", scheme.startswith("patient"))


def metric(study: str, where: str, digits: int = 2, bold: bool = False) -> str:
    """Any metric, named as file and keys, with its interval."""
    return shown(mean_and_ends(study, where), digits, bold=bold)


def recalls(study: str, where: str) -> str:
    """Recall of each class, those that miss most slices in bold."""
    known = read(study, where)
    classes = known.get("per_class") or {k: {"recall": v} for k, v in known["recall"].items()}
    values = [one["recall"] for one in classes.values()]
    return " / ".join(shown([value], 2, bold=value < 0.5) for value in values)


def corrupted(study: str, scheme: str) -> str:
    """Balanced error of clean and of corrupted slices, the latter with its interval."""
    place = f"metrics/robustness.{scheme}.stage2"
    clean = read(study, f"{place}.clean")
    return f"{clean:.2f}, then {metric(study, f'{place}.corrupted', bold=scheme == 'patient')}"


def shortcuts(study: str) -> str:
    """Rows of what the acquisition alone predicts."""
    kinds = read(study, "metrics/shortcuts.kinds")
    lines = ["", "| measures | accuracy | macro-F1 |", "|---|---|---|"]
    for name, scores in kinds.items():
        both = (shown([scores[k], *scores[f"{k}_ci95"]], 2) for k in ("accuracy", "macro_f1"))
        lines.append(f"| {name} | {' | '.join(both)} |")
    return "\n".join([*lines, ""])


def gains(study: str) -> str:
    """Rows of what the steps of the ablation gain as shown and in another window."""
    rows = pd.read_csv(RESULTS / study / "tables/ablation_other_window.csv")
    lines = ["", "| step | macro-F1, another window | gain as shown | gain, another window |"]
    lines += ["|---|---|---|---|"]
    for row in rows.to_dict("records"):
        cells = [
            shown([row[f"{k}{end}"] for end in ("", "_low", "_high")], 2)
            if pd.notna(row[k])
            else ""
            for k in ("macro_f1", "gain_shown", "gain_elsewhere")
        ]
        lines.append(f"| {' | '.join([row['step'], *cells])} |")
    return "\n".join([*lines, ""])


def bench(name: str, folder: str = "bench") -> str:
    """Rows of a table of the bench."""
    return f"\n{tables.markdown(pd.read_csv(RESULTS / folder / f'{name}.csv'))}\n"


def load(study: str) -> str:
    """Jobs that wanted a processor when a scale bench began and ended."""
    start, end = read(study, "about.load")
    return f"{start:.0f} at its start and {end:.0f} at its end"


def minutes(study: str) -> str:
    """Minutes of all notebooks added up, as they ran: side by side they slow one another."""
    seconds = sum(one["seconds"] for one in read(study, "about.notebooks").values())
    return f"{seconds / 60:.0f}"


def memory(study: str) -> str:
    """Peak memory of the notebook that took most, in GB, and its number."""
    peaks = {n[:2]: one["peak_memory_mb"] for n, one in read(study, "about.notebooks").items()}
    most = max(peaks, key=lambda name: peaks[name])
    return f"{peaks[most] / 1e3:.1f} GB, notebook {most}"


def notebooks(study: str) -> str:
    """Rows of what each notebook of a study took, and of all."""
    known = dict(sorted(read(study, "about.notebooks").items()))
    total = {k: sum(n[k] for n in known.values()) for k in ("seconds", "processor_seconds")}
    total["peak_memory_mb"] = max(one["peak_memory_mb"] for one in known.values())
    lines = ["", "| notebook | seconds | of the processors | peak memory, GB |"]
    lines += ["|---|---:|---:|---:|"]
    for name, one in (known | {"all": total}).items():
        seconds = f"{one['seconds']:,.0f} | {one['processor_seconds']:,.0f}"
        lines.append(f"| {name} | {seconds} | {one['peak_memory_mb'] / 1e3:.1f} |")
    return "\n".join([*lines, ""])


def made(study: str) -> str:
    """Command and commit that made the results."""
    return f"`{read(study, 'about.command')}` at {read(study, 'about.commit')[:7]}"


FUNCTIONS = {
    function.__name__: function
    for function in (
        *(percent, metric, recalls, corrupted, shortcuts, gains, bench),
        *(minutes, memory, notebooks, made, load),
    )
}
"""What an expression in a page may use."""


def written(page: str) -> str:
    """Text of a page with every number as results/ has it."""
    environment = Environment(autoescape=False)

    def number(result: re.Match) -> str:
        text = environment.compile_expression(result[1], undefined_to_none=False)(**FUNCTIONS)
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
