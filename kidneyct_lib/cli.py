"""The command line: thin, and slow imports only where a command needs them."""

import argparse
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kidneyct_lib import __version__
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import PROJECT, project_root

NOT_A_DIAGNOSIS = "Research use only: a prediction is not a diagnosis."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 good, 1 a reported error, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    if getattr(options, "project", None):
        os.environ[PROJECT] = options.project
    try:
        return options.handler(options)
    except StudyError as error:
        print(f"kidneyct: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # A progress bar may stand on the line.
        print("\nkidneyct: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kidneyct")
    parser.description = (
        "Kidney CT classification, evaluated with slice-level and patient-level splits. "
        + NOT_A_DIAGNOSIS
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    which_model = argparse.ArgumentParser(add_help=False)
    which_model.add_argument(
        "--project",
        metavar="FOLDER",
        help="the project's root (default: KIDNEYCT_PROJECT, or where this is installed)",
    )
    which_model.add_argument("--study", default="phantom", help="run folder below outputs/")
    which_model.add_argument(
        "--scheme",
        choices=["final", "patient", "slice"],
        default="final",
        help="the model of all patients (final, the default), or the first fold's of which split",
    )

    command = commands.add_parser(
        "reproduce", help="execute a study's notebooks; skip what is done"
    )
    command.set_defaults(handler=_reproduce)
    option = command.add_argument
    option("--study", default="phantom", help="a file of params/ (default: phantom)")
    _add_image_folders(option)
    option("--dry-run", action="store_true", help="only say which notebooks would run, and why")
    _add_how(command)
    change = command.add_argument_group(
        "changes to the study", "The results get their own folder."
    ).add_argument
    change("--recipe", choices=["published", "patient"], help="another recipe")
    change("--seed", type=int, help="another seed")
    change(
        "--augment",
        dest="augment_views",
        type=int,
        metavar="VIEWS",
        help="train on this many random views of each image too",
    )
    change("--image-size", type=int, metavar="PIXELS", help="another side of the images")
    change("--folds", type=int, help="another number of folds (1: one split)")

    command = commands.add_parser(
        "sweep",
        help="run studies with every combination of some parameters, and compare them",
        description="Every combination of the file's axes is an ordinary run folder. Finished ones "
        "are skipped, failed ones listed at the end (exit status 1); the same command goes on. "
        "outputs/sweeps/NAME holds the table, the figures and the notebook that compare them.",
    )
    command.set_defaults(handler=_sweep)
    option = command.add_argument
    option("file", type=Path, metavar="FILE", help="such as params/sweeps/seeds.yaml")
    _add_image_folders(option)
    option("--dry-run", action="store_true", help="only tell the runs, hours and disk")
    _add_how(command)

    command = commands.add_parser(
        "predict",
        parents=[which_model],
        help="classify images or whole series, one JSON line each",
        description=f"One JSON line per image, DICOM included, or per series. {NOT_A_DIAGNOSIS}",
        epilog=NOT_A_DIAGNOSIS,
    )
    command.set_defaults(handler=_predict)
    option = command.add_argument
    option(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="JPEG, PNG, TIFF or DICOM file, with --series a folder; -: paths from standard input",
    )
    option("--series", action="store_true", help="one answer for each series of these folders")
    option("--csv", action="store_true", help="comma-separated values instead of JSON lines")
    option("--model", type=Path, help="a .keras file instead of a study's")

    command = commands.add_parser(
        "export",
        parents=[which_model],
        help="write a study's model as ONNX and LiteRT, whole and in 8 bits",
        description="Writes outputs/STUDY/export/SCHEME: ONNX and LiteRT files that take raw "
        "pixels and return calibrated probabilities, class maps and an out-of-distribution "
        "distance, and bundle.json, which tells what they are. " + NOT_A_DIAGNOSIS,
    )
    command.set_defaults(handler=_export)

    command = commands.add_parser(
        "compare",
        help="what moved between two run folders",
        description="Metrics and table columns that differ; exit status 1 if any does.",
    )
    command.set_defaults(handler=_compare)
    command.add_argument("a", type=Path, metavar="OUTPUTS_A")
    command.add_argument("b", type=Path, metavar="OUTPUTS_B")

    command = commands.add_parser(
        "review",
        help="write what a branch changes, and what that did to results, as one HTML page",
        description="Notebooks as nbdime shows them, parameters key by key and, where a finished "
        "run is there, metrics with the intervals of their paired differences, tables cell by "
        "cell, prediction flips, figures before and after. Nothing leaves this machine.",
    )
    command.set_defaults(handler=_review)
    option = command.add_argument
    option("--base", default="main", metavar="BRANCH", help="compare with it (default: main)")
    option("--study", default="phantom", help="whose results to compare (default: phantom)")
    option("--run", type=Path, metavar="OUTPUTS", help="the branch's run (default: outputs/STUDY)")
    option(
        "--base-run",
        type=Path,
        metavar="OUTPUTS",
        help="the base's run (default: outputs/STUDY/reference as the base tracks it)",
    )
    option(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page (default: outputs/review/index.html)",
    )
    option("--summary", type=Path, metavar="FILE", help="add the first screen there, as Markdown")
    option(
        "--fail-on",
        choices=["any", "beyond-noise", "none"],
        default="none",
        help="exit status 1 if any result moved, or only if a metric moved beyond noise",
    )

    command = commands.add_parser(
        "doctor",
        help="tell what a study will use on this machine, and what is missing",
        description="Backend, devices, threads, versions, stores, disk, and what is missing.",
    )
    command.set_defaults(handler=_doctor)

    command = commands.add_parser(
        "verify",
        help="run the phantom study anew and compare it with its reference",
        description="Runs the phantom study from nothing in .cache/verify and compares every "
        "metric and table cell with outputs/phantom/reference: exactly on the kind of machine that "
        "the reference comes from, else within a tolerance. Exit status 1 if anything moved.",
    )
    command.set_defaults(handler=_verify)
    option = command.add_argument
    option("--run", type=Path, metavar="OUTPUTS", help="a finished run, not a new one")
    option("--keep", action="store_true", help="make this run the reference")
    return parser


def _add_image_folders(option: Callable[..., Any]) -> None:
    option("--data", help="folder of class sub-folders")
    option("--external", help="folder of external images for notebook 06")
    option("--masks", help="folder of the lesions' masks for notebook 05, one PNG per slice")


def _add_how(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="most notebooks side by side (default: as processors and memory allow, at most four)",
    )
    where = command.add_argument_group(
        "where trainings are computed", "Results are the same. By default in the notebooks."
    ).add_argument
    where("--workers", type=int, metavar="N", help="in N processes of this machine")
    where("--scheduler", metavar="ADDRESS", help="by a running Dask scheduler, tcp://host:port")
    where("--cluster", type=Path, metavar="FILE", help="in jobs: a file like params/clusters/*")


def _reproduce(options: argparse.Namespace) -> int:
    from kidneyct_lib import report
    from kidneyct_lib.study import run_folder, runner, variants

    _end_on_sigterm()
    cluster = _cluster(options)
    changes = {key: getattr(options, key) for key in variants.CHANGES}
    own = variants.load(options.study).params
    params, changed = variants.load(options.study, changes, _folders(options, own.source))
    how = {"jobs": options.jobs, "cluster": cluster, "dry_run": options.dry_run}
    runner.reproduce(params, changed, **how)
    if not options.dry_run:
        print(f"Report: {report.write(run_folder.Run(params.run_folder))}", flush=True)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from kidneyct_lib import report
    from kidneyct_lib.study import clusters, sweep, sweep_runner

    def finished(cell: sweep.Cell) -> None:
        if (cell.run.folder / "metrics/test.json").is_file():  # notebook 04 has run
            report.write(cell.run)

    _end_on_sigterm()
    cluster = _cluster(options)
    asked = sweep.read(options.file, _folders(options, "folder"))
    if options.dry_run:
        print(sweep.describe(asked, sweep_runner.side_by_side(asked, options.jobs)))
        return 0
    # One set of workers serves all cells; none is started where nothing is to run.
    with clusters.scheduler(cluster if any(sweep.to_run(asked).values()) else clusters.HERE):
        outcome = sweep_runner.run(asked, jobs=options.jobs, finished=finished)
    print(sweep_runner.summary(asked, outcome), flush=True)
    return int(bool(outcome.failed))


def _cluster(options: argparse.Namespace) -> Any:
    from kidneyct_lib.study import clusters

    return clusters.choose(workers=options.workers, address=options.scheduler, file=options.cluster)


def _folders(options: argparse.Namespace, source: str) -> dict[str, str]:
    """The folders given, looked at before anything runs."""
    given = {key: getattr(options, key) for key in ("data", "external", "masks")}
    folders = {key: Path(path).expanduser().resolve() for key, path in given.items() if path}
    if source == "phantom" and "data" in folders:
        raise StudyError(
            f"The study {options.study} generates its images and reads no folder; "
            f"make reproduce STUDY=folder DATA={given['data']} studies yours."
        )
    for key, folder in folders.items():
        if not folder.is_dir() and (key, source) != ("data", "kaggle"):  # made by a download
            raise StudyError(f"{key.upper()}={given[key]} is no folder ({folder}); check the path.")
    return {key: str(folder) for key, folder in folders.items()}


def _predict(options: argparse.Namespace) -> int:
    from kidneyct_lib.deployment import answer_csv, series
    from kidneyct_lib.deployment.predictor import predict

    model = _model(options)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal can't print
    write = answer_csv.writer(model.classes, sys.stdout) if options.csv else _write_json
    failed = False
    for path in _paths(options.images):
        for answer in series.answers(model, path) if options.series else [predict(model, path)]:
            failed |= "error" in answer
            write(answer)
    return int(failed)


def _write_json(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # in ASCII, which every terminal and pipe takes


def _paths(given: Sequence[str]) -> Iterator[Path]:
    for name in given:
        if name == "-":
            yield from (Path(os.fsdecode(line.rstrip(b"\r\n"))) for line in sys.stdin.buffer)
        else:
            yield Path(name)


def _model(options: argparse.Namespace):
    """The exported model where there is one: fast, and with out-of-distribution detection."""
    from kidneyct_lib.deployment.predictor import BUNDLE, ExportedModel, Predictor

    if options.model:
        return Predictor(options.model)
    folder = project_root() / f"outputs/{options.study}/export/{options.scheme}"
    if (folder / BUNDLE).is_file():
        return ExportedModel(folder)
    from kidneyct_lib.study.run_folder import Run
    from kidneyct_lib.uncertainty import calibration

    run = Run(f"outputs/{options.study}")
    path = run.model_path(options.scheme)
    return Predictor(path, temperature=calibration.saved_temperature(run, options.scheme))


def _export(options: argparse.Namespace) -> int:
    from kidneyct_lib.study.run_folder import Run

    run = Run(f"outputs/{options.study}")
    run.model_path(options.scheme)  # a missing study is reported before anything slow is imported
    from kidneyct_lib.deployment import export

    export.export(run, options.scheme)
    print(f"Exported: {run.export_folder(options.scheme)}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from kidneyct_lib.study.run_diff import compare_runs

    moved = compare_runs(options.a, options.b)
    print("No metric and no table differs." if moved.empty else _as_text(moved))
    return int(not moved.empty)


def _review(options: argparse.Namespace) -> int:
    from kidneyct_lib import review
    from kidneyct_lib.review import collect, summary

    found = collect.collect(options.base, options.study, run=options.run, base_run=options.base_run)
    output = options.output or project_root() / "outputs/review/index.html"
    review.write(found, output, options.summary)
    print(summary.plain(found))
    print(f"Review: {output}", flush=True)
    return int(summary.fails(found, options.fail_on))


def _doctor(options: argparse.Namespace) -> int:
    from kidneyct_lib.models import keras_setup, pretrained_weights
    from kidneyct_lib.study import doctor

    found = doctor.report(keras_setup.devices(), pretrained_weights.weights_folder())
    for section, lines in found.items():
        print(f"{section}:{'' if lines else ' nothing'}")
        for name, finding in lines:
            print(f"  {name:<24}{finding}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from kidneyct_lib.study import run_diff, run_folder

    _end_on_sigterm()
    reference = run_folder.project_root() / run_diff.REFERENCE
    run = run_folder.Run(options.run) if options.run else run_diff.rerun()
    if options.keep:
        run_diff.keep(run, reference)
        print(f"{reference} now holds the metrics and tables of {run.folder}.")
        return 0
    moved, tolerance = run_diff.check(run, reference)
    how = f"within {tolerance:g}" if tolerance else "exactly"
    if moved.empty:
        files = len(run_diff.result_files(reference))
        print(f"All {files} files of {run.folder} equal the reference {how}.")
    else:
        print(f"Moved against {reference} (a), compared {how}:\n{_as_text(moved)}")
    return int(not moved.empty)


def _as_text(table) -> str:
    return table.to_string(index=False, max_colwidth=60)


def _end_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the kernel ends too


if __name__ == "__main__":
    sys.exit(main())
