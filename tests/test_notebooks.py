"""The notebooks, executed on a tiny phantom with an untrained backbone, and their sources."""

import json
import re
import statistics
from itertools import pairwise

import numpy as np
import pytest
from one_process import OneProcess
from short_resnet import SHORT
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tiny_study import NOTEBOOKS, ROOT, tiny

from kidneyct_lib import report
from kidneyct_lib.data import datasets
from kidneyct_lib.models.backbones import BACKBONES
from kidneyct_lib.study import figure_texts, parameters, runner, staleness
from kidneyct_lib.study.run_folder import Run

SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPLORER = ROOT / "notebooks/00_explore_results.ipynb"


def code_cells(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


# --- sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", SOURCES, ids=lambda path: path.stem)
def test_cells_are_short_and_told(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    short = [cell for cell in code_cells(notebook) if "parameters" not in str(cell["metadata"])]
    lengths = [len([x for x in cell["source"] if x.strip()]) for cell in short]
    assert max(lengths) <= 25
    assert statistics.median(lengths) <= 5
    assert cells[0]["cell_type"] == "markdown"
    assert cells[0]["source"][0].startswith(f"# {notebook.stem[:2]} ")


@pytest.mark.parametrize("notebook", SOURCES, ids=lambda path: path.stem)
def test_headings_make_a_table_of_contents(notebook):
    """JupyterLab lists them at its side: a title, sections below it, and no level left out."""
    cells = json.loads(notebook.read_text())["cells"]
    text = "".join("".join(c["source"]) + "\n" for c in cells if c["cell_type"] == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) \S", text, re.MULTILINE)]
    assert levels[:2] == [1, 2]
    assert levels.count(1) == 1
    assert levels.count(2) >= 3
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))


@pytest.mark.parametrize("notebook", SOURCES, ids=lambda path: path.stem)
def test_sources_are_stripped(notebook):
    for cell in code_cells(notebook):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_open_their_own_run(notebook):
    code = "".join("".join(cell["source"]) for cell in code_cells(notebook))
    assert f'open_run(run_folder, "{notebook.stem}", params)' in code
    assert "params = parameters.checked(globals())" in code
    assert code.endswith("run.finish()")


def test_the_explorer_looks_at_a_run_and_writes_nothing():
    first, *others = code_cells(EXPLORER)
    assert first["metadata"]["tags"] == ["parameters"]
    names = [line.partition(" = ")[0] for line in first["source"]]
    assert names == ["run_folder", "compare_with"]
    code = "".join("".join(cell["source"]) for cell in others)
    assert all(name in code for name in names)
    assert not {"open_run", "write_", "finish"} & set(re.findall(r"open_run|write_|finish\b", code))


# --- executed ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    return tiny("phantom", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def run(values):
    """The run folder after all notebooks, with a short ResNet50, whose graphs are soon traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "NotebookProcess", OneProcess)
        patch.setitem(BACKBONES, "resnet50", BACKBONES[SHORT])
        assert runner.reproduce(values) == len(NOTEBOOKS)
    return Run(values.run_folder)


@pytest.fixture(scope="module")
def predictions(run):
    return run.read_table("predictions")


@pytest.mark.slow
def test_a_run_leaves_what_it_promises(run):
    for path in (
        *(f"notebooks/{notebook.name}" for notebook in NOTEBOOKS),
        *(f"tables/{name}.csv" for name in ("catalog", "predictions", "splits", "data_flow")),
        *(f"metrics/{name}.json" for name in ("test", "external", "grouping", "uncertainty")),
        *(f"metrics/{name}.json" for name in ("leakage", "calibration", "robustness")),
        *(f"metrics/{name}.json" for name in ("explanation", "ablation", "deployment")),
        *(f"models/{scheme}.keras" for scheme in ("slice", "patient", "final")),
    ):
        assert (run.folder / path).is_file(), path
    for notebook in NOTEBOOKS:
        assert list((run.folder / "figures").glob(f"{notebook.stem}__*.png"))


@pytest.mark.slow
def test_known_patients_decide_and_their_recovery_is_scored(run):
    table, grouping = run.read_table("catalog"), run.read_metrics("grouping")
    assert grouping["patients"] == "known"
    assert grouping["known_patients"] == table["patient"].nunique()
    assert grouping["known_slices"] == len(table)
    assert table.groupby("patient")["group"].nunique().max() == 1
    assert 0 < grouping["recall"] <= 1


@pytest.mark.slow
def test_a_notebook_reads_only_what_notebooks_that_it_waits_for_wrote(run):
    known = run.provenance()
    for name, facts in known["notebooks"].items():
        before, waiting = {name}, [name]
        while waiting:
            new = set(staleness.NEEDS[waiting.pop()]) - before
            before |= new
            waiting += new
        # These write a table anew that this one has read before.
        before |= {later for later, first in staleness.AFTER.items() if name in first}
        assert facts["inputs"] or name == "01_download"
        for file in facts["inputs"]:
            assert known["files"][file]["notebook"] in before, (name, file)


@pytest.mark.slow
def test_the_catalog_has_its_columns(run):
    table = run.read_table("catalog")
    expected = ["path", "label", "number", "sha256", "width", "height", "plane", "group", "patient"]
    assert set(expected) <= set(table.columns)
    assert table["path"].is_unique
    assert set(table["plane"]) == {"axial"}


@pytest.mark.slow
def test_what_training_did_not_see_is_predicted_once_per_scheme_and_stage(run, values, predictions):
    columns = ["path", "label", "group", "scheme", "stage", "split", "fold"]
    assert list(predictions) == columns + [f"p_{name}" for name in values.classes]
    split = run.read_table("splits")
    for (scheme, _), rows in predictions.groupby(["scheme", "stage"]):
        held_out = split[split[scheme] != "train"]
        assert list(rows["path"]) == list(held_out["path"])
        assert list(rows["split"]) == list(held_out[scheme])
        assert set(rows["split"]) == {"validation", "test"}
    sums = predictions.filter(like="p_").sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-9)


@pytest.mark.slow
def test_no_patient_stands_on_two_sides_of_the_patient_split(run):
    split = run.read_table("splits")
    known = run.read_table("catalog").set_index("path")["patient"]
    for unit in (split["group"], split["path"].map(known)):
        assert split.groupby(unit)["patient"].nunique().max() == 1
    assert split.groupby("group")["slice"].nunique().max() > 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["slice", "patient"])
@pytest.mark.parametrize("stage", [1, 2])
def test_the_metrics_are_those_of_the_predictions(run, values, predictions, scheme, stage):
    metrics = run.read_metrics("test")[scheme]
    metrics = metrics if stage == 2 else metrics["stage1"]
    rows = predictions.query("scheme == @scheme and stage == @stage and split == 'test'")
    answers = rows[[f"p_{name}" for name in values.classes]].to_numpy()
    chosen = np.array(values.classes)[answers.argmax(axis=1)]
    assert metrics["n"] == len(rows)
    assert metrics["groups"] == rows["group"].nunique()
    assert metrics["accuracy"] == pytest.approx(accuracy_score(rows["label"], chosen))
    assert metrics["macro_f1"] == pytest.approx(
        f1_score(rows["label"], chosen, average="macro", labels=values.classes, zero_division=0)
    )
    codes = rows["label"].map(values.classes.index)
    expected = log_loss(codes, answers.clip(1e-7, 1), labels=range(len(values.classes)))
    assert metrics["loss"] == pytest.approx(expected, rel=1e-4)
    assert set(metrics["per_class"]) == set(values.classes)


@pytest.mark.slow
def test_the_gray_step_leaves_rgb_alone_and_answers_one_channel(run):
    external = run.read_metrics("external")
    assert external["rgb_unchanged"] == len(run.read_table("catalog"))
    for scheme in ("slice", "patient"):
        rgb, one = external[scheme]["RGB, as published"], external[scheme]["one channel"]
        assert rgb["with"] == rgb["without"] == one["with"]
        assert one["without"] is None
        assert external[scheme]["other scanner"]["with"]["n"] > 0


@pytest.mark.slow
def test_the_audit_holds_every_model_and_control_under_both_schemes(run):
    audit = run.read_metrics("leakage")
    shallow = ["pixel kNN", "PCA + random forest", "logistic regression"]
    assert list(audit["models"]) == [*shallow, "stage 1", "stage 2"]
    assert list(audit["negative_controls"]) == ["labels by group", "labels by slice"]
    for by_scheme in (audit["models"] | audit["negative_controls"]).values():
        for scores in by_scheme.values():
            low, high = scores["accuracy_ci95"]
            assert 0 <= low <= high <= 1
    assert {s: result["n"] for s, result in audit["models"]["pixel kNN"].items()} == {
        scheme: len(run.read_table("catalog")) for scheme in ("slice", "patient")
    }
    for scheme in ("slice", "patient"):
        expected = run.read_metrics("test")[scheme]
        stages = audit["models"]["stage 1"][scheme], audit["models"]["stage 2"][scheme]
        assert stages[0]["per_class"] == expected["stage1"]["per_class"]
        assert stages[1]["per_class"] == expected["per_class"]
        assert stages[1]["accuracy_ci95"] == expected["accuracy_ci95"]
    answers = run.read_table("audit_predictions")
    for _, rows in answers.groupby(["model", "scheme"]):
        assert sorted(rows["path"]) == sorted(run.read_table("catalog")["path"])
    assert len(run.read_table("leakage")) == 14
    assert 2 <= audit["folds"] <= min(audit["groups_per_class"].values())


@pytest.mark.slow
def test_the_report_is_one_page_with_both_numbers_and_says_it_is_untrained(run):
    page = report.write(run).read_text()
    metrics = run.read_metrics("test")
    for scheme in ("slice", "patient"):
        assert f'<p class="number">{100 * metrics[scheme]["accuracy"]:.1f} %</p>' in page
    assert "not pretrained" in page
    assert page.count("data:image/png;base64,") == len(list((run.folder / "figures").iterdir()))
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.slow
def test_provenance_covers_every_notebook_and_parameter(run, values):
    known = run.provenance()
    for role in ("data", "external"):
        assert known[role]["sha256"]
    assert len(known["initial_weights_sha256"]) == 64
    assert set(known["notebooks"]) == {notebook.stem for notebook in NOTEBOOKS}
    used = set(parameters.Params.model_fields) - {"study", "expected_minutes"}
    assert set(known["parameters"]) == used
    assert known["parameters"]["seed"] == values.seed
    assert all(entry["peak_memory_mb"] > 0 for entry in known["notebooks"].values())


@pytest.mark.slow
def test_a_second_call_does_nothing(run, values):
    assert runner.reproduce(values) == 0


@pytest.mark.slow
def test_every_figure_has_texts_of_its_own(run):
    drawn = {path.stem for path in (run.folder / "figures").iterdir()}
    assert drawn <= set(figure_texts.every())


@pytest.mark.slow
def test_the_explorer_runs_on_it_and_leaves_it_as_it_is(run, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    given = {"run_folder": str(run.folder)}
    explored = OneProcess(EXPLORER, tmp_path / EXPLORER.name, given, line=0)
    assert explored.failure() is None
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.mark.slow
def test_maps_are_compared_with_the_phantoms_lesions(run, values):
    result = run.read_metrics("explanation")
    split, catalog = run.read_table("splits"), run.read_table("catalog")
    for scheme in ("slice", "patient"):
        tested = catalog["path"][split[scheme] == "test"]
        masks = datasets.lesion_masks(run.data_folder / "masks", tested, values.image_size)
        assert result[scheme]["n"] == masks.any(axis=(1, 2)).sum()
        assert result[scheme]["area"] == pytest.approx(masks[masks.any(axis=(1, 2))].mean())
        steps = result["weight_randomization"][scheme]
        assert steps[0] == {"step": "trained", "correlation": 1, "ci95": [1, 1], "unsigned": 1}
        assert [step["step"] for step in steps[1::5]] == ["head", "conv1"]
        assert steps[-1]["unsigned"] < 1


@pytest.mark.slow
def test_every_step_of_the_ablation_is_compared(run):
    known = run.read_metrics("ablation")
    names = list(known["steps"])
    assert list(known["compared"]) == names[1:]
    assert known["recipe"] in names
    assert set(known["costs"]) == set(names)
    assert known["published_recipe"] is None  # one split tests some patients only
    assert set(known["localization"]) == {"published", "this run"}
    table = run.read_table("ablation")
    assert list(table["step"].unique()) == names


@pytest.mark.slow
def test_architectures_stand_beside_the_first_with_what_they_cost(run):
    compared = run.read_metrics("ablation")["architectures"]
    latency = run.read_timings("ablation")["latency"]
    names = ["resnet50-none", "small CNN"]
    assert list(compared["scores"]) == list(compared["costs"]) == list(latency) == names
    assert {other["baseline"] for other in compared["compared"].values()} == {names[0]}
    assert min(latency.values()) > 0
    table = run.read_table("architectures")
    assert list(table["step"].unique()) == names
    assert table["parameters"].is_monotonic_decreasing
