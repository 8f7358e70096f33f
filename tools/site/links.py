"""Check of a built site: every link has its target, and no page asks for anything from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes by which a page loads something by itself; `a href` waits for the reader.
_LOADING = {"src", "srcset", "data", "poster"}
_OUTSIDE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", re.IGNORECASE)


class _Page(HTMLParser):
    """Links of a page, what it loads, and the names that a link may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id" or (key == "name" and tag == "a"):
                self.names.add(value or "")
            elif key in _LOADING or (key == "href" and tag in ("link", "use", "image")):
                self.loads.append(value or "")
            elif key == "href":
                self.links.append(value or "")


def problems(site: Path) -> list[str]:
    """What is wrong with the links of a folder of pages, one line each; none if all is well.

    Parameters
    ----------
    site
        Folder of the built site; its pages may lie at any depth.
    """
    site = site.resolve()
    pages = {path: _Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loads:
            if _leads_out(address):
                found.append(f"{name} loads {address} from outside")
        for address in dict.fromkeys([*page.loads, *page.links]):
            if fault := _fault(address, path, site, pages):
                found.append(f"{name}: {address} {fault}")
    for path in sorted(site.rglob("*.css")):
        if _OUTSIDE.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)} loads from outside")
    return found


def _leads_out(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def _fault(address: str, path: Path, site: Path, pages: dict[Path, _Page]) -> str | None:
    """What is wrong with one address, if anything."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/"):
        return "starts at the host's root: the site may lie below it"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(site):
        return "leads out of the site"
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "leads to no file"
    fragment = unquote(parts.fragment)
    if target in pages and fragment not in pages[target].names:
        return "leads to no place in that page"
    return None
