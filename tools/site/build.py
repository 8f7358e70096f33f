"""Build outputs/site/, the study to be read without running it, for any static host.

    make site                    # of every finished study in outputs/
    make site WITH_IMAGES=1      # pictures and rows of real slices, too

Of a study of real images only aggregate numbers are shown unless asked otherwise.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import folder_bytes

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".cache/site"


def build(outputs: Path, target: Path, with_images: bool) -> None:
    """Collect, build, check, and put the site in place of the last one.

    Parameters
    ----------
    outputs
        Folder of runs.
    target
        Folder of the site, replaced once the new site is whole and its links are sound.
    with_images
        Show studies of real images whole, too.

    Raises
    ------
    StudyError
        If no study is finished, Sphinx fails, or a link leads nowhere.
    """
    from tools.site import links, studies

    found, left_out = studies.find(outputs, with_images)
    for name, reason in left_out.items():
        print(f"Left out: {name} ({reason})", flush=True)
    if not found:
        raise StudyError(f"No finished study in {outputs}: run `make reproduce` first.")
    for study in found:
        print(f"Study {study.name}: {_what_is_shown(study)}", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    sources, site = WORK / "sources", WORK / "html"
    with _step("collecting pages"):
        _collect(found, sources)
    with _step("the page in the browser"):
        has_page = _browser_page([study for study in found if study.generated], site / "page")
    studies.render("index.md", sources / "index.md", studies=found, has_page=has_page)
    with _step("Sphinx"):
        _sphinx(sources, site)
    with _step("checking links"):
        problems = links.problems(site)
    if problems:
        raise StudyError("\n".join(["Links of the site are broken:", *problems]))
    _replace(target, site)
    print(f"Site: {target / 'index.html'} ({folder_bytes(target) / 1e6:.0f} MB)", flush=True)


def _what_is_shown(study) -> str:
    if study.generated:
        return "generated images, shown whole"
    if study.whole:
        return "REAL IMAGES, shown whole, as WITH_IMAGES asks: see who may read the site"
    return "real images, aggregate numbers alone; WITH_IMAGES=1 shows pictures and rows, too"


def _collect(found, sources: Path) -> None:
    from tools.site import project_pages, reference_pages, studies

    extra = sources / "_extra"
    extra.mkdir(parents=True)
    shutil.copyfile(ROOT / "docs/site/conf.py", sources / "conf.py")
    shutil.copytree(ROOT / "docs/site/_static", sources / "_static")
    shutil.copyfile(ROOT / "web/src/favicon.svg", sources / "_static/favicon.svg")
    project_pages.write(sources)
    reference_pages.write(sources / "api")
    for study in found:
        studies.write(study, sources, extra)


def _browser_page(found, target: Path) -> bool:
    """Build the page that runs a model in the browser; False where it cannot be built."""
    names = [study.name for study in found if (study.run.folder / "export").is_dir()]
    if not names:
        print("   left out: no model of generated images is exported")
        return False
    if shutil.which("npm") is None:
        print("   left out: it needs Node with npm (https://nodejs.org)")
        return False
    chosen = [word for name in names for word in ("--study", name)]
    outputs = found[0].run.folder.parent
    if not (ROOT / "web/node_modules/.package-lock.json").is_file():
        _run(["npm", "ci", "--silent"], ROOT / "web")
    _run(["npm", "run", "--silent", "build", "--", "--outDir", target], ROOT / "web")
    models = ["--from", outputs, "--to", target / "models", *chosen]
    _run(["npm", "run", "--silent", "models", "--", *models], ROOT / "web")
    return True


def _sphinx(sources: Path, site: Path) -> None:
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    options = ["--builder", "html", "--fail-on-warning", "--doctree-dir", WORK / "doctrees"]
    _run([sys.executable, "-m", "sphinx", *quiet, *options, sources, site], ROOT)


def _run(command: list, folder: Path) -> None:
    """Run a command; its output is shown where it fails or a person looks on."""
    words = [str(word) for word in command]
    # Nothing here computes: no GPU, no window.
    settings = {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipe = None if sys.stdout.isatty() else subprocess.PIPE
    done = subprocess.run(
        words, cwd=folder, env=os.environ | settings, text=True, stdout=pipe, stderr=pipe
    )
    if done.returncode:
        raise StudyError(f"{done.stdout or ''}{done.stderr or ''}\n`{' '.join(words)}` failed.")


def _replace(target: Path, site: Path) -> None:
    """Put a folder in another's place: the old one is out of the way only for a moment."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    site.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _step(name: str) -> Iterator[None]:
    print(f"-- {name}", flush=True)
    began = time.monotonic()
    yield
    print(f"   done in {time.monotonic() - began:.0f} s", flush=True)


def main() -> int:
    """Build the site that the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", type=Path, default=ROOT / "outputs", help="folder of runs")
    parser.add_argument("--target", type=Path, default=ROOT / "outputs/site", help="of the site")
    images = "show pictures and rows of studies of real images, too"
    parser.add_argument("--with-images", action="store_true", help=images)
    options = parser.parse_args()
    try:
        if importlib.util.find_spec("furo") is None:
            raise StudyError("The site needs an extra: make setup EXTRA=site")
        WORK.parent.mkdir(exist_ok=True)
        with FileLock(WORK.with_suffix(".lock"), timeout=0):
            build(options.outputs.resolve(), options.target.resolve(), options.with_images)
    except Timeout:
        print("kidneyct: another `make site` is running here.", file=sys.stderr)
        return 1
    except StudyError as error:
        print(f"kidneyct: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
