"""The patient recipe through all notebooks."""

import pytest
from tiny_study import tiny

from kidneyct_lib import report
from kidneyct_lib.models import builder
from kidneyct_lib.study import runner
from kidneyct_lib.study.run_folder import Run


@pytest.mark.long
def test_the_patient_recipe_goes_through_all_notebooks_with_folds_and_views(tmp_path):
    changes = {"recipe": "patient", "folds": 3, "augment_views": 2, "unfreeze_layers": 0}
    values = tiny("phantom", tmp_path, **changes)
    runner.reproduce(values)
    run = Run(values.run_folder)
    catalog = run.read_table("catalog")
    assert (run.folder / "figures/04_two_stage_training__views.png").is_file()
    predictions = run.read_table("predictions")
    tested = predictions[predictions["split"] == "test"]
    for _, rows in tested.groupby(["scheme", "stage"]):
        assert sorted(rows["path"]) == sorted(catalog["path"])
    metrics = run.read_metrics("test")
    assert {metrics[scheme]["n"] for scheme in ("slice", "patient")} == {len(catalog)}
    layers = {layer.name for layer in builder.load(run.model_path("patient")).layers}
    assert layers >= {"harmonize_window", "roi_crops", "lesions_0", "lesions_1"}
    assert "head_dense" not in layers
    page = report.write(run).read_text()
    assert "shows every slice in one display window" in page
    assert "mark lesions of the class Cyst, Stone and Tumor" in page
