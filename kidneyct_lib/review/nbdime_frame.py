"""nbdime's own page of a notebook's difference, in one piece, so that it needs no server.

nbdime's page asks its server for the difference and loads parts of its script and fonts when it
needs them. Here all parts of the script stand before its main part, which then finds them loaded;
fonts are left out; and the one request is answered by `page/frame.js` from what the page holds.
"""

import re
from importlib.resources import files
from pathlib import Path

from kidneyct_lib.core.errors import StudyError

_SERVER = "https://nbdime.invalid"
"""Address that stands for nbdime's server; no request reaches it, and no host has that name."""

_REPLACED = {
    r'__webpack_require__\.p="[^"]*"': '__webpack_require__.p="data:,"',  # where fonts lie
    r'fontURL:"[^"]*"': 'fontURL:"data:,"',  # MathJax's
    r"window\.location\.origin": f'"{_SERVER}"',  # a frame without an address has none
}


def front_end() -> str:
    """Join the parts of nbdime's script into one that loads nothing.

    Raises
    ------
    StudyError
        If nbdime is missing, or its script is not built as this module expects.
    """
    try:
        import nbdime
    except ImportError as error:
        raise StudyError(f"nbdime is missing ({error}); `make setup` installs it.") from None
    folder = Path(nbdime.__file__).parent / "webapp/static"
    parts = [*sorted(folder.glob("*.nbdime.js")), folder / "nbdime.js"]
    try:
        script = ";\n".join(_code(path) for path in parts)
    except OSError as error:
        raise StudyError(f"nbdime {nbdime.__version__} holds no web page ({error}).") from None
    for pattern, instead in _REPLACED.items():
        script, times = re.subn(pattern, instead, script)
        if times != 1:
            raise StudyError(
                f"The page of nbdime {nbdime.__version__} is built otherwise than this review "
                f"expects ({pattern} stands {times} times in it); `make setup` installs the "
                "version that it knows."
            )
    if "</script" in script.lower():
        raise StudyError(f"The page of nbdime {nbdime.__version__} can't be put into another page.")
    return script


def _code(path: Path) -> str:
    """A part of the script without the line that names its source map, which would be asked for."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)


def frame() -> str:
    """Give the page around it: the reader's script puts data and scripts in at its two marks."""
    folder = files(__package__) / "page"
    text = (folder / "frame.html").read_text("utf-8")
    return text.replace("/* style */", (folder / "frame.css").read_text("utf-8"))
