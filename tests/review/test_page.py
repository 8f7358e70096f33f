"""The page and its first screen: complete, escaped, closed to the outside."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil

import pytest
from changed_branch import CLEARER, change, commit, git, make_project, make_runs, notebook

from kidneyct_lib import cli
from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.review import collect, nbdime_frame, page, summary
from kidneyct_lib.study import run_diff

HOSTILE = "</script><img src=x onerror=alert(1)>`@everyone` **b** <!--"
BRANCH = "</title><b>`x`"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = make_project(tmp_path / "project")
    monkeypatch.chdir(project)
    return project


def found(runs):
    before, after = runs
    return collect.collect("main", "phantom", run=after, base_run=before)


def test_an_unchanged_branch_says_that_nothing_changed(project, runs):
    same = collect.collect("main", "phantom", run=runs[0], base_run=runs[0])
    assert summary.headline(same) == "Nothing changed"
    assert not summary.fails(same, "any")
    told = page.render(same)
    for words in ("No notebook differs", "No parameter differs", "No metric moved", "No figure"):
        assert words in told
    assert "nbdime.invalid" not in told, "nbdime's script is there for nothing"


def test_the_first_screen_tells_all_that_changed_in_five_lines(project, runs):
    change(project)
    lines = {line.title: "".join(line.parts) for line in summary.lines(found(runs))}
    assert len(lines) == 5
    assert lines["Notebooks"] == "1 changed: one.ipynb (1 Markdown cell changed)."
    assert lines["Parameters"] == "1 changed: calibration_bins 15 → 10 in phantom.yaml."
    assert re.match(
        r"\d+ of \d+ with a paired interval moved beyond noise: test: patient", lines["Metrics"]
    )
    assert "0 of 116 by slice flipped; 52 of 116 by patient" in lines["Predictions and tables"]
    assert "0 right to wrong, 52 wrong to right" in lines["Predictions and tables"]
    assert "1 of" in lines["Figures"] and "01_download__class_counts" in lines["Figures"]
    assert summary.headline(found(runs)).startswith("1 notebook, 1 parameter, ")


def test_without_a_run_only_sources_are_compared(project):
    change(project)
    alone = collect.collect("main", "phantom")
    assert alone.results is None
    assert "results not compared" in summary.headline(alone)
    assert page.render(alone).count("outputs/phantom is no finished run") == 7
    assert not summary.fails(alone, "any")


def test_the_tracked_reference_stands_for_the_base(project, runs):
    git(project, "switch", "-q", "main")
    reference = project / "outputs/phantom/reference"
    run_diff.keep(run_diff.Run(runs[0]), reference)
    git(project, "add", "-f", "outputs")
    git(project, "commit", "-q", "-m", "reference")
    git(project, "switch", "-q", "branch")
    git(project, "merge", "-q", "main")
    shutil.rmtree(reference)  # it is read from the base, not from the working tree
    shutil.copytree(runs[1], project / "outputs/phantom", dirs_exist_ok=True)
    told = collect.collect("main", "phantom")
    assert told.before == "outputs/phantom/reference as the base tracks it"
    assert told.results.beyond_noise
    assert told.results.same_figures is None
    assert "a side keeps none" in "".join(summary.lines(told)[-1].parts)


def test_a_run_of_other_parameters_is_told(project, runs):
    change(project)
    notes = found(runs).notes
    told = "The run of the branch was made with calibration_bins = 15"
    assert f"{told}, its params/phantom.yaml says 10." in notes
    assert not any("run of the base was made" in note for note in notes)


def test_a_run_given_that_is_not_finished_is_an_error(project, tmp_path):
    with pytest.raises(StudyError, match="no finished run"):
        collect.collect("main", "phantom", run=tmp_path)


@pytest.fixture
def hostile(project, runs):
    git(project, "switch", "-q", "-c", BRANCH)
    text = (project / "params/phantom.yaml").read_text()
    commit(
        project,
        {
            "notes/one.ipynb": notebook(("markdown", HOSTILE), ("code", HOSTILE)),
            "notes/<i>.ipynb": notebook(("markdown", HOSTILE)),
            "params/phantom.yaml": f"{text}\n{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)}\n",
        },
    )
    return found(runs)


def test_no_text_of_the_branch_becomes_part_of_the_page(hostile):
    told = page.render(hostile)
    assert "<img src=x" not in told and "<b>`x`" not in told and "<i>.ipynb" not in told
    scripts = re.findall(r"<script(?: [^>]*)?>(.*?)</script>", told, re.DOTALL)
    assert len(scripts) == told.count("</script>") == told.count("<script") == 4
    *data, last = scripts
    assert last == page._file("page.js")
    added, changed, _ = (json.dumps(json.loads(text)) for text in data)
    assert json.dumps(HOSTILE)[1:-1] in added and "</script>" in changed


def test_only_these_scripts_may_run_and_nothing_may_be_asked_for(hostile):
    told = page.render(hostile)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', told)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    frame = json.loads(re.search(r'<script id="nbdime"[^>]*>(.*?)</script>', told)[1])
    allowed = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (page._file("page.js"), frame["script"], frame["front"])
    }
    assert set(rules["script-src"].split()) == allowed
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == rules["font-src"] == "data:"


def test_a_damaged_notebook_does_not_shift_the_others(project, runs):
    commit(project, {"notes/one.ipynb": "{", "notes/other.ipynb": notebook(("code", "only"))})
    told = page.render(found(runs))
    assert "can&#39;t be read as a notebook" in told
    assert re.findall(r'data-diff="([^"]*)" data-name="([^"]*)"', told) == [
        ("diff-1", "notes/other.ipynb")
    ]
    assert re.findall(r'<script id="(diff-\d+)"', told) == ["diff-1"]


def test_markdown_holds_names_in_code_spans_alone(hostile):
    told = summary.markdown(hostile)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", told)
    assert "</title><b>" in told
    for sign in ("<", "@everyone", "onerror"):
        assert sign not in outside
    assert told.count("\n- **") == 5


def test_code_spans_hold_backticks():
    assert summary._span("a`b") == "``a`b``"
    assert summary._span("`a``") == "``` `a`` ```"
    assert summary._span("two\nlines") == "`two lines`"


def test_nbdimes_page_loads_nothing():
    front = nbdime_frame.front_end()
    assert '__webpack_require__.p="data:,"' in front and "# sourceMappingURL=nbdime" not in front
    assert "window.location.origin" not in front and "woff-v2" not in front
    assert "</script" not in front.lower()


def test_another_build_of_nbdime_is_refused_with_words(monkeypatch):
    monkeypatch.setattr(nbdime_frame, "_REPLACED", {"stands nowhere in it": ""})
    with pytest.raises(StudyError, match="built otherwise than this review expects"):
        nbdime_frame.front_end()


@pytest.mark.parametrize(("fail_on", "status"), [("any", 1), ("beyond-noise", 1), ("none", 0)])
def test_the_command_writes_page_and_summary_and_fails_as_asked(
    project, runs, capsys, fail_on, status
):
    change(project)
    run = ["--run", str(runs[1]), "--base-run", str(runs[0]), "--summary", "summary.md"]
    (project / "summary.md").write_text("before\n")
    assert cli.main(["review", *run, "--fail-on", fail_on]) == status
    told = (project / "outputs/review/index.html").read_text()
    assert "1 notebook, 1 parameter" in told
    assert CLEARER in json.dumps(json.loads(re.search(r'id="diff-0"[^>]*>(.*?)</script>', told)[1]))
    assert (
        (project / "summary.md")
        .read_text()
        .startswith("before\n### Review of `branch`: 1 notebook")
    )
    assert "Notebooks: 1 changed" in capsys.readouterr().out


def test_what_only_moved_fails_on_any_alone(project, runs):
    moved = found(runs)
    still = dataclasses.replace(
        moved,
        results=dataclasses.replace(
            moved.results, metrics=[c for c in moved.results.metrics if not c.beyond_noise]
        ),
    )
    assert summary.fails(still, "any")
    assert not summary.fails(still, "beyond-noise")


def test_a_figure_of_clock_readings_is_no_news(project, runs):
    clock = dataclasses.replace(found(runs).results.figures[0], name=next(iter(summary.CLOCKS)))
    told = dataclasses.replace(
        found(runs),
        results=dataclasses.replace(
            found(runs).results, metrics=[], tables=[], flips=[], figures=[clock]
        ),
    )
    assert not summary.fails(told, "any")
    assert "1 more drawn from clock readings" in "".join(summary.lines(told)[-1].parts)


def test_a_missing_base_is_reported(project, capsys):
    assert cli.main(["review", "--base", "nowhere"]) == 1
    assert "kidneyct: neither nowhere nor origin/nowhere is here" in capsys.readouterr().err
