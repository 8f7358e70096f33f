"""README and docs: short enough, and every link leads somewhere."""

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
    assert len(shown) <= 16


def test_the_files_and_parameters_that_the_pages_name_exist():
    """Code spans that look like a path of the repository."""
    pattern = r"`((?:kidneyct_lib|params|tests|web|docs|notebooks)/[\w./-]+)`"
    for page in PAGES:
        for name in re.findall(pattern, page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
