"""README and docs: short enough, and every link leads somewhere."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

import kidneyct_lib

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def test_the_readme_has_at_most_a_hundred_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    inside = [link for link in links if "://" not in link]
    assert not [link for link in inside if not (page.parent / link).exists()]


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]+\.md)", page.read_text())
    }
    assert set(PAGES) - linked == {ROOT / "README.md"}


def test_every_sub_package_is_named_in_the_library_listing():
    packages = {path.parent.name for path in (ROOT / "kidneyct_lib").glob("*/__init__.py")}
    layered = {name for name in re.findall(r"``(\w+)``", kidneyct_lib.__doc__)}
    assert packages | {"cli"} == layered
    shown = [path for path in (ROOT / "kidneyct_lib").iterdir() if path.name != "__pycache__"]
    assert len(shown) <= 18


def test_the_files_and_parameters_that_the_pages_name_exist():
    """Code spans that look like a path of the repository."""
    pattern = r"`((?:kidneyct_lib|params|tests|web|docs|notebooks)/[\w./-]+)`"
    for page in PAGES:
        for name in re.findall(pattern, page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.fixture(scope="module")
def results():
    """tools/results.py as a module."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "tools/results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numbers_of_the_pages_are_those_of_the_result_files(results):
    marked = 0
    for page in results.PAGES:
        text = page.read_text()
        assert results.written(text) == text, f"{page.name}: `make docs` writes it anew"
        marked += len(results.MARKED.findall(text))
    assert marked > 5


def test_another_number_in_a_page_is_found_and_mended(results):
    study = min(path.parents[1].name for path in results.RESULTS.glob("*/metrics/test.json"))
    right = results.written(f'<!--= percent("{study}", "slice") --><!--/-->')
    accuracy = json.loads((results.RESULTS / study / "metrics/test.json").read_text())["slice"]
    assert f"-->{100 * accuracy['accuracy']:.1f} % (" in right
    assert results.written(right) == right
    wrong = right.replace(" % (", "1 % (")
    assert results.written(wrong) == right


def test_a_bench_is_kept_of_an_idle_machine_alone(results, monkeypatch, tmp_path):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    state = {"commit": "0" * 40, "dirty": False}
    monkeypatch.setattr(results.provenance, "git_state", lambda root: state)
    run, known = tmp_path / "bench", {"options": {"precision": "bfloat16"}}
    run.mkdir()
    for name in results.BENCH_TABLES:
        (run / f"{name}.csv").write_text("phase,seconds,ratio\nstage 1,12.345,\n")
    (run / "bench.json").write_text(json.dumps(known | {"load_at_start": 1.5}))
    with pytest.raises(SystemExit, match="not idle"):
        results.keep(run)
    (run / "bench.json").write_text(json.dumps(known | {"load_at_start": 0.1}))
    results.keep(run)
    expected = "\n| phase | seconds | ratio |\n| --- | ---: | ---: |\n| stage 1 | 12.3 |  |\n"
    assert results.bench("study") == expected
    told = results.read("bench", "about.command")
    assert told == 'make bench BENCH="--precision bfloat16"'
    state["dirty"] = True
    with pytest.raises(SystemExit, match="of no commit"):
        results.keep(run)


def test_a_scale_bench_is_kept_with_the_load_that_it_was_measured_under(
    results, monkeypatch, tmp_path
):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        results.provenance, "git_state", lambda root: {"commit": "0" * 40, "dirty": False}
    )
    run, sizes = tmp_path / "scale", {"sizes": "[360, 720]", "grouping": "0"}
    run.mkdir()
    (run / "seconds.csv").write_text("step,360,720\ncatalog,0.5,1.0\n")
    loads = {"load_at_start": 9.6, "load_at_end": 4.4}
    (run / "scale.json").write_text(json.dumps({"options": sizes} | loads))
    results.keep(run)
    assert results.made("scale") == "`python -m benchmarks.scale --sizes 360 720` at 0000000"
    assert results.load("scale") == "10 at its start and 4 at its end"
    assert "| catalog | 0.5 | 1 |" in results.bench("seconds", "scale")


def test_results_hold_no_row_of_a_slice_and_no_path_of_a_machine(results):
    for path in results.RESULTS.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not re.search(r"/(home|root|work|tmp|Users)/", text), path
            assert not re.search(r"\.(jpe?g|png|dcm)\b", text), path
            assert path.stat().st_size < 500_000
