"""The panels, driven by setting the values of their widgets: no browser, no kernel."""

import re

import pytest
from explored_run import explored

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.explore import slice_picker, what_if
from kidneyct_lib.explore.finished_run import FinishedRun
from kidneyct_lib.explore.slice_browser import SliceBrowser
from kidneyct_lib.explore.slice_picker import SlicePicker
from kidneyct_lib.explore.threshold_panel import ThresholdPanel
from kidneyct_lib.explore.two_runs_panel import TwoRunsPanel
from kidneyct_lib.explore.what_if_panel import WhatIfPanel


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return FinishedRun(explored(tmp_path_factory.mktemp("run")).folder)


@pytest.fixture(scope="module")
def without_export(tmp_path_factory):
    return FinishedRun(explored(tmp_path_factory.mktemp("bare"), export=False).folder)


def alt(panel):
    (text,) = re.findall(r'<img alt="([^"]+)"', panel.view.value)
    return text


def moved(panel, **values):
    """Set widgets one after the other; whether the view is another one after each."""
    result = []
    for name, value in values.items():
        before = panel.view.value
        getattr(panel, name).value = value
        result.append(panel.view.value != before)
    return result


# --- the picker ---------------------------------------------------------------------------------


@pytest.fixture
def picker(finished):
    return SlicePicker(finished)


def listed(picker):
    return [value for _, value in picker.series.options]


def test_all_series_of_new_patients_are_listed_first(picker, finished):
    table = finished.series("patient")
    assert listed(picker) == [("patient", r.group, r.label) for r in table.itertuples()]
    assert picker.row["path"] == picker.slices["path"].iloc[0]


def test_class_and_verdict_filter_the_list(picker, finished):
    picker.split.value, picker.label.value = "slice", "Stone"
    table = finished.series("slice").query("label == 'Stone'")
    chosen = {
        "right or wrong": table,
        "voted right": table[table["vote"] == "Stone"],
        "voted wrong": table[table["vote"] != "Stone"],
        "with a wrong slice": table[table["accuracy"] < 1],
    }
    assert list(chosen) == list(slice_picker.VERDICTS)
    for verdict, rows in chosen.items():
        picker.verdict.value = verdict
        assert listed(picker) == [("slice", group, "Stone") for group in rows["group"]]
    assert 0 < len(chosen["with a wrong slice"]) < len(table)


def test_each_pick_is_told_once(picker):
    told = []
    picker.on_change(lambda: told.append(picker.row["path"]))
    picker.label.value = "Stone"
    assert len(told) == 1
    picker.scroll(1)
    picker.series.value = listed(picker)[1]
    assert [path.split("/")[0] for path in told] == ["Stone"] * 3
    assert picker.slice.value == 1
    assert told[1] != told[0] != told[2]


def test_scrolling_stops_at_both_ends(picker):
    picker.scroll(-1)
    assert picker.slice.value == 1
    picker.scroll(99)
    assert picker.slice.value == picker.slice.max == len(picker.slices)


def test_a_series_is_shown_whatever_is_listed(picker, finished):
    picker.verdict.value = "voted wrong"
    right = finished.series("patient").query("right and label == 'Normal'").iloc[0]
    picker.show("patient", right["group"], "Normal")
    assert set(picker.slices["group"]) == {right["group"]}


# --- the panels ---------------------------------------------------------------------------------


def test_the_browser_follows_every_widget(finished):
    browser = SliceBrowser(finished)
    browser.picker.label.value = "Stone"
    first = alt(browser)
    assert first.startswith(f"CT slice {browser.picker.row['path']}, 1 of ")
    assert all(moved(browser, opacity=0.1, of_class="no map", outlined=False))
    browser.picker.scroll(1)
    assert ", 2 of " in alt(browser)
    p = browser.picker.row["p_Stone"]
    assert f"Stone {p:.2f}" in alt(browser)


def test_the_mouse_wheel_scrolls(finished, monkeypatch):
    handlers = []
    event = slice_picker.ipyevents.Event
    monkeypatch.setattr(event, "on_dom_event", lambda self, handler: handlers.append(handler))
    browser = SliceBrowser(finished)
    (wheel,) = handlers
    wheel({"deltaY": 120})
    assert browser.picker.slice.value == 2
    wheel({"deltaY": -120})
    assert browser.picker.slice.value == 1


def test_a_search_without_result_says_so(finished):
    browser = SliceBrowser(finished)
    with browser.held():
        browser.picker.series.options = ()
    assert "No series is like this" in browser.view.value


def test_the_browser_without_export_shows_no_map_and_says_why(without_export):
    browser = SliceBrowser(without_export)
    assert browser.of_class.disabled and browser.opacity.disabled
    assert "No class map" in browser.box.children[-1].value
    assert "10_deployment" in browser.box.children[-1].value
    assert alt(browser)


def test_the_threshold_panel_counts_at_its_threshold(finished):
    panel = ThresholdPanel(finished)
    assert panel.positive.value == "Stone"
    panel.threshold.value = 0
    assert "slices, split by slice: sensitivity 1.00, specificity 0.00" in alt(panel)
    panel.threshold.value = 1
    assert "slices, split by slice: sensitivity 0.00, specificity 1.00" in alt(panel)
    assert panel.view.value.count("<tr") == 4
    assert moved(panel, positive="Normal") == [True]


def test_the_what_if_panel_answers_anew_and_undoes(finished):
    panel = WhatIfPanel(finished)
    panel.picker.label.value = "Stone"
    as_stored = panel.view.value
    p = finished.answer(panel.picker.row["path"]).probabilities[1]
    assert f"Stone: {p:.2f}, then {p:.2f}." in alt(panel)
    assert all(moved(panel, center=0, width=300, opacity=1.0, noise=0.1))
    assert all(moved(panel, corruption="impulse noise", severity=5))
    panel.rotation.value = 10  # a slice of one gray level looks the same from all sides
    assert panel.change == what_if.Change(0, 300, 0.1, 10, "impulse noise", 5)
    assert "dead detector elements" in panel.view.value
    panel.opacity.value = 0.5
    panel.reset.click()
    assert panel.view.value == as_stored


def test_a_darker_window_lowers_what_the_model_goes_by(finished):
    panel = WhatIfPanel(finished)
    panel.picker.label.value = "Stone"
    before = finished.answer(panel.picker.row["path"]).probabilities[1]
    panel.center.value = panel.center.max
    (then,) = re.findall(r"Stone: [\d.]+, then (0.\d+)", alt(panel))
    assert float(then) < before - 0.1


def test_the_what_if_panel_without_export_names_the_notebook(without_export):
    panel = WhatIfPanel(without_export)
    assert "run notebook 10_deployment" in panel._repr_mimebundle_()["text/html"]


def test_two_runs_are_compared(finished, without_export):
    panel = TwoRunsPanel(finished, without_export.run.folder)
    assert "accuracy" in alt(panel)
    assert "same vote in both" in panel.view.value
    assert panel.view.value.count("<table") == 2


def test_a_run_is_not_compared_with_itself(finished):
    with pytest.raises(StudyError, match="another one"):
        TwoRunsPanel(finished, finished.run.folder)


def test_a_run_alone_says_how_to_make_another(finished):
    panel = TwoRunsPanel(finished)
    assert panel.other.disabled
    assert "make reproduce SEED=1" in panel.view.value


@pytest.mark.parametrize("panel", [SliceBrowser, ThresholdPanel, WhatIfPanel, TwoRunsPanel])
def test_the_view_stands_where_no_kernel_runs(finished, panel):
    shown = panel(finished)
    bundle = shown._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.box.model_id
    assert shown.view.value in bundle["text/html"]
