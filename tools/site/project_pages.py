"""README and docs as pages of the site, as they are but for links that would lead out of it."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "web/README.md")

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)  # marks of `make docs`
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")


def find(root: Path = ROOT) -> list[str]:
    """Paths of the project's pages from its root."""
    docs = sorted(str(path.relative_to(root)) for path in (root / "docs").glob("*.md"))
    return [*PAGES, *docs]


def write(target: Path, root: Path = ROOT) -> None:
    """Copy the project's pages, and the pictures in them, to the same places below a folder."""
    pages = find(root)
    for name in pages:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        text = (root / name).read_text(encoding="utf-8")
        (target / name).write_text(linked(text, name, pages, root), encoding="utf-8")
        for _, _, link, _ in _LINK.findall(text):
            picture = (root / name).parent / link
            if picture.suffix in (".png", ".svg") and picture.is_file():
                copy = (target / name).parent / link
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, copy)


def linked(text: str, name: str, pages: list[str], root: Path = ROOT) -> str:
    """Text of a page without comments, its links kept inside the site.

    A link to a module of the library leads to its reference; one to another file that the site
    does not have is left as its words.
    """

    def one(link: re.Match) -> str:
        mark, words, target, fragment = link.groups(default="")
        if mark or "://" in target or target.startswith("mailto:"):
            return link[0]
        path = ((root / name).parent / target).resolve()
        inside = str(path.relative_to(root.resolve()))
        if inside in pages:
            return link[0]
        if inside.startswith("kidneyct_lib/") and inside.endswith(".py"):
            module = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            up = "../" * name.count("/")
            return f"[{words}]({up}api/{module}.rst{fragment})"
        return words

    return _LINK.sub(one, _COMMENT.sub("", text))
