"""Answers of an exported model, and what is said where it is damaged."""

import json
import subprocess
import sys

import numpy as np
import pytest
from made_up_graph import write_graph
from PIL import Image

from kidneyct_lib import cli
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import file_digest
from kidneyct_lib.deployment.predictor import BUNDLE, ExportedModel, predict

CLASSES = ["Normal", "Stone"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "outputs/made/export/final"
    place.mkdir(parents=True)
    (tmp_path / "params").mkdir()
    write_graph(place / "model-float32.onnx")
    bundle = {
        "study": "made",
        "scheme": "final",
        "weights": "imagenet",
        "classes": CLASSES,
        "operating_points": {"distance": 0.5, "confidence": 0.7, "recall": {}},
        "files": {"model-float32.onnx": {"sha256": file_digest(place / "model-float32.onnx")}},
    }
    (place / BUNDLE).write_text(json.dumps(bundle))
    return place


def image(red, blue, path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = red, blue
    Image.fromarray(pixels).save(path)
    return path


def test_answers_tell_what_to_heed(folder, tmp_path):
    model = ExportedModel(folder)
    sure = predict(model, image(204, 0, tmp_path / "a.png"))
    assert sure["label"] == "Stone"
    assert sure["probabilities"] == {"Normal": 0.2, "Stone": 0.8}
    assert (sure["out_of_distribution"], sure["low_confidence"]) == (False, False)
    odd = predict(model, image(102, 204, tmp_path / "b.png"))
    assert odd["label"] == "Normal"
    assert (odd["out_of_distribution"], odd["low_confidence"]) == (True, True)
    assert odd["distance"] == 0.8
    assert odd["model"] == "made/final"


def test_predict_prefers_it_and_needs_no_tensorflow(folder, tmp_path):
    shown = image(204, 0, tmp_path / "a.png")
    program = (
        "import sys; from kidneyct_lib import cli; "
        f"status = cli.main(['predict', '--study', 'made', {str(shown)!r}]); "
        "loaded = {'tensorflow', 'keras'} & sys.modules.keys(); "
        "sys.exit(f'loaded {loaded}' if loaded else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "Stone"


@pytest.mark.parametrize("name", [BUNDLE, "model-float32.onnx"])
@pytest.mark.parametrize("share", [0, 0.5, None])
def test_a_damaged_export_is_named(folder, name, share):
    ExportedModel(folder)
    file = folder / name
    content = file.read_bytes()
    file.unlink() if share is None else file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StudyError, match=rf"{name}.*kidneyct export"):
        ExportedModel(folder)


def test_a_bundle_that_lacks_a_fact_is_named(folder):
    known = json.loads((folder / BUNDLE).read_text())
    del known["classes"]
    (folder / BUNDLE).write_text(json.dumps(known))
    with pytest.raises(StudyError, match="'classes'"):
        ExportedModel(folder)


def test_an_untrained_backbone_is_told(folder):
    known = json.loads((folder / BUNDLE).read_text()) | {"weights": "none"}
    (folder / BUNDLE).write_text(json.dumps(known))
    assert ExportedModel(folder).name == "made/final (untrained backbone)"


def test_export_without_a_study_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "params").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "--study", "nowhere"]) == 1
    assert "make reproduce" in capsys.readouterr().err


def test_export_tells_where_its_files_are(folder, tmp_path, monkeypatch, capsys):
    from kidneyct_lib.deployment import export

    (tmp_path / "outputs/made/models").mkdir()
    (tmp_path / "outputs/made/models/slice.keras").write_bytes(b"")
    exported = []
    monkeypatch.setattr(export, "export", lambda run, scheme: exported.append(scheme) or {"a": 1})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "--study", "made", "--scheme", "slice"]) == 0
    assert capsys.readouterr().out == f"Exported: {tmp_path / 'outputs/made/export/slice'}\n"
    assert exported == ["slice"]
