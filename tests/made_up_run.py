"""A small finished run folder, made up: what a report is written from."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml

from kidneyct_lib.evaluation import (
    binary_metrics,
    counterfactual,
    paired_bootstrap,
    series,
    subgroups,
)
from kidneyct_lib.evaluation import metrics as evaluation_metrics
from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.evaluation.predictions import predictions_table, probability_columns, study_folds
from kidneyct_lib.plots import evaluation as evaluation_plots
from kidneyct_lib.splitting import cross_validation
from kidneyct_lib.study import sibling_runs
from kidneyct_lib.study.run_folder import Run, project_root
from kidneyct_lib.uncertainty import operating_points

FIGURES = {
    "01_download": ["class_counts"],
    "02_explore": ["contact_sheet"],
    "04_two_stage_training": ["headline", "learning_curves", "other_windows"],
    "05_error_analysis": ["recall", "worst_errors", "weight_randomization"],
    "06_external_grayscale": ["external"],
    "07_leakage_audit": ["summary", "shortcuts", "not_known_to_the_page"],
}


def make(
    folder,
    *,
    classes=("Cyst", "Normal", "Stone"),
    folds=3,
    analysed=True,
    audit=True,
    **parameters,
):
    """Write a run whose network knows the patients it has seen and little of others."""
    run, classes = Run(folder), list(classes)
    table = _catalog(classes)
    options = {"folds": folds, "test_fraction": 0.2, "validation_fraction": 0.2, "seed": 1}
    split = cross_validation.study_splits(table, **options)
    predictions = _predictions(table, split, classes)
    _begin(
        run,
        "01_download",
        options | {"classes": classes, "must_not_miss": classes[-1:]} | parameters,
    )
    run.write_table("catalog", table)
    run.write_table("rejected", pd.DataFrame({"path": ["<bad> & name.png"], "reason": ["torn"]}))
    steps = {"files in the folder": len(table) + 1, "rejected: unreadable or truncated": -1}
    flow = pd.DataFrame((steps | {"images in the study": len(table)}).items())
    run.write_table("data_flow", flow.set_axis(["step", "files"], axis=1))
    run.record(data={"folder": "somewhere", "images": len(table), "sha256": "da7a" * 16})
    _finish(run)
    _begin(run, "02_explore", {})
    _finish(run)
    _begin(run, "03_split_and_weight", {})
    run.write_table("splits", split)
    run.write_metrics(
        "grouping", {"patients": "recovered", "groups": int(table["group"].nunique())}
    )
    _finish(run)
    metrics = _train(run, predictions, classes)
    if analysed:
        _analyse(run, table, predictions, metrics, classes)
    if analysed and audit:
        _audit(run)
    return run


def _begin(run, notebook, parameters):
    values = yaml.safe_load((project_root() / "params/phantom.yaml").read_text())
    used = values | {"source": "folder"} | parameters
    seeded = {"seed": parameters["seed"]} if "seed" in parameters else {}
    run.record(study=values["study"], changes=run.provenance().get("changes", {}) | seeded)
    run.begin(notebook, run.provenance().get("parameters", used) | parameters)


def _finish(run):
    notebook = run._notebook
    for name in FIGURES.get(notebook, []):
        figure, axes = plt.subplots(figsize=(2, 1))
        axes.plot([0, 1])
        run.write_figure(name, figure)
        plt.close(figure)
    run.write_text(f"notebooks/{notebook}.ipynb", "{}")
    run.finish()


def _catalog(classes, groups=12, few=4):
    """Twelve groups per class, four of the last, of two to six slices."""
    rng = np.random.default_rng(0)
    rows = [
        (label, f"{label}-{k}")
        for label in classes
        for k in range(few if label == classes[-1] else groups)
        for _ in range(rng.integers(2, 7))
    ]
    table = pd.DataFrame(rows, columns=["label", "group"])
    table["group"] = pd.factorize(table["group"])[0]
    table["path"] = [f"{row.label}/{row.Index}.png" for row in table.itertuples()]
    table["sha256"] = [f"{k:064x}" for k in range(len(table))]
    return table.assign(plane="coronal")


def _predictions(table, split, classes):
    """By slice nearly all is right; by patient, whole groups are right or wrong."""
    rng = np.random.default_rng(1)
    truth = table["label"].map(classes.index).to_numpy()
    known = rng.random(table["group"].nunique())[table["group"]] < 0.5
    frames = []
    for fold, rows in split.groupby("fold"):
        for scheme in ("slice", "patient"):
            for stage in (1, 2):
                right = rng.random(len(table)) < 0.8 + 0.08 * stage if scheme == "slice" else known
                chosen = np.where(right, truth, (truth + 1) % len(classes))
                answers = np.full((len(table), len(classes)), 0.2 / (len(classes) - 1))
                answers[np.arange(len(table)), chosen] = 0.8
                named = {"scheme": scheme, "stage": stage, "fold": fold}
                part = rows[scheme].to_numpy()
                held_out = part != "train"
                shown = table[held_out], part[held_out], answers[held_out]
                frames.append(predictions_table(*shown, classes, **named))
    return pd.concat(frames, ignore_index=True)


def _train(run, predictions, classes):
    tested = predictions[predictions["split"] == "test"]
    resampling = Bootstrap(100, 0)
    # In another window the first class is taken for the last, and so on.
    columns = probability_columns(classes)
    elsewhere = tested.assign(**dict(zip(columns, tested[columns[::-1]].to_numpy().T, strict=True)))
    scores = {
        key: evaluation_metrics.summarise(rows, classes, bootstrap=resampling)
        | {
            "other_window": counterfactual.summarise(
                rows, elsewhere.loc[rows.index], classes, bootstrap=resampling
            )
        }
        for key, rows in tested.groupby(["scheme", "stage"])
    }
    metrics = {s: scores[s, 2] | {"stage1": scores[s, 1]} for s in ("slice", "patient")}
    _begin(run, "04_two_stage_training", {})
    run.record(initial_weights_sha256="f00d" * 16)
    run.write_table("predictions", predictions)
    run.write_table("counterfactual_predictions", elsewhere)
    run.write_metrics("test", metrics)
    run.write_table("headline", evaluation_metrics.headline(metrics))
    _finish(run)
    return metrics


def _analyse(run, table, predictions, metrics, classes):
    tested = predictions[predictions["split"] == "test"]
    resampling = Bootstrap(100, 0)
    _begin(run, "05_error_analysis", {})
    frames = {
        scheme: pd.DataFrame.from_dict(metrics[scheme]["per_class"], orient="index")
        for scheme in metrics
    }
    per_class = pd.concat(frames, names=["scheme", "class"]).reset_index()
    run.write_table("per_class", per_class.assign(few_groups=per_class["groups"] < 10))
    finals = dict(tuple(tested[tested["stage"] == 2].groupby("scheme", sort=False)))
    run.write_table("errors", evaluation_metrics.worst_errors(finals["patient"], classes))
    beside = series.by_reach(finals["patient"], classes, bootstrap=resampling)
    windows = {"as shown": beside, "another class's": beside}
    one = evaluation_metrics.summarise(
        series.votes(finals["patient"], classes), classes, bootstrap=resampling
    )
    run.write_metrics("series", windows | {"votes": dict.fromkeys(windows, one)})
    run.write_table("neighbours", series.table(windows))
    levels = subgroups.levels(table, np.arange(len(table)))
    result = {
        s: subgroups.by_subgroup(r, levels, classes, bootstrap=resampling)
        for s, r in finals.items()
    }
    result = pd.concat(result, names=["scheme"]).reset_index("scheme")
    run.write_table("subgroups", result)
    run.write_table("paired", paired_bootstrap.compare_all(tested, classes, bootstrap=resampling))
    if len(classes) == 2:
        _compare_two(run, predictions, classes, resampling)
    run.write_metrics(
        "explanation", {"lesions_known": True, "weight_randomization": _weight_randomization()}
    )
    spread = sibling_runs.spread(sibling_runs.by_seed(run)).to_dict("records")
    run.write_metrics("uncertainty", {"seeds": spread})
    _finish(run)
    _begin(run, "06_external_grayscale", {})
    condition = {"scheme": "slice", "condition": "one channel", "gray_step": "without"}
    run.write_table("external", pd.DataFrame([condition | {"n": None, "accuracy": None}]))
    run.record(external=None)
    _finish(run)


def _weight_randomization():
    correlations = {"slice": (1.0, 0.125, -0.0625), "patient": (1.0, 0.25, -0.001)}
    steps = "trained", "head", "conv1"
    return {
        scheme: [
            {"step": step, "correlation": value, "ci95": [value, value], "unsigned": abs(value)}
            for step, value in zip(steps, values, strict=True)
        ]
        for scheme, values in correlations.items()
    }


def _compare_two(run, predictions, classes, resampling):
    tested = predictions[predictions["split"] == "test"]
    scores = {
        key: binary_metrics.summarise(rows, classes, classes[-1], bootstrap=resampling)
        for key, rows in tested.groupby(["scheme", "stage"], sort=False)
    }
    for key, folds in study_folds(predictions, classes).items():
        scores[key]["youden"] = operating_points.youden_point(folds, 1, bootstrap=resampling)
    table = binary_metrics.table(scores)
    run.write_table("binary", table)
    run.write_metrics("binary", {scheme: scores[scheme, 2] for scheme in ("slice", "patient")})
    run.write_figure("two_classes", evaluation_plots.binary_summary(table))


def _audit(run):
    _begin(run, "07_leakage_audit", {})
    row = {"model": "pixel kNN", "scheme": "patient", "accuracy": 0.4321}
    leakage = pd.DataFrame([row | {"accuracy_low": 0.3, "accuracy_high": 0.5}])
    run.write_table("leakage", leakage)
    scores = {"slice": {"accuracy": 0.987}, "patient": {"accuracy": 0.254}}
    run.write_metrics(
        "leakage",
        {"folds_note": "the study's own 3 folds", "chance": {"uniform": 0.25}}
        | {"models": {"pixel kNN": scores}, "negative_controls": {"labels by group": scores}},
    )
    kinds = {"display window": {"accuracy": 0.5831}, "all together": {"accuracy": 0.6342}}
    run.write_metrics("shortcuts", {"kinds": kinds})
    run.write_table("shortcuts", pd.DataFrame([{"kind": k} | one for k, one in kinds.items()]))
    _finish(run)
    _begin(run, "08_robustness_and_calibration", {})
    run.write_metrics("calibration", {"ece": 0.1})
    rows = [{"scheme": "patient", "stage": stage, "ece": 0.1234 / stage} for stage in (1, 2)]
    run.write_table("calibration", pd.DataFrame(rows))
    errors = {"n": 37, "groups": 9, "clean": 0.625, "corrupted": 0.6875, "increase": 0.0625}
    by_corruption = {"by_corruption": {"pixelate": {}, "couch_removed": {}}}
    run.write_metrics("robustness", {"patient": {"stage2": errors | by_corruption}})
    run.write_table("robustness", pd.DataFrame([{"scheme": "patient", "stage": 2} | errors]))
    _finish(run)
    _begin(run, "09_patient_level", {})
    scores = {"slice": {"macro_f1": 0.71}, "series": {"macro_f1": 0.84}}
    ablation = {
        "cv_repeats": 3,
        "kept_if_recall_gains": 0.05,
        "folds_note": "the study's own 3 folds",
    }
    published = {"slice": {"macro_f1": 0.31}, "series": {"macro_f1": 0.33}}
    gain = {"slice": {"macro_f1": 0.4, "macro_f1_ci95": [0.17, 0.61]}}
    ablation |= {"recipe": "kidneys alone"}
    ablation["published_recipe"] = {"published": published, "patient": scores, "difference": gain}
    run.write_metrics("ablation", ablation | {"nested_cv": {"scores": scores}})
    step = {"step": "kidneys alone", "counted": "patients", "macro_f1": 0.7654}
    run.write_table("ablation", pd.DataFrame([step | {"macro_f1_low": 0.6, "macro_f1_high": 0.9}]))
    _finish(run)
    _begin(run, "10_deployment", {})
    parity = {"n": 243, "label_changed": 0.0025}
    row = {"way": "onnx", "precision": "int8", "threads": 1, "batch": 1, "milliseconds": 23.4}
    deployment = {"scheme": "final", "parity": {"model-int8.onnx": parity}}
    run.write_metrics("deployment", deployment)
    run.write_timings("deployment", {"latency": [row]})
    run.write_table("deployment", pd.DataFrame([{"file": "model-int8.onnx"} | parity]))
    _finish(run)
