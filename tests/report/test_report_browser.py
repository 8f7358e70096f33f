"""The report in a real browser: Debian's Chromium, headless, driven by its command line alone.

The page's policy lets nothing be put into it. So what it measures on a phone is read by another
page in the same folder, which shows it in a frame of that width and may look inside.
"""

import json
import re
import shutil
import subprocess
from itertools import pairwise

import pytest
from made_up_run import make

from kidneyct_lib import report

pytestmark = pytest.mark.slow
PHONE, PAPER = 360, 680  # CSS pixels: a narrow phone, and 180 mm of A4

FRAME = """<!doctype html><iframe id="f" src="{name}" width="{width}" height="900"
style="border:0"></iframe><pre id="out"></pre><script>
document.getElementById("f").onload = (event) => {{
  const page = event.target.contentDocument, width = {width}, out = [];
  for (const element of page.body.querySelectorAll("*")) {{
    const inside = element.parentElement.closest(".scroll");
    if (inside && getComputedStyle(inside).overflowX === "auto") continue;
    if (element.getBoundingClientRect().right > width + 0.5)
      out.push(element.tagName + " " + element.textContent.slice(0, 40));
  }}
  const edges = (card) => {{
    const box = card.getBoundingClientRect();
    return [box.left, box.right, box.top, box.bottom];
  }};
  const told = {{
    overflow: page.documentElement.scrollWidth - width,
    sticking_out: out,
    cards: [...page.querySelectorAll("header .card")].map(edges),
  }};
  document.getElementById("out").textContent = JSON.stringify(told);
}};
</script>"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Run Chromium with options on a file; returns what it printed and what it logged."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    profile = tmp_path_factory.mktemp("profile")
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    fixed += ["--enable-logging=stderr", "--allow-file-access-from-files", "--hide-scrollbars"]
    fixed += ["--no-first-run", "--disable-background-networking", "--virtual-time-budget=5000"]

    def run(path, *options):
        command = [program, *fixed, *options, path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report.write(make(tmp_path_factory.mktemp("runs") / "mine"))


def complaints(logged):
    return [line for line in logged.splitlines() if "CONSOLE" in line]


def spoiled(page, name, old, new):
    """Write a copy of the page with one thing changed, to see that a check can fail."""
    text = page.read_text()
    assert old in text
    copy = page.with_name(name)
    copy.write_text(text.replace(old, new, 1))
    return copy


def measured(chromium, page, width):
    frame = page.with_name(f"frame-{page.stem}.html")
    frame.write_text(FRAME.format(name=page.name, width=width))
    dom, _ = chromium(frame, "--dump-dom", "--window-size=1280,1000")
    return json.loads(re.search(r'<pre id="out">(.+?)</pre>', dom, re.DOTALL)[1])


def test_the_console_is_silent(chromium, page):
    dom, logged = chromium(page, "--dump-dom")
    assert 'id="provenance"' in dom
    assert complaints(logged) == []


def test_a_request_to_outside_would_be_refused_and_seen(chromium, page):
    asks = spoiled(page, "asks.html", "<main>", '<main><img alt="" src="http://127.0.0.1:9/a.png">')
    _, logged = chromium(asks, "--dump-dom")
    (line,) = complaints(logged)
    assert "Content Security Policy" in line


def test_nothing_sticks_out_on_a_phone(chromium, page):
    result = measured(chromium, page, PHONE)
    assert (result["overflow"], result["sticking_out"]) == (0, [])


def test_sticking_out_would_be_seen(chromium, page):
    wide = spoiled(page, "wide.html", "<main>", '<main><div style="width: 500px">wide</div>')
    result = measured(chromium, wide, PHONE)
    assert result["overflow"] > 100
    assert result["sticking_out"][0].startswith("DIV wide")


def test_tables_fit_on_paper(chromium, page):
    """The print style, put on the screen, at the width of A4 between its margins."""
    printed = spoiled(page, "printed.html", "@media print", "@media all")
    result = measured(chromium, printed, PAPER)
    assert (result["overflow"], result["sticking_out"]) == (0, [])


def test_it_prints_to_a4(chromium, page, tmp_path):
    chromium(page, f"--print-to-pdf={tmp_path / 'a.pdf'}", "--no-pdf-header-footer")
    printed = (tmp_path / "a.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert len(boxes) > 3
    for width, height in boxes:
        assert float(width) == pytest.approx(595, abs=1)
        assert float(height) == pytest.approx(842, abs=1)


def test_a_phone_shows_both_numbers_side_by_side_without_scrolling(chromium, page):
    first, second, third = measured(chromium, page, PHONE)["cards"]
    left, right, top, bottom = range(4)
    assert first[right] < second[left] < second[right] <= PHONE
    assert first[top] == second[top]
    assert max(first[bottom], second[bottom]) < 700
    assert third[top] > max(first[bottom], second[bottom])
    assert (third[left], third[right]) == (first[left], second[right])


def test_a_wide_page_shows_the_three_numbers_in_a_row(chromium, page):
    cards = measured(chromium, page, 1280)["cards"]
    left, right, top, _ = range(4)
    assert len({card[top] for card in cards}) == 1
    assert all(a[right] < b[left] for a, b in pairwise(cards))
