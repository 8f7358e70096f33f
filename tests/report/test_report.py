"""The report: a page that says what the files say, whole, linked, and of any study."""

import base64
import io
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_run import FIGURES, make
from PIL import Image

from kidneyct_lib import report
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.report import context
from kidneyct_lib.report.run_reader import Saved, shown
from kidneyct_lib.study.run_folder import Run

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "kidneyct_lib/report/page"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A page's elements and texts; fails where a tag is not closed in its turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.images, self.metas = [], [], [], [], []
        self.texts, self.cells, self.section_texts, self._section = [], [], {}, None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if tag == "meta":
            self.metas.append(attrs)
        if tag == "section":
            self._section = attrs["id"]
            self.section_texts[self._section] = ""
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self._section = None

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data
        if self._section and not {"h2"} & set(self.open):
            self.section_texts[self._section] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make(tmp_path_factory.mktemp("runs") / "mine")


@pytest.fixture(scope="module")
def page(run):
    return Page(report.write(run).read_text())


# --- the page as a whole ----------------------------------------------------------------------


def test_the_page_is_whole_and_its_names_are_single(page):
    assert len(page.ids) == len(set(page.ids))
    assert page.text.count("Research use only") == 2  # the first line, and the checklist


def test_every_link_has_its_target(run, page):
    inside = [link[1:] for link in page.links if link.startswith("#")]
    beside = [link for link in page.links if not link.startswith("#")]
    assert inside
    assert set(inside) <= set(page.ids)
    assert beside
    assert [link for link in beside if not (run.folder / link).is_file()] == []


def test_every_figure_is_there_once_with_words_of_its_own(page):
    assert len(page.images) == sum(map(len, FIGURES.values()))
    for image in page.images:
        assert image["src"].startswith("data:image/png;base64,")
        assert len(image["alt"]) > 20
        assert "{" not in image["alt"]
    assert page.ids.index("07_leakage_audit__summary") < page.ids.index("flow")
    assert "Figure “not known to the page” of notebook 07_leakage_audit." in (
        image["alt"] for image in page.images
    )


def test_nothing_is_asked_from_outside_and_nothing_runs(run):
    text = (run.folder / "report.html").read_text()
    assert "http:" not in text
    assert "https:" not in text
    for word in ("<script", "<link", "<iframe", "@import", "url(", "javascript:", " onload"):
        assert word not in text
    (policy,) = [m for m in Page(text).metas if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'; img-src data:; ")


def test_names_from_the_data_do_not_become_markup(run, tmp_path):
    odd = make(tmp_path / "odd", classes=["<b>A", "B & C"], audit=False)
    assert "<b>A" in Page(report.write(odd).read_text()).text


def test_a_second_call_writes_nothing(run):
    path = report.write(run)
    before = path.stat()
    assert report.write(run) == path
    assert path.stat().st_ino == before.st_ino


def test_a_run_without_its_metrics_is_refused(tmp_path):
    run = make(tmp_path / "mine", audit=False)
    (run.folder / "metrics/test.json").unlink()
    with pytest.raises(StudyError, match=r"test\.json"):
        report.write(run)


# --- numbers ----------------------------------------------------------------------------------


def test_the_first_screen_has_both_numbers_with_both_intervals(run, page):
    text = (run.folder / "report.html").read_text()
    first = Page(text[text.index("<header") : text.index("</header>") + len("</header>")]).text
    metrics = run.read_metrics("test")
    for scheme in ("slice", "patient"):
        m = metrics[scheme]
        assert f"(by {scheme}) {100 * m['accuracy']:.1f} %" in first
        low, high = (f"{100 * end:.1f}" for end in m["accuracy_ci95"])
        assert f"interval {low} to {high} %" in first
        low, high = (f"{100 * end:.1f}" for end in m["accuracy_wilson95"])
        assert f"If slices were independent: {low} to {high} %" in first
    assert first.index("(by slice)") < first.index("(by patient)")
    assert "falsely narrow" in first
    (row,) = run.read_table("paired").query("compared == 'patient, stage 2'").to_dict("records")[:1]
    assert f"{-100 * row['accuracy_difference']:.1f} percentage points less often right" in first


def test_the_tables_hold_the_saved_numbers(run, page):
    for row in run.read_table("per_class").itertuples():
        scores = [f"{value:.3f}" for value in (row.precision, row.recall, row.f1)]
        note = ["fewer than ten groups" if row.few_groups else ""]
        expected = [f"by {row.scheme}", row[2], *scores, str(row.support), str(row.groups), *note]
        assert is_row(expected, page.cells)
    row = run.read_table("headline").iloc[-1]
    ends = f"{row.accuracy:.3f} ({row.accuracy_low:.3f} to {row.accuracy_high:.3f})"
    wilson = f"{row.accuracy_wilson_low:.3f} to {row.accuracy_wilson_high:.3f}"
    assert is_row([f"{row.n:,}", str(row.groups), ends, wilson], page.cells)
    assert is_row(
        ["Most similar training slice", "by patient", "0.432 (0.300 to 0.500)"], page.cells
    )
    assert is_row(["by patient", "0.062"], page.cells)
    assert "0.123" not in page.cells  # of the first stage: in the file alone
    assert "1 more in tables/calibration.csv" in page.text
    assert is_row(["one channel", "without", "–", "–"], page.cells)
    assert is_row(["by patient", "2", "37", "9", "0.625", "0.688", "0.062"], page.cells)
    assert is_row(["kidneys alone", "one vote per patient", "0.765 (0.600 to 0.900)"], page.cells)
    text = page.section_texts["ablation"]
    assert "0.71 over slices and 0.84 over patients" in text
    assert "0.31 over slices and 0.33 over patients" in text
    assert "difference is 0.40 (0.17 to 0.61)" in text
    assert "(37 by patient), each with 2 corruptions" in page.section_texts["robustness"]
    text = re.sub(r"\s+", " ", page.section_texts["deployment"])
    assert "on 243 images; onnx (int8) takes 23 ms per image on 1 thread" in text
    text = re.sub(r"\s+", " ", page.section_texts["maps"])
    assert "is 0.12 by slice and 0.25 by patient, with all weights shuffled -0.06 and 0.00" in text


def is_row(expected, cells):
    return any(cells[k : k + len(expected)] == expected for k in range(len(cells)))


def test_provenance_and_parameters_are_those_of_the_run(run, page):
    known = run.provenance()
    for key in ("parameters_sha256", "library_sha256", "environment_sha256"):
        assert known[key] in page.cells
    assert {"da7a" * 16, "f00d" * 16} <= set(page.cells)
    for name in known["notebooks"]:
        assert name in page.cells
    for name in known["parameters"]:
        assert name in page.cells


# --- what is told -----------------------------------------------------------------------------


def metrics_of(published, new):
    sides = {"slice": published, "patient": new}
    return {
        s: {"accuracy": m, "accuracy_ci95": [m - 0.1, m + 0.1], "accuracy_wilson95": [m, m]}
        for s, m in sides.items()
    }


@pytest.mark.parametrize(
    ("published", "new", "row", "points", "clear"),
    [
        (0.9, 0.5, None, 40, True),
        (0.9, 0.75, None, 15, False),
        (0.5, 0.6, None, -10, False),
        (0.9, 0.75, (-0.16, -0.2, -0.1), 16, True),
        (0.9, 0.5, (-0.4, -0.9, 0.1), 40, False),
    ],
)
def test_a_gap_is_clear_if_its_interval_excludes_nought(published, new, row, points, clear):
    rows = []
    if row:
        keys = ("accuracy_difference", "accuracy_difference_low", "accuracy_difference_high")
        sides = {"baseline": "slice, stage 2", "compared": "patient, stage 2"}
        rows = [sides | dict(zip(keys, row, strict=True))]
    result = context.gap(metrics_of(published, new), rows)
    assert result["points"] == pytest.approx(points)
    assert result["certain"] == clear
    if row:
        assert result["interval"] == pytest.approx([-100 * row[2], -100 * row[1]])


@pytest.mark.parametrize(
    ("clear", "points", "message"),
    [
        (True, 20, "The high number does not hold"),
        (False, 20, "This run cannot tell the two numbers apart"),
        (False, -3, "New patients are classified no worse"),
    ],
)
def test_the_finding_follows_the_gap(run, monkeypatch, clear, points, message):
    result = {"points": points, "interval": None, "certain": clear}
    monkeypatch.setattr(context, "gap", lambda *_: result)
    assert message in Page(context.page(run)).text


def test_classes_of_few_groups_are_marked(run, page):
    classes = run.provenance()["parameters"]["classes"]
    assert f"so their numbers say little: {classes[-1]} (4)." in page.text
    assert f"{classes[-1]} (4)" in page.section_texts["limits"]
    assert f"{classes[0]} (" not in page.section_texts["limits"]


def test_every_item_of_the_checklists_points_somewhere_or_says_why_not(run):
    text = (run.folder / "report.html").read_text()
    for section, items in (("tripod", 52), ("claim", 44)):
        part = text[text.index(f'<section id="{section}"') :]
        rows = part[: part.index("</section>")].split("<tr>")[2:]
        assert len(rows) == items
        for row in rows:
            assert "<a href=" in row or "Not available in this data:" in row, row


def test_the_checklists_have_all_their_items():
    tripod = [str(item["item"]) for item in yaml.safe_load((TEXTS / "tripod_ai.yaml").read_text())]
    parts = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef"}
    parts |= {20: "abc", 23: "ab", 27: "abc"}
    assert tripod == [f"{k}{part}" for k in range(1, 28) for part in parts.get(k, [""])]
    claim = yaml.safe_load((TEXTS / "claim.yaml").read_text())
    assert [item["item"] for item in claim] == list(range(1, 45))
    for item in [*claim, *yaml.safe_load((TEXTS / "tripod_ai.yaml").read_text())]:
        assert "where" in item or "missing" in item


def test_a_wrong_target_in_the_texts_would_be_noticed():
    """A target is a section's name, or a file that a notebook of this project writes."""
    sections = {f"#{s['id']}" for s in yaml.safe_load((TEXTS / "sections.yaml").read_text())}
    code = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    later = {"calibration", "leakage", "conformal"}  # written by notebooks that may be missing
    for name in ("tripod_ai", "claim", "model_card", "datasheet"):
        for entry in yaml.safe_load((TEXTS / f"{name}.yaml").read_text()):
            for target in entry.get("where", []):
                stem = Path(target).stem
                known = target in sections | {"#finding"} or (ROOT / target).is_file()
                written = f'"{stem}"' in code or f'\\"{stem}\\"' in code or stem in later
                assert known or (written and not target.startswith("#")), target


# --- of any study -----------------------------------------------------------------------------


def test_missing_files_leave_no_empty_section(tmp_path, page):
    later = {"audit", "shortcuts", "calibration", "deployment", "ablation", "maps", "robustness"}
    later |= {"uncertainty", "series"}
    assert later <= set(page.section_texts)
    bare = make(tmp_path / "bare", audit=False)
    known = bare.provenance()["notebooks"]
    known["05_error_analysis"]["outputs"] = ["tables/per_class.csv"]
    known["06_external_grayscale"]["outputs"] = []
    bare.record(notebooks=known)
    less = Page(report.write(bare).read_text())
    gone = later | {"errors", "external"}
    assert set(page.section_texts) - set(less.section_texts) == gone
    assert not {f"#{name}" for name in gone} & set(less.links)
    assert [link[1:] for link in less.links if link[1:] in less.section_texts][
        : len(less.section_texts)
    ] == list(less.section_texts)
    assert "Not in this run:" in less.text
    assert "section “Calibration" in less.text
    for name, text in (less.section_texts | page.section_texts).items():
        assert len(text.split()) > 10, name


def test_what_an_older_notebook_left_is_not_shown(run):
    stray = run.folder / "figures/05_error_analysis__of_an_older_notebook.png"
    Image.new("L", (4, 4)).save(stray)
    try:
        assert "of an older notebook" not in context.page(run)
        assert "figures/05_error_analysis__of_an_older_notebook.png" not in Saved(run, {}).files
    finally:
        stray.unlink()


def test_a_study_of_two_classes_and_one_split(tmp_path):
    two = make(tmp_path / "coronal", classes=["Clear", "Blocked"], folds=1, audit=False)
    text = Page(report.write(two).read_text()).text
    assert "2 classes (Clear and Blocked)" in text
    assert "The schemes tested different images in this run" in text
    assert "paired over patients" not in text
    assert "One test part (20 %" in text
    for name in ("Cyst", "Stone", "Tumor"):
        assert name not in text


def test_two_classes_have_a_section_of_their_own(run, page, tmp_path):
    two = make(tmp_path / "coronal", classes=["Clear", "Blocked"], audit=False)
    result = Page(report.write(two).read_text())
    section = result.section_texts["two-classes"]
    assert "the share of Blocked slices that are found" in " ".join(section.split())
    assert "under “Calibration”" not in section
    for row in two.read_table("binary").itertuples():
        cells = [f"by {row.scheme}", str(row.stage), str(row.n), str(row.groups)]
        assert is_row(cells, result.cells)
        for name in ("sensitivity", "specificity", "roc_auc", "pr_auc", "youden_sensitivity"):
            ends = [getattr(row, f"{name}{end}") for end in ("", "_low", "_high")]
            assert "{:.3f} ({:.3f} to {:.3f})".format(*ends) in result.cells
        assert f"{row.sensitivity_wilson_low:.3f} to {row.sensitivity_wilson_high:.3f}" not in (
            result.cells
        )
    (alt,) = [i["alt"] for i in result.images if i["alt"].startswith("Bars with intervals, by")]
    assert f"{two.read_metrics('binary')['patient']['pr_auc']:.2f}." in alt
    assert result.ids.index("05_error_analysis__two_classes") > result.ids.index("two-classes")
    assert {"ROC-AUC", "PR-AUC", "Positive slices"} <= set(result.cells)
    assert "#two-classes" in result.links
    assert "two-classes" not in page.ids
    assert "#two-classes" not in page.links
    assert "predictive values" not in page.text


def test_a_given_test_part_is_told_instead_of_random_slices(tmp_path):
    given = make(tmp_path / "given", folds=1, plane="coronal")
    counted = {"test_slices": 1346, "groups": 433, "groups_in_both": 61}
    grouping = given.read_metrics("grouping") | {"given_parts": counted}
    given.write_metrics("grouping", grouping)
    given.record(parameters=given.provenance()["parameters"] | {"folds": 5})
    page = Page(report.write(given).read_text())
    assert "Tested on the test part given with the images" in page.text
    assert "Tested on random slices" not in page.text
    training = " ".join(page.section_texts["training"].split())
    assert "the 1,346 slices of the test part that the images came with" in training
    assert "61 of 433 groups stand in both parts given" in training
    assert "One test part: by slice the given one, by patient 20 % of the slices." in training
    assert "are not divided into folds" in training
    assert "In 5 folds" not in page.text
    assert "that is measured to be coronal" in page.text


def test_two_folds_say_what_validates(tmp_path, page):
    two = Page(report.write(make(tmp_path / "two", folds=2)).read_text())
    assert "In 2 folds every image is tested exactly once" in two.text
    assert "20 % of the slices of the half that is not tested validate" in two.text
    assert "too few patients for a validation part" in two.section_texts["limits"]
    assert "too few patients for a validation part" not in page.text


def test_no_class_or_number_of_a_study_is_typed_into_the_texts():
    classes = yaml.safe_load((ROOT / "params/phantom.yaml").read_text())["classes"]
    for path in TEXTS.rglob("*"):
        if path.is_file():
            for name in classes:
                assert not re.search(rf"\b{name}s?\b", path.read_text()), (path.name, name)
            if path.suffix != ".css":
                assert not re.search(r"\d\.\d{2,}|\d,\d{3}", path.read_text()), path.name


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"source": "phantom"}, "The patients are computer-made"),
        ({"source": "folder"}, "Images from a folder that the user of this project named"),
        ({"source": "kaggle"}, "The public CT KIDNEY DATASET"),
        ({"weights": "none"}, "The backbone was not pretrained"),
        ({"class_weight": "group"}, "balanced on groups"),
        ({"augment_views": 4}, "as one of its 4 random views"),
        ({"recipe": "patient"}, "shows every slice in one display window"),
    ],
)
def test_source_and_weights_are_told(run, parameters, message):
    known = run.provenance()
    run.record(parameters=known["parameters"] | parameters)
    try:
        text = Page(context.page(run)).text
    finally:
        run.record(parameters=known["parameters"])
    assert message in text
    assert ("generated" in text) == (parameters.get("source") == "phantom")


def test_repeated_seeds_are_told(tmp_path):
    make(tmp_path / "mine-seed7", audit=False, seed=7)
    text = Page(report.write(make(tmp_path / "mine", audit=False)).read_text()).text
    assert "over 2 seeds: mean accuracy" in text
    assert "No other seed" not in text


# --- parts ------------------------------------------------------------------------------------


def test_a_table_as_text():
    table = pd.DataFrame(
        {
            "model_name": ["slice", "b"],
            "score": [0.12345, np.nan],
            "score_low": [0.1, np.nan],
            "score_high": [0.2, np.nan],
            "other_low": [0.5, 1.0],
            "other_high": [0.75, 1.0],
            "n": [12345, 7],
            "few_groups": [True, False],
            "recall_Odd Name": [1.0, 0.0],
        }
    )
    result = shown(table, {"headers": {"few_groups": "Note"}, "cells": {"slice": "by slice"}})
    assert result.headers == [
        "Model name",
        "Score",
        "Other",
        "N",
        "Note",
        "Recall Odd Name",
    ]
    few = "fewer than ten groups"
    assert result.rows == [
        ["by slice", "0.123 (0.100 to 0.200)", "0.500 to 0.750", "12,345", few, "1.000"],
        ["b", "–", "1.000 to 1.000", "7", "", "0.000"],
    ]
    assert result.intervals
    assert result.numeric == [False, True, True, True, False, True]
    nothing = {"headers": {}, "cells": {}}
    means = pd.DataFrame({"size": [2.5, 4.0], "n": [2.0, np.nan], "right": [True, False]})
    assert shown(means, nothing).rows == [["2.500", "2", "yes"], ["4.000", "–", "no"]]
    unmarked = shown(table.assign(few_groups=False), nothing)
    assert "Few groups" not in unmarked.headers
    assert shown(pd.concat([table] * 50), nothing).left_out == 40


def test_a_picture_keeps_its_size_and_its_grays(tmp_path):
    (tmp_path / "figures").mkdir()
    gray = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    Image.fromarray(gray).convert("RGBA").save(tmp_path / "figures/a.png")
    shown_image = Saved(Run(tmp_path), {}).image("a")
    content = base64.b64decode(shown_image["address"].partition(",")[2])
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    assert picture.size == (shown_image["width"], shown_image["height"]) == (256, 64)
    assert np.abs(np.asarray(picture)[..., 0].astype(int) - gray).max() <= 2


def test_templates_and_texts_are_in_the_package(tmp_path, monkeypatch):
    from flit_core import buildapi

    monkeypatch.chdir(ROOT)
    wheel = tmp_path / buildapi.build_wheel(str(tmp_path))
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in TEXTS.rglob("*"):
        if path.is_file():
            assert str(path.relative_to(ROOT)) in names
