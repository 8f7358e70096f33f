"""All notebooks on a made-up cohort of DICOM files, whose patients the files name."""

import json
from itertools import cycle

import numpy as np
import pytest
from dicom_files import COMPRESSIONS, NO_RESCALE, compressed, dicom
from tiny_study import NOTEBOOKS, tiny

from kidneyct_lib import cli, report
from kidneyct_lib.data import phantom
from kidneyct_lib.data.hounsfield import SOFT_TISSUE
from kidneyct_lib.study import runner
from kidneyct_lib.study.run_folder import Run

CENTER, WIDTH = SOFT_TISSUE
CLASSES = ["Cyst", "Normal", "Stone", "Tumor"]


def write_cohort(folder):
    """Three slices of each of four patients a class, every second file compressed; odd ones too."""
    spec = phantom.CohortSpec(CLASSES, 4, (3, 3), size=64, seed=3, plane="axial")
    ways = cycle([None, "JPEG lossless", None, "JPEG-LS", None, "JPEG 2000", None, "RLE"])
    for one, way in zip(phantom.generate(spec), ways, strict=False):
        units = one.image / 255 * (WIDTH - 1) + CENTER - WIDTH / 2
        stored = (np.where(one.image > 0, units, -1000) + 1024).round().astype(np.uint16)
        tags = {"PatientID": f"RECORD-{one.patient}", "PatientName": "Doe^Jane"}
        tags |= {"SeriesInstanceUID": f"1.2.{sum(one.patient.encode())}"}
        tags |= {"ImagePositionPatient": [0, 0, one.number], "InstanceNumber": one.number}
        tags |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
        data = dicom(stored, **tags, **rescale)
        place = folder / one.label / f"IM{one.number:04d}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(compressed(data, way) if way else data)
    (folder / "Normal" / "no rescale").write_bytes(dicom(stored, **tags, **NO_RESCALE))
    (folder / "Normal" / "offset").write_bytes(dicom(stored, **tags))


@pytest.mark.long
def test_a_cohort_of_dicom_files_is_studied_by_their_patients(tmp_path, monkeypatch, capsys):
    assert set(COMPRESSIONS) == {"JPEG lossless", "JPEG-LS", "JPEG 2000", "RLE"}
    data = tmp_path / "set"
    write_cohort(data)
    values = tiny("folder", tmp_path, data=str(data), group_threshold=0.97)
    assert runner.reproduce(values) == len(NOTEBOOKS)
    run = Run(values.run_folder)
    flow = run.read_table("data_flow").set_index("step")["files"]
    assert flow["images in the study"] == 49
    assert flow["rejected: unreadable or truncated"] == -1
    assert flow["of these, doubtful: no air is seen, which has -1000 Hounsfield units"] == 1
    assert "rescale" in run.read_table("rejected")["reason"][0]

    table, grouping = run.read_table("catalog"), run.read_metrics("grouping")
    assert (grouping["patients"], grouping["known_patients"]) == ("known", 16)
    assert table.groupby("patient")["group"].nunique().max() == 1
    splits = run.read_table("splits")
    assert splits.groupby("group")["patient"].nunique().max() == 1
    report.write(run)
    told = b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    assert b"RECORD-" not in told
    assert b"Doe^Jane" not in told

    monkeypatch.setattr("kidneyct_lib.cli._model", lambda options: _model(run))
    capsys.readouterr()
    assert cli.main(["predict", "--series", str(data / "Stone")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["slices"] for one in answers] == [3] * 4
    assert len({one["uid"] for one in answers}) == 4


def _model(run):
    from kidneyct_lib.deployment.predictor import ExportedModel

    return ExportedModel(run.export_folder("final"))
