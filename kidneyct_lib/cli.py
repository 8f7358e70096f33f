"""The command line: thin, and slow imports only where a command needs them."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kidneyct_lib import __version__
from kidneyct_lib.errors import StudyError

NOT_A_DIAGNOSIS = "Research use only: an answer is not a diagnosis."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 good, 1 a told problem, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except StudyError as error:
        print(f"kidneyct: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # A progress bar may stand on the line.
        print("\nkidneyct: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kidneyct", description=__doc__.splitlines()[0])
    parser.description = (
        "Kidney CT classification, told by slice and by patient. " + NOT_A_DIAGNOSIS
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "reproduce", help="execute a study's notebooks; skip what is done"
    )
    command.add_argument("--study", default="phantom", help="a file of params/ (default: phantom)")
    command.add_argument("--data", help="folder of class sub-folders")
    command.add_argument("--external", help="folder of external images for notebook 06")
    command.add_argument("--seed", type=int, help="another seed; its results get their own folder")
    command.set_defaults(run=_reproduce)

    command = commands.add_parser(
        "predict",
        help="classify images, one JSON line each",
        description=f"One JSON line an image, DICOM included. {NOT_A_DIAGNOSIS}",
        epilog=NOT_A_DIAGNOSIS,
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, TIFF or DICOM file")
    command.add_argument("--study", default="phantom", help="run folder below outputs/")
    command.add_argument(
        "--scheme",
        choices=["slice", "patient"],
        default="patient",
        help="the model trained on which split (default: patient)",
    )
    command.add_argument("--model", type=Path, help="a .keras file instead of a study's")
    command.set_defaults(run=_predict)

    command = commands.add_parser(
        "compare",
        help="what moved between two run folders",
        description="Metrics and table columns that differ; exit status 1 if any does.",
    )
    command.add_argument("a", type=Path, metavar="OUTPUTS_A")
    command.add_argument("b", type=Path, metavar="OUTPUTS_B")
    command.set_defaults(run=_compare)
    return parser


def _reproduce(options: argparse.Namespace) -> int:
    from kidneyct_lib import params, report, runs, study

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the kernel ends too
    file = runs.project_root() / "params" / f"{options.study}.yaml"
    values = params.load(file)
    folders = {
        key: str(Path(given).expanduser().resolve()) if given else None
        for key, given in (("data", options.data), ("external", options.external))
    }
    folder = study.run_folder(values, options.seed)
    values = params.load(file, **folders, seed=options.seed, run_folder=folder)
    run = runs.Run(folder)
    study.reproduce(values)
    print(f"Report: {report.write(run)}", flush=True)
    return 0


def _predict(options: argparse.Namespace) -> int:
    from kidneyct_lib.prediction import Predictor
    from kidneyct_lib.runs import Run

    model = options.model or Run(f"outputs/{options.study}").model_path(options.scheme)
    predictor = Predictor(model)
    failed = False
    for image in options.images:
        answer = predictor.answer(Path(image))
        failed |= "error" in answer
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    return int(failed)


def _compare(options: argparse.Namespace) -> int:
    from kidneyct_lib.comparison import compare_runs

    moved = compare_runs(options.a, options.b)
    print("No metric and no table differs." if moved.empty else moved.to_string(index=False))
    return int(not moved.empty)


if __name__ == "__main__":
    sys.exit(main())
