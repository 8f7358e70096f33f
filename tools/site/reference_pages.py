"""Reference of the library: one page for each module, which Sphinx fills from the docstrings."""

from pathlib import Path

import kidneyct_lib

LIBRARY = Path(kidneyct_lib.__file__).parent

_PAGE = """{title}
{line}

.. automodule:: {module}
   :members:
   :show-inheritance:
"""
_CONTENTS = """
.. toctree::
   :maxdepth: 1

"""


def write(target: Path) -> None:
    """Write `<module>.rst` of the library and of each module below it."""
    target.mkdir()
    modules = sorted(module_of(path) for path in LIBRARY.rglob("*.py"))
    for module in modules:
        title = module.removeprefix("kidneyct_lib.")
        page = _PAGE.format(title=title, line="=" * len(title), module=module)
        below = [one for one in modules if one.rpartition(".")[0] == module]
        if below:
            page += _CONTENTS + "".join(f"   {one}\n" for one in below)
        (target / f"{module}.rst").write_text(page, encoding="utf-8")


def module_of(path: Path) -> str:
    """Dotted name of a file of the library; a package bears its folder's name."""
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
