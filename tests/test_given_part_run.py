"""All notebooks on a folder of images with a predefined test set."""

import pytest
from PIL import Image
from tiny_study import NOTEBOOKS, tiny

from kidneyct_lib import report
from kidneyct_lib.data import phantom
from kidneyct_lib.study import runner
from kidneyct_lib.study.run_folder import Run


@pytest.mark.long
def test_a_folder_with_a_given_test_part_is_studied_in_its_plane(tmp_path):
    cohort = {"patients_per_class": 8, "slices_per_patient": (4, 4), "seed": 3, "scanner": "A"}
    drawing = cohort | {"classes": ["Normal", "Stone"], "size": 64}
    for number, one in enumerate(phantom.generate(phantom.CohortSpec(**drawing, plane="coronal"))):
        part = "Test" if number % 5 == 0 else "Train"
        label = {"Stone": "Kidney_stone"}.get(one.label, one.label)
        place = tmp_path / "set" / part / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one.image).save(place / f"{number}.png")
    axial = next(phantom.generate(phantom.CohortSpec(**drawing, plane="axial")))
    Image.fromarray(axial.image).save(tmp_path / "set/Train/Normal/1000.png")
    changes = {"folds": 5, "data": str(tmp_path / "set"), "augment_views": 1}
    values = tiny("coronal_stone", tmp_path, **changes)
    assert runner.reproduce(values) == len(NOTEBOOKS)
    run = Run(values.run_folder)
    flow = run.read_table("data_flow").set_index("step")["files"]
    assert flow["images in the study"] == 64
    assert flow["left out: other plane"] == -1
    assert flow["left out: training copy of a test image"] == 0
    catalog, split = run.read_table("catalog"), run.read_table("splits")
    assert set(split["fold"]) == {0}
    assert ((split["slice"] == "test") == (catalog["part"] == "test")).all()
    assert split.groupby("group")["patient"].nunique().max() == 1
    assert run.read_metrics("test")["slice"]["n"] == 13
    assert (run.folder / "figures/04_two_stage_training__views.png").is_file()
    assert run.read_metrics("grouping")["given_parts"]["groups_in_both"] > 0
    assert "Tested on the test part given with the images" in report.write(run).read_text()
